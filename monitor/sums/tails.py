"""Sums of weights over decisions in the tails of the states: the outermost tenths of each numeric feature.

The tails are those of the frozen bins: what lies under the first tenth of them or from the last tenth
on. The sums are those of `offpolicy`, and beside them how many recommendations name every bounded
dimension of the action (`n_bounded`) and how many of these lie outside the envelope (`n_outside`).
By whole days and 32 buckets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitor.config import Config
from monitor.store import literal, quoted
from monitor.sums import offpolicy
from monitor.sums.family import Family, Frozen, number

SIDES = ("low", "high")
BOUNDED = ("n_bounded", "n_outside")


def cuts(bins: Mapping[str, Any]) -> tuple[float, float] | None:
    """The values under and from which a feature lies in a tail; None where its bins are too few."""
    edges = bins.get("edges") or []
    inner = len(edges) - 1
    if inner < 2:
        return None
    tenth = max(1, round(inner / 10))
    return edges[tenth], edges[inner - tenth]


def bounded(config: Config) -> tuple[str, str]:
    """SQL for (the recommendation names every dimension of the envelope, some lies outside of it)."""
    columns = {quoted(f"candidate_action_{d}"): ends for d, ends in config.envelope.items()}
    if not columns:
        return "1 = 0", "1 = 0"
    known = " AND ".join(f"{column} IS NOT NULL" for column in columns)
    outside = " OR ".join(
        f"{column} < {number(low)} OR {column} > {number(high)}" for column, (low, high) in columns.items()
    )
    return f"({known})", f"({outside})"


def _select(config: Config, baseline: Frozen | None) -> str | None:
    if baseline is None or not offpolicy.logs_weights(config):
        return None
    ends = {f: cuts(baseline.bins.get(f, {})) for f in config.state.numeric}
    return " UNION ALL ".join(_one(config, f, *at) for f, at in ends.items() if at is not None) or None


def _one(config: Config, feature: str, low: float, high: float) -> str:
    state, (known, outside) = quoted("state_" + feature), bounded(config)
    under, over = f"{state} < {number(low)}", f"{state} >= {number(high)}"
    place = " ".join(
        f"WHEN {where} THEN {literal(f'{feature} {side}')}"
        for where, side in zip((under, over), SIDES, strict=True)
    )
    rows = offpolicy.rows(
        config, f"CASE {place} END", f"({under} OR {over})", hour="hour // 24 * 24 AS hour",
        bucket="unit_hash % 64 // 2 AS bucket",
        beside=f", CASE WHEN {known} THEN 1 ELSE 0 END AS bounded, "
        f"CASE WHEN {known} AND {outside} THEN 1 ELSE 0 END AS outside",
    )
    return f"""
        SELECT policy_id, candidate_id, hour, bucket, key, {offpolicy.SUMS},
            SUM(bounded) AS n_bounded, SUM(outside) AS n_outside
        FROM {rows} GROUP BY 1, 2, 3, 4, 5"""


def _no_table(config: Config, baseline: Frozen | None) -> str | None:
    return None


_SHAPE = offpolicy.FAMILY
FAMILY = Family(
    "tails", (*_SHAPE.sums, *BOUNDED), _select, by_candidate=True, outer=True, largest=_SHAPE.largest,
    smallest=_SHAPE.smallest, whole_days=True,
)
# Another reading of the table of `offpolicy`, by segment.
SEGMENTS = Family(
    "segments", _SHAPE.sums, _no_table, by_candidate=True, outer=True, largest=_SHAPE.largest,
    smallest=_SHAPE.smallest,
)
