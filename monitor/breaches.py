"""Rows that break a single-row rule: judged once, before anything is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import duckdb

from monitor import pii
from monitor.config import Config
from monitor.judge import Judged
from monitor.triggers.firing import Firing
from monitor.triggers.single_row import Breach, single_row

RowKey = tuple[str, int]


def judge_breaches(
    connection: duckdb.DuckDBPyConnection, config: Config, as_of: datetime
) -> tuple[list[Judged], list[RowKey]]:
    """Firings of rows not judged yet with ts < as-of, one an hour, rule, key and policy; and the rows.
    A rejected row without a time, or with one still to come, is taken as read just now; a decision that
    was judged under the same rule before says nothing new. Ids that the configuration calls personal
    are hashed, which needs a connection that was armed."""
    connection.execute(
        """CREATE OR REPLACE TEMP TABLE unjudged AS
           SELECT * REPLACE (CASE WHEN ts IS NULL OR (rejected AND ts >= $1) THEN $2 ELSE ts END AS ts)
           FROM breaches WHERE judged_at IS NULL""",
        [_naive(as_of), _naive(as_of) - timedelta(seconds=1)],
    )
    found = connection.execute(
        f"""SELECT policy_id, rule, "key", MAX(ts), COUNT(*),
                  FIRST({{decision_id: decision_id, ts: ts, value: value, file: file, line: line,
                         rejected: rejected}} ORDER BY ts, file, line) AS first_row,
                  list(DISTINCT decision_id ORDER BY decision_id)[:100]
           FROM (SELECT * REPLACE ({pii.shown("decision_id", config)} AS decision_id) FROM unjudged AS u
                 WHERE ts < ? AND NOT EXISTS (
                     FROM breaches AS b WHERE b.judged_at IS NOT NULL AND b.decision_id = u.decision_id
                     AND b.policy_id IS NOT DISTINCT FROM u.policy_id
                     AND b.rule = u.rule AND b."key" = u."key"))
           GROUP BY policy_id, rule, "key", date_trunc('hour', ts) ORDER BY MIN(ts)""",
        [_naive(as_of)],
    ).fetchall()
    judged = []
    for policy, rule, key, last, count, row, ids in found:
        breach = Breach(
            row["decision_id"] or "", row["ts"], policy or "", rule, key or "",
            row["value"], row["file"], row["line"], bool(row["rejected"]),
        )
        judged.append(Judged(_of_rows(single_row(breach), last, int(count), ids), confirmed=True))
    rows = connection.execute("SELECT file, line FROM unjudged WHERE ts < ?", [_naive(as_of)]).fetchall()
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


def _of_rows(firing: Firing, last: datetime, count: int, ids: list[str]) -> Firing:
    """One firing for the rows of an hour that break the same rule, named after the first of them."""
    more = f" The same rule was broken {count} times in this hour." if count > 1 else ""
    row = f"{firing.state['file']}:{firing.state['line']}"
    state = {**firing.state, "decision_ids": ids, "row": row, "rows": count}
    return replace(firing, window_end=last.replace(tzinfo=UTC), message=firing.message + more, state=state)


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)
