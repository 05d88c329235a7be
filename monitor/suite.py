"""The expectations on a batch: those built from the configuration, and a user's own suite file.

An expectation is about one column of the batch's profile, such as `state_load.mean`; see
docs/expectations.md. Pure: nothing here imports Great Expectations.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from monitor.config import Config

Severity = Literal["critical", "warning"]
BETWEEN = "expect_column_values_to_be_between"
NOT_NULL = "expect_column_values_to_not_be_null"
IN_SET, NOT_IN_SET = "expect_column_values_to_be_in_set", "expect_column_values_to_not_be_in_set"
# What may stand in a user's suite: rules on single values, since a batch is one row of its profile.
KNOWN: dict[str, frozenset[str]] = {
    BETWEEN: frozenset({"column", "min_value", "max_value", "strict_min", "strict_max"}),
    NOT_NULL: frozenset({"column"}),
    IN_SET: frozenset({"column", "value_set"}),
    NOT_IN_SET: frozenset({"column", "value_set"}),
}
REQUIRED = ("decision_id", "ts", "policy_id")
NUMERIC = ("null_share", "min", "max", "mean", "sd", "distinct")
TEXT = ("null_share", "distinct")
BATCH = (
    *("rows", "volume", "quietest", "duplicate_share", "late_share"),
    *("reward_lag_hours", "weight_check", "propensity_check"),
)
NULL_MARGIN, VOLUME, SPREADS, NEAR_CONSTANT = 0.02, 0.5, 4.0, 0.1
SD_FACTOR, LATE_SHARE, CHECK_SLACK = 10.0, 0.05, 0.05


@dataclass(frozen=True)
class Expectation:
    """One rule. `column` is a column of the profile, `type` and `kwargs` are Great Expectations' own.
    An unmet `critical` one fails the data contract, an unmet `warning` is told and fails nothing."""

    column: str
    type: str
    kwargs: Mapping[str, Any]
    severity: Severity = "critical"

    @property
    def key(self) -> str:
        """`state_load: mean between 0.1 and 0.9`: the key of its readings."""
        name, _, statistic = self.column.rpartition(".")
        return f"{name}: {statistic} {_rule(self.type, self.kwargs)}"


def built(config: Config, reference: Mapping[str, Any] | None) -> list[Expectation]:
    """The expectations that follow from the configuration and the `reference` (see
    `monitor.reference`). What needs a reference is not expected as long as there is none."""
    low, high = config.reward.range
    found = [
        *(_between(f"{name}.null_share", None, 0.0) for name in REQUIRED),
        _between("reward.min", low, None),
        _between("reward.max", None, high),
        _between("batch.reward_lag_hours", None, _patience(config), "warning"),
        _between("batch.late_share", None, LATE_SHARE, "warning"),
    ]
    for dimension, (least, most) in config.envelope.items():
        found.append(_between(f"action_{dimension}.min", least, None))
        found.append(_between(f"action_{dimension}.max", None, most))
    if config.log.propensity != "density":
        found.append(_between("batch.weight_check", None, 1 + CHECK_SLACK))
        found.append(_between("batch.propensity_check", 1 - CHECK_SLACK, None))
    return found + (list(_against(config, reference)) if reference else [])


def profiled(config: Config) -> dict[str, bool]:
    """The columns of a decision that are profiled, and whether they are numeric."""
    dims = config.action_dims
    return {
        **dict.fromkeys(REQUIRED, False),
        **{f"state_{f}": True for f in config.state.numeric},
        **{f"state_{f}": False for f in config.state.categorical},
        **({f"action_{d}": True for d in dims} if dims else {"action": False}),
        "propensity": True,
        "reward": True,
        **{f"cost_{k}": True for k in config.constraints},
    }


def columns(config: Config) -> list[str]:
    """The columns of the profile of a batch, as expectations name them."""
    single = [
        f"{name}.{statistic}"
        for name, numeric in profiled(config).items()
        for statistic in (NUMERIC if numeric else TEXT)
    ]
    return [*single, *(f"batch.{statistic}" for statistic in BATCH)]


def read(path: Path, known: Sequence[str]) -> list[Expectation]:
    """A suite file: Great Expectations' JSON, `{"expectations": [{"type", "kwargs", "severity"}]}`.

    Raises ValueError with one sentence a line, each naming the file and the expectation.
    """
    try:
        body = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ValueError(f"{path.name}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise ValueError(f"{path.name}: is not JSON: {error}") from None
    given = body.get("expectations") if isinstance(body, dict) else None
    if not isinstance(given, list) or not given:
        raise ValueError(f"{path.name}: needs a list `expectations` with at least one expectation")
    errors = [
        f"{path.name}: expectation {at}: {problem}"
        for at, entry in enumerate(given, 1)
        for problem in _problems(entry, known)
    ]
    if errors:
        raise ValueError("\n".join(errors))
    return [
        Expectation(
            entry["kwargs"]["column"], entry["type"], dict(entry["kwargs"]),
            "critical" if entry.get("severity", "critical") == "critical" else "warning",
        )
        for entry in given
    ]


def _against(config: Config, reference: Mapping[str, Any]) -> Iterator[Expectation]:
    """What the baseline's own days say."""
    seen = reference["columns"]
    worst = {name: of["null_share"] for name, of in seen.items() if name not in REQUIRED}
    for name, share in worst.items():
        limit = max(config.log.max_rejects, 2 * share + NULL_MARGIN)
        if limit < 1 and not (name == "reward" and config.reward.missing_after_maturity == 0):
            yield _between(f"{name}.null_share", None, limit)
    for feature in config.state.numeric:
        of = seen.get(f"state_{feature}", {})
        if of.get("sd") is not None:
            yield from _like(f"state_{feature}", of)
    if reference["duplicate_share"] is not None:
        limit = config.log.max_rejects + 2 * reference["duplicate_share"]
        yield _between("batch.duplicate_share", None, limit)
    for statistic in ("volume", "quietest"):
        if reference[statistic]:
            yield _between(f"batch.{statistic}", VOLUME * min(1.0, reference[statistic]), None)


