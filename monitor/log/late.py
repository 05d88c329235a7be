"""Late rewards and outcomes: applied to their decision, or kept waiting until it arrives.

Of several rewards for one decision the latest `reward_ts` counts, or what `log.combine` declares.
Two different ones of the same time are a conflict: the first stays.
"""

from __future__ import annotations

from datetime import UTC, timedelta

import duckdb

from monitor import pii
from monitor.config import Config
from monitor.log import schema
from monitor.log.account import FileAccount
from monitor.log.books import Batched, dirty, keep_faults, keep_rejects
from monitor.log.fields import typed
from monitor.store import literal

VALUES = ("reward", "outcome", "proxy_reward")
SAME, NEW, CONFLICT = 0, 1, 2
EMPTY = "coalesce(reward, outcome, proxy_reward) IS NULL"


def load(work: Batched, account: FileAccount) -> None:
    """Load one batch of a source of rewards and count what became of its records."""
    connection = work.connection
    start(work)
    for name in schema.LATE:
        kind = schema.TYPES[schema.LOGGED[name]]
        connection.execute(f"ALTER TABLE typed ADD COLUMN IF NOT EXISTS {name} {kind}")
    account.waiting += take(work, "reason IS NULL")
    finish(work, account)


def start(work: Batched) -> None:
    """Type a batch that brings something for decisions made elsewhere; enter its rejects as fates."""
    select = typed(work.typing, work.batch, work.limit)
    work.connection.execute(f"CREATE OR REPLACE TEMP TABLE typed AS {select}")
    work.connection.execute(
        """CREATE OR REPLACE TEMP TABLE fates AS SELECT line, 'rejected' AS fate, reason
            FROM typed WHERE reason IS NOT NULL"""
    )


def finish(work: Batched, account: FileAccount) -> None:
    """Write the books of such a batch and count its fates."""
    counted = work.connection.execute("SELECT fate, COUNT(*) FROM fates GROUP BY 1").fetchall()
    for fate, count in counted:
        setattr(account, fate, getattr(account, fate) + count)
    keep_rejects(work, any(fate == "rejected" for fate, _ in counted))
    account.faults += keep_faults(work)


def take(work: Batched, condition: str) -> int:
    """Settle the late rewards among the typed rows; returns how many have to wait."""
    connection, config = work.connection, work.config
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE incoming AS
            SELECT line, decision_id, reward, outcome, proxy_reward, reward_ts
            FROM typed WHERE {condition} AND NOT ({EMPTY})"""
    )
    connection.execute(
        f"INSERT INTO fates SELECT line, 'late_rewards', NULL FROM typed WHERE {condition} AND {EMPTY}"
    )
    settle(connection, config, f"ts >= {_earliest(work)}")
    _wait(work)
    connection.execute(
        """INSERT INTO fates SELECT line, CASE fate WHEN 'waiting' THEN 'late_rewards' ELSE fate END, reason
            FROM settled"""
    )
    ((count,),) = connection.execute("SELECT COUNT(*) FROM settled WHERE fate = 'waiting'").fetchall()
    return int(count)


def arrive(work: Batched, arrived: str, span: str) -> None:
    """Apply the rewards that waited for the decisions in the SELECT `arrived`."""
    connection = work.connection
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE incoming AS
            SELECT rowid AS line, decision_id, reward, outcome, proxy_reward, reward_ts FROM waiting
            WHERE source = 'rewards' AND decision_id IN ({arrived})"""
    )
    if connection.execute("SELECT COUNT(*) FROM incoming").fetchall() == [(0,)]:
        return
    settle(connection, work.config, span)
    end_waiting(connection, work.config, work.hour)


def end_waiting(connection: duckdb.DuckDBPyConnection, config: Config, hour: int) -> None:
    """Take the settled records out of `waiting`; those in conflict become rejects."""
    connection.execute(
        f"""INSERT INTO rejects SELECT w.file, w.line, w.source, s.reason, {_raw(config)},
                coalesce(s.hour, {hour}), NULL
            FROM waiting w JOIN settled s ON w.rowid = s.line WHERE s.fate = 'rejected'"""
    )
    gone = "SELECT line FROM settled WHERE fate <> 'waiting'"
    connection.execute(f"DELETE FROM waiting WHERE rowid IN ({gone})")


