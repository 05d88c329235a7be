"""Per policy and hour the 1 000 rewarded rows of smallest hash: merged by keeping the smallest.

A longer window is read as the 10 000 smallest of what its hours kept; `k` is 1/keep_prob.
"""

from __future__ import annotations

from monitor.config import Config
from monitor.sums.family import Family, Frozen, reward

SIZE = 1000
WINDOW_SIZE = 10_000


def _select(config: Config, baseline: Frozen | None) -> str:
    return f"""
        SELECT policy_id, '' AS candidate_id, hour, unit_hash % 64 AS bucket, segment AS key,
            row_hash, unit_hash, k, reward
        FROM (SELECT policy_id, hour, segment, row_hash, unit_hash, 1e0 / keep_prob AS k,
                  {reward(config)} AS reward,
                  ROW_NUMBER() OVER (PARTITION BY policy_id, hour ORDER BY row_hash) AS place
              FROM decisions WHERE {reward(config)} IS NOT NULL) AS ranked
        WHERE place <= {SIZE}"""


FAMILY = Family("sample", ("row_hash", "unit_hash", "k", "reward"), _select, inner="key", sampled=True)
