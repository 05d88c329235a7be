"""How often a candidate recommended each action, whoever decided."""

from __future__ import annotations

from monitor.config import Config
from monitor.sums.family import Family, Frozen


def _select(config: Config, baseline: Frozen | None) -> str | None:
    if not config.maps("candidate_action"):
        return None
    return """
        SELECT policy_id, candidate_id, hour, -1 AS bucket, candidate_action AS key, COUNT(*) AS n
        FROM decisions
        WHERE candidate_id <> '' AND candidate_action IS NOT NULL AND candidate_action <> ''
        GROUP BY 1, 2, 3, 4, 5"""


FAMILY = Family("recommended", ("n",), _select, by_candidate=True, inner='"key"', daily=True, optional=True)
