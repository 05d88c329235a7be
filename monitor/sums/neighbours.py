"""Decisions beside the next and the previous one of the same episode, or else of the same unit and segment.

Only decisions of one clock hour are put side by side, so that an hour is summed from its own rows: the
last one of each hour has no next, the first one no previous.
"""

from __future__ import annotations

from collections.abc import Mapping

from monitor.config import Config
from monitor.store import literal

OVER = (
    "OVER (PARTITION BY hour, episode_id, CASE WHEN episode_id IS NULL THEN unit_hash END, "
    "CASE WHEN episode_id IS NULL THEN segment END ORDER BY ts, step, row_hash)"
)


def next_of(column: str) -> str:
    """SQL of the column in the decision that follows; NULL after a terminal one."""
    return f"(CASE WHEN COALESCE(terminal, FALSE) THEN NULL ELSE LEAD({column}) {OVER} END)"


def previous_of(column: str) -> str:
    """SQL of the column in the decision before; NULL where that was terminal."""
    return f"(CASE WHEN COALESCE(LAG(terminal) {OVER}, FALSE) THEN NULL ELSE LAG({column}) {OVER} END)"


def distances(config: Config, pairs: Mapping[str, tuple[str, str]]) -> str:
    """SQL of the sums n, k1, g1 of |a − b| by bucket and key, for each key its expressions (a, b)."""
    names = {key: f"g{place}" for place, key in enumerate(pairs)}
    gaps = ", ".join(f"ABS({a} - {b}) AS {names[key]}" for key, (a, b) in pairs.items())
    sums = ", ".join(
        f"COUNT({g}) AS n_{g}, SUM(CASE WHEN {g} IS NULL THEN 0e0 ELSE k END) AS k_{g}, "
        f"COALESCE(SUM({g} * k), 0e0) AS s_{g}"
        for g in names.values()
    )
    keys = " UNION ALL ".join(f"SELECT {literal(key)} AS key" for key in names)
    pick = lambda part: "CASE keys.key " + " ".join(  # noqa: E731
        f"WHEN {literal(key)} THEN {part}_{g}" for key, g in names.items()
    ) + " END"  # fmt: skip
    return f"""
        SELECT policy_id, '' AS candidate_id, hour, bucket, keys.key AS key,
            {pick("n")} AS n, {pick("k")} AS k1, {pick("s")} AS g1
        FROM (SELECT policy_id, hour, unit_hash % 64 AS bucket, {sums}
              FROM (SELECT policy_id, hour, unit_hash, 1e0 / keep_prob AS k, {gaps} FROM decisions) AS gaps
              GROUP BY 1, 2, 3) AS sums
        CROSS JOIN ({keys}) AS keys
        WHERE {pick("n")} > 0"""
