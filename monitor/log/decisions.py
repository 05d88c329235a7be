"""One batch of decisions: load what is new, settle what was seen before, reject the rest.

Ids are looked up only among decisions within `log.dedupe_within` of the batch's times. The first of
several records of one id stays; a later one is a duplicate, a late reward or a conflict.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import duckdb

from monitor.config import Config
from monitor.log import breaches, late, recommendations, schema
from monitor.log.account import FileAccount
from monitor.log.books import Batched, dirty, keep_faults, keep_rejects
from monitor.log.derived import filled, hash63
from monitor.log.fields import typed
from monitor.store import literal, quoted


def load(work: Batched, account: FileAccount) -> None:
    """Load one batch of a source of decisions and count what became of its records."""
    connection = work.connection
    connection.execute(f"CREATE OR REPLACE TEMP TABLE typed AS {typed(work.typing, work.batch, work.limit)}")
    ((rows, good, unsound, late_rows, low, high, first_hour),) = connection.execute(
        """SELECT COUNT(*), COUNT(*) FILTER (reason IS NULL AND NOT late), COUNT(*) FILTER (NOT ok),
            COUNT(*) FILTER (reason IS NULL AND late),
            MIN(ts) FILTER (reason IS NULL), MAX(ts) FILTER (reason IS NULL),
            arg_min(hour, line) FILTER (reason IS NULL AND hour IS NOT NULL) FROM typed"""
    ).fetchall()
    work.first_hour = work.first_hour if work.first_hour is not None else first_hour
    connection.execute("CREATE OR REPLACE TEMP TABLE fates (line BIGINT, fate VARCHAR, reason VARCHAR)")
    if rows > good + late_rows:
        connection.execute(
            "INSERT INTO fates SELECT line, 'rejected', reason FROM typed WHERE reason IS NOT NULL"
        )
    repeats = good and _find_repeats(connection, low, high, work.config.log.dedupe_within)
    _insert(work, "line NOT IN (SELECT line FROM repeats)" if repeats else "true")
    if repeats:
        _settle_repeats(work, low, high)
    if late_rows:
        account.waiting += late.take(work, "late AND reason IS NULL")
    for fate, count, pruned in connection.execute(
        "SELECT fate, COUNT(*), COUNT(*) FILTER (reason = 'pruned') FROM fates GROUP BY 1"
    ).fetchall():
        setattr(account, fate, getattr(account, fate) + count)
        account.pruned += pruned
        rows -= count
    account.loaded += rows
    exceptional = bool(connection.execute("SELECT COUNT(*) FROM fates").fetchall()[0][0])
    keep_rejects(work, exceptional)
    if unsound:
        account.faults += keep_faults(work)
    breaches.record(connection, work)
    dirty(connection, f"SELECT DISTINCT hour FROM typed WHERE {_loaded(exceptional)}")
    if good:
        arrived = f"SELECT decision_id FROM typed WHERE {_loaded(exceptional)}"
        span = _span(low, high, timedelta(0))
        late.arrive(work, arrived, span)
        recommendations.arrive(work, arrived, span)


def _loaded(exceptional: bool) -> str:
    return "line NOT IN (SELECT line FROM fates)" if exceptional else "true"


def _find_repeats(
    connection: duckdb.DuckDBPyConnection, low: object, high: object, within: timedelta
) -> int:
    """Table `repeats`: the lines of ids that are in the store already or stand earlier in the batch."""
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE known AS SELECT row_hash, decision_id FROM decisions
            WHERE {_span(low, high, within)}
            AND row_hash IN (SELECT row_hash FROM typed WHERE reason IS NULL AND NOT late)"""
    )
    connection.execute(
        """CREATE OR REPLACE TEMP TABLE suspects AS SELECT row_hash FROM known UNION
            SELECT row_hash FROM typed WHERE reason IS NULL AND NOT late GROUP BY 1 HAVING COUNT(*) > 1"""
    )
    connection.execute(
        """CREATE OR REPLACE TEMP TABLE repeats AS SELECT line FROM (
            SELECT line, decision_id, row_number() OVER (PARTITION BY decision_id ORDER BY line) AS nth
            FROM typed WHERE reason IS NULL AND NOT late AND row_hash IN (SELECT row_hash FROM suspects))
            WHERE nth > 1 OR decision_id IN (SELECT decision_id FROM known)"""
    )
    return int(connection.execute("SELECT COUNT(*) FROM repeats").fetchall()[0][0])


