"""A policy that no longer logs the probabilities of its own actions, where the baseline did."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monitor.metrics.estimate import Reading
from monitor.triggers.context import Context
from monitor.triggers.firing import Firing
from monitor.triggers.numbers import number
from monitor.triggers.windows import binomial_tail, clock, pooled, usable

CHANCE = 0.01


@dataclass(frozen=True, slots=True)
class MissingPropensityParams:
    """`missing` is the share of decisions without a propensity that an estimate survives; `usual` that of
    the baseline, NaN without one."""

    missing: float = number(0.01, 0, 1)
    usual: float = math.nan


def missing_propensity(
    series: Mapping[str, Sequence[Reading]], params: MissingPropensityParams
) -> Firing | None:
    """Trips where more than .01 of the decisions of a window have no propensity, and not by chance
    (binomial tail below .01). Where the baseline's had none either, it is no news: not judged."""
    shares = series["unlogged_propensity_share"]
    if not shares or not usable(shares[-1]) or not params.usual <= params.missing:
        return None
    tested, value, n = shares[-1], shares[-1].estimate.value, shares[-1].estimate.n
    if not (value > params.missing and binomial_tail(value * n, n, params.missing) < CHANCE):
        return None
    message = (
        f"{value:.4g} of {n:.0f} decisions of {tested.policy_id}, "
        f"{clock(tested.window_start, tested.window_end)}, were logged without their propensity, above "
        f"{params.missing:g}: what another policy would have earned in them cannot be told."
    )
    at, state = (tested.window_start, tested.window_end), {"usual": params.usual}
    where = tested.key, tested.policy_id
    return Firing("missing_propensity", *where, *at, value, params.missing, message, state)


def facts(context: Context) -> dict[str, Any]:
    """How often the baseline's decisions lack their propensity."""
    return {"usual": pooled(context.healthy.of("unlogged_propensity_share"))}
