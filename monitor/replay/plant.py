"""A planted change: read from `TARGET:CHANGE@TIME`, and made in a copy of the decisions."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb

from monitor.config import Config, ConfigError, did_you_mean
from monitor.store import literal, quoted
from monitor.sums.baseline import Baseline
from monitor.sums.family import number

PARTS = 1_000_000
NUMBER = r"(\d+(?:\.\d+)?)"
CHANGES = {
    "percent": re.compile(rf"([+-]){NUMBER}%"),
    "sd": re.compile(rf"([+-]){NUMBER}sd"),
    "times": re.compile(rf"()x{NUMBER}"),
    "collapse": re.compile(r"()()collapse"),
}
# target -> the changes it takes, with an example of each
TAKES: Mapping[str, Mapping[str, str]] = {
    "reward": {"percent": "reward:-10%@2026-01-10", "sd": "reward:-0.5sd@2026-01-10"},
    "state": {"sd": "state.NAME:+1sd@2026-01-10"},
    "constraint": {"times": "constraint.NAME:x3@2026-01-10"},
    "action": {"collapse": "action:collapse@2026-01-10"},
    "propensity": {"times": "propensity:x1.3@2026-01-10"},
}


@dataclass(frozen=True)
class Plant:
    """What changes (`target`, of the feature or constraint `key`), how (`kind`, by `amount`: a share
    for percent, sd, a factor), from when on, and the text it was read from."""

    text: str
    target: str
    key: str
    kind: str
    amount: float
    at: datetime


def parse(text: str, config: Config) -> Plant:
    """The plant that `text` describes. Raises ConfigError with one sentence."""
    body, found, moment = text.rpartition("@")
    place, colon, change = body.partition(":")
    target, _, key = place.partition(".")
    if not found or not colon:
        raise _wrong(text, "is not TARGET:CHANGE@TIME, such as reward:-10%@2026-01-10")
    if target not in TAKES:
        raise _wrong(text, f"'{target}' is none of {', '.join(TAKES)}{did_you_mean(target, TAKES)}")
    known = {"state": config.state.numeric, "constraint": list(config.constraints)}.get(target)
    if known is None and key:
        raise _wrong(text, f"'{target}' takes no name after a dot")
    if known is not None and key not in known:
        what = "a numeric feature under state" if target == "state" else "declared under constraints"
        raise _wrong(text, f"'{key}' is not {what}{did_you_mean(key, known)}")
    for kind in TAKES[target]:
        match = CHANGES[kind].fullmatch(change)
        if match:
            size = float(match[2] or 0) * (-1 if match[1] == "-" else 1)
            size = size / 100 if kind == "percent" else size
            return Plant(text, target, key, kind, size, _at(text, moment))
    shown = " or ".join(TAKES[target].values())
    raise _wrong(text, f"'{change}' is not a change of {target}; write it as {shown}")


def apply(
    connection: duckdb.DuckDBPyConnection, plant: Plant, config: Config, baseline: Baseline | None
) -> int:
    """Change the rows from `plant.at` on in the open copy, the same ones every time; returns how many
    rows are from then on. Raises ConfigError where there is nothing that could change."""
    since = f"ts >= TIMESTAMP {literal(plant.at.replace(tzinfo=None).isoformat(sep=' '))}"
    ((rows,),) = connection.execute(f"SELECT COUNT(*) FROM decisions WHERE {since}").fetchall()
    if not rows:
        raise _wrong(plant.text, "there is no decision from then on in the replayed stretch")
    APPLIES[plant.target](connection, plant, since, config, baseline)
    return int(rows)


def _reward(
    connection: duckdb.DuckDBPyConnection, plant: Plant, since: str, config: Config, baseline: Any
) -> None:
    """Rewards of 0 and 1 are flipped until their mean has moved; others are all moved by the same
    amount, within `reward.range`. A percentage is one of the size of the mean reward."""
    ((n, mean, sd, other),) = connection.execute(
        "SELECT COUNT(reward), AVG(reward), stddev_pop(reward), "
        f"COUNT(*) FILTER (reward <> 0 AND reward <> 1) FROM decisions WHERE {since}"
    ).fetchall()
    if not n:
        raise _wrong(plant.text, "no decision from then on has a reward")
    shift = plant.amount * (abs(mean) if plant.kind == "percent" else sd)
    low, high = config.reward.range
    if not other and low >= 0 and high <= 1:
        _flip(connection, "reward", "reward > 0", mean, mean + shift, 1.0, since)
    else:
        moved = f"GREATEST({number(low)}, LEAST({number(high)}, reward + {number(shift)}))"
        connection.execute(f"UPDATE decisions SET reward = {moved} WHERE {since} AND reward IS NOT NULL")


def _state(
    connection: duckdb.DuckDBPyConnection, plant: Plant, since: str, config: Any, baseline: Baseline | None
) -> None:
    """The feature is moved by that many standard deviations of the baseline."""
    sd = baseline.body["features"].get(plant.key, {}).get("sd") if baseline else None
    if not sd:
        raise _wrong(plant.text, f"the baseline has no standard deviation of {plant.key}")
    column = quoted("state_" + plant.key)
    moved = f"{column} + {number(plant.amount * sd)}"
    connection.execute(f"UPDATE decisions SET {column} = {moved} WHERE {since}")


def _constraint(
    connection: duckdb.DuckDBPyConnection, plant: Plant, since: str, config: Any, baseline: Any
) -> None:
    """A share of the rows without cost gets the mean cost of those with one, until the rate is that
    many times what it was; under x1 violations are taken away."""
    column = quoted("cost_" + plant.key)
    ((rate, cost),) = connection.execute(
        f"SELECT AVG(CASE WHEN {column} > 0 THEN 1e0 WHEN {column} <= 0 THEN 0e0 END), "
        f"AVG({column}) FILTER ({column} > 0) FROM decisions WHERE {since}"
    ).fetchall()
    if not rate:
        raise _wrong(plant.text, f"{plant.key} is never violated from then on, so no factor changes it")
    _flip(connection, column, f"{column} > 0", rate, rate * plant.amount, cost, since)


def _action(
    connection: duckdb.DuckDBPyConnection, plant: Plant, since: str, config: Config, baseline: Any
) -> None:
    """Every policy takes its most frequent action (the median of each dimension) with probability 1;
    rewards stay as they were."""
    sets = ["action = usual.action_usual"]
    usual = ["mode(action) AS action_usual"]
    for dimension in config.action_dims:
        column = quoted(f"action_{dimension}")
        usual.append(f"median({column}) AS {quoted('usual ' + dimension)}")
        sets.append(f"{column} = usual.{quoted('usual ' + dimension)}")
    if config.log.propensity != "density":
        sets.append("propensity = CASE WHEN propensity IS NULL THEN NULL ELSE 1e0 END")
    sets.append("probs_entropy = CASE WHEN probs_entropy IS NULL THEN NULL ELSE 0e0 END")
    sets.append("probs_agreement = CASE WHEN probs_agreement IS NULL THEN NULL ELSE 1e0 END")
    connection.execute(
        f"UPDATE decisions SET {', '.join(sets)} FROM (SELECT policy_id AS who, {', '.join(usual)} "
        f"FROM decisions WHERE {since} GROUP BY 1) AS usual WHERE policy_id = usual.who AND {since}"
    )


def _propensity(
    connection: duckdb.DuckDBPyConnection, plant: Plant, since: str, config: Config, baseline: Any
) -> None:
    """Logged propensities are multiplied; what is above 1 then is missing, as ingest would have it."""
    scaled = f"propensity * {number(plant.amount)}"
    if config.log.propensity != "density":
        scaled = f"CASE WHEN {scaled} <= 1e0 THEN {scaled} END"
    connection.execute(f"UPDATE decisions SET propensity = {scaled} WHERE {since}")


def _flip(
    connection: duckdb.DuckDBPyConnection,
    column: str,
    holds: str,
    share: float,
    wanted: float,
    value: float,
    since: str,
) -> None:
    """Turn a share of the rows, chosen by hash, so that a share `wanted` of them `holds`: to `value` those
    that do not, or to 0 those that do."""
    wanted = min(1.0, max(0.0, wanted))
    if wanted >= share:
        turned, which, to = (wanted - share) / (1 - share) if share < 1 else 0.0, f"NOT ({holds})", value
    else:
        turned, which, to = (share - wanted) / share, holds, 0.0
    chosen = f"hash(row_hash + 17) % {PARTS} < {math.floor(turned * PARTS)}"
    connection.execute(f"UPDATE decisions SET {column} = {number(to)} WHERE {since} AND {which} AND {chosen}")


def _at(text: str, moment: str) -> datetime:
    try:
        found = datetime.fromisoformat(moment)
    except ValueError:
        raise _wrong(text, f"'{moment}' is not a time; write it as 2026-01-10 or 2026-01-10T12:00") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _wrong(text: str, what: str) -> ConfigError:
    return ConfigError([f"--plant {text}: {what}"])


APPLIES: dict[str, Callable[[duckdb.DuckDBPyConnection, Plant, str, Any, Any], None]] = {
    "reward": _reward,
    "state": _state,
    "constraint": _constraint,
    "action": _action,
    "propensity": _propensity,
}
