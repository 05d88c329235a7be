"""The trigger state an incident keeps, so that it can be debugged when the window is long gone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import duckdb

from monitor import pii
from monitor.config import Config, Loaded
from monitor.judge import false_alarms, place
from monitor.readings import hour_of, load, sheet_of, window_hours
from monitor.rules import Rule
from monitor.store import literal
from monitor.sums.attribution import of_window
from monitor.sums.baseline import Baseline
from monitor.triggers import TRIGGERS
from monitor.triggers.firing import Firing

DECISIONS = 100
WINDOWS_BEFORE = 24
Look = Callable[[Firing], Mapping[str, Any]]


def row_state(
    connection: duckdb.DuckDBPyConnection, config: Config, about: Mapping[str, Any]
) -> Look:
    """The state of a firing of single rows: the rows themselves, and what was running."""

    def look(firing: Firing) -> Mapping[str, Any]:
        ids = firing.state.get("decision_ids", [])
        return {**about, "decisions": _by_id(connection, config, ids)}

    return look


def window_state(
    sums: duckdb.DuckDBPyConnection,
    decisions: duckdb.DuckDBPyConnection,
    loaded: Loaded,
    baseline: Baseline | None,
    rules: Mapping[str, Rule],
    about: Mapping[str, Any],
) -> Look:
    """The state of a firing of a window: readings around it, its sums, up to 100 of its decisions,
    and how often the rule trips on the user's own baseline."""
    config = loaded.config
    span = window_hours(config)

    def look(firing: Firing) -> Mapping[str, Any]:
        start, end = hour_of(firing.window_start), hour_of(firing.window_end)
        tripped, judged = false_alarms(sums, config, baseline, rules, firing.trigger, firing.key)
        family = TRIGGERS[firing.trigger].family
        sheet = sheet_of(sums, config, baseline, start, end, span)
        policy, candidate, key = place(firing)
        cells = sheet.cells(family, policy, candidate, key, start, end)
        return {
            **about,
            "readings": _readings(sums, firing, start - WINDOWS_BEFORE * span, end),
            "sums": {name: float(column.sum()) for name, column in cells.columns.items()},
            "reward_change": _attributed(decisions, config, baseline, firing.policy_id, start, end),
            "decisions": _of_window(decisions, config, firing.policy_id, start, end),
            "false_alarms_on_baseline": {"tripped": tripped, "windows": judged},
        }

    return look


def _readings(sums: duckdb.DuckDBPyConnection, firing: Firing, start: int, end: int) -> list[dict[str, Any]]:
    metrics = list(TRIGGERS[firing.trigger].metrics)
    found = load(
        sums,
        'policy_id = ? AND candidate_id = ? AND "key" = ? AND window_start >= ? AND window_end <= ? '
        "AND metric IN (SELECT unnest(?::VARCHAR[]))",
        [*place(firing), start, end, metrics],
    )
    return [
        {
            "metric": r.metric, "window_start": r.window_start, "value": r.estimate.value,
            "low": r.estimate.low, "high": r.estimate.high, "n": r.estimate.n, "reason": r.estimate.reason,
        }
        for r in found
    ]


def _attributed(
    connection: duckdb.DuckDBPyConnection,
    config: Config,
    baseline: Baseline | None,
    policy: str,
    start: int,
    end: int,
) -> dict[str, dict[str, float]]:
    """For each feature, how much of the change of the reward its shift explains, the actions, the rest."""
    if baseline is None:
        return {}
    condition = f"policy_id = {literal(policy)} AND hour >= {start} AND hour < {end}"
    return of_window(connection, config, baseline.body, condition)


def _of_window(
    connection: duckdb.DuckDBPyConnection, config: Config, policy: str, start: int, end: int
) -> list[dict[str, Any]]:
    return _rows(
        connection,
        config,
        "policy_id = ? AND hour >= ? AND hour < ? ORDER BY row_hash LIMIT ?",
        [policy, start, end, DECISIONS],
    )


def _by_id(connection: duckdb.DuckDBPyConnection, config: Config, ids: list[str]) -> list[dict[str, Any]]:
    """Decisions by their ids as firings show them, so ids that are hidden are looked up by their hash."""
    meant = "SELECT unnest(?::VARCHAR[])"
    if "decision_id" in config.pii:
        meant = f"SELECT decision_id FROM breaches WHERE {pii.hashed('decision_id')} IN ({meant})"
    return _rows(connection, config, f"decision_id IN ({meant}) LIMIT ?", [list(ids), DECISIONS])


def _rows(
    connection: duckdb.DuckDBPyConnection, config: Config, condition: str, parameters: list[object]
) -> list[dict[str, Any]]:
    columns = [c for c, *_ in connection.execute("SELECT * FROM decisions LIMIT 0").description or []]
    found = connection.execute(
        f"SELECT {pii.row(config, columns)} FROM decisions WHERE {condition}", parameters
    )
    names = [column[0] for column in found.description or []]
    return [
        {name: value for name, value in zip(names, row, strict=True) if value is not None}
        for row in found.fetchall()
    ]