def settle(connection: duckdb.DuckDBPyConnection, config: Config, span: str) -> None:
    """Table `settled` (line, fate, reason, hour) for table `incoming`; updates the decisions in `span`.

    A fate is late_rewards, duplicates, rejected, or waiting when the decision is not there.
    """
    steps = ", ".join(f"{_step(name, config)} AS {name}_step" for name in VALUES)
    within = ", ".join(
        f"first_value(i.{v} IGNORE NULLS) OVER same_time AS first_{v}" for v in VALUES
    )
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE matched AS
            SELECT i.*, d.ts AS d_ts, d.hour AS d_hour, {steps}, {within},
                row_number() OVER (PARTITION BY i.decision_id, i.reward_ts, i.reward, i.outcome,
                    i.proxy_reward ORDER BY i.line) AS nth
            FROM incoming i LEFT JOIN (
                SELECT decision_id, ts, hour, reward, outcome, proxy_reward, reward_ts
                FROM decisions WHERE {span}) d ON d.decision_id = i.decision_id
            WINDOW same_time AS (PARTITION BY i.decision_id, i.reward_ts ORDER BY i.line
                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
            QUALIFY row_number() OVER (PARTITION BY i.line ORDER BY d.ts DESC) = 1"""
    )
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE settled AS
            SELECT line, d_hour AS hour, fate,
                CASE WHEN fate = 'rejected' THEN 'conflicting_repeat' END AS reason
            FROM (SELECT *, greatest(reward_step, outcome_step, proxy_reward_step) AS step,
                CASE WHEN d_ts IS NULL THEN CASE WHEN nth > 1 THEN 'duplicates' ELSE 'waiting' END
                WHEN step = {CONFLICT} OR {_clash(config)} THEN 'rejected'
                WHEN nth > 1 OR step = {SAME} THEN 'duplicates'
                ELSE 'late_rewards' END AS fate FROM matched)"""
    )
    _update(connection, config)


def _raw(config: Config) -> str:
    record = "to_json(w)::VARCHAR"
    if "decision_id" not in config.pii:
        return record
    columns = ("decision_id", *schema.LATE, *schema.recommended(config))
    fields: dict[pii.Steps, bool] = {(c,): c in config.pii for c in columns}
    return pii.masked(record, fields, "w.file || ':' || w.line")


def _step(name: str, config: Config) -> str:
    """What one value does to the stored one: nothing, fills or replaces it, or contradicts it."""
    later = "coalesce(i.reward_ts > d.reward_ts, i.reward_ts IS NOT NULL)"
    older = "coalesce(i.reward_ts < d.reward_ts, d.reward_ts IS NOT NULL)"
    dated = "AND NOT (d.reward_ts IS NULL AND i.reward_ts IS NOT NULL)" if name == "reward" else ""
    if name == "reward" and config.log.combine == "sum":
        return f"""CASE WHEN i.reward IS NULL THEN {SAME} WHEN EXISTS (FROM reward_parts p
            WHERE p.decision_id = i.decision_id AND p.reward = i.reward
            AND p.reward_ts IS NOT DISTINCT FROM i.reward_ts) THEN {SAME} ELSE {NEW} END"""
    if name == "reward" and config.log.combine == "max":
        more = "i.reward > d.reward OR (d.reward IS NULL AND i.reward IS NOT NULL)"
        return f"CASE WHEN {more} THEN {NEW} ELSE {SAME} END"
    return f"""CASE WHEN i.{name} IS NULL THEN {SAME} WHEN d.{name} IS NULL THEN {NEW}
        WHEN i.{name} = d.{name} {dated} THEN {SAME} WHEN {later} THEN {NEW} WHEN {older} THEN {SAME}
        ELSE {CONFLICT} END"""


def _clash(config: Config) -> str:
    """Another value of the same time stands earlier in the batch."""
    names = [v for v in VALUES if v != "reward" or config.log.combine == "latest"]
    return "(" + " OR ".join(f"coalesce(first_{v} <> {v}, false)" for v in names) + ")"


