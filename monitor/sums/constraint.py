"""Sums of costs by constraint and bucket; leaving the envelope of an action counts like a cost."""

from __future__ import annotations

from monitor.config import Config
from monitor.store import literal, quoted
from monitor.sums.family import Family, Frozen, number

ENVELOPE = "envelope:"


def _select(config: Config, baseline: Frozen | None) -> str | None:
    costs = {name: quoted(f"cost_{name}") for name in config.constraints}
    for dimension, (low, high) in config.envelope.items():
        executed = quoted(f"action_{dimension}")
        costs[ENVELOPE + dimension] = (
            f"(CASE WHEN {executed} < {number(low)} OR {executed} > {number(high)} THEN 1e0 "
            f"WHEN {executed} IS NOT NULL THEN 0e0 END)"
        )
    return " UNION ALL ".join(_one(name, cost) for name, cost in costs.items()) or None


def _one(constraint: str, cost: str) -> str:
    return f"""
        SELECT policy_id, '' AS candidate_id, hour, unit_hash % 64 AS bucket, {literal(constraint)} AS key,
            COUNT(cost) AS n,
            COUNT(*) - COUNT(cost) AS n_null,
            SUM(CASE WHEN cost > 0e0 THEN 1 ELSE 0 END) AS x,
            SUM(CASE WHEN cost IS NULL THEN 0e0 ELSE 1e0 / keep_prob END) AS k1,
            SUM(CASE WHEN cost IS NULL THEN 0e0 ELSE 1e0 / (keep_prob * keep_prob) END) AS k2,
            SUM(CASE WHEN cost > 0e0 THEN 1e0 / keep_prob ELSE 0e0 END) AS v1,
            COALESCE(SUM(cost / keep_prob), 0e0) AS c1
        FROM (SELECT policy_id, hour, unit_hash, keep_prob, {cost} AS cost FROM decisions) AS costs
        GROUP BY 1, 2, 3, 4, 5"""


FAMILY = Family("constraint", ("n", "n_null", "x", "k1", "k2", "v1", "c1"), _select, outer=True)
