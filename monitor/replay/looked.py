"""What a replay looks at: the windows a trigger can judge, and single rows that break a rule."""

from __future__ import annotations

from pathlib import Path

import duckdb

from monitor.config import Config
from monitor.readings import hour_of, load, window_hours
from monitor.replay.tally import Trip
from monitor.store import opened
from monitor.triggers import TRIGGERS
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
    judged = {hour_of(r.window_start) for r in found if usable(r) and (soft is None or r.key in soft)}
    if name == SINGLE_ROW and not judged:
        judged = set(range(start, end, window_hours(config)))
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


def irreversible(decisions: Path, config: Config, start: int, end: int) -> list[Trip]:
    """Windows with an action that could not be undone; none where the decisions are not there."""
    if not decisions.exists():
        return []
    with opened(decisions, read_only=True) as connection:
        rows = connection.execute(
            "SELECT DISTINCT COALESCE(policy_id, ''), CAST(floor(epoch(ts) / 3600) AS BIGINT) FROM breaches "
            "WHERE rule = 'irreversible' AND ts IS NOT NULL"
        ).fetchall()
    span = window_hours(config)
    return [Trip(p, "irreversible", h // span * span, True) for p, h in rows if start <= h < end]


