"""How far the critic's value of an action is from what came of it, by bucket: for logs with `q_value`.

What came of it is the reward; in an episode the return from this step on, Σγ^(t'−t) r over t' ≥ t, which
is known once the episode is over and every reward in it is. Steps of an episode are counted where the
episode is. Episodes of several policies are left out.
"""

from __future__ import annotations

from monitor.config import Config
from monitor.sums.episode import discounted, steps, timeout_hours
from monitor.sums.family import Family, Frozen, reward

STEP = "policy_id, hour, unit_hash, row_hash, keep_prob, propensity, q_value"


def gaps(config: Config) -> str | None:
    """SQL of one row a decision whose gap is known: STEP and `gap` = q̂ − what came of it."""
    if not config.maps("q_value"):
        return None
    alone = f"""
        SELECT {STEP}, q_value - {reward(config)} AS gap FROM decisions
        WHERE episode_id IS NULL AND q_value IS NOT NULL AND {reward(config)} IS NOT NULL"""
    return f"{_in_episodes(config)} UNION ALL {alone}" if config.maps("episode_id") else alone


def _in_episodes(config: Config) -> str:
    whole = "PARTITION BY episode_id, part"
    rest = f"{whole} ORDER BY t ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING"
    silent = f"CASE WHEN MAX(ended) OVER ({whole}) = 1 THEN 0 ELSE {timeout_hours(config)} END"
    return f"""
        SELECT {STEP}, q_value - g / NULLIF({discounted(config, "1e0")}, 0e0) AS gap
        FROM (SELECT policy_id, unit_hash, row_hash, keep_prob, propensity, q_value, t,
                  MAX(hour) OVER ({whole}) + {silent} AS hour,
                  MIN(policy_id) OVER ({whole}) AS first_policy,
                  MAX(policy_id) OVER ({whole}) AS last_policy,
                  COUNT(*) OVER ({rest}) - COUNT(r) OVER ({rest}) AS unknown,
                  SUM({discounted(config, "r")}) OVER ({rest}) AS g
              FROM ({steps(config, f"propensity, q_value, {reward(config)} AS r")}) AS steps) AS rest
        WHERE unknown = 0 AND first_policy = last_policy AND q_value IS NOT NULL
            AND {discounted(config, "1e0")} > 0e0"""


def _select(config: Config, baseline: Frozen | None) -> str | None:
    rows = gaps(config)
    if rows is None:
        return None
    return f"""
        SELECT policy_id, '' AS candidate_id, hour, unit_hash % 64 AS bucket, '' AS key,
            COUNT(*) AS n,
            SUM(1e0 / keep_prob) AS k1,
            SUM(gap / keep_prob) AS g1
        FROM ({rows}) AS gaps
        GROUP BY 1, 2, 3, 4, 5"""


FAMILY = Family("critic", ("n", "k1", "g1"), _select, optional=True, whole_episodes=True)
