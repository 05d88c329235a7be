"""How often each action was taken in each cell of states, where no propensity was logged.

A cell is the segment and the bins of `off_policy.cell`. s is the candidate's probability of the
executed action, or whether it recommends that action. The key is segment, bins and action.
"""

from __future__ import annotations

from monitor.config import Config
from monitor.store import quoted
from monitor.sums.family import Family, Frozen, reward
from monitor.sums.offpolicy import KEPT
from monitor.sums.state import bin_of

BETWEEN = "␟"


def _select(config: Config, baseline: Frozen | None) -> str | None:
    if not (config.maps("candidate_propensity") or config.maps("candidate_action")):
        return None
    bins = [_bin(name, baseline) for name in config.off_policy.cell if f"state_{name}" not in config.pii]
    parts = ", ".join(["segment", *(f"'{BETWEEN}', {b}" for b in bins), f"'{BETWEEN}', action"])
    agrees = "CASE WHEN candidate_action = action THEN 1e0 WHEN candidate_action IS NOT NULL THEN 0e0 END"
    return f"""
        SELECT policy_id, candidate_id, hour, bucket, key,
            COUNT(*) AS n_rows,
            COUNT(s) AS n,
            SUM(k) AS k1,
            COALESCE(SUM(s * k), 0e0) AS s1,
            COALESCE(SUM(s * r * k), 0e0) AS sr1,
            COALESCE(SUM(s * s * k * k), 0e0) AS s2
        FROM (SELECT policy_id, candidate_id, hour // 24 * 24 AS hour, unit_hash % 64 // 2 AS bucket,
                  CONCAT({parts}) AS key, 1e0 / keep_prob AS k, {reward(config)} AS r,
                  COALESCE(candidate_propensity, {agrees}) AS s
              FROM decisions WHERE propensity IS NULL AND action IS NOT NULL AND {KEPT}) AS taken
        WHERE r IS NOT NULL
        GROUP BY 1, 2, 3, 4, 5"""


def _bin(name: str, baseline: Frozen | None) -> str:
    """The frozen category, or the quarter of a number; always 0 before there is a baseline."""
    bins = baseline.bins.get(name) if baseline else None
    if not bins:
        return "0"
    if "edges" in bins:
        edges = bins["edges"]
        bins = {"edges": sorted({edges[len(edges) * part // 4] for part in (1, 2, 3)})} if edges else bins
    return bin_of(quoted("state_" + name), bins)


FAMILY = Family(
    "taken", ("n_rows", "n", "k1", "s1", "sr1", "s2"), _select, by_candidate=True, inner="key",
    whole_days=True,
)
