"""Bring the sums up to date: only dirty hours are summed again, one short write at the end."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import duckdb

from monitor.config import Config
from monitor.pii import with_categories
from monitor.retention import floor_hour, kept_sums
from monitor.store import Store, has_table, literal, opened, quoted
from monitor.sums import FAMILIES
from monitor.sums import whole as whole_episodes
from monitor.sums.episode import timeout_hours
from monitor.sums.family import Family, Frozen

DAY = 24
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


def build(
    store: Store,
    config: Config,
    baseline: Frozen | None,
    progress: Progress | None = None,
    told: list[str] | None = None,
) -> int:
    """Sum dirty hours again, and every hour of a family whose SQL changed; returns hours summed.

    Killed at any moment it leaves hours dirty, never wrong: dirty hours are cleared only after the
    sums are committed. Hours whose sums changed are noted as pending for the readings. Sums of pruned
    hours stay where they can; where not, `told` gets a sentence.
    """
    with opened(store.decisions) as connection:
        baseline = _named(connection, config, baseline)
        dirty = [h for (h,) in connection.execute("SELECT DISTINCT hour FROM dirty_hours").fetchall()]
        every: dict[bool, list[int]] = {}
        again = {False: dirty}
        built: list[tuple[Family, str, list[int]]] = []
        before, timeout = _known(store), timeout_hours(config)
        for name, family in FAMILIES.items():
            select = family.select(config, baseline)
            if select is None:
                continue
            sql_hash, whole = _hash(select), family.whole_episodes
            if before.get(name) == sql_hash:
                if whole not in again:
                    again[whole] = whole_episodes.widened(connection, dirty, timeout)
                hours = again[whole]
            else:
                if not every:
                    every[False] = _all_hours(connection)
                    every[True] = whole_episodes.home_hours(every[False], timeout)
                hours = every[whole]
            built.append((family, sql_hash, _whole_days(hours) if family.whole_days else hours))
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
        if progress:
            progress("writing sums", len(built), len(built))
        keep: set[str] = set()
        if kept_sums(connection, config) is not None:
            keep = {f.name for f, _, _ in built if f.select(config, baseline) == f.select(config, None)}
        dropped = _write(connection, store.sums, built, before, keep)
        if told is not None and dropped:
            told.append(
                f"sums of pruned days are gone for {', '.join(dropped)}: they were made for another "
                "configuration or baseline and their decisions are not kept any more"
            )
        _clear(connection, dirty)
    return len(summed)


def up_to_date(
    connection: duckdb.DuckDBPyConnection, store: Store, config: Config, baseline: Frozen | None
) -> bool:
    """Whether every family was summed with the SQL of this configuration, at least once."""
    before, baseline = _known(store), _named(connection, config, baseline)
    selects = {name: family.select(config, baseline) for name, family in FAMILIES.items()}
    return all(before.get(name) == _hash(select) for name, select in selects.items() if select is not None)


def made_for(sums: duckdb.DuckDBPyConnection, config: Config, baseline: Frozen | None) -> bool:
    """Whether the sums in the store are those of this configuration and baseline: what a gate can tell
    without the decisions. Bins of personal columns are not compared."""
    if not has_table(sums, "families"):
        return False
    before = dict(sums.execute("SELECT name, sql_hash FROM families").fetchall())
    families = (f for f in FAMILIES.values() if not (config.pii and f.name == "state"))
    selects = {f.name: f.select(config, baseline) for f in families}
    return all(before.get(name) == _hash(select) for name, select in selects.items() if select is not None)


def restricted(select: str, condition: str, decided: str = "TRUE") -> str:
    """A family's SELECT over only those rows that meet `condition`, of decisions also `decided`."""
    meet = {"decisions": f"({condition}) AND ({decided})", "rejects": condition, "faults": condition}
    tables = ", ".join(
        f"{table} AS NOT MATERIALIZED (SELECT * FROM main.{table} WHERE {rows})"
        for table, rows in meet.items()
    )
    return f"WITH {tables} {select}"


