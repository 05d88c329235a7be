"""Sums of the cost of whole episodes C = Σγ^t c, by constraint that is measured so."""

from __future__ import annotations

from monitor.config import Config
from monitor.store import literal, quoted
from monitor.sums.episode import discounted, episodes
from monitor.sums.family import Family, Frozen


def costs(config: Config, constraints: list[str]) -> str:
    """SQL of one row an episode of one policy with its cost `c0`, `c1` … of each constraint, NULL where
    the cost of some step is not known."""
    named = list(enumerate(constraints))
    columns = ", ".join(f"{quoted(f'cost_{name}')} AS cost{at}" for at, name in named)
    sums = ", ".join(
        f"CASE WHEN COUNT(cost{at}) = COUNT(*) THEN SUM({discounted(config, f'cost{at}')}) END AS c{at}"
        for at, _ in named
    )
    return f"SELECT * FROM ({episodes(config, sums, columns)}) AS whole WHERE mixed = 0"


def measured(config: Config) -> list[str]:
    """The constraints whose measure is `episode_cost`."""
    return [name for name, constraint in config.constraints.items() if constraint.measure == "episode_cost"]


def _select(config: Config, baseline: Frozen | None) -> str | None:
    constraints = measured(config)
    if not constraints or not config.maps("episode_id"):
        return None
    listed = ", ".join(f"({at}, {literal(name)})" for at, name in enumerate(constraints))
    cost = "CASE place " + " ".join(f"WHEN {at} THEN c{at}" for at in range(len(constraints))) + " END"
    return f"""
        SELECT policy_id, '' AS candidate_id, hour, unit_hash % 64 AS bucket, key,
            COUNT(c) AS n,
            COUNT(*) - COUNT(c) AS n_null,
            SUM(CASE WHEN c IS NULL THEN 0e0 ELSE k END) AS k1,
            COALESCE(SUM(c * k), 0e0) AS c1
        FROM (SELECT policy_id, hour, unit_hash, k, key, {cost} AS c
              FROM ({costs(config, constraints)}) AS episodes
              CROSS JOIN (VALUES {listed}) AS measured(place, key)) AS costs
        GROUP BY 1, 2, 3, 4, 5"""


FAMILY = Family(
    "episode_cost",
    ("n", "n_null", "k1", "c1"),
    _select,
    outer=True,
    whole_episodes=True,
    optional=True,
)
