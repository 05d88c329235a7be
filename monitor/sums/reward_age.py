"""Rewards by the time they took to arrive, cumulative: key '24h' holds those known 24 h after deciding."""

from __future__ import annotations

from monitor.config import Config
from monitor.sums.family import Family, Frozen

AGES = {"1h": 1, "6h": 6, "24h": 24, "72h": 72, "168h": 168}


def ages(config: Config) -> list[str]:
    """The ages at which rewards are looked at; none where no source tells when a reward came."""
    told = any(
        not s.columns or "reward_ts" in s.columns for s in config.log.sources if s.kind != "recommendations"
    )
    return list(AGES) if told else []


def _select(config: Config, baseline: Frozen | None) -> str | None:
    named = ages(config)
    if not named:
        return None
    places = " ".join(
        f"WHEN reward_ts <= ts + INTERVAL '{AGES[age]}' HOUR THEN {place}" for place, age in enumerate(named)
    )
    ladder = " UNION ALL ".join(f"SELECT {place} AS rung, '{age}' AS age" for place, age in enumerate(named))
    known, counted = "place <= rung", "place <= rung"
    if config.reward.missing_after_maturity == 0:
        counted = "1 = 1"
    return f"""
        SELECT policy_id, '' AS candidate_id, hour, bucket, age AS key,
            SUM(CASE WHEN {counted} THEN n ELSE 0 END) AS n,
            SUM(CASE WHEN {counted} THEN k ELSE 0e0 END) AS k1,
            SUM(CASE WHEN {known} THEN r ELSE 0e0 END) AS r1
        FROM (SELECT policy_id, hour, unit_hash % 64 AS bucket,
                  CASE WHEN reward IS NULL THEN {len(named)} WHEN reward_ts IS NULL THEN 0 {places}
                      ELSE {len(named)} END AS place,
                  COUNT(*) AS n, SUM(1e0 / keep_prob) AS k, COALESCE(SUM(reward / keep_prob), 0e0) AS r
              FROM decisions GROUP BY 1, 2, 3, 4) AS arrived
            CROSS JOIN ({ladder}) AS ladder
        GROUP BY 1, 2, 3, 4, 5"""


FAMILY = Family("reward_age", ("n", "k1", "r1"), _select, outer=True)
