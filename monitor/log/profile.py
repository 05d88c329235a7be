"""The profile of each batch: one row per UTC day and column, counted by DuckDB.

A batch is a UTC day. Whoever adds or changes rows of a day makes its profile be counted again over
the whole day, so that a later batch of the same hours repairs what an earlier one lacked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import duckdb

from monitor.config import Config
from monitor.log.columns import wanted
from monitor.store import literal, quoted
from monitor.suite import profiled

DAY = 24
LATE = 0.95
STANDARD_ERRORS = 4.0
TABLES = """
    CREATE TABLE IF NOT EXISTS profile (day BIGINT, column_name VARCHAR, "rows" BIGINT,
        null_share DOUBLE, "min" DOUBLE, "max" DOUBLE, mean DOUBLE, sd DOUBLE, "distinct" BIGINT);
    CREATE TABLE IF NOT EXISTS profile_batches (day BIGINT, "rows" BIGINT, duplicate_share DOUBLE,
        reward_lag_hours DOUBLE, weight_check DOUBLE, propensity_check DOUBLE,
        complete BOOLEAN, matured BOOLEAN, pending BOOLEAN);
    CREATE TABLE IF NOT EXISTS profile_hours (hour BIGINT, "rows" BIGINT, closed BOOLEAN, late BIGINT);
    CREATE TABLE IF NOT EXISTS profile_reference (baseline VARCHAR, body VARCHAR);
"""


@dataclass(frozen=True)
class Ends:
    """Hours before which windows have closed, and before which rewards have matured."""

    closed: int
    matured: int


def update(connection: duckdb.DuckDBPyConnection, config: Config, ends: Ends) -> list[int]:
    """Profile the days whose rows changed since the last run, those never profiled, and those that
    were not over or not mature before. They stay `pending` until they were validated.

    Must run while the hours that ingest touched are still in `dirty_hours`. Returns the days.
    """
    connection.execute(TABLES)
    days = _due(connection, ends)
    if not days:
        return []
    within = f"hour // {DAY} IN ({', '.join(map(str, days))}) AND hour >= {days[0] * DAY} " \
        f"AND hour < {(days[-1] + 1) * DAY}"
    connection.execute("BEGIN")
    try:
        _count_hours(connection, within, ends)
        _count_columns(connection, config, within, ends)
        _count_batches(connection, config, within, ends)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return days


def _due(connection: duckdb.DuckDBPyConnection, ends: Ends) -> list[int]:
    found = connection.execute(
        f"""SELECT DISTINCT day FROM (
            SELECT DISTINCT hour // {DAY} AS day FROM dirty_hours
            UNION ALL SELECT day FROM (SELECT DISTINCT hour // {DAY} AS day FROM decisions)
                WHERE day NOT IN (SELECT day FROM profile_batches)
            UNION ALL SELECT day FROM profile_batches
                WHERE NOT complete OR (NOT matured AND (day + 1) * {DAY} <= {ends.matured}))
            WHERE day IS NOT NULL ORDER BY 1"""
    ).fetchall()
    return [int(day) for (day,) in found]


def _count_hours(connection: duckdb.DuckDBPyConnection, within: str, ends: Ends) -> None:
    """Rows of each hour. Those that came after the hour had been profiled as closed were late."""
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE counted AS
            SELECT n.hour, n."rows", n.hour < {ends.closed} AS closed, coalesce(k.late, 0)
                + CASE WHEN k.closed THEN greatest(n."rows" - k."rows", 0) ELSE 0 END AS late
            FROM (SELECT hour, COUNT(*) AS "rows" FROM decisions WHERE {within} GROUP BY 1) n
            LEFT JOIN profile_hours k USING (hour)"""
    )
    connection.execute("DELETE FROM profile_hours WHERE hour IN (SELECT hour FROM counted)")
    connection.execute("INSERT INTO profile_hours SELECT * FROM counted")


