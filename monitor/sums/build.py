"""Bring the sums up to date: only dirty hours are summed again, one short write at the end."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb

from monitor.config import Config
from monitor.store import Store, literal, opened, quoted
from monitor.sums import FAMILIES
from monitor.sums.family import Family, Frozen

Progress = Callable[[str, int, int], None]
BOOKKEEPING = """
    CREATE TABLE IF NOT EXISTS families (name VARCHAR, sql_hash VARCHAR);
    CREATE TABLE IF NOT EXISTS pending_hours (hour BIGINT);
    CREATE TABLE IF NOT EXISTS watermarks (name VARCHAR, hour BIGINT);
    CREATE TABLE IF NOT EXISTS readings (
        metric VARCHAR, "key" VARCHAR, policy_id VARCHAR, candidate_id VARCHAR,
        window_start BIGINT, window_end BIGINT, value DOUBLE, low DOUBLE, high DOUBLE, level DOUBLE,
        n DOUBLE, unit VARCHAR, method VARCHAR, reason VARCHAR);
"""


def build(store: Store, config: Config, baseline: Frozen | None, progress: Progress | None = None) -> int:
    """Sum dirty hours again, and every hour of a family whose SQL changed; returns hours summed.

    Killed at any moment it leaves hours dirty, never wrong: dirty hours are cleared only after the
    sums are committed. Hours whose sums changed are noted as pending for the readings.
    """
    with opened(store.decisions) as connection:
        dirty = [h for (h,) in connection.execute("SELECT DISTINCT hour FROM dirty_hours").fetchall()]
        every = None
        built: list[tuple[Family, str, list[int]]] = []
        before = _known(store)
        for name, family in FAMILIES.items():
            select = family.select(config, baseline)
            if select is None:
                continue
            sql_hash = hashlib.sha256(select.encode()).hexdigest()[:16]
            if before.get(name) == sql_hash:
                built.append((family, sql_hash, dirty))
            else:
                every = every if every is not None else _all_hours(connection)
                built.append((family, sql_hash, every))
        summed = sorted({h for _, _, hours in built for h in hours})
        if not summed and all(before.get(f.name) == s for f, s, _ in built):
            return 0
        wanted = None
        for done, (family, _, hours) in enumerate(built):
            if progress:
                progress(f"summing {family.name}", done, len(built))
            if hours is not wanted:
                _want(connection, wanted := hours)
            _stage(connection, family, config, baseline, hours)
        _write(connection, store.sums, built, before)
        _clear(connection, dirty)
    return len(summed)


def restricted(select: str, condition: str) -> str:
    """A family's SELECT over only those rows that meet `condition`."""
    tables = ", ".join(
        f"{table} AS NOT MATERIALIZED (SELECT * FROM main.{table} WHERE {condition})"
        for table in ("decisions", "rejects", "faults")
    )
    return f"WITH {tables} {select}"


def _known(store: Store) -> dict[str, str]:
    with opened(store.sums) as connection:
        connection.execute(BOOKKEEPING)
        return dict(connection.execute("SELECT name, sql_hash FROM families").fetchall())


def _all_hours(connection: duckdb.DuckDBPyConnection) -> list[int]:
    found = connection.execute(
        "SELECT DISTINCT hour FROM decisions UNION SELECT DISTINCT hour FROM rejects "
        "UNION SELECT DISTINCT hour FROM faults"
    ).fetchall()
    return [hour for (hour,) in found if hour is not None]


def _stage(
    connection: duckdb.DuckDBPyConnection,
    family: Family,
    config: Config,
    baseline: Frozen | None,
    hours: Sequence[int],
) -> None:
    """Sum the family over the hours that `_want` named last."""
    condition = "hour IN (SELECT hour FROM wanted_hours)"
    if hours:
        condition += f" AND hour BETWEEN {min(hours)} AND {max(hours)}"
    select = family.select(config, baseline)
    assert select is not None
    table = quoted("new_" + family.name)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS {restricted(select, condition)}")


def _want(connection: duckdb.DuckDBPyConnection, hours: Sequence[int]) -> None:
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE wanted_hours AS SELECT unnest(?::BIGINT[]) AS hour", [list(hours)]
    )


def _write(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    built: Sequence[tuple[Family, str, list[int]]],
    before: dict[str, str],
) -> None:
    changed: set[int] = set()
    connection.execute(f"ATTACH {literal(str(path))} AS sums")
    try:
        connection.execute("BEGIN")
        for family, sql_hash, hours in built:
            table, new = f"sums.{quoted('sums_' + family.name)}", quoted("new_" + family.name)
            if before.get(family.name) == sql_hash:
                if hours:
                    changed |= _changed(connection, table, new, hours)
                    connection.execute(
                        f"DELETE FROM {table} WHERE hour IN (SELECT unnest(?::BIGINT[]))", [hours]
                    )
                    connection.execute(f"INSERT INTO {table} SELECT * FROM temp.{new}")
            else:
                changed |= set(hours)
                connection.execute(f"DROP TABLE IF EXISTS {table}")
                connection.execute(f"CREATE TABLE {table} AS SELECT * FROM temp.{new}")
                connection.execute("DELETE FROM sums.families WHERE name = ?", [family.name])
                connection.execute("INSERT INTO sums.families VALUES (?, ?)", [family.name, sql_hash])
        connection.execute("INSERT INTO sums.pending_hours SELECT unnest(?::BIGINT[])", [sorted(changed)])
        connection.execute("COMMIT")
    finally:
        connection.execute("DETACH sums")


def _changed(
    connection: duckdb.DuckDBPyConnection, table: str, new: str, hours: Sequence[int]
) -> set[int]:
    """Hours whose sums are not what they were: only their readings are computed again."""
    known = f"FROM {table} AS t WHERE hour BETWEEN {min(hours)} AND {max(hours)}"
    digest = "SELECT hour, COUNT(*) AS n, SUM(CAST(hash(t) AS HUGEINT)) AS digest"
    found = connection.execute(
        f"SELECT hour FROM ({digest} FROM temp.{new} AS t GROUP BY hour) AS came "
        f"FULL JOIN ({digest} {known} GROUP BY hour) AS went USING (hour) "
        "WHERE came.n IS DISTINCT FROM went.n OR came.digest IS DISTINCT FROM went.digest"
    ).fetchall()
    return {hour for (hour,) in found} & set(hours)


def _clear(connection: duckdb.DuckDBPyConnection, dirty: list[int]) -> None:
    if dirty:
        connection.execute("DELETE FROM dirty_hours WHERE hour IN (SELECT unnest(?::BIGINT[]))", [dirty])
