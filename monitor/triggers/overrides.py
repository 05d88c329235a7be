"""People take over more often than they did in the baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monitor.metrics.estimate import Reading
from monitor.triggers.context import Context
from monitor.triggers.firing import Firing
from monitor.triggers.numbers import number
from monitor.triggers.windows import binomial_tail, clock, decisions, pooled, usable

CHANCE = 0.01


@dataclass(frozen=True, slots=True)
class OverridesParams:
    """`rate` of the baseline in `decisions`; NaN without one."""

    ratio: float = number(3, 1, 1000)
    rate: float = math.nan
    decisions: float = 0.0


def overrides(series: Mapping[str, Sequence[Reading]], params: OverridesParams) -> Firing | None:
    """Trips where the share of overridden decisions is above 3 times the baseline's, and the binomial tail
    at that share is below .01. A baseline without an override counts as one with half an override."""
    readings = series["override_rate"]
    if not readings or not usable(readings[-1]) or not params.decisions > 0:
        return None
    tested = readings[-1]
    limit = min(1.0, params.ratio * max(params.rate, 0.5 / params.decisions))
    value, n = tested.estimate.value, tested.estimate.n
    if not (value > limit and binomial_tail(value * n, n, limit) < CHANCE):
        return None
    message = (
        f"People took over {value:.4g} of {n:.0f} decisions of {tested.policy_id}, "
        f"{clock(tested.window_start, tested.window_end)}, above {limit:.4g}: {params.ratio:g} times the "
        f"baseline's {params.rate:.4g}."
    )
    at = tested.window_start, tested.window_end
    return Firing("overrides", tested.key, tested.policy_id, *at, value, limit, message)


def facts(context: Context) -> dict[str, Any]:
    """How often people took over in the baseline."""
    readings = context.healthy.of("override_rate")
    return {"rate": pooled(readings), "decisions": float(sum(decisions(r) for r in readings))}
