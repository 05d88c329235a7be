"""Counts of each state feature by bin, on the bins frozen with the baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monitor.config import Config
from monitor.store import literal, quoted
from monitor.sums.family import Family, Frozen, number, texts


def bin_of(column: str, bins: Mapping[str, Any]) -> str:
    """SQL of the bin number of a value.

    Numeric, edges e_0 … e_m: 0 under e_0, i in [e_(i−1), e_i), m + 1 from e_m on, m + 2 for NULL.
    Categories c_0 … c_(c−1): their place, c for others that the baseline has seen, c + 1 unseen,
    c + 2 for NULL.
    """
    if "edges" in bins:
        edges = bins["edges"]
        return f"CASE WHEN {column} IS NULL THEN {len(edges) + 1} ELSE {_tree(column, edges, 0)} END"
    names = bins["categories"]
    named = " ".join(f"WHEN {column} = {literal(name)} THEN {place}" for place, name in enumerate(names))
    other = f"WHEN {column} IN ({texts(bins['seen'])}) THEN {len(names)}"
    return f"CASE WHEN {column} IS NULL THEN {len(names) + 2} {named} {other} ELSE {len(names) + 1} END"


def _tree(column: str, edges: Sequence[float], below: int) -> str:
    if not edges:
        return str(below)
    middle = len(edges) // 2
    return (
        f"CASE WHEN {column} < {number(edges[middle])} THEN {_tree(column, edges[:middle], below)} "
        f"ELSE {_tree(column, edges[middle + 1 :], below + middle + 1)} END"
    )


def _select(config: Config, baseline: Frozen | None) -> str | None:
    if baseline is None:
        return None
    return " UNION ALL ".join(_one(f, bins, baseline.hash) for f, bins in baseline.bins.items()) or None


def _one(feature: str, bins: Mapping[str, Any], baseline_hash: str) -> str:
    # Grouped by what varies only: constants among the keys cost a third of the time.
    return f"""
        SELECT policy_id, '' AS candidate_id, hour, -1 AS bucket, {literal(feature)} AS key,
            bin, {literal(baseline_hash)} AS baseline, n
        FROM (SELECT policy_id, hour, {bin_of(quoted("state_" + feature), bins)} AS bin, COUNT(*) AS n
              FROM decisions GROUP BY 1, 2, 3) AS binned"""


FAMILY = Family("state", ("n",), _select, outer=True, inner="bin", daily=True)
