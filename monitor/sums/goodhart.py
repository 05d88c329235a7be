"""Sums of what the policy optimises and of what is really wanted, over decisions where both are known."""

from __future__ import annotations

from monitor.config import Config
from monitor.sums.family import Family, Frozen

BOTH = "proxy_reward IS NOT NULL AND outcome IS NOT NULL"


def logged(config: Config) -> bool:
    """Whether a source may give both; an outcome mostly comes later, among the rewards."""
    given = {c for source in config.log.sources for c in (*source.columns, *source.constants)}
    return all(config.maps(column) or column in given for column in ("proxy_reward", "outcome"))


def _select(config: Config, baseline: Frozen | None) -> str | None:
    if not logged(config):
        return None
    return f"""
        SELECT policy_id, '' AS candidate_id, hour, unit_hash % 64 AS bucket, '' AS key,
            COUNT(*) AS n,
            SUM(1e0 / keep_prob) AS k1,
            SUM(proxy_reward / keep_prob) AS p1,
            SUM(outcome / keep_prob) AS o1
        FROM decisions WHERE {BOTH}
        GROUP BY 1, 2, 3, 4, 5"""


FAMILY = Family("goodhart", ("n", "k1", "p1", "o1"), _select, optional=True)
