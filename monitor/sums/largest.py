"""Per policy, candidate and day the 100 largest weights above 1: merged by keeping the largest.

Which of several equal weights are kept makes no difference, so nothing else orders them.
"""

from __future__ import annotations

from monitor.config import Config
from monitor.sums.family import Family, Frozen
from monitor.sums.offpolicy import logs_weights, weighted

SIZE = 100


def _select(config: Config, baseline: Frozen | None) -> str | None:
    if not logs_weights(config):
        return None
    # Ranked over plain columns by one of them: DuckDB then keeps the first 100 instead of sorting all rows.
    return f"""
        SELECT policy_id, candidate_id, hour, -1 AS bucket, '' AS key, w
        FROM (SELECT policy_id, candidate_id, hour, w,
                  ROW_NUMBER() OVER (PARTITION BY policy_id, candidate_id, hour ORDER BY w DESC) AS place
              FROM (SELECT policy_id, candidate_id, hour // 24 * 24 AS hour, w * k AS w
                    FROM {weighted(config)} WHERE w * k > 1e0) AS heavy) AS ranked
        WHERE place <= {SIZE}"""


FAMILY = Family("largest", ("w",), _select, by_candidate=True, whole_days=True)