def _count_columns(connection: duckdb.DuckDBPyConnection, config: Config, within: str, ends: Ends) -> None:
    every = profiled(config)
    parts: list[str] = []
    for at, (name, numeric) in enumerate(every.items()):
        column, seen = quoted(name), f" FILTER (hour < {ends.matured})" if name == "reward" else ""
        parts.append(f"COUNT({column}){seen} AS known{at}, COUNT(*){seen} AS rows{at}")
        parts.append(f"approx_count_distinct({column}) AS distinct{at}")
        if numeric:
            parts.append(f"MIN({column}) AS min{at}, MAX({column}) AS max{at}, AVG({column}) AS mean{at}")
            parts.append(f"stddev_samp({column}) AS sd{at}")
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE profiled AS SELECT hour // {DAY} AS day, COUNT(*) AS n,
            {", ".join(parts)} FROM decisions WHERE {within} GROUP BY 1"""
    )
    connection.execute("DELETE FROM profile WHERE day IN (SELECT day FROM profiled)")
    connection.execute(f"INSERT INTO profile {' UNION ALL '.join(_rows(every))}")


def _rows(every: dict[str, bool]) -> Iterator[str]:
    for at, (name, numeric) in enumerate(every.items()):
        numbers = ", ".join(f"{s}{at}" if numeric else "NULL" for s in ("min", "max", "mean", "sd"))
        yield (
            f"SELECT day, {literal(name)}, n, CASE WHEN rows{at} > 0 THEN 1e0 - known{at} / rows{at} END, "
            f"{numbers}, distinct{at} FROM profiled"
        )


def _count_batches(connection: duckdb.DuckDBPyConnection, config: Config, within: str, ends: Ends) -> None:
    newest = int(connection.execute("SELECT coalesce(MAX(hour), 0) FROM decisions").fetchall()[0][0])
    found = connection.execute(
        f"""SELECT p.day, p.n, coalesce(d.repeated, 0) / p.n, l.lag, w.* EXCLUDE (day)
            FROM (SELECT day, n FROM profiled) p
            LEFT JOIN ({_repeated(config, within)}) d USING (day)
            LEFT JOIN ({_lag(config, within)}) l USING (day)
            LEFT JOIN ({_weights(config, within)}) w USING (day) ORDER BY 1"""
    ).fetchall()
    connection.execute("DELETE FROM profile_batches WHERE day IN (SELECT day FROM profiled)")
    for day, rows, repeated, lag, *sums in found:
        end = (day + 1) * DAY
        connection.execute(
            "INSERT INTO profile_batches VALUES (?, ?, ?, ?, ?, ?, ?, ?, true)",
            [day, rows, repeated, lag, *_checks(sums), end <= min(ends.closed, newest), end <= ends.matured],
        )


def _repeated(config: Config, within: str) -> str:
    """Rows a day that repeat another one but for its id: a decision logged twice under two names."""
    content = ["ts", "policy_id", "segment", "action", "candidate_id", "propensity"]
    content += [f"action_{d}" for d in config.action_dims] + [f"state_{f}" for f in config.state.features]
    content += [] if config.unit == "decision" else ["unit_hash"]
    listed = ", ".join(quoted(c) for c in content)
    return f"""SELECT day, SUM(n - 1) AS repeated FROM (
        SELECT hour // {DAY} AS day, hash({listed}) AS content, COUNT(*) AS n FROM decisions
        WHERE {within} GROUP BY 1, 2 HAVING COUNT(*) > 1) GROUP BY 1"""


def _lag(config: Config, within: str) -> str:
    """The 95 % quantile of the hours from a decision to its reward, where rewards are dated."""
    if not any(c.name == "reward_ts" for s in config.log.sources for c in wanted(config, s)):
        return "SELECT NULL::BIGINT AS day, NULL::DOUBLE AS lag WHERE false"
    return f"""SELECT hour // {DAY} AS day, quantile_cont(epoch(reward_ts - ts) / 3600e0, {LATE!r}) AS lag
        FROM decisions WHERE {within} AND reward_ts IS NOT NULL GROUP BY 1"""


def _weights(config: Config, within: str) -> str:
    """Sums behind `_checks`: k = 1/keep_prob, x = 1/(p·n) and y = p·n, n = the number of actions."""
    if config.log.propensity == "density":
        return "SELECT NULL::BIGINT AS day, " + ", ".join(f"NULL AS c{i}" for i in range(11)) + " WHERE false"
    terms = ("k", "k * k", "k * x", "k * k * x", "k * k * x * x", "k * y", "k * k * y", "k * k * y * y")
    return f"""SELECT day, COUNT(*), COUNT(n_actions), COUNT(DISTINCT action),
            {", ".join(f"SUM({t})" for t in terms)}
        FROM (SELECT hour // {DAY} AS day, action, n_actions, 1e0 / keep_prob AS k,
                1e0 / (propensity * coalesce(n_actions, 1)) AS x, propensity * coalesce(n_actions, 1) AS y
            FROM decisions WHERE {within} AND propensity > 0 AND keep_prob > 0
            AND overridden IS DISTINCT FROM true) GROUP BY 1"""


def _checks(sums: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Two laws of a logged propensity p of the executed action among n actions:

    E[1/(p·n)] = (actions with p > 0)/n ≤ 1, and E[p·n] = n·Σπ² ≥ 1. The first is lowered by four
    standard errors and the second raised, so that only a clear breach is unmet.
    """
    count, told, seen, k1, k2, kx, k2x, k2xx, ky, k2y, k2yy = (float(s or 0) for s in sums)
    n = 1.0 if told == count else seen
    if not (count > 1 and k1 > 0 and n > 0 and told in (0, count)):
        return None, None
    x, y = kx / k1, ky / k1
    x_error = math.sqrt(max(0.0, k2xx - 2 * x * k2x + x * x * k2)) / k1
    y_error = math.sqrt(max(0.0, k2yy - 2 * y * k2y + y * y * k2)) / k1
    return (x - STANDARD_ERRORS * x_error) / n, (y + STANDARD_ERRORS * y_error) * n
