"""A temporary store with a planted change: only the hours that are needed, summed and measured anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import duckdb

from monitor.config import ConfigError, Loaded
from monitor.log import schema
from monitor.readings import measure, moment
from monitor.replay.plant import Plant, apply
from monitor.retention import floor_hour
from monitor.store import Store, literal, opened, quoted
from monitor.sums.baseline import Baseline
from monitor.sums.build import build, made_for

Progress = Callable[[str, int, int], None]
BY_HOUR = ("decisions", "rejects", "faults")
WHOLE = ("pii_names", "pruned")


def planted(
    loaded: Loaded,
    store: Store,
    folder: Path,
    baseline: Baseline | None,
    plant: Plant,
    hours: Mapping[str, int],
    progress: Progress | None,
) -> tuple[Store, int]:
    """A store in `folder` as it would stand had the change happened, and how many decisions changed.

    `hours` are `history` (sums and readings are copied from there), `first` (decisions too) and `end`.
    The store that is copied is only read, and let go of before anything is summed. Raises ConfigError.
    """
    copy, frozen = Store(folder), baseline.frozen if baseline else None
    copy.create()
    for file in store.baselines.glob("*.json"):
        (copy.baselines / file.name).write_bytes(file.read_bytes())
    _tell(progress, "copying sums")
    with opened(store.sums, read_only=True) as connection:
        if not made_for(connection, loaded.config, frozen):
            raise ConfigError(["the sums are not those of monitor.yaml yet; run `monitor run` first"])
        _copy(connection, copy.sums, _sums_tables(connection), hours["history"], hours["end"])
    _tell(progress, "copying decisions")
    with opened(store.decisions, read_only=True) as connection:
        floor = floor_hour(connection)
        if floor is not None and floor > hours["first"]:
            kept = f"decisions before {moment(floor):%Y-%m-%d} were pruned; plant it later"
            raise ConfigError([f"--plant {plant.text}: {kept}"])
        there = {t for (t,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        tables = dict.fromkeys(BY_HOUR, "hour") | {t: "" for t in WHOLE if t in there}
        _copy(connection, copy.decisions, tables, hours["first"], hours["end"])
    _tell(progress, "planting")
    with opened(copy.decisions) as connection:
        schema.create(connection, loaded.config)
        changed = apply(connection, plant, loaded.config, baseline)
        connection.execute("INSERT INTO dirty_hours SELECT DISTINCT hour FROM decisions")
    build(copy, loaded.config, frozen, progress)
    wait = loaded.config.log.lag + loaded.config.reward.matures_after
    measure(copy, loaded.config, baseline, moment(hours["end"]) + wait + timedelta(seconds=1), progress)
    return copy, changed


def _sums_tables(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Every table of the open store and the column that holds its hour, '' where it has none."""
    found = connection.execute(
        "SELECT table_name, COALESCE(MAX(column_name) FILTER (column_name IN ('hour', 'window_start') "
        "AND table_name <> 'watermarks'), '') FROM duckdb_columns() "
        "WHERE database_name = current_database() AND NOT internal GROUP BY 1"
    ).fetchall()
    return dict(found)


def _copy(
    connection: duckdb.DuckDBPyConnection, to: Path, tables: Mapping[str, str], first: int, end: int
) -> None:
    connection.execute(f"ATTACH {literal(str(to))} AS planted")
    try:
        for table, hour in tables.items():
            where = f"WHERE {quoted(hour)} >= {first} AND {quoted(hour)} < {end}" if hour else ""
            connection.execute(
                f"CREATE TABLE planted.{quoted(table)} AS SELECT * FROM {quoted(table)} {where}"
            )
    finally:
        connection.execute("DETACH planted")


def _tell(progress: Progress | None, what: str) -> None:
    if progress:
        progress(what, 0, 0)
