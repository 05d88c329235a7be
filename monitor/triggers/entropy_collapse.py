"""A policy that stopped exploring: its entropy halved, or it does, or recommends, one thing only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monitor.metrics.estimate import Reading
from monitor.triggers.context import Context
from monitor.triggers.firing import Firing
from monitor.triggers.numbers import number
from monitor.triggers.windows import clock, pooled, usable

MIN_DECISIONS = 30
MIN_WINDOWS = 24


@dataclass(frozen=True, slots=True)
class EntropyCollapseParams:
    """`entropy` is the baseline's mean entropy in nats where it is of the very policy that is judged, and
    `usual_top` the share of its top action; NaN without one."""

    ratio: float = number(0.5, 0, 1)
    top: float = number(0.95, 0, 1)
    entropy: float = math.nan
    usual_top: float = math.nan


@dataclass(frozen=True, slots=True)
class RecommendationCollapseParams:
    """One action in more than `top` of the recommendations is a collapse."""

    top: float = number(0.95, 0, 1)


def entropy_collapse(
    series: Mapping[str, Sequence[Reading]], params: EntropyCollapseParams
) -> Firing | None:
    """Trips where the upper end of H is below half the baseline's, or one action is taken in more than .95
    of at least 30 decisions.

    The baseline of another policy says nothing of this one's entropy: then only the second part is judged.
    Nor is the second where the baseline's own top action is above .95, nor the first where H has no upper
    end.
    """
    return _entropy(series["action_entropy"], params) or _top(series["top_action_share"], params)


def recommendation_collapse(
    series: Mapping[str, Sequence[Reading]], params: RecommendationCollapseParams
) -> Firing | None:
    """Trips where a candidate recommends one action in more than .95 of at least 30 decisions, and in the
    windows before, at least 24 of them, did not do so on average. A baseline holds no candidate, so its
    own windows are what it is compared with."""
    shares = [r for r in series["top_recommended_share"] if usable(r)]
    if not shares or shares[-1] is not series["top_recommended_share"][-1]:
        return None
    tested, before = shares[-1], shares[:-1]
    value, n = tested.estimate.value, tested.estimate.n
    if n < MIN_DECISIONS or not value > params.top or len(before) < MIN_WINDOWS:
        return None
    usual = pooled(before)
    if not usual <= params.top:
        return None
    message = (
        f"{tested.candidate_id} recommended one action in {value:.4g} of {n:.0f} decisions of "
        f"{tested.policy_id}, {clock(tested.window_start, tested.window_end)}, above {params.top:g}; in the "
        f"windows before it was {usual:.4g}."
    )
    at, state = (tested.window_start, tested.window_end), {"method": tested.estimate.method, "usual": usual}
    where = tested.key, tested.policy_id
    return Firing("recommendation_collapse", *where, *at, value, params.top, message, state)


def facts(context: Context) -> dict[str, Any]:
    """Entropy and top action of the baseline, where it is of this policy."""
    if not context.own:
        return {}
    names = {"entropy": "action_entropy", "usual_top": "top_action_share"}
    return {fact: pooled(context.healthy.of(metric)) for fact, metric in names.items()}


def _entropy(entropies: Sequence[Reading], params: EntropyCollapseParams) -> Firing | None:
    if not entropies or not usable(entropies[-1]):
        return None
    tested, limit = entropies[-1], params.ratio * params.entropy
    high = tested.estimate.high
    if not (params.entropy > 0 and high < limit):
        return None
    message = (
        f"Action entropy of {tested.policy_id}, {clock(tested.window_start, tested.window_end)}, is at most "
        f"{high:.4g} nat, below {limit:.4g}: {params.ratio:g} of the baseline's {params.entropy:.4g}."
    )
    return _firing(tested, high, limit, message)


def _top(shares: Sequence[Reading], params: EntropyCollapseParams) -> Firing | None:
    if not shares or not usable(shares[-1]):
        return None
    tested, value = shares[-1], shares[-1].estimate.value
    if tested.estimate.n < MIN_DECISIONS or not value > params.top or params.usual_top > params.top:
        return None
    message = (
        f"{tested.policy_id} took one action in {value:.4g} of {tested.estimate.n:.0f} decisions, "
        f"{clock(tested.window_start, tested.window_end)}, above {params.top:g}."
    )
    return _firing(tested, value, params.top, message)


def _firing(tested: Reading, value: float, limit: float, message: str) -> Firing:
    at, state = (tested.window_start, tested.window_end), {"method": tested.estimate.method}
    return Firing("entropy_collapse", tested.key, tested.policy_id, *at, value, limit, message, state)