def _insert(work: Batched, condition: str) -> None:
    connection, config = work.connection, work.config
    names = ", ".join(
        quoted(c) for c in (*filled(work.typing.present, config), *schema.derived(config)) if c != "unit_hash"
    )
    units = f"SELECT unit, {hash63('unit')} AS unit_hash FROM (SELECT DISTINCT unit FROM typed)"
    rows, unit_hash = f"typed LEFT JOIN ({units}) USING (unit)", "unit_hash"
    if config.unit == "decision":
        rows, unit_hash = "typed", "row_hash"
    connection.execute(
        f"INSERT INTO decisions ({names}, unit_hash) SELECT {names}, {unit_hash} FROM {rows} "
        f"WHERE reason IS NULL AND NOT late AND {condition}"
    )
    if config.log.combine == "sum":
        connection.execute(
            "INSERT INTO reward_parts SELECT decision_id, reward, reward_ts FROM typed "
            f"WHERE reason IS NULL AND NOT late AND reward IS NOT NULL AND {condition}"
        )


def _settle_repeats(work: Batched, low: object, high: object) -> None:
    """Fates of repeats: other content is a conflict; the same content may bring a late reward."""
    connection, config = work.connection, work.config
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE incoming AS
            SELECT t.line, t.decision_id, t.reward, t.outcome, t.proxy_reward, t.reward_ts,
                ({_same_content(config, work.typing.present)}) AS same
            FROM (SELECT * FROM typed WHERE line IN (SELECT line FROM repeats)) t JOIN (
                SELECT * FROM decisions WHERE {_span(low, high, config.log.dedupe_within)}
                AND row_hash IN (SELECT row_hash FROM suspects)
                QUALIFY row_number() OVER (PARTITION BY decision_id ORDER BY ts) = 1
            ) d ON d.row_hash = t.row_hash AND d.decision_id = t.decision_id"""
    )
    connection.execute(
        "INSERT INTO fates SELECT line, 'rejected', 'conflicting_repeat' FROM incoming WHERE NOT same"
    )
    connection.execute("DELETE FROM incoming WHERE NOT same")
    late.settle(connection, config, _span(low, high, config.log.dedupe_within))
    connection.execute("INSERT INTO fates SELECT line, fate, reason FROM settled")


def _same_content(config: Config, present: Sequence[str]) -> str:
    """All that was logged is equal, leaving out what arrives late: rewards, and recommendations where
    the repeat has none."""
    columns = [c for c in schema.logged(config) if c not in schema.LATE]
    there = filled(present, config)
    equal = {
        c: f"t.{quoted(c)} IS NOT DISTINCT FROM d.{quoted(c)}" if c in there else f"d.{quoted(c)} IS NULL"
        for c in columns
    }
    plain = " AND ".join(e for c, e in equal.items() if not c.startswith("candidate_"))
    given = " AND ".join(e for c, e in equal.items() if c.startswith("candidate_"))
    return f"{plain} AND (t.candidate_id = '' OR ({given}))"


def _span(low: object, high: object, within: timedelta) -> str:
    seconds = int(within.total_seconds())
    return (
        f"ts BETWEEN TIMESTAMP {literal(str(low))} - INTERVAL {seconds} SECOND "
        f"AND TIMESTAMP {literal(str(high))} + INTERVAL {seconds} SECOND"
    )
