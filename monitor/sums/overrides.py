"""Counts of decisions that a person took over, by bucket."""

from __future__ import annotations

from monitor.config import Config
from monitor.sums.family import Family, Frozen


def _select(config: Config, baseline: Frozen | None) -> str | None:
    if not config.maps("overridden"):
        return None
    return """
        SELECT policy_id, '' AS candidate_id, hour, unit_hash % 64 AS bucket, '' AS key,
            COUNT(*) AS n,
            COUNT(overridden) AS n_told,
            SUM(CASE WHEN overridden THEN 1 ELSE 0 END) AS x,
            SUM(1e0 / keep_prob) AS k1,
            SUM(1e0 / (keep_prob * keep_prob)) AS k2,
            SUM(CASE WHEN overridden THEN 1e0 / keep_prob ELSE 0e0 END) AS v1
        FROM decisions
        GROUP BY 1, 2, 3, 4, 5"""


FAMILY = Family("overrides", ("n", "n_told", "x", "k1", "k2", "v1"), _select, optional=True)
