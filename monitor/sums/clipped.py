"""Sums of weights clipped at λ, and of the candidate's mass on actions the logging policy never takes."""

from __future__ import annotations

from monitor.config import Config
from monitor.sums.family import Family, Frozen, clip, number
from monitor.sums.offpolicy import logs_weights, weighted


def _select(config: Config, baseline: Frozen | None) -> str | None:
    if not logs_weights(config):
        return None
    largest = number(clip(config, baseline.weight_clip if baseline else None))
    both = config.maps("action_probs") and config.maps("candidate_probs")
    mass = "unsupported_mass" if both else "CAST(NULL AS DOUBLE)"
    return f"""
        SELECT policy_id, candidate_id, hour, bucket, '' AS key,
            COUNT(*) AS n,
            SUM(k) AS k1,
            SUM(kept * k) AS wl1,
            SUM(kept * r * k) AS wlr1,
            COUNT(mass) AS n_support,
            COALESCE(SUM(CASE WHEN mass IS NULL THEN NULL ELSE k END), 0e0) AS ks,
            COALESCE(SUM(mass * k), 0e0) AS m1
        FROM (SELECT policy_id, candidate_id, hour, unit_hash % 64 AS bucket, r, k, mass,
                  CASE WHEN w <= {largest} THEN w ELSE {largest} END AS kept
              FROM {weighted(config, f"{mass} AS mass")}) AS clipped
        GROUP BY 1, 2, 3, 4, 5"""


FAMILY = Family("clipped", ("n", "k1", "wl1", "wlr1", "n_support", "ks", "m1"), _select, by_candidate=True)
