"""How long raw decisions are kept: what is older is deleted in whole UTC days; sums of it stay.

The floor, the first hour that is kept, is noted with the deletion: a decision that comes later
from before it is rejected as `pruned`, so that no old hour is summed again from a part of its rows.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import duckdb

from monitor.config import Config
from monitor.store import has_table

DAY = 24


@dataclass(frozen=True)
class Pruned:
    """What was deleted, or would be: rows by table. `floor` is the first hour that stays; `free` the
    bytes in decisions.duckdb that the next rows take; `kept_back` says why more had to stay."""

    floor: int
    rows: dict[str, int] = field(default_factory=dict)
    kept_back: str | None = None
    size: int = 0
    free: int = 0

    @property
    def before(self) -> datetime:
        return datetime.fromtimestamp(self.floor * 3600, UTC)

    @property
    def total(self) -> int:
        return sum(self.rows.values())

    def lines(self, *, dry: bool = False) -> list[str]:
        """What to tell a person."""
        told = ", ".join(f"{count} {table}" for table, count in self.rows.items() if count)
        did = "would be deleted" if dry else "deleted"
        lines = [f"before {self.before:%Y-%m-%d}: {told} {did}; their sums stay"] if told else []
        if self.kept_back:
            lines.append(f"kept back: {self.kept_back}")
        if told and not dry and self.size:
            lines.append(
                f"decisions.duckdb: {self.size / 2**20:.0f} MiB, of which {self.free / 2**20:.0f} MiB are "
                "free for the next decisions"
            )
        return lines


def floor_hour(connection: duckdb.DuckDBPyConnection) -> int | None:
    """First hour that was not pruned, None where nothing was."""
    if not has_table(connection, "pruned"):
        return None
    ((hour,),) = connection.execute("SELECT MAX(before_hour) FROM pruned").fetchall()
    return None if hour is None else int(hour)


def floor(connection: duckdb.DuckDBPyConnection) -> datetime | None:
    """The start of `floor_hour`."""
    hour = floor_hour(connection)
    return None if hour is None else datetime.fromtimestamp(hour * 3600, UTC)


def terms(config: Config) -> str:
    """Hash of what the configuration says about sums: those of other terms cannot be kept beside new
    ones (rewards are centred on their range, violations counted by the envelope)."""
    reward = config.reward
    body: list[object] = [reward.range, reward.missing_after_maturity, sorted(config.envelope.items())]
    if config.maps("episode_id"):
        body += [reward.discount, config.episode_timeout.total_seconds()]
    return hashlib.sha256(json.dumps(body).encode()).hexdigest()[:16]


def kept_sums(connection: duckdb.DuckDBPyConnection, config: Config) -> int | None:
    """`floor_hour` where sums of pruned hours were made on this configuration's terms, else None."""
    hour = floor_hour(connection)
    if hour is None:
        return None
    found = connection.execute("SELECT terms FROM pruned WHERE before_hour = ?", [hour]).fetchall()
    return hour if found == [(terms(config),)] else None


def due(connection: duckdb.DuckDBPyConnection, config: Config, now: datetime) -> bool:
    """Whether a run prunes: retention is set and a day has passed since the floor that was noted."""
    if config.retention is None:
        return False
    before = floor_hour(connection)
    return before is None or _target(now, config.retention) >= before + DAY


def prune(
    connection: duckdb.DuckDBPyConnection,
    config: Config,
    *,
    now: datetime,
    baseline_frozen: bool,
    dry: bool = False,
) -> Pruned:
    """Delete what is older than `now` − retention, in one transaction, and note the floor.

    The sums must be up to date: dirty hours stay. So does the period of a baseline that is not
    frozen yet. `dry` only counts. Raises ValueError when the configuration has no `retention`.
    """
    if config.retention is None:
        raise ValueError("`retention` is not set in monitor.yaml; nothing is ever pruned without it")
    floor, kept_back = _limited(connection, config, _target(now, config.retention), baseline_frozen)
    conditions = _conditions(floor)
    rows = {
        table: int(connection.execute(f"SELECT COUNT(*) FROM {table} WHERE {old}").fetchall()[0][0])
        for table, old in conditions.items()
    }
    if dry or not any(rows.values()):
        return Pruned(floor, rows, kept_back, *_sizes(connection))
    connection.execute("BEGIN")
    try:
        for table, old in conditions.items():
            if rows[table]:
                connection.execute(f"DELETE FROM {table} WHERE {old}")
        connection.execute(f"UPDATE waiting SET hour = {int(now.timestamp() // 3600)} WHERE hour IS NULL")
        known = floor_hour(connection)
        connection.execute("DELETE FROM pruned")
        connection.execute("INSERT INTO pruned VALUES (?, ?)", [max(floor, known or floor), terms(config)])
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("CHECKPOINT")
    return Pruned(floor, rows, kept_back, *_sizes(connection))


def _target(now: datetime, retention: timedelta) -> int:
    return _day(int((now - retention).timestamp() // 3600))


def _day(hour: int) -> int:
    """The first hour of its UTC day: batches are profiled by whole days."""
    return hour // DAY * DAY


def _limited(
    connection: duckdb.DuckDBPyConnection, config: Config, target: int, baseline_frozen: bool
) -> tuple[int, str | None]:
    floor, kept_back = target, None
    ((dirty,),) = connection.execute("SELECT MIN(hour) FROM dirty_hours").fetchall()
    if dirty is not None and dirty < floor:
        floor, kept_back = _day(int(dirty)), "decisions that are not summed yet stay; run `monitor run`"
    if config.baseline is not None and not baseline_frozen:
        start = _day(int(config.baseline.start.timestamp() // 3600))
        if start < floor:
            floor = start
            kept_back = (
                f"decisions since {config.baseline.start:%Y-%m-%d} stay until the baseline is frozen; "
                "where it never will be, change `baseline` or remove it"
            )
    return floor, kept_back


def _conditions(floor: int) -> dict[str, str]:
    """What is old, table by table; reward_parts before the decisions that tell their hours."""
    start = f"make_timestamp({floor} * 3600000000)"
    return {
        "reward_parts": f"decision_id IN (SELECT decision_id FROM decisions WHERE hour < {floor})",
        "decisions": f"hour < {floor}",
        "rejects": f"hour < {floor}",
        "faults": f"hour < {floor}",
        "breaches": f"judged_at IS NOT NULL AND coalesce(ts, judged_at) < {start}",
        "waiting": f"coalesce(CAST(floor(epoch_us(reward_ts) / 3600000000) AS BIGINT), hour) < {floor}",
    }


def _sizes(connection: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    """Bytes of the file, and of those the ones that are free."""
    found = connection.execute(
        "SELECT block_size * total_blocks, block_size * free_blocks FROM pragma_database_size() "
        "WHERE database_name = current_database()"
    ).fetchall()
    return (int(found[0][0]), int(found[0][1])) if found else (0, 0)
