"""Counts of actions, and sums for their entropy by bucket (key '')."""

from __future__ import annotations

from monitor.config import Config
from monitor.sums.family import Family, Frozen


def _select(config: Config, baseline: Frozen | None) -> str:
    return """
        SELECT policy_id, '' AS candidate_id, hour, -1 AS bucket, action AS key, COUNT(*) AS n,
            0 AS n_p, 0e0 AS kp, 0e0 AS h1, 0 AS n_h, 0e0 AS kh, 0e0 AS hp
        FROM decisions
        WHERE action IS NOT NULL AND action <> ''
        GROUP BY 1, 2, 3, 4, 5
        UNION ALL
        SELECT policy_id, '' AS candidate_id, hour, unit_hash % 64 AS bucket, '' AS key, COUNT(*) AS n,
            COUNT(propensity) AS n_p,
            SUM(CASE WHEN propensity IS NULL THEN 0e0 ELSE 1e0 / keep_prob END) AS kp,
            COALESCE(SUM(-LN(propensity) / keep_prob), 0e0) AS h1,
            COUNT(probs_entropy) AS n_h,
            SUM(CASE WHEN probs_entropy IS NULL THEN 0e0 ELSE 1e0 / keep_prob END) AS kh,
            COALESCE(SUM(probs_entropy / keep_prob), 0e0) AS hp
        FROM decisions
        GROUP BY 1, 2, 3, 4, 5"""


FAMILY = Family("action", ("n", "n_p", "kp", "h1", "n_h", "kh", "hp"), _select, inner="key", daily=True)