def _update(connection: duckdb.DuckDBPyConnection, config: Config) -> None:
    picked = ", ".join(
        f"arg_max(m.{v}, (coalesce(m.reward_ts, TIMESTAMP '0001-01-01'), m.line)) "
        f"FILTER (m.{v}_step = {NEW}) AS {v}"
        for v in VALUES
    )
    reward = {
        "latest": "coalesce(u.reward, d.reward)",
        "max": "greatest(u.most, d.reward)",
        "sum": "CASE WHEN u.part IS NULL THEN d.reward ELSE coalesce(d.reward, 0) + u.part END",
    }[config.log.combine]
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE updates AS
            SELECT m.decision_id, m.d_ts, any_value(m.d_hour) AS hour, {picked},
                max(m.reward) FILTER (m.reward_step = {NEW}) AS most,
                sum(m.reward) FILTER (m.reward_step = {NEW}) AS part,
                max(m.reward_ts) FILTER (m.reward_step = {NEW}) AS reward_ts
            FROM matched m JOIN settled s USING (line) WHERE s.fate = 'late_rewards' GROUP BY 1, 2"""
    )
    bounds = connection.execute("SELECT MIN(d_ts), MAX(d_ts) FROM updates").fetchall()[0]
    if bounds[0] is None:
        return
    if config.log.combine == "sum":
        connection.execute(
            f"""INSERT INTO reward_parts SELECT m.decision_id, m.reward, m.reward_ts
                FROM matched m JOIN settled s USING (line)
                WHERE s.fate = 'late_rewards' AND m.reward_step = {NEW}"""
        )
    connection.execute(
        f"""UPDATE decisions AS d SET reward = {reward}, reward_ts = coalesce(u.reward_ts, d.reward_ts),
                outcome = coalesce(u.outcome, d.outcome),
                proxy_reward = coalesce(u.proxy_reward, d.proxy_reward)
            FROM updates u WHERE d.decision_id = u.decision_id AND d.ts = u.d_ts
            AND d.ts BETWEEN TIMESTAMP {literal(str(bounds[0]))} AND TIMESTAMP {literal(str(bounds[1]))}"""
    )
    dirty(connection, "SELECT DISTINCT hour FROM updates")


def _wait(work: Batched) -> None:
    """Keep records without a decision; one that waits already is a duplicate."""
    connection = work.connection
    connection.execute(
        """UPDATE settled SET fate = 'duplicates' WHERE fate = 'waiting' AND line IN (
            SELECT i.line FROM incoming i JOIN waiting w
                ON w.source = 'rewards' AND w.decision_id = i.decision_id
                AND w.reward IS NOT DISTINCT FROM i.reward AND w.outcome IS NOT DISTINCT FROM i.outcome
                AND w.proxy_reward IS NOT DISTINCT FROM i.proxy_reward
                AND w.reward_ts IS NOT DISTINCT FROM i.reward_ts)"""
    )
    connection.execute(
        f"""INSERT INTO waiting BY NAME SELECT 'rewards' AS source, {literal(work.file)} AS file,
                {work.arrival} AS hour, i.*
            FROM incoming i JOIN settled s USING (line) WHERE s.fate = 'waiting'"""
    )


def _earliest(work: Batched) -> str:
    """The earliest decision that the rewards of this batch can belong to: maturity and a day before
    their own times. Undated ones also reach the hours loaded since the last sums."""
    config = work.config
    outcome = config.outcome.matures_after if config.outcome else timedelta(0)
    matures = max(config.reward.matures_after, outcome)
    back = int((matures + timedelta(days=1)).total_seconds())
    now = literal(work.as_of.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" "))
    undated = f"""least(TIMESTAMP {now} - INTERVAL {back} SECOND,
        coalesce((SELECT make_timestamp(MIN(hour) * 3600000000) FROM dirty_hours), TIMESTAMP {now}))"""
    (row,) = work.connection.execute(
        f"""SELECT CASE WHEN COUNT(*) = COUNT(reward_ts) THEN MIN(reward_ts) - INTERVAL {back} SECOND
            ELSE least(MIN(reward_ts) - INTERVAL {back} SECOND, {undated}) END FROM incoming"""
    ).fetchall()
    return f"TIMESTAMP {literal(str(row[0]))}" if row[0] is not None else "TIMESTAMP '9999-01-01'"
