"""A model, a critic or a habit that left what the baseline's own windows show."""

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
from monitor.triggers.windows import clock, usable

MIN_WINDOWS = 24
MIN_DECISIONS = 30
Series = Mapping[str, Sequence[Reading]]


@dataclass(frozen=True, slots=True)
class GapParams:
    """`mean` and `sd` of the baseline's windows, NaN with fewer than 24 of them."""

    sigmas: float = number(3, 0.1, 20)
    mean: float = math.nan
    sd: float = math.nan


def model_gap(series: Series, params: GapParams) -> Firing | None:
    """The model's error on one feature grew: see `beyond`."""
    return beyond("model_gap", "The model's error on {key}", series, params)


def critic_gap(series: Series, params: GapParams) -> Firing | None:
    """The critic promises more than comes: see `beyond`."""
    return beyond("critic_gap", "The critic's promise beyond what came", series, params)


def beyond(metric: str, what: str, series: Series, params: GapParams) -> Firing | None:
    """Trips where the newest window of at least 30 decisions is more than 3 sd above the mean of the
    baseline's windows, sd that of the windows (n−1). Without 24 such windows: not judged."""
    readings = series[metric]
    if not readings or not usable(readings[-1]) or readings[-1].estimate.n < MIN_DECISIONS:
        return None
    tested, limit = readings[-1], params.mean + params.sigmas * params.sd
    value = tested.estimate.value
    if not value > limit:
        return None
    message = (
        f"{what.format(key=tested.key)} of {tested.policy_id}, "
        f"{clock(tested.window_start, tested.window_end)}, is {value:.4g} sd, above {limit:.4g}: "
        f"{params.sigmas:g} x {params.sd:.3g} over the mean {params.mean:.4g} of the baseline's windows."
    )
    at = tested.window_start, tested.window_end
    state = {"baseline_mean": params.mean, "baseline_sd": params.sd}
    return Firing(metric, tested.key, tested.policy_id, *at, value, limit, message, state)


def model_facts(context: Context) -> dict[str, Any]:
    """What the baseline's windows show of the model."""
    return spread(context.healthy.of("model_gap"))


def critic_facts(context: Context) -> dict[str, Any]:
    """What the baseline's windows show of the critic."""
    return spread(context.healthy.of("critic_gap"))


def spread(readings: Sequence[Reading]) -> dict[str, Any]:
    """Mean and sd (n−1) of windows that have at least 30 decisions."""
    values = np.array([r.estimate.value for r in readings if usable(r) and r.estimate.n >= MIN_DECISIONS])
    if len(values) < MIN_WINDOWS:
        return {}
    return {"mean": float(values.mean()), "sd": float(values.std(ddof=1))}
