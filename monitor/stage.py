"""The stage the candidate is in: what the journal says, else what the log shows."""

from __future__ import annotations

from datetime import datetime

import duckdb

from gates import stages
from monitor.config import Config
from monitor.journal import Journal
from monitor.readings import closed_end
from monitor.store import Store, has_table, opened


def stage_of(
    journal: Journal, store: Store, config: Config, as_of: datetime, *, look: bool = True
) -> str:
    """The stage the candidate is in: what the journal says, else (where it may `look`) what the log shows."""
    standing = stages.standing(journal.events(*stages.ROAD), config.policies.candidate, as_of)
    if standing is not None:
        return standing.stage
    if not look or not store.sums.exists():
        return stages.OFFLINE
    with opened(store.sums, read_only=True) as connection:
        end = closed_end(config, as_of, matured=False)
        recent = end - 24
        live, others = _rows(connection, "reward", "n", "policy_id", config, recent, end)
        if live:
            return stages.LIMITED if others else stages.FULL
        shadowed, _ = _rows(connection, "pair", "n_rec", "candidate_id", config, recent, end)
        return stages.SHADOW if shadowed else stages.OFFLINE


def _rows(
    connection: duckdb.DuckDBPyConnection, family: str, column: str, who: str, config: Config, a: int, b: int
) -> tuple[int, int]:
    table = f"sums_{family}"
    if not has_table(connection, table):
        return 0, 0
    found = connection.execute(
        f"SELECT COALESCE(SUM(CASE WHEN {who} = ? THEN {column} END), 0), "
        f"COALESCE(SUM(CASE WHEN {who} <> ? THEN {column} END), 0) "
        f'FROM "{table}" WHERE hour >= ? AND hour < ?',
        [config.policies.candidate, config.policies.candidate, a, b],
    ).fetchone()
    return (int(found[0]), int(found[1])) if found else (0, 0)
