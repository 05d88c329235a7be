"""A model, a critic or a habit that left what the baseline's own windows show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from monitor.metrics.estimate import Reading
from monitor.triggers.context import Context, Healthy
from monitor.triggers.family import Others, among_signals, nobody
from monitor.triggers.firing import Firing
from monitor.triggers.numbers import number
from monitor.triggers.windows import clock, usable

MIN_WINDOWS = 24
MIN_DECISIONS = 30
Series = Mapping[str, Sequence[Reading]]


@dataclass(frozen=True, slots=True)
class GapParams:
    """`mean` and `sd` of the baseline's windows, NaN with fewer than 24 of them. `n_tests` features are
    watched together, and `others` gives how rare the other ones of the window are."""

    sigmas: float = number(3, 0.1, 20)
    mean: float = math.nan
    sd: float = math.nan
    n_tests: int = 1
    others: Others = nobody


def model_gap(series: Series, params: GapParams) -> Firing | None:
    """The model's error on one feature grew: see `beyond`."""
    return beyond("model_gap", "The model's error on {key}", series, params)


def critic_gap(series: Series, params: GapParams) -> Firing | None:
    """The critic promises more than comes: see `beyond`."""
    return beyond("critic_gap", "The critic's promise beyond what came", series, params)


def beyond(metric: str, what: str, series: Series, params: GapParams) -> Firing | None:
    """Trips where the newest window of at least 30 decisions is more than 3 sd above the mean of the
    baseline's windows, sd that of the windows (n−1), and among several features as rare by
    Benjamini–Hochberg. Without 24 such windows: not judged."""
    readings = series[metric]
    if not readings or not usable(readings[-1]) or readings[-1].estimate.n < MIN_DECISIONS:
        return None
    tested, limit = readings[-1], params.mean + params.sigmas * params.sd
    value = tested.estimate.value
    if not value > limit:
        return None
    seldom = rarity(value, params.mean, params.sd)
    if params.n_tests > 1 and not among_signals(seldom, params.others, params.n_tests, rarity(params.sigmas)):
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
    """What the baseline's windows show of the model, and what is seen of its other features."""
    return spread(context.healthy.of("model_gap")) | {
        "n_tests": max(1, len(context.beside())), "others": partial(context.others, _seldom),
    }  # fmt: skip


def critic_facts(context: Context) -> dict[str, Any]:
    """What the baseline's windows show of the critic."""
    return spread(context.healthy.of("critic_gap"))


def rarity(value: float, mean: float = 0.0, sd: float = 1.0) -> float:
    """How seldom a normal value lies as high: 1 − Φ((value − mean)/sd); 0 above a mean without spread."""
    from scipy.special import ndtr

    if sd == 0:
        return 0.0 if value > mean else 1.0
    return float(ndtr((mean - value) / sd))


def _seldom(series: Series, healthy: Healthy) -> float:
    readings, usual = series["model_gap"], spread(healthy.of("model_gap"))
    if not usual or not usable(readings[-1]) or readings[-1].estimate.n < MIN_DECISIONS:
        return 1.0
    return rarity(readings[-1].estimate.value, usual["mean"], usual["sd"])


def spread(readings: Sequence[Reading]) -> dict[str, Any]:
    """Mean and sd (n−1) of windows that have at least 30 decisions."""
    values = np.array([r.estimate.value for r in readings if usable(r) and r.estimate.n >= MIN_DECISIONS])
    if len(values) < MIN_WINDOWS:
        return {}
    return {"mean": float(values.mean()), "sd": float(values.std(ddof=1))}
