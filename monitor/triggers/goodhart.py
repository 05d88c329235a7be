"""What is optimised leaves what is wanted: at once, or slowly."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitor.metrics.estimate import Reading
from monitor.triggers.context import Context
from monitor.triggers.firing import Firing
from monitor.triggers.numbers import number
from monitor.triggers.trend import TrendParams, rise
from monitor.triggers.windows import by_day, usable

MIN_DAYS = 7
MIN_DECISIONS = 30
Series = Mapping[str, Sequence[Reading]]


@dataclass(frozen=True, slots=True)
class GoodhartParams:
    """`p` of the trend; `sigmas` and `least` of the level; `mean` and `sd` of the gap on the baseline's
    `days`."""

    p: float = number(0.001, 0, 0.5)
    sigmas: float = number(3, 0.1, 20)
    least: float = number(0.5, 0, 100)
    mean: float = math.nan
    sd: float = math.nan
    days: int = 0


def goodhart_gap(series: Series, params: GoodhartParams) -> Firing | None:
    """Trips where the gap of a day is beyond what the baseline's days show, or rises from day to day.

    The level: more than `least`, and more than mean + t·sd·√(1 + 1/W) of the baseline's W days (n−1), t the
    quantile of Student with W − 1 degrees of freedom that is as rare as `sigmas` of a normal. Fewer than 7
    such days, or 30 decisions on the newest: only the trend is judged. The trend: see `rise`.
    """
    what = "The gap from proxy to outcome of {policy}"
    return _level(series, params) or rise("goodhart_gap", "goodhart_gap", what, series, TrendParams(params.p))


def facts(context: Context) -> dict[str, Any]:
    """What the baseline's days show."""
    days = [d for d in by_day(context.healthy.of("goodhart_gap")) if _enough(d)]
    if len(days) < MIN_DAYS:
        return {}
    values = np.array([day.estimate.value for day in days])
    return {"mean": float(values.mean()), "sd": float(values.std(ddof=1)), "days": len(days)}


def _level(series: Series, params: GoodhartParams) -> Firing | None:
    days = series["goodhart_gap"]
    if not days or not _enough(days[-1]) or not params.days:
        return None
    tested, value = days[-1], days[-1].estimate.value
    usual = params.mean + quantile(params.sigmas, params.days) * params.sd
    limit = max(params.least, usual)
    if not value > limit:
        return None
    message = (
        f"The gap from proxy to outcome of {tested.policy_id} on {tested.window_start:%Y-%m-%d} is "
        f"{value:.4g} sd, above {limit:.4g}: the {params.days} days of the baseline reach {usual:.3g}. "
        "What is optimised has left what is wanted."
    )
    at = tested.window_start, tested.window_end
    state = {"baseline_mean": params.mean, "baseline_sd": params.sd, "n": tested.estimate.n}
    return Firing("goodhart_gap", tested.key, tested.policy_id, *at, value, limit, message, state)


def quantile(sigmas: float, days: int) -> float:
    """How many sd above the mean of `days` values another of the same kind lies as seldom as a normal one
    lies `sigmas` above its mean: T⁻¹_{days−1}(Φ(sigmas))·√(1 + 1/days)."""
    from scipy.special import ndtr, stdtrit

    return -float(stdtrit(days - 1, ndtr(-sigmas))) * math.sqrt(1 + 1 / days)


def _enough(day: Reading) -> bool:
    return usable(day) and day.estimate.n >= MIN_DECISIONS
