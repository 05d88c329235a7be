"""Sums of the returns of whole episodes, and how an episode is told from the rows of a log.

An episode is the rows of one `episode_id` up to its `terminal` row or up to a silence longer than
`episode_timeout`; a row that comes after that begins another one. Its G = Σγ^t r_t is known where
every reward in it is. It is counted once, in the hour in which it is known to be over: that of its
terminal row, else that of its last row plus `episode_timeout` rounded up to hours. So a closed
window is complete (by the hour of the first step, long episodes would be missing in the newest
windows, and silence alone would change old ones), and the SQL needs no clock: an episode that is
still open is counted in an hour that has not come yet, and moves when its next row arrives.

The episode is the atom of the merge law. An episode of several policies belongs to none and is
counted apart; rows without an `episode_id` are counted as `n_alone`.
"""

from __future__ import annotations

import math

from monitor.config import Config
from monitor.sums.family import Family, Frozen, number, reward


def timeout_hours(config: Config) -> int:
    """`episode_timeout` in hours, rounded up."""
    return math.ceil(config.episode_timeout.total_seconds() / 3600)


def steps(config: Config, columns: str) -> str:
    """SQL of the rows of episodes with `columns` of the decisions, and beside them `episode_id`,
    `part` (several episodes under one id), `ended` (1 on a terminal row) and `t`, 0, 1, 2 … in the order
    of `step`, of `ts` where that is missing."""
    seconds = int(config.episode_timeout.total_seconds())
    by_time = "PARTITION BY episode_id ORDER BY ts, step, ended, row_hash"
    fresh = (
        f"CASE WHEN LAG(ended) OVER ({by_time}) = 1 "
        f"OR ts > LAG(ts) OVER ({by_time}) + INTERVAL {seconds} SECOND THEN 1 ELSE 0 END"
    )
    rows = f"""
        SELECT episode_id, ts, step, row_hash, hour, policy_id, unit_hash, segment, keep_prob,
            CASE WHEN terminal THEN 1 ELSE 0 END AS ended, {columns}
        FROM decisions WHERE episode_id IS NOT NULL"""
    parts = f"""
        SELECT *, SUM(fresh) OVER ({by_time} ROWS UNBOUNDED PRECEDING) AS part
        FROM (SELECT *, {fresh} AS fresh FROM ({rows}) AS found) AS begun"""
    in_order = "PARTITION BY episode_id, part ORDER BY step, ts, ended, row_hash"
    return f"SELECT *, ROW_NUMBER() OVER ({in_order}) - 1 AS t FROM ({parts}) AS parts"


def episodes(config: Config, sums: str, columns: str) -> str:
    """SQL of one row an episode with the aggregates `sums` over its steps, the `hour` it is counted in,
    `mixed` (1: of several policies), `terminated`, `steps`; `policy_id` … `k` are those of its first step."""
    first = "CASE WHEN t = 0 THEN {} END"
    return f"""
        SELECT CASE WHEN MIN(policy_id) = MAX(policy_id) THEN 0 ELSE 1 END AS mixed,
            MAX({first.format("policy_id")}) AS policy_id,
            MAX(hour) + CASE WHEN MAX(ended) = 1 THEN 0 ELSE {timeout_hours(config)} END AS hour,
            MAX({first.format("unit_hash")}) AS unit_hash,
            MAX({first.format("segment")}) AS segment,
            MAX({first.format("1e0 / keep_prob")}) AS k,
            MAX({first.format("row_hash")}) AS row_hash,
            MAX(ended) AS terminated, COUNT(*) AS steps, {sums}
        FROM ({steps(config, columns)}) AS steps
        GROUP BY episode_id, part"""


def discounted(config: Config, value: str) -> str:
    """SQL of γ^t times a value of step t."""
    discount = config.reward.discount
    return value if discount == 1 else f"(POWER({number(discount)}, t) * {value})"


def returns(config: Config) -> str:
    """SQL of one row an episode with its return `g`, NULL where a reward in it is not known."""
    g = f"CASE WHEN COUNT(r) = COUNT(*) THEN SUM({discounted(config, 'r')}) END AS g"
    return episodes(config, g, f"{reward(config)} AS r")


def _select(config: Config, baseline: Frozen | None) -> str | None:
    if not config.maps("episode_id"):
        return None
    low, high = config.reward.range
    centred = f"(g - {number((low + high) / 2)})"
    one = "CASE WHEN mixed = 1 THEN 0 ELSE 1 END"
    return f"""
        SELECT policy_id, '' AS candidate_id, hour, unit_hash % 64 AS bucket, segment AS key,
            SUM({one}) AS n,
            COUNT(g) AS n_reward,
            SUM(mixed) AS n_mixed,
            SUM(terminated * {one}) AS n_terminated,
            SUM(steps) AS n_steps,
            0 AS n_alone,
            SUM({one} * k) AS k0,
            SUM({one} * k * steps) AS length,
            SUM(CASE WHEN g IS NULL THEN 0e0 ELSE k END) AS k1,
            SUM(CASE WHEN g IS NULL THEN 0e0 ELSE k * k END) AS k2,
            COALESCE(SUM({centred} * k), 0e0) AS r1,
            COALESCE(SUM({centred} * {centred} * k), 0e0) AS r2,
            COALESCE(SUM({centred} * {centred} * {centred} * k), 0e0) AS r3,
            COALESCE(SUM({centred} * {centred} * {centred} * {centred} * k), 0e0) AS r4,
            SUM(CASE WHEN g IS NOT NULL AND g <> 0e0 AND g <> 1e0 THEN 1 ELSE 0 END) AS n_not01,
            SUM(CASE WHEN g = 1e0 THEN 1 ELSE 0 END) AS n_one
        FROM (SELECT policy_id, hour, unit_hash, segment, k, mixed, terminated, steps,
                  CASE WHEN mixed = 1 THEN NULL ELSE g END AS g
              FROM ({returns(config)}) AS whole) AS counted
        GROUP BY 1, 2, 3, 4, 5
        UNION ALL
        SELECT policy_id, '' AS candidate_id, hour, unit_hash % 64 AS bucket, segment AS key,
            0, 0, 0, 0, 0, COUNT(*) AS n_alone, 0e0, 0e0, 0e0, 0e0, 0e0, 0e0, 0e0, 0e0, 0, 0
        FROM decisions WHERE episode_id IS NULL
        GROUP BY 1, 2, 3, 4, 5"""


FAMILY = Family(
    "episode",
    (
        *("n", "n_reward", "n_mixed", "n_terminated", "n_steps", "n_alone", "k0", "length", "k1", "k2"),
        *("r1", "r2", "r3", "r4", "n_not01", "n_one"),
    ),
    _select,
    whole_episodes=True,
    daily=True,
)
