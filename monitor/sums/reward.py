"""Sums of rewards by segment and bucket, centred before squaring."""

from __future__ import annotations

from monitor.config import Config
from monitor.sums.family import Family, Frozen, number, reward


def _select(config: Config, baseline: Frozen | None) -> str:
    low, high = config.reward.range
    centred = f"(r - {number((low + high) / 2)})"
    return f"""
        SELECT policy_id, candidate_id, hour, unit_hash % 64 AS bucket, segment AS key,
            COUNT(*) AS n,
            COUNT(r) AS n_reward,
            SUM(CASE WHEN r IS NULL THEN 0e0 ELSE 1e0 / keep_prob END) AS k1,
            SUM(CASE WHEN r IS NULL THEN 0e0 ELSE 1e0 / (keep_prob * keep_prob) END) AS k2,
            COALESCE(SUM({centred} / keep_prob), 0e0) AS r1,
            COALESCE(SUM({centred} * {centred} / keep_prob), 0e0) AS r2,
            COALESCE(SUM({centred} * {centred} * {centred} / keep_prob), 0e0) AS r3,
            COALESCE(SUM({centred} * {centred} * {centred} * {centred} / keep_prob), 0e0) AS r4,
            SUM(CASE WHEN r IS NOT NULL AND r <> 0e0 AND r <> 1e0 THEN 1 ELSE 0 END) AS n_not01,
            SUM(CASE WHEN r = 1e0 THEN 1 ELSE 0 END) AS n_one
        FROM (SELECT policy_id, candidate_id, hour, unit_hash, segment, keep_prob, {reward(config)} AS r
              FROM decisions) AS rewards
        GROUP BY 1, 2, 3, 4, 5"""


FAMILY = Family("reward", ("n", "n_reward", "k1", "k2", "r1", "r2", "r3", "r4", "n_not01", "n_one"), _select)