def _like(column: str, of: Mapping[str, float]) -> Iterator[Expectation]:
    """A numeric feature keeps its unit: mean, spread and range stay near those of the baseline."""
    size = max(abs(of["mean_low"]), abs(of["mean_high"]))
    spread, span = max(of["sd"], NEAR_CONSTANT * size), max(of["max"] - of["min"], size)
    if not spread > 0:
        return
    yield _between(f"{column}.mean", of["mean_low"] - SPREADS * spread, of["mean_high"] + SPREADS * spread)
    if of["sd_high"] > 0:
        yield _between(f"{column}.sd", of["sd_low"] / SD_FACTOR, of["sd_high"] * SD_FACTOR)
    yield _between(f"{column}.min", of["min"] - span, None, "warning")
    yield _between(f"{column}.max", None, of["max"] + span, "warning")


def _between(
    column: str, least: float | None, most: float | None, severity: Severity = "critical"
) -> Expectation:
    bounds = {"min_value": least, "max_value": most}
    given = {name: float(value) for name, value in bounds.items() if value is not None}
    return Expectation(column, BETWEEN, {"column": column, **given}, severity)


def _patience(config: Config) -> float:
    """Hours until a reward has to be there."""
    return (config.reward.matures_after + config.log.lag).total_seconds() / 3600


def _rule(type_: str, kwargs: Mapping[str, Any]) -> str:
    least, most = kwargs.get("min_value"), kwargs.get("max_value")
    if type_ == BETWEEN and least is not None and most is not None:
        return f"between {least:.4g} and {most:.4g}"
    if type_ == BETWEEN and most is not None:
        return f"{'below' if kwargs.get('strict_max') else 'at most'} {most:.4g}"
    if type_ == BETWEEN:
        return f"{'above' if kwargs.get('strict_min') else 'at least'} {least:.4g}"
    listed = ", ".join(str(v) for v in kwargs.get("value_set", ()))
    return {NOT_NULL: "not missing", IN_SET: f"one of {listed}", NOT_IN_SET: f"none of {listed}"}[type_]


def _problems(entry: Any, known: Sequence[str]) -> Iterator[str]:
    """What is wrong with one entry of a suite file."""
    if not isinstance(entry, dict) or not isinstance(entry.get("kwargs"), dict):
        yield "needs a `type` and `kwargs`"
        return
    type_, kwargs = entry.get("type"), entry["kwargs"]
    if type_ not in KNOWN:
        yield f"type '{type_}' cannot be used on a profile{_near(type_, KNOWN)}"
        return
    if entry.get("severity", "critical") not in ("critical", "warning", "info"):
        yield f"severity must be critical, warning or info, not '{entry['severity']}'"
    for name in sorted(set(kwargs) - KNOWN[type_] - {"batch_id"}):
        yield f"'{name}' is not an argument of {type_} that is understood here{_near(name, KNOWN[type_])}"
    column = kwargs.get("column")
    if column not in known:
        yield f"'{column}' is not a column of the profile{_near(column, known)}"
    if type_ == BETWEEN:
        bounds = [kwargs.get("min_value"), kwargs.get("max_value")]
        if bounds == [None, None] or not all(b is None or _is_number(b) for b in bounds):
            yield "min_value and max_value are numbers, and one of them is needed"
    if "value_set" in KNOWN[type_] and not (
        isinstance(kwargs.get("value_set"), list) and all(map(_is_number, kwargs["value_set"]))
    ):
        yield "value_set is a list of numbers"


def _near(word: object, known: Any) -> str:
    near = difflib.get_close_matches(str(word), list(known), 1)
    return f"; did you mean '{near[0]}'?" if near else ""


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
