"""Which hours and rows a family needs that sums whole episodes: more than the hours that changed.

An episode is counted in the hour of one of its rows, or `episode_timeout` after one. So when a row
comes, any of those hours of its episode may be where it was counted before or where it is now.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import duckdb

from monitor.retention import floor_hour

WANTED = "SELECT unnest(?::BIGINT[])"


def home_hours(hours: Iterable[int], timeout: int) -> list[int]:
    """Hours in which an episode with rows in `hours` may be counted."""
    known = set(hours)
    return sorted(known | {hour + timeout for hour in known})


def widened(connection: duckdb.DuckDBPyConnection, dirty: Sequence[int], timeout: int) -> list[int]:
    """The dirty hours, and all in which an episode with a row in one of them was or is counted."""
    if not dirty:
        return []
    low, high = _touch(connection, dirty, timeout)
    rows = f"SELECT DISTINCT hour FROM decisions WHERE {_of_touched(low, high)}"
    hours = (hour for (hour,) in connection.execute(rows).fetchall())
    return sorted({*dirty, *home_hours(hours, timeout)})


def condition(connection: duckdb.DuckDBPyConnection, hours: Sequence[int], timeout: int) -> str:
    """SQL condition on decisions for: every row of the episodes that may be counted in `hours`, and the
    rows of these hours without an episode."""
    if not hours:
        return "FALSE"
    low, high = _touch(connection, sorted({*hours, *(hour - timeout for hour in hours)}), timeout)
    alone = f"hour BETWEEN {min(hours)} AND {max(hours)} AND episode_id IS NULL"
    return f"({_of_touched(low, high)}{_unpruned(connection, timeout)}) OR ({alone})"


def _unpruned(connection: duckdb.DuckDBPyConnection, timeout: int) -> str:
    """Leaves out episodes whose first rows may have been pruned: their return cannot be known any more."""
    floor = floor_hour(connection)
    if floor is None:
        return ""
    early = f"SELECT episode_id FROM main.decisions WHERE hour < {floor + timeout} AND episode_id IS NOT NULL"
    return f" AND episode_id NOT IN ({early})"


def _touch(connection: duckdb.DuckDBPyConnection, hours: Sequence[int], timeout: int) -> tuple[int, int]:
    """Table `touched`: the episodes with a row in `hours`; returns the first and last hour of their rows.

    No two rows of an episode that follow each other are farther apart than the timeout, so the search
    ends at the first stretch of that length without a row of theirs.
    """
    low, high = min(hours), max(hours)
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE touched AS SELECT DISTINCT episode_id FROM decisions
            WHERE hour BETWEEN {low} AND {high} AND episode_id IS NOT NULL AND hour IN ({WANTED})""",
        [list(hours)],
    )
    while _any(connection, low - timeout, low - 1):
        low -= timeout
    while _any(connection, high + 1, high + timeout):
        high += timeout
    return low, high


def _any(connection: duckdb.DuckDBPyConnection, low: int, high: int) -> bool:
    found = connection.execute(f"SELECT 1 FROM decisions WHERE {_of_touched(low, high)} LIMIT 1").fetchall()
    return bool(found)


def _of_touched(low: int, high: int) -> str:
    return f"hour BETWEEN {low} AND {high} AND episode_id IN (SELECT episode_id FROM touched)"
