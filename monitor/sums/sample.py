"""Per policy and hour the 1 000 rewarded rows of smallest hash: merged by keeping the smallest."""

from __future__ import annotations

from monitor.config import Config
from monitor.sums.family import Family, Frozen, reward

SIZE = 1000


def _select(config: Config, baseline: Frozen | None) -> str:
    return f"""
        SELECT policy_id, '' AS candidate_id, hour, unit_hash % 64 AS bucket, segment AS key,
            row_hash, unit_hash, reward
        FROM (SELECT policy_id, hour, segment, row_hash, unit_hash, {reward(config)} AS reward,
                  ROW_NUMBER() OVER (PARTITION BY policy_id, hour ORDER BY row_hash) AS place
              FROM decisions WHERE {reward(config)} IS NOT NULL) AS ranked
        WHERE place <= {SIZE}"""


FAMILY = Family("sample", ("row_hash", "unit_hash", "reward"), _select, inner="key", sampled=True)
