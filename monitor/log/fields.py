"""Cells to typed columns: the SQL that casts, checks and completes a batch.

A cell that is there but cannot be used becomes NULL and a fault with its reason; only identity and
time reject the record. `true` is not the number 1; a number in quotes is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from monitor.config import Config, Source, Unit
from monitor.log import derived
from monitor.log.columns import Column
from monitor.log.readers import Batch, Reader
from monitor.store import literal, quoted

FAULT = "STRUCT(column_name VARCHAR, reason VARCHAR, value VARCHAR)"
WHOLE = 9007199254740992
NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER",
           "UBIGINT", "FLOAT", "DOUBLE")  # fmt: skip
PROPENSITY = {
    "probability": "{v} > 0 AND {v} <= 1",
    "density": "{v} > 0",
    "log": "{v} <= 0 AND exp({v}) > 0",
}
CANDIDATE_PROPENSITY = {"probability": "{v} BETWEEN 0 AND 1", "density": "{v} >= 0"}


@dataclass(frozen=True)
class Typing:
    """What turns the cells of one source into typed columns. `floor`: decisions before it were pruned."""

    config: Config
    source: Source
    columns: Sequence[Column]
    reader: Reader
    floor: datetime | None = None

    @property
    def present(self) -> list[str]:
        """Names of the columns that the source gives."""
        return [c.name for c in self.columns]


def typed(typing: Typing, batch: Batch, limit: datetime) -> str:
    """SELECT of one typed row a record: line, reason (why it is rejected, or NULL), ok (no fault),
    late (a reward without a time of decision), then the columns. `limit`: a later ts is `future`."""
    clean = ", ".join(
        f"CASE WHEN {_good(typing, c)} THEN {_stored(typing.config, c)} END AS {quoted(c.name)}"
        for c in typing.columns
    )
    ok = " AND ".join(_fine(typing, c) for c in typing.columns)
    checked = f"""
        SELECT line, {_reason(typing, limit)} AS reason, ({ok}) AS ok,
            {_late(typing)} AS late, {_any_candidate(typing.columns)} AS recommends, {clean}
        FROM ({_valued(typing, batch)})"""
    if typing.source.kind != "decisions":
        return checked
    return derived.completed(checked, typing.present, typing.config)


def faults(typing: Typing, batch: Batch, only: str) -> str:
    """SELECT of (line, fault) for the lines in table `only`: every cell there is and cannot be used."""
    structs = ", ".join(
        f"CASE WHEN NOT {_fine(typing, c)} THEN {{'column_name': {literal(c.name)}, "
        f"'reason': {_fault_reason(typing, c)}, 'value': CAST({quoted(c.name)} AS VARCHAR)}}::{FAULT} END"
        for c in typing.columns
    )
    return f"""
        SELECT line, unnest(list_filter([{structs}], lambda f: f IS NOT NULL)) AS fault
        FROM ({_valued(typing, batch, only)})"""


def _valued(typing: Typing, batch: Batch, only: str | None = None) -> str:
    values = ", ".join(f"{_value(typing, c)} AS {_v(c)}" for c in typing.columns)
    return f"SELECT *, {values} FROM ({typing.reader.cells(batch, only)})"


def _v(column: Column) -> str:
    return quoted(column.name + " value")


def _value(typing: Typing, column: Column) -> str:
    """The cell in its own type, NULL where it has another."""
    cell, type_ = quoted(column.name), typing.reader.types[column.name]
    if column.kind == "text":
        nested = typing.reader.nested(column)
        return f"CASE WHEN {nested} THEN NULL ELSE {cell} END" if nested else f"CAST({cell} AS VARCHAR)"
    if column.kind == "time":
        return _time(cell, type_, typing.source.time)
    if column.kind == "numbers":
        return f"TRY_CAST({cell} AS DOUBLE[])" if type_.endswith(("VARCHAR", "[]")) else "NULL::DOUBLE[]"
    if column.kind == "flag":
        return _flag(cell, type_)
    return _number(cell, type_)


def _number(cell: str, type_: str) -> str:
    if type_ == "DOUBLE":
        return cell
    return f"TRY_CAST({cell} AS DOUBLE)" if _is_number(type_) or type_ == "VARCHAR" else "NULL::DOUBLE"


def _is_number(type_: str) -> bool:
    return type_ in NUMBERS or type_.startswith("DECIMAL")


def _flag(cell: str, type_: str) -> str:
    if type_ == "BOOLEAN":
        return cell
    number = f"CASE {_number(cell, type_)} WHEN 1 THEN true WHEN 0 THEN false END"
    return f"coalesce(TRY_CAST({cell} AS BOOLEAN), {number})" if type_ == "VARCHAR" else number


def _time(cell: str, type_: str, declared: str) -> str:
    if type_.startswith("TIMESTAMP WITH TIME ZONE"):
        return f"({cell} AT TIME ZONE 'UTC')"
    if type_.startswith("TIMESTAMP") or type_ == "DATE":
        return f"TRY_CAST({cell} AS TIMESTAMP)"
    if declared == "iso":
        if type_ != "VARCHAR":
            return "NULL::TIMESTAMP"
        return (
            f"CASE WHEN ltrim({cell}) BETWEEN '0' AND ':' "
            f"THEN TRY_CAST({cell} AS TIMESTAMPTZ) AT TIME ZONE 'UTC' END"
        )
    scale, largest = ("1e6", "1e11") if declared == "epoch_seconds" else ("1e3", "1e14")
    number = _number(cell, type_)
    microseconds = f"CAST(round({number} * {scale}) AS BIGINT)"
    return f"CASE WHEN abs({number}) < {largest} THEN make_timestamp({microseconds}) END"


def _good(typing: Typing, column: Column) -> str:
    """The value is there and may be used; NULL or false otherwise."""
    v = _v(column)
    if column.kind in ("text", "flag"):
        return f"{v} IS NOT NULL"
    if column.kind == "time":
        return f"isfinite({v})"
    if column.kind == "numbers":
        return (
            f"(len({v}) > 0 AND list_count({v}) = len({v}) AND isfinite(list_sum({v})) "
            f"AND list_min({v}) >= 0 AND abs(list_sum({v}) - 1) <= 1e-6)"
        )
    if column.name == "candidate_propensity" and typing.config.log.propensity == "log":
        return f"({v} <= 0)"
    check = _check(typing.config, column)
    return f"(isfinite({v})" + (f" AND {check.format(v=v)})" if check else ")")


def _check(config: Config, column: Column) -> str:
    """The range of a number, as a condition on {v}."""
    low, high = config.reward.range
    if column.kind == "whole":
        least = 1 if column.name == "n_actions" else -WHOLE
        return f"{{v}} = floor({{v}}) AND {{v}} BETWEEN {least} AND {WHOLE}"
    return {
        "propensity": PROPENSITY[config.log.propensity],
        "candidate_propensity": CANDIDATE_PROPENSITY.get(config.log.propensity, ""),
        "keep_prob": "{v} > 0 AND {v} <= 1",
        "reward": f"{{v}} BETWEEN {float(low)!r}::DOUBLE AND {float(high)!r}::DOUBLE",
    }.get(column.name, "")


def _stored(config: Config, column: Column) -> str:
    v = _v(column)
    if column.kind == "whole":
        return f"CAST({v} AS BIGINT)"
    logged_log = config.log.propensity == "log" and column.name in ("propensity", "candidate_propensity")
    return f"exp({v})" if logged_log else v


def _fine(typing: Typing, column: Column) -> str:
    """No fault: the cell is empty where it may be, or good. Identity and time reject instead."""
    if column.name in ("decision_id", "ts"):
        return "true"
    cell = quoted(column.name)
    if column.name in _never_empty(typing):
        return f"({_late(typing)} OR ({cell} IS NOT NULL AND {cell} <> '' AND {_good(typing, column)}))"
    return f"({cell} IS NULL OR coalesce({_good(typing, column)}, false))"


def _never_empty(typing: Typing) -> tuple[str, ...]:
    if typing.source.kind != "decisions":
        return ()
    unit = typing.config.unit
    return ("policy_id", "unit_id") if isinstance(unit, Unit) and unit.column else ("policy_id",)


def _fault_reason(typing: Typing, column: Column) -> str:
    cell, v = quoted(column.name), _v(column)
    empty = f"WHEN {cell} IS NULL OR CAST({cell} AS VARCHAR) = '' THEN 'missing'"
    wrong = f"WHEN {v} IS NULL THEN 'wrong_type'"
    if column.kind == "numbers":
        odd = (
            f"WHEN list_count({v}) < len({v}) THEN 'wrong_type' "
            f"WHEN NOT isfinite(list_sum({v})) THEN 'non_finite'"
        )
    elif column.kind in ("number", "time"):
        odd = f"WHEN NOT isfinite({v}) THEN 'non_finite'"
    elif column.kind == "whole":
        odd = f"WHEN NOT isfinite({v}) THEN 'non_finite' WHEN {v} <> floor({v}) THEN 'wrong_type'"
    else:
        odd = ""
    never = empty if column.name in _never_empty(typing) else ""
    return f"CASE {never} {wrong} {odd} ELSE 'out_of_range' END"


def _reason(typing: Typing, limit: datetime) -> str:
    """Why the record is rejected: NULL for a record with identity and time."""
    by_name = {c.name: c for c in typing.columns}
    identity = f"WHEN coalesce({_v(by_name['decision_id'])}, '') = '' THEN 'no_decision_id'"
    if typing.source.kind != "decisions":
        return f"CASE WHEN bad IS NOT NULL THEN bad {identity} END"
    ts, value = by_name["ts"], _v(by_name["ts"])
    return f"""CASE WHEN bad IS NOT NULL THEN bad {identity}
        WHEN {quoted(ts.name)} IS NULL AND {_late(typing)} THEN NULL
        WHEN {quoted(ts.name)} IS NULL THEN 'no_ts'
        WHEN NOT coalesce(isfinite({value}), false) THEN 'bad_ts'
        WHEN {value} > {_instant(limit)} THEN 'future'
        {f"WHEN {value} < {_instant(typing.floor)} THEN 'pruned'" if typing.floor else ""} END"""


def _instant(moment: datetime) -> str:
    return f"TIMESTAMP {literal(moment.replace(tzinfo=None).isoformat(sep=' '))}"


def _late(typing: Typing) -> str:
    """A record among decisions that has a reward or an outcome and nothing else beside its id."""
    if typing.source.kind != "decisions":
        return "false"
    read = {c.name for c in typing.columns if c.paths}
    filled = sorted({"reward", "outcome", "proxy_reward"} & read)
    besides = {"decision_id", "reward", "outcome", "proxy_reward", "reward_ts", "policy_id", "unit_id"}
    constant = {c.name for c in typing.columns if c.constant is not None}
    if not filled or "ts" not in read:
        return "false"
    some = " OR ".join(f"{quoted(c)} IS NOT NULL" for c in filled)
    alone = " AND ".join(f"{quoted(c)} IS NULL" for c in sorted(read - besides - constant))
    return f"(bad IS NULL AND ({some}) AND {alone})"


def _any_candidate(columns: Sequence[Column]) -> str:
    """The record carries a recommendation, whether or not its numbers can be used."""
    cells = [quoted(c.name) for c in columns if c.name.startswith("candidate_") and c.name != "candidate_id"]
    return "(" + (" OR ".join(f"{cell} IS NOT NULL" for cell in cells) or "false") + ")"
