"""Rows that break a single-row rule: judged once, before anything is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import duckdb

from monitor.judge import Judged
from monitor.triggers.firing import Firing
from monitor.triggers.single_row import Breach, single_row

RowKey = tuple[str, int]


def judge_breaches(
    connection: duckdb.DuckDBPyConnection, as_of: datetime
) -> tuple[list[Judged], list[RowKey]]:
    """Firings of rows not judged yet with ts < as-of, one an hour, rule, key and policy; and the rows."""
    found = connection.execute(
        """SELECT policy_id, rule, "key", MAX(ts), COUNT(*),
                  FIRST({decision_id: decision_id, ts: ts, value: value, file: file, line: line,
                         rejected: rejected} ORDER BY seen, file, line) AS first_row,
                  list(DISTINCT decision_id ORDER BY decision_id)[:100], list({file: file, line: line})
           FROM (SELECT *, COALESCE(ts, ?) AS seen FROM breaches WHERE judged_at IS NULL)
           WHERE seen < ? GROUP BY policy_id, rule, "key", date_trunc('hour', seen) ORDER BY MIN(seen)""",
        [_naive(as_of) - timedelta(seconds=1), _naive(as_of)],
    ).fetchall()
    judged, rows = [], []
    for policy, rule, key, last, count, row, ids, where in found:
        breach = Breach(
            row["decision_id"] or "", row["ts"] or _naive(as_of), policy or "", rule, key or "",
            row["value"], row["file"], row["line"], bool(row["rejected"]),
        )
        judged.append(Judged(_of_rows(single_row(breach), last, int(count), ids), confirmed=True))
        rows += [(w["file"], w["line"]) for w in where]
    return judged, rows


def mark_judged(connection: duckdb.DuckDBPyConnection, rows: Sequence[RowKey], now: datetime) -> None:
    """Note that these rows were judged; after the journal has them, so that a crash repeats nothing."""
    if rows:
        files, lines = [f for f, _ in rows], [n for _, n in rows]
        connection.execute(
            "UPDATE breaches SET judged_at = ? "
            "FROM (SELECT unnest(?::VARCHAR[]) AS f, unnest(?::BIGINT[]) AS n) AS done "
            "WHERE breaches.file = done.f AND breaches.line = done.n AND judged_at IS NULL",
            [_naive(now), files, lines],
        )


def _of_rows(firing: Firing, last: datetime | None, count: int, ids: list[str]) -> Firing:
    """One firing for the rows of an hour that break the same rule, named after the first of them."""
    more = f" The same rule was broken {count} times in this hour." if count > 1 else ""
    row = f"{firing.state['file']}:{firing.state['line']}"
    end = last.replace(tzinfo=UTC) if last else firing.window_end
    state = {**firing.state, "decision_ids": ids, "row": row, "rows": count}
    return replace(firing, window_end=end, message=firing.message + more, state=state)


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)
