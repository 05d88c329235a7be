"""Sums of cumulative weights w_{0:t} = Π q/p over whole episodes, by step t.

At step t, over the episodes that are still going on there: Σw_{0:t}, Σ(w_{0:t})², Σγ^t w_{0:t} r and
Σγ^t(w_{0:t}(r − q̂) + w_{0:t−1} v̂) with the logged `q_value` q̂ and `candidate_value` v̂; and over those
that end there e1 = Σw, e2 = Σw², k0 and kq, so that a finished episode can carry its weight forward.
First powers carry 1/k of the first step, second powers 1/k². Steps from HORIZON on share one cell.
An episode is used where one policy controlled it, one candidate recommended in it, no step was
overridden or not activated, and every weight and reward is known; all others are counted at t = 0.
"""

from __future__ import annotations

from collections.abc import Sequence

from monitor.config import Config
from monitor.sums.episode import discounted, steps, timeout_hours
from monitor.sums.family import Family, Frozen, reward

HORIZON = 200
ALL = "OVER (PARTITION BY episode_id, part)"
SO_FAR = "OVER (PARTITION BY episode_id, part ORDER BY t ROWS UNBOUNDED PRECEDING)"
COLUMNS = """CASE WHEN propensity > 0e0 THEN candidate_propensity / propensity END AS w, candidate_id,
    q_value AS q, candidate_value AS v,
    CASE WHEN COALESCE(overridden, FALSE) OR NOT COALESCE(activated, TRUE) THEN 1 ELSE 0 END AS away"""


def weighted_steps(
    config: Config, columns: str = "", names: Sequence[str] = (), earned: str | None = None
) -> str:
    """SQL of the steps of episodes with a recommendation: `w` cumulative and `before`, the same one step
    earlier; of the whole episode `home` hour, `bucket`, `k`, and whether it is `mixed`, `away`, lacks a
    weight (`no_w`), a reward (`no_r`) or a critic's value (`no_q`); `last` is 1 on its last step.
    `columns` of the decisions are carried under their `names`; r is `earned`, by default the reward."""
    first = f"MAX(CASE WHEN t = 0 THEN {{}} END) {ALL}"
    lacks = f"CASE WHEN COUNT({{}}) {ALL} < COUNT(*) {ALL} THEN 1 ELSE 0 END"
    logged = f"{COLUMNS}, {earned or reward(config)} AS r" + (f", {columns}" if columns else "")
    lowest = f"MIN(CASE WHEN candidate_id <> '' THEN candidate_id END) {ALL}"
    whole = f"""
        SELECT {", ".join(("episode_id", "part", "t", "r", "q", "v", *names))},
            CASE WHEN MIN(w) {SO_FAR} = 0e0 THEN 0e0
                 ELSE EXP(SUM(LN(CASE WHEN w > 0e0 THEN w ELSE 1e0 END)) {SO_FAR}) END AS w,
            {first.format("policy_id")} AS policy_id,
            COALESCE(NULLIF({first.format("candidate_id")}, ''), {lowest}, '') AS candidate_id,
            MAX(hour) {ALL} + CASE WHEN MAX(ended) {ALL} = 1 THEN 0 ELSE {timeout_hours(config)} END AS home,
            {first.format("unit_hash")} AS unit_hash,
            {first.format("row_hash")} AS row_hash,
            {first.format("segment")} AS segment,
            {first.format("1e0 / keep_prob")} AS k,
            CASE WHEN MIN(policy_id) {ALL} <> MAX(policy_id) {ALL}
                 OR {lowest} <> MAX(candidate_id) {ALL} THEN 1 ELSE 0 END AS mixed,
            MAX(away) {ALL} AS away,
            {lacks.format("w")} AS no_w, {lacks.format("r")} AS no_r,
            {lacks.format("q + v")} AS no_q,
            CASE WHEN t = COUNT(*) {ALL} - 1 THEN 1 ELSE 0 END AS last
        FROM ({steps(config, logged)}) AS steps"""
    before = "COALESCE(LAG(w) OVER (PARTITION BY episode_id, part ORDER BY t), 1e0) AS before"
    return f"""SELECT *, {before}, CASE WHEN mixed + away + no_w + no_r = 0 THEN 1 ELSE 0 END AS used
        FROM ({whole}) AS whole WHERE candidate_id <> ''"""


def logs_weights(config: Config) -> bool:
    """Whether the log may hold what weights of episodes are made of."""
    return all(config.maps(c) for c in ("episode_id", "propensity", "candidate_propensity"))


def _select(config: Config, baseline: Frozen | None) -> str | None:
    return summed(config) if logs_weights(config) else None


def summed(config: Config, earned: str | None = None, key: str = "''") -> str:
    """SQL of the sums, with r `earned` by a step (the reward by default), under a `key`."""
    used = "SUM(CASE WHEN used = 1{} THEN {} ELSE 0e0 END)"
    count = "SUM(CASE WHEN {} THEN 1 ELSE 0 END)"
    doubly = discounted(config, "(w * (r - q) + before * v)")
    return f"""
        SELECT policy_id, candidate_id, home AS hour, unit_hash % 64 AS bucket, {key} AS key,
            CASE WHEN t < {HORIZON} THEN t ELSE {HORIZON} END AS t,
            {count.format("t = 0")} AS n_episodes,
            {count.format("t = 0 AND mixed = 1")} AS n_mixed,
            {count.format("t = 0 AND away = 1")} AS n_away,
            {count.format("t = 0 AND no_w = 1")} AS n_no_w,
            {count.format("t = 0 AND no_r = 1")} AS n_no_r,
            {count.format("used = 1 AND last = 1")} AS n,
            {count.format("used = 1 AND last = 1 AND no_q = 0")} AS n_q,
            {used.format("", "w * k")} AS w1,
            {used.format("", "w * w * k * k")} AS w2,
            {used.format("", discounted(config, "w * r") + " * k")} AS wr1,
            {used.format("", discounted(config, "ABS(r)") + " * k")} AS ra,
            {used.format(" AND no_q = 0", f"{doubly} * k")} AS dr1,
            {used.format(" AND last = 1", "w * k")} AS e1,
            {used.format(" AND last = 1", "w * w * k * k")} AS e2,
            {used.format(" AND last = 1", "k")} AS k0,
            {used.format(" AND last = 1 AND no_q = 0", "k")} AS kq
        FROM ({weighted_steps(config, earned=earned)}) AS weighted
        GROUP BY 1, 2, 3, 4, 5, 6"""


FAMILY = Family(
    "sequential",
    (
        *("n_episodes", "n_mixed", "n_away", "n_no_w", "n_no_r", "n", "n_q", "w1", "w2", "wr1", "ra", "dr1"),
        *("e1", "e2", "k0", "kq"),
    ),
    _select,
    by_candidate=True,
    inner="t",
    whole_episodes=True,
    daily=True,
)
