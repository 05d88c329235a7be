"""A candidate as a table: state columns, and the probability of each action in that state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from monitor.config import Config
from monitor.score.rules import TOLERANCE, ScoreError
from monitor.store import literal, quoted

READ = {".csv": "read_csv({}, header = true)", ".parquet": "read_parquet({})"}
LONG = ("action", "probability")


@dataclass(frozen=True)
class Table:
    """`keys` are columns of the decisions; relation `policy` of the connection has them, as `key_<name>`,
    and `probs`, a list in the order of `actions`."""

    keys: tuple[str, ...]
    actions: tuple[str, ...]


def load(
    connection: duckdb.DuckDBPyConnection, path: Path, config: Config, order: Sequence[str] | None
) -> Table:
    """Read the table of a policy: wide (a column an action) or long (`action`, `probability`).

    Key columns are features of `state`, with or without `state_`, and `segment`. Raises ScoreError for a
    state that is there twice, or whose probabilities are not a distribution.
    """
    if path.suffix not in READ:
        raise ScoreError(f"{path.name} is neither .csv nor .parquet")
    try:
        source = READ[path.suffix].format(literal(str(path)))
        connection.execute(f"CREATE TEMP TABLE given AS SELECT * FROM {source}")
    except duckdb.Error as error:
        raise ScoreError(f"{path.name} cannot be read: {str(error).splitlines()[0]}") from None
    names = [row[0] for row in connection.execute("DESCRIBE given").fetchall()]
    keys = {name: column for name in names if (column := _column(name, config)) is not None}
    if not keys:
        known = ", ".join([*config.state.features, "segment"])
        raise ScoreError(f"{path.name} has no column of a state; known are {known}")
    rest = [name for name in names if name not in keys]
    numeric = {f"state_{f}" for f in config.state.numeric}
    kinds = {column: "DOUBLE" if column in numeric else "VARCHAR" for column in keys.values()}
    listed = ", ".join(
        f"CAST({quoted(name)} AS {kinds[column]}) AS {quoted('key_' + column)}"
        for name, column in keys.items()
    )
    if set(rest) == set(LONG):
        long = f"SELECT {listed}, CAST(action AS VARCHAR) AS action, probability::DOUBLE AS p FROM given"
        found = connection.execute("SELECT CAST(action AS VARCHAR) FROM given GROUP BY 1 ORDER BY MIN(rowid)")
        actions = [a for (a,) in found.fetchall()]
    elif rest:
        columns = ", ".join(f"CAST({quoted(a)} AS DOUBLE) AS {quoted(a)}" for a in rest)
        long = (
            f"SELECT * FROM (SELECT {listed}, {columns} FROM given) "
            f"UNPIVOT INCLUDE NULLS (p FOR action IN ({', '.join(map(quoted, rest))}))"
        )
        actions = rest
    else:
        raise ScoreError(f"{path.name} has no column of an action")
    if order and sorted(order) != sorted(actions):
        raise ScoreError(f"{path.name} has the actions {', '.join(actions)}, --actions lists others")
    table = Table(tuple(keys.values()), tuple(order or actions))
    _collect(connection, table, long, path)
    return table


def _collect(connection: duckdb.DuckDBPyConnection, table: Table, long: str, path: Path) -> None:
    by = ", ".join(quoted("key_" + k) for k in table.keys)
    places = ", ".join(f"MAX(p) FILTER (action = {literal(a)})" for a in table.actions)
    connection.execute(
        f"CREATE TEMP TABLE policy AS SELECT {by}, list_value({places}) AS probs, COUNT(*) AS n, "
        "COUNT(DISTINCT action) AS different, bool_and(COALESCE(isfinite(p) AND p >= 0 AND p <= 1, FALSE)) "
        f"AS sound, SUM(p) AS total FROM ({long}) GROUP BY {by}"
    )
    rules = {
        "different < n": "is there twice",
        "NOT sound": "has a probability that is missing, not finite or outside [0, 1]",
        f"different < {len(table.actions)}": "lacks an action",
        f"ABS(total - 1) > {TOLERANCE}": "has probabilities that do not sum to 1",
    }
    for wrong, what in rules.items():
        row = connection.execute(f"SELECT {by} FROM policy WHERE {wrong} ORDER BY ALL LIMIT 1").fetchone()
        if row:
            state = ", ".join(f"{k} {v}" for k, v in zip(table.keys, row, strict=True))
            raise ScoreError(f"{path.name}: the state {state} {what}")


def joined(table: Table, rows: str) -> str:
    """SQL of the rows with the `probs` of their state, NULL where the table does not know it."""
    on = " AND ".join(f"r.{quoted(k)} = p.{quoted('key_' + k)}" for k in table.keys)
    return f"SELECT r.*, p.probs FROM ({rows}) AS r LEFT JOIN policy AS p ON {on}"


def _column(name: str, config: Config) -> str | None:
    plain = name.removeprefix("state_")
    if plain in config.state.features:
        return "state_" + plain
    return "segment" if name == "segment" else None
