"""Sums that tell exploratory decisions from greedy ones, by bucket: for logs with `action_probs`."""

from __future__ import annotations

from monitor.config import Config
from monitor.sums.family import Family, Frozen, number, reward


def _select(config: Config, baseline: Frozen | None) -> str | None:
    if not config.maps("action_probs"):
        return None
    low, high = config.reward.range
    centred = f"(r - {number((low + high) / 2)}) * k"
    return f"""
        SELECT policy_id, '' AS candidate_id, hour, bucket, '' AS key,
            COUNT(*) AS n,
            SUM(x) AS n_x,
            SUM(k) AS k1,
            SUM(k * k) AS k2,
            SUM(x * k) AS kx,
            SUM(x * k * size / (size - 1e0)) AS e1,
            SUM(k * size / (size - 1e0)) AS a1,
            SUM(CASE WHEN x = 0 AND r IS NOT NULL THEN 1 ELSE 0 END) AS n_greedy,
            SUM(CASE WHEN x = 1 AND r IS NOT NULL THEN 1 ELSE 0 END) AS n_explored,
            SUM(CASE WHEN x = 0 AND r IS NOT NULL THEN k ELSE 0e0 END) AS kg,
            SUM(CASE WHEN x = 1 AND r IS NOT NULL THEN k ELSE 0e0 END) AS ke,
            COALESCE(SUM(CASE WHEN x = 0 THEN {centred} END), 0e0) AS rg,
            COALESCE(SUM(CASE WHEN x = 1 THEN {centred} END), 0e0) AS re
        FROM (SELECT policy_id, hour, unit_hash % 64 AS bucket, 1e0 / keep_prob AS k, n_actions AS size,
                  CASE WHEN greedy THEN 0 ELSE 1 END AS x, {reward(config)} AS r
              FROM decisions WHERE greedy IS NOT NULL AND n_actions > 1) AS explored
        GROUP BY 1, 2, 3, 4, 5"""


FAMILY = Family(
    "exploration",
    (
        *("n", "n_x", "k1", "k2", "kx", "e1", "a1"),
        *("n_greedy", "n_explored", "kg", "ke", "rg", "re"),
    ),
    _select,
    optional=True,
)
