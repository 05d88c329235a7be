"""Weight of each unit by hour, for the Kish number of units where `zero-one` intervals ask for it; and
`m` rewards, `x` of them 1, for `unit_rewards`."""

from __future__ import annotations

from monitor.config import Config
from monitor.sums.family import Family, Frozen, reward
from monitor.sums.offpolicy import KEPT


def _select(config: Config, baseline: Frozen | None) -> str:
    return f"""
        SELECT policy_id, candidate_id, hour, unit_hash % 64 AS bucket, '' AS key, unit_hash,
            COUNT(*) AS n,
            SUM(1e0 / keep_prob) AS k,
            COALESCE(SUM(CASE WHEN {KEPT} AND propensity > 0e0
                              THEN candidate_propensity / propensity / keep_prob END), 0e0) AS w,
            COUNT({reward(config)}) AS m,
            SUM(CASE WHEN {reward(config)} = 1e0 THEN 1 ELSE 0 END) AS x
        FROM decisions
        GROUP BY 1, 2, 3, 4, 5, 6"""


FAMILY = Family("units", ("n_units", "k1", "k2", "w1", "w2"), _select)
