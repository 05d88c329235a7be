"""Per policy, candidate and hour the 1 000 weighted rows of smallest hash, with weight and reward.

Of logs whose hours hold far more, only rows below a fixed hash are looked at: an even share.
"""

from __future__ import annotations

from monitor.config import Config
from monitor.sums.family import Family, Frozen
from monitor.sums.offpolicy import logs_weights, weighted

SIZE = 1000
SPAN_SIZE = 20_000
HASHES = 2**63
LOOKED_AT = 3


def _select(config: Config, baseline: Frozen | None) -> str | None:
    if not logs_weights(config):
        return None
    an_hour = baseline.rows_per_day / 24 if baseline else 0.0
    even = ""
    if an_hour > LOOKED_AT * SIZE:
        even = f"WHERE row_hash < {int(HASHES * (LOOKED_AT * SIZE / an_hour))}"
    return f"""
        SELECT policy_id, candidate_id, hour, bucket, '' AS key, row_hash, w, reward
        FROM (SELECT policy_id, candidate_id, hour, unit_hash % 64 AS bucket, row_hash, w * k AS w,
                  r AS reward,
                  ROW_NUMBER() OVER (PARTITION BY policy_id, candidate_id, hour ORDER BY row_hash) AS place
              FROM {weighted(config, "row_hash")} {even}) AS ranked
        WHERE place <= {SIZE}"""


FAMILY = Family("pair_sample", ("row_hash", "w", "reward"), _select, by_candidate=True)
