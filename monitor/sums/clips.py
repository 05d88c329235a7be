"""Counts of decisions whose proposed action was not executed, by bucket: in any part (key ''), and by
dimension of a continuous action."""

from __future__ import annotations

from monitor.config import Config
from monitor.store import literal, quoted
from monitor.sums.family import Family, Frozen

ROUNDING = "1e-6"


def _select(config: Config, baseline: Frozen | None) -> str | None:
    dims = [d for d in config.action_dims if config.maps(f"proposed_action_{d}")]
    named = config.maps("proposed_action")
    if not (dims or named):
        return None
    known, clipped = _any(dims, named)
    parts = {"": (known, clipped)} | {d: (f"({_known(d)})", f"({_moved(d)})") for d in dims}
    return " UNION ALL ".join(_one(key, known, clipped) for key, (known, clipped) in parts.items())


def _one(key: str, known: str, clipped: str) -> str:
    return f"""
        SELECT policy_id, '' AS candidate_id, hour, unit_hash % 64 AS bucket, {literal(key)} AS key,
            COUNT(*) AS n,
            SUM(CASE WHEN {clipped} THEN 1 ELSE 0 END) AS x,
            SUM(1e0 / keep_prob) AS k1,
            SUM(1e0 / (keep_prob * keep_prob)) AS k2,
            SUM(CASE WHEN {clipped} THEN 1e0 / keep_prob ELSE 0e0 END) AS v1
        FROM decisions WHERE {known}
        GROUP BY 1, 2, 3, 4, 5"""


def _any(dims: list[str], named: bool) -> tuple[str, str]:
    """SQL for (proposed and executed action are known, they differ): by name, else in every dimension."""
    named_known = "(action IS NOT NULL AND proposed_action IS NOT NULL)" if named else "(1 = 0)"
    dims_known = "(" + " AND ".join(_known(d) for d in dims) + ")" if dims else "(1 = 0)"
    dims_moved = "(" + " OR ".join(_moved(d) for d in dims) + ")" if dims else "(1 = 0)"
    by_name = "action <> proposed_action" if named else "(1 = 0)"
    return (
        f"({named_known} OR {dims_known})",
        f"(CASE WHEN {named_known} THEN {by_name} ELSE {dims_moved} END)",
    )


def _known(dim: str) -> str:
    return f"{quoted('action_' + dim)} IS NOT NULL AND {quoted('proposed_action_' + dim)} IS NOT NULL"


def _moved(dim: str) -> str:
    """Farther apart than rounding in the log."""
    executed, proposed = quoted("action_" + dim), quoted("proposed_action_" + dim)
    return f"ABS({executed} - {proposed}) > {ROUNDING} * (ABS({executed}) + ABS({proposed}))"


FAMILY = Family("clips", ("n", "x", "k1", "k2", "v1"), _select, outer=True, optional=True)
