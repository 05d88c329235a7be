"""Per policy and hour the 1 000 decisions of smallest hash whose proxy and outcome are both known."""

from __future__ import annotations

from monitor.config import Config
from monitor.sums.family import Family, Frozen
from monitor.sums.goodhart import BOTH, logged
from monitor.sums.sample import SIZE


def _select(config: Config, baseline: Frozen | None) -> str | None:
    if not logged(config):
        return None
    return f"""
        SELECT policy_id, '' AS candidate_id, hour, unit_hash % 64 AS bucket, '' AS key,
            row_hash, proxy_reward AS proxy, outcome
        FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY policy_id, hour ORDER BY row_hash) AS place
              FROM decisions WHERE {BOTH}) AS ranked
        WHERE place <= {SIZE}"""


FAMILY = Family("goodhart_sample", ("row_hash", "proxy", "outcome"), _select, sampled=True, optional=True)