def _whole_days(hours: Sequence[int]) -> list[int]:
    """Every hour of the UTC days of these hours."""
    return sorted(h for day in {hour // DAY for hour in hours} for h in range(day * DAY, day * DAY + DAY))


def _hash(select: str) -> str:
    return hashlib.sha256(select.encode()).hexdigest()[:16]


def _named(connection: duckdb.DuckDBPyConnection, config: Config, baseline: Frozen | None) -> Frozen | None:
    """The baseline with the categories of personal columns by name, as decisions hold them."""
    return replace(baseline, bins=with_categories(connection, config, baseline.bins)) if baseline else None


def _known(store: Store) -> dict[str, str]:
    with opened(store.sums) as connection:
        connection.execute(BOOKKEEPING)
        return dict(connection.execute("SELECT name, sql_hash FROM families").fetchall())


def _all_hours(connection: duckdb.DuckDBPyConnection) -> list[int]:
    found = connection.execute(
        "SELECT DISTINCT hour FROM decisions UNION SELECT DISTINCT hour FROM rejects "
        "UNION SELECT DISTINCT hour FROM faults"
    ).fetchall()
    floor = floor_hour(connection)
    return [hour for (hour,) in found if hour is not None and (floor is None or hour >= floor)]


def _stage(
    connection: duckdb.DuckDBPyConnection,
    family: Family,
    config: Config,
    baseline: Frozen | None,
    hours: Sequence[int],
) -> None:
    """Sum the family over the hours that `_want` named last."""
    condition = f"hour BETWEEN {min(hours)} AND {max(hours)}" if hours else "FALSE"
    if hours and max(hours) - min(hours) >= len(hours):
        condition += " AND hour IN (SELECT hour FROM wanted_hours)"
    select = family.select(config, baseline)
    assert select is not None
    if family.whole_episodes:
        rows = whole_episodes.condition(connection, hours, timeout_hours(config))
        select = f"SELECT * FROM ({restricted(select, 'TRUE', rows)}) AS summed WHERE {condition}"
    else:
        select = restricted(select, condition)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {quoted('new_' + family.name)} AS {select}")


def _want(connection: duckdb.DuckDBPyConnection, hours: Sequence[int]) -> None:
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE wanted_hours AS SELECT unnest(?::BIGINT[]) AS hour", [list(hours)]
    )


def _write(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    built: Sequence[tuple[Family, str, list[int]]],
    before: dict[str, str],
    keep: set[str],
) -> list[str]:
    """Write the sums in one transaction; returns the families that lost those of pruned hours."""
    changed: set[int] = set()
    floor = floor_hour(connection)
    dropped: list[str] = []
    connection.execute(f"ATTACH {literal(str(path))} AS sums")
    try:
        connection.execute("BEGIN")
        for family, sql_hash, hours in built:
            table, new = f"sums.{quoted('sums_' + family.name)}", quoted("new_" + family.name)
            if before.get(family.name) == sql_hash:
                if hours:
                    if not family.whole_days:
                        changed |= _changed(connection, table, new, hours)
                    connection.execute(
                        f"DELETE FROM {table} WHERE hour IN (SELECT unnest(?::BIGINT[]))", [hours]
                    )
                    connection.execute(f"INSERT INTO {table} SELECT * FROM temp.{new}")
            else:
                if not family.whole_days:
                    changed |= set(hours)
                if floor is not None and (old := _before(connection, family, floor)):
                    if family.name in keep and _same_columns(connection, family):
                        connection.execute(
                            f"INSERT INTO temp.{new} BY NAME SELECT * FROM {table} WHERE hour < ?", [floor]
                        )
                    else:
                        changed |= old
                        dropped.append(family.name)
                connection.execute(f"DROP TABLE IF EXISTS {table}")
                connection.execute(f"CREATE TABLE {table} AS SELECT * FROM temp.{new}")
                connection.execute("DELETE FROM sums.families WHERE name = ?", [family.name])
                connection.execute("INSERT INTO sums.families VALUES (?, ?)", [family.name, sql_hash])
        connection.execute("INSERT INTO sums.pending_hours SELECT unnest(?::BIGINT[])", [sorted(changed)])
        connection.execute("COMMIT")
    finally:
        connection.execute("DETACH sums")
    return dropped


def _before(connection: duckdb.DuckDBPyConnection, family: Family, floor: int) -> set[int]:
    """Hours before the floor that a family holds sums of."""
    table = "sums_" + family.name
    there = connection.execute(
        "SELECT 1 FROM duckdb_tables() WHERE database_name = 'sums' AND table_name = ?", [table]
    ).fetchall()
    if not there:
        return set()
    found = connection.execute(f"SELECT DISTINCT hour FROM sums.{quoted(table)} WHERE hour < ?", [floor])
    return {hour for (hour,) in found.fetchall()}


def _same_columns(connection: duckdb.DuckDBPyConnection, family: Family) -> bool:
    tables = (f"temp.{quoted('new_' + family.name)}", f"sums.{quoted('sums_' + family.name)}")
    new, old = (connection.execute(f"DESCRIBE {table}").fetchall() for table in tables)
    return [c[:2] for c in new] == [c[:2] for c in old]


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
