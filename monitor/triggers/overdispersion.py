"""Rewards of 0 and 1 that fall apart by unit: some earn nearly always, others hardly ever."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from monitor.metrics.estimate import Reading
from monitor.triggers.context import Context
from monitor.triggers.firing import Firing
from monitor.triggers.numbers import number
from monitor.triggers.windows import pooled, usable

BACK = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class OverdispersionParams:
    """It must surely be above `ratio` times the baseline's and above `least`; `usual` is the baseline's mean,
    NaN without one."""

    ratio: float = number(2, 1, 100)
    least: float = number(0.05, 0, 1)
    usual: float = math.nan


def overdispersion(series: Mapping[str, Sequence[Reading]], params: OverdispersionParams) -> Firing | None:
    """Trips where the lower end of `overdispersion_units`, of a day and the two before it, is above twice
    the baseline's mean and above .05. The counterpart of `bimodal_reward` for rewards that have no dip.

    Not judged without a baseline of three days, nor where the correlation has no interval.
    """
    found = series["overdispersion_units"]
    if not found or not found[-1].estimate.judgeable or math.isnan(params.usual):
        return None
    tested, low = found[-1], found[-1].estimate.low
    limit = max(params.least, params.ratio * params.usual)
    if not low > limit:
        return None
    message = (
        f"Rewards of one unit on {tested.policy_id} are as alike as a correlation of "
        f"{tested.estimate.value:.4g} in the three days to {tested.window_end:%Y-%m-%d %H:%M} UTC, at least "
        f"{low:.4g} and above {limit:.4g}; {params.usual:.4g} is usual. Some units earn far more than others."
    )
    at, state = (tested.window_start, tested.window_end), {"method": tested.estimate.method}
    return Firing("overdispersion", tested.key, tested.policy_id, *at, low, limit, message, state)


def facts(context: Context) -> dict[str, Any]:
    """The mean over the days of the baseline whose three days lie in it."""
    days = [r for r in context.healthy.of("overdispersion_units") if usable(r)]
    return {"usual": pooled([r for r in days if r.window_start >= days[0].window_start + BACK])}
