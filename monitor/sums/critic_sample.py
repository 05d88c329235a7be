"""Per policy and hour the 1 000 decisions of smallest hash with what the critic was off by."""

from __future__ import annotations

from monitor.config import Config
from monitor.sums.critic import gaps
from monitor.sums.family import Family, Frozen
from monitor.sums.sample import SIZE


def _select(config: Config, baseline: Frozen | None) -> str | None:
    rows = gaps(config)
    if rows is None:
        return None
    return f"""
        SELECT policy_id, '' AS candidate_id, hour, unit_hash % 64 AS bucket, '' AS key,
            row_hash, propensity, gap, 1e0 / keep_prob AS k
        FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY policy_id, hour ORDER BY row_hash) AS place
              FROM ({rows}) AS gaps WHERE propensity IS NOT NULL) AS ranked
        WHERE place <= {SIZE}"""


FAMILY = Family(
    "critic_sample",
    ("row_hash", "propensity", "gap", "k"),
    _select,
    sampled=True,
    optional=True,
    whole_episodes=True,
)
