"""What a replay looks at: the windows a trigger can judge, and single rows that break a rule."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import duckdb

from monitor.config import Config
from monitor.readings import hour_of, load, window_hours
from monitor.replay.tally import Trip
from monitor.store import opened
from monitor.triggers import TRIGGERS
from monitor.triggers.single_row import TRIGGER_OF_RULE
from monitor.triggers.windows import usable

SINGLE_ROW = "single rows"


def windows(
    connection: duckdb.DuckDBPyConnection, name: str, config: Config, start: int, end: int
) -> list[int]:
    """Starts of the windows in which a trigger had something to judge."""
    metric = TRIGGERS[name].metrics[0] if name in TRIGGERS else "violation_rate"
    soft = config.soft if name in TRIGGERS and TRIGGERS[name].per == "constraint" else None
    found = load(
        connection, "metric = ? AND window_start >= ? AND window_start < ?", [metric, start, end]
    )
    span = window_hours(config)
    judged = {
        hour
        for r in found
        if usable(r) and (soft is None or r.key in soft)
        for hour in range(hour_of(r.window_start), hour_of(r.window_end), span)
    }
    if name == SINGLE_ROW and not judged:
        judged = set(range(start, end, span))
    return sorted(judged)


def single_rows(
    connection: duckdb.DuckDBPyConnection, config: Config, start: int, end: int
) -> list[Trip]:
    """Windows with a row that broke a hard constraint or the envelope: confirmed at once."""
    hard = [*config.hard, *(f"envelope:{d}" for d in config.envelope)]
    found = load(
        connection,
        'metric = \'violation_rate\' AND value > 0 AND "key" IN (SELECT unnest(?::VARCHAR[])) '
        "AND window_start >= ? AND window_start < ?",
        [hard, start, end],
    )
    return [Trip(r.policy_id, r.key, hour_of(r.window_start), True) for r in found]


def breaches(decisions: Path, config: Config, rules: Collection[str], start: int, end: int) -> list[Trip]:
    """Rows that broke a single-row rule of these triggers, at their own time; none where the decisions are
    not there. A row counts although its window is not measured yet: it is judged when it is read."""
    if not decisions.exists():
        return []
    named = [rule for rule, trigger in TRIGGER_OF_RULE.items() if trigger in rules]
    with opened(decisions, read_only=True) as connection:
        rows = connection.execute(
            'SELECT COALESCE(policy_id, \'\'), COALESCE("key", rule), MIN(epoch(ts)) / 3600e0 FROM breaches '
            "WHERE ts IS NOT NULL AND rule IN (SELECT unnest(?::VARCHAR[])) "
            "GROUP BY 1, 2, floor(epoch(ts) / 3600)",
            [named],
        ).fetchall()
    span = window_hours(config)
    return [Trip(p, k, int(at // span * span), True, at=at) for p, k, at in rows if start <= at < end]
