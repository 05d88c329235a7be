"""Sums of doubly robust terms where the log carries a critic: q̂(x, a) and its mean under the candidate."""

from __future__ import annotations

from monitor.config import Config
from monitor.sums.family import Family, Frozen, clip
from monitor.sums.offpolicy import logs_weights, shrunk, weighted

TERMS = ("n", "k1", "r1", "w1", "wr1", "ws1", "wsr1", "wo1", "wor1", "dm1", "wq1", "wsq1", "woq1")


def _select(config: Config, baseline: Frozen | None) -> str | None:
    logged = config.maps("q_value") and config.maps("candidate_value")
    if not (logged and logs_weights(config)):
        return None
    switch, dros = shrunk(clip(config, baseline.weight_clip if baseline else None))
    return f"""
        SELECT policy_id, candidate_id, hour, bucket, '' AS key,
            SUM(n_rows) AS n_rows,
            SUM(n) AS n,
            COALESCE(SUM(k), 0e0) AS k1,
            COALESCE(SUM(r * k), 0e0) AS r1,
            COALESCE(SUM(w * k), 0e0) AS w1,
            COALESCE(SUM(w * r * k), 0e0) AS wr1,
            COALESCE(SUM(ws * k), 0e0) AS ws1,
            COALESCE(SUM(ws * r * k), 0e0) AS wsr1,
            COALESCE(SUM(wo * k), 0e0) AS wo1,
            COALESCE(SUM(wo * r * k), 0e0) AS wor1,
            COALESCE(SUM(v * k), 0e0) AS dm1,
            COALESCE(SUM(w * x * k), 0e0) AS wq1,
            COALESCE(SUM(ws * x * k), 0e0) AS wsq1,
            COALESCE(SUM(wo * x * k), 0e0) AS woq1
        FROM (SELECT policy_id, candidate_id, hour, unit_hash % 64 AS bucket, w, r, v, x,
                  {switch} AS ws, {dros} AS wo, 1 AS n_rows,
                  CASE WHEN x IS NOT NULL AND v IS NOT NULL THEN k END AS k,
                  CASE WHEN x IS NOT NULL AND v IS NOT NULL THEN 1 ELSE 0 END AS n
              FROM {weighted(config, "q_value AS x", "candidate_value AS v")}) AS terms
        GROUP BY 1, 2, 3, 4, 5"""


FAMILY = Family("valued", ("n_rows", *TERMS), _select, by_candidate=True, daily=True)
