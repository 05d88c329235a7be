"""Sums of weighted violations by constraint and bucket: what the candidate would have violated."""

from __future__ import annotations

from monitor.config import Config
from monitor.store import literal, quoted
from monitor.sums.family import Family, Frozen
from monitor.sums.offpolicy import KEPT, logs_weights


def _select(config: Config, baseline: Frozen | None) -> str | None:
    if not logs_weights(config):
        return None
    return " UNION ALL ".join(_one(name) for name in config.constraints) or None


def _one(constraint: str) -> str:
    return f"""
        SELECT policy_id, candidate_id, hour, unit_hash % 64 AS bucket, {literal(constraint)} AS key,
            COUNT(*) AS n_rows,
            SUM(CASE WHEN p IS NULL THEN 1 ELSE 0 END) AS n_missing_p,
            SUM(CASE WHEN q IS NULL THEN 1 ELSE 0 END) AS n_missing_q,
            SUM(CASE WHEN c IS NULL THEN 1 ELSE 0 END) AS n_null,
            COUNT(w) AS n,
            COALESCE(SUM(CASE WHEN w IS NULL THEN NULL ELSE k END), 0e0) AS k1,
            COALESCE(SUM(w * k), 0e0) AS w1,
            COALESCE(SUM(w * w * k * k), 0e0) AS w2,
            COALESCE(SUM(CASE WHEN c > 0e0 THEN w * k ELSE 0e0 END), 0e0) AS wv1,
            COALESCE(SUM(w * c * k), 0e0) AS wc1,
            SUM(CASE WHEN w > 0e0 AND c > 0e0 THEN 1 ELSE 0 END) AS n_one
        FROM (SELECT *, CASE WHEN p > 0e0 AND q IS NOT NULL AND c IS NOT NULL THEN q / p END AS w
              FROM (SELECT policy_id, candidate_id, hour, unit_hash, propensity AS p,
                        candidate_propensity AS q, {quoted("cost_" + constraint)} AS c, 1e0 / keep_prob AS k
                    FROM decisions WHERE {KEPT}) AS kept) AS weighted
        GROUP BY 1, 2, 3, 4, 5"""


FAMILY = Family(
    "offpolicy_cost",
    ("n_rows", "n_missing_p", "n_missing_q", "n_null", "n", "k1", "w1", "w2", "wv1", "wc1", "n_one"),
    _select,
    by_candidate=True,
    outer=True,
)
