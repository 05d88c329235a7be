"""Recommendations of a candidate that come in files of their own, joined to their decisions by id."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, timedelta

import duckdb

from monitor.config import Config
from monitor.log import late, schema
from monitor.log.account import FileAccount
from monitor.log.books import Batched, dirty
from monitor.log.derived import cross_agreement, kl, total_variation, unsupported
from monitor.store import literal, quoted


def load(work: Batched, account: FileAccount) -> None:
    """Load one batch of a source of recommendations and count what became of its records."""
    connection = work.connection
    late.start(work)
    columns = schema.recommended(work.config)
    kinds = schema.logged(work.config)
    for name in columns:
        connection.execute(
            f"ALTER TABLE typed ADD COLUMN IF NOT EXISTS {quoted(name)} {schema.TYPES[kinds[name]]}"
        )
    names = ", ".join(quoted(c) for c in columns)
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE incoming AS SELECT line, decision_id, {names} FROM typed
            WHERE reason IS NULL"""
    )
    settle(connection, work.config, f"ts >= {_earliest(work)}")
    account.waiting += _wait(work, columns)
    connection.execute(
        """INSERT INTO fates SELECT line, CASE fate WHEN 'waiting' THEN 'recommendations' ELSE fate END,
            reason FROM settled"""
    )
    late.finish(work, account)


def arrive(work: Batched, arrived: str, span: str) -> None:
    """Apply the recommendations that waited for the decisions in the SELECT `arrived`."""
    names = ", ".join(quoted(c) for c in schema.recommended(work.config))
    work.connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE incoming AS SELECT rowid AS line, decision_id, {names} FROM waiting
            WHERE source = 'recommendations' AND decision_id IN ({arrived})"""
    )
    if work.connection.execute("SELECT COUNT(*) FROM incoming").fetchall() == [(0,)]:
        return
    settle(work.connection, work.config, span)
    late.end_waiting(work.connection, work.config, work.hour)


def settle(connection: duckdb.DuckDBPyConnection, config: Config, span: str) -> None:
    """Table `settled` (line, fate, reason, hour) for table `incoming`; updates the decisions in `span`.

    A recommendation fills what its decision does not have. One that says something else than what
    is there is a conflict, and so is a second one of the same batch.
    """
    columns = schema.recommended(config)
    record = ", ".join(f"i.{quoted(c)}" for c in ("decision_id", *columns))
    stored = ", ".join(f"d.{quoted(c)} AS {quoted('stored ' + c)}" for c in columns)
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE matched AS
            SELECT i.*, d.ts AS d_ts, d.hour AS d_hour, {stored},
                row_number() OVER (PARTITION BY i.decision_id ORDER BY i.line) AS nth,
                row_number() OVER (PARTITION BY {record} ORDER BY i.line) AS nth_equal
            FROM incoming i LEFT JOIN (SELECT * REPLACE (nullif(candidate_id, '') AS candidate_id)
                FROM decisions WHERE {span}) d ON d.decision_id = i.decision_id
            QUALIFY row_number() OVER (PARTITION BY i.line ORDER BY d.ts DESC) = 1"""
    )
    clash = " OR ".join(f"coalesce({quoted(c)} <> {quoted('stored ' + c)}, false)" for c in columns)
    fills = " OR ".join(f"({quoted(c)} IS NOT NULL AND {quoted('stored ' + c)} IS NULL)" for c in columns)
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE settled AS
            SELECT line, d_hour AS hour, fate,
                CASE WHEN fate = 'rejected' THEN 'conflicting_repeat' END AS reason
            FROM (SELECT *, CASE WHEN nth_equal > 1 THEN 'duplicates'
                WHEN ({clash}) OR (nth > 1 AND d_ts IS NOT NULL) THEN 'rejected'
                WHEN d_ts IS NULL THEN 'waiting'
                WHEN {fills} THEN 'recommendations' ELSE 'duplicates' END AS fate FROM matched)"""
    )
    _update(connection, config, columns)


def _update(connection: duckdb.DuckDBPyConnection, config: Config, columns: Sequence[str]) -> None:
    connection.execute(
        """CREATE OR REPLACE TEMP TABLE updates AS SELECT m.* FROM matched m JOIN settled s USING (line)
            WHERE s.fate = 'recommendations'"""
    )
    bounds = connection.execute("SELECT MIN(d_ts), MAX(d_ts) FROM updates").fetchall()[0]
    if bounds[0] is None:
        return
    after = {c: f"coalesce(d.{quoted(c)}, u.{quoted(c)})" for c in columns}
    probs = after["candidate_probs"]
    after["candidate_id"] = (
        f"coalesce(nullif(d.candidate_id, ''), u.candidate_id, {literal(config.policies.candidate)})"
    )
    after["cross_agreement"] = cross_agreement("d.action_probs", probs)
    after["total_variation"] = total_variation("d.action_probs", probs)
    if "candidate_kl" in schema.derived(config):
        after["candidate_kl"] = kl(probs, "d.action_probs")
        after["unsupported_mass"] = unsupported(probs, "d.action_probs")
    settings = ", ".join(f"{quoted(c)} = {value}" for c, value in after.items())
    connection.execute(
        f"""UPDATE decisions AS d SET {settings} FROM updates u
            WHERE d.decision_id = u.decision_id AND d.ts = u.d_ts
            AND d.ts BETWEEN TIMESTAMP {literal(str(bounds[0]))} AND TIMESTAMP {literal(str(bounds[1]))}"""
    )
    dirty(connection, "SELECT DISTINCT d_hour FROM updates")


def _wait(work: Batched, columns: Sequence[str]) -> int:
    connection = work.connection
    equal = " AND ".join(f"w.{quoted(c)} IS NOT DISTINCT FROM i.{quoted(c)}" for c in columns)
    connection.execute(
        f"""UPDATE settled SET fate = 'duplicates' WHERE fate = 'waiting' AND line IN (
            SELECT i.line FROM incoming i JOIN waiting w ON w.source = 'recommendations'
            AND w.decision_id = i.decision_id AND {equal})"""
    )
    connection.execute(
        f"""INSERT INTO waiting BY NAME SELECT 'recommendations' AS source, {literal(work.file)} AS file,
                {work.arrival} AS hour, i.*
            FROM incoming i JOIN settled s USING (line) WHERE s.fate = 'waiting'"""
    )
    ((count,),) = connection.execute("SELECT COUNT(*) FROM settled WHERE fate = 'waiting'").fetchall()
    return int(count)


def _earliest(work: Batched) -> str:
    """How far back a batch reaches: a day, the hours loaded since the last sums, and the times of its
    decisions where the source maps `ts`."""
    now = literal(
        (work.as_of.astimezone(UTC).replace(tzinfo=None) - timedelta(days=1)).isoformat(sep=" ")
    )
    own = ", (SELECT MIN(ts) FROM typed)" if "ts" in work.typing.present else ""
    return (
        f"least(TIMESTAMP {now}, coalesce((SELECT make_timestamp(MIN(hour) * 3600000000) "
        f"FROM dirty_hours), TIMESTAMP {now}){own})"
    )
