"""Per policy, candidate and day the 100 largest weights above 1: merged by keeping the largest."""

from __future__ import annotations

from monitor.config import Config
from monitor.sums.family import Family, Frozen
from monitor.sums.offpolicy import logs_weights, weighted

SIZE = 100


def _select(config: Config, baseline: Frozen | None) -> str | None:
    if not logs_weights(config):
        return None
    return f"""
        SELECT policy_id, candidate_id, hour, -1 AS bucket, '' AS key, row_hash, w
        FROM (SELECT policy_id, candidate_id, hour // 24 * 24 AS hour, row_hash, w * k AS w,
                  ROW_NUMBER() OVER (PARTITION BY policy_id, candidate_id, hour // 24
                                     ORDER BY w * k DESC, row_hash) AS place
              FROM {weighted(config, "row_hash")} WHERE w * k > 1e0) AS ranked
        WHERE place <= {SIZE}"""


FAMILY = Family("largest", ("row_hash", "w"), _select, by_candidate=True, whole_days=True)
