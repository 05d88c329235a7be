"""Samples of whole episodes: per policy and hour the 1 000 returns of smallest hash, and beside a candidate
the same with the weight w_{0:T−1} that the episode ends with, and how many of its recommendations name
every bounded dimension and lie outside the envelope."""

from __future__ import annotations

from monitor.config import Config
from monitor.sums.episode import discounted, returns
from monitor.sums.family import Family, Frozen
from monitor.sums.sample import SIZE
from monitor.sums.sequential import logs_weights, weighted_steps
from monitor.sums.tails import BOUNDED, bounded


def _select(config: Config, baseline: Frozen | None) -> str | None:
    if not config.maps("episode_id"):
        return None
    return _smallest(f"""
        SELECT policy_id, '' AS candidate_id, hour, row_hash, unit_hash, segment, g AS reward, k
        FROM ({returns(config)}) AS whole WHERE mixed = 0 AND g IS NOT NULL""")


def _select_weighted(config: Config, baseline: Frozen | None) -> str | None:
    if not logs_weights(config):
        return None
    known, outside = bounded(config)
    flags = (
        f"CASE WHEN {known} THEN 1 ELSE 0 END AS n_bounded, "
        f"CASE WHEN {known} AND {outside} THEN 1 ELSE 0 END AS n_outside"
    )
    return _smallest(
        f"""
        SELECT policy_id, candidate_id, home AS hour, row_hash, unit_hash, segment,
            SUM({discounted(config, "r")}) AS reward, MAX(CASE WHEN last = 1 THEN w * k END) AS k,
            SUM(n_bounded) AS n_bounded, SUM(n_outside) AS n_outside
        FROM ({weighted_steps(config, flags, BOUNDED)}) AS weighted WHERE used = 1
        GROUP BY policy_id, candidate_id, home, row_hash, unit_hash, segment, episode_id, part""",
        ", n_bounded, n_outside",
    )


def _smallest(rows: str, beside: str = "") -> str:
    place = "ROW_NUMBER() OVER (PARTITION BY policy_id, candidate_id, hour ORDER BY row_hash)"
    return f"""
        SELECT policy_id, candidate_id, hour, unit_hash % 64 AS bucket, segment AS key,
            row_hash, unit_hash, reward, k{beside}
        FROM (SELECT *, {place} AS place FROM ({rows}) AS episodes) AS ranked WHERE place <= {SIZE}"""


COLUMNS = ("row_hash", "unit_hash", "reward", "k")
FAMILY = Family("returns", COLUMNS, _select, inner="key", sampled=True, whole_episodes=True)
WEIGHTED = Family(
    "weighted_returns", (*COLUMNS, *BOUNDED), _select_weighted, by_candidate=True, inner="key", sampled=True,
    whole_episodes=True,
)
