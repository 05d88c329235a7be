"""Sums of importance weights w = q / p by segment and bucket: first powers carry 1/k, second 1/k².

Overridden rows and recommendations that were not activated are left out.
"""

from __future__ import annotations

from monitor.config import Config
from monitor.sums.family import Family, Frozen, number, reward

KEPT = "candidate_id <> '' AND COALESCE(overridden, FALSE) = FALSE AND COALESCE(activated, TRUE) = TRUE"


def weighted(config: Config, *columns: str) -> str:
    """The rows of off-policy sums as a relation: p, q, r, k = 1/keep_prob and w = q/p, and `columns`."""
    beside = "".join(f", {column}" for column in columns)
    return f"""(SELECT *, q / p AS w
              FROM (SELECT policy_id, candidate_id, hour, unit_hash, propensity AS p,
                        candidate_propensity AS q, {reward(config)} AS r, 1e0 / keep_prob AS k{beside}
                    FROM decisions WHERE {KEPT}) AS kept
              WHERE p > 0e0 AND q IS NOT NULL AND r IS NOT NULL) AS weighted"""


def shrunk(largest: float) -> tuple[str, str]:
    """SQL of what stands in place of w: w·1{w ≤ λ} for Switch-DR, λ²w/(w² + λ²) for DRos."""
    if not largest > 0:
        return "0e0", "0e0"
    return f"(CASE WHEN w <= {number(largest)} THEN w ELSE 0e0 END)", (
        f"(w / (1e0 + w * w / {number(largest**2)}))"
    )


def logs_weights(config: Config) -> bool:
    """Whether weights can be formed at all from the columns that are logged."""
    return config.maps("propensity") and config.maps("candidate_propensity")


SUMS = """COUNT(*) AS n_rows,
            SUM(CASE WHEN p IS NULL THEN 1 ELSE 0 END) AS n_missing_p,
            SUM(CASE WHEN q IS NULL THEN 1 ELSE 0 END) AS n_missing_q,
            SUM(CASE WHEN r IS NULL THEN 1 ELSE 0 END) AS n_missing_r,
            COUNT(w) AS n,
            COALESCE(SUM(CASE WHEN w IS NULL THEN NULL ELSE k END), 0e0) AS k1,
            COALESCE(SUM(w * k), 0e0) AS w1,
            COALESCE(SUM(w * r * k), 0e0) AS wr1,
            COALESCE(SUM(CASE WHEN w IS NULL THEN NULL ELSE r * k END), 0e0) AS r1,
            COALESCE(SUM(w * w * k * k), 0e0) AS w2,
            COALESCE(SUM(w * w * r * k * k), 0e0) AS w2r,
            COALESCE(SUM(w * w * r * r * k * k), 0e0) AS wr2,
            COALESCE(SUM(CASE WHEN w IS NULL THEN NULL ELSE r * r * k * k END), 0e0) AS r2,
            COALESCE(SUM(ABS(w * r) * k), 0e0) AS wra,
            COALESCE(MAX(w * k), 0e0) AS w_max,
            COALESCE(MIN(w * k), CAST('NaN' AS DOUBLE)) AS w_min,
            SUM(CASE WHEN w > 10e0 THEN 1 ELSE 0 END) AS n_over10,
            SUM(CASE WHEN w IS NOT NULL AND r <> 0e0 AND r <> 1e0 THEN 1 ELSE 0 END) AS n_not01,
            SUM(CASE WHEN w > 0e0 AND r = 1e0 THEN 1 ELSE 0 END) AS n_one"""


def rows(
    config: Config, key: str, where: str = "TRUE", *, hour: str = "hour",
    bucket: str = "unit_hash % 64 AS bucket", beside: str = "",
) -> str:
    """The kept rows of which SUMS are made, as a relation, w NULL where it cannot be formed."""
    met = KEPT if where == "TRUE" else f"{where} AND {KEPT}"
    return f"""(SELECT *, CASE WHEN p > 0e0 AND q IS NOT NULL AND r IS NOT NULL THEN q / p END AS w
              FROM (SELECT policy_id, candidate_id, {hour}, {bucket}, {key} AS key,
                        propensity AS p, candidate_propensity AS q, {reward(config)} AS r,
                        1e0 / keep_prob AS k{beside}
                    FROM decisions WHERE {met}) AS kept) AS weighted"""


def _select(config: Config, baseline: Frozen | None) -> str:
    return f"""
        SELECT policy_id, candidate_id, hour, bucket, key,
            {SUMS}
        FROM {rows(config, "segment")}
        GROUP BY 1, 2, 3, 4, 5"""


FAMILY = Family(
    "offpolicy",
    (
        *("n_rows", "n_missing_p", "n_missing_q", "n_missing_r", "n", "k1", "w1", "wr1", "r1"),
        *("w2", "w2r", "wr2", "r2", "wra", "w_max", "w_min", "n_over10", "n_not01", "n_one"),
    ),
    _select,
    by_candidate=True,
    largest=("w_max",),
    smallest=("w_min",),
)
