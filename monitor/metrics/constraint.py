"""How often a constraint is violated, or what it costs, and how far the values of windows spread."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from monitor.metrics.estimate import Estimate, exact, missing
from monitor.metrics.intervals import kish, kish_size, t_interval, zero_one_interval
from monitor.metrics.jackknife import jackknife
from monitor.metrics.ratios import divide
from monitor.metrics.sums import Settings, Sums

MAX_UNKNOWN = 0.01
PRESSURE_STEP = 0.01


def violation_rate(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """v_k = Σ(1{cost>0}/k)/Σ(1/k) over decisions whose cost is known, with the interval of a share.

    The sums are those of one constraint. Cost unknown on more than 1 % of the decisions:
    `missing_cost`, since what was not logged cannot be called kept.
    """
    sums = states["constraint"]
    n, unknown = sums.total("n"), sums.total("n_null")
    if not n > 0:
        return missing("no_data", "share")
    jack = jackknife(lambda x: divide(x[..., 0], x[..., 1]), sums, ("v1", "k1", "x", "n"), settings)
    violations, known = jack.groups[:, 2], jack.groups[:, 3]
    units = kish(sums, "k1", states.get("units"), "k", jack.groups, settings)
    effective = kish_size(sums.total("k1"), sums.total("k2"))
    found = zero_one_interval(jack, violations, known - violations, effective, units, n, "share", settings)
    return found.because("missing_cost") if unknown > MAX_UNKNOWN * (n + unknown) else found


def mean_cost(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """v_k = Σ(cost/k)/Σ(1/k) over decisions whose cost is known, in units of the cost.

    Cost unknown on more than 1 % of the decisions: `missing_cost`.
    """
    sums = states["constraint"]
    n, unknown = sums.total("n"), sums.total("n_null")
    if not n > 0:
        return missing("no_data", "cost")
    jack = jackknife(lambda x: divide(x[..., 0], x[..., 1]), sums, ("c1", "k1"), settings)
    found = t_interval(jack, n, "cost", settings)
    return found.because("missing_cost") if unknown > MAX_UNKNOWN * (n + unknown) else found


def constraint_pressure(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """λ of `pressure` after the windows of these sums, v_k their rates, mean costs, or mean costs of the
    episodes that ended in them, as the constraint is measured: how long and how far it was beyond its
    limit. 0 while it is kept; counted, in units of η times v_k."""
    sums = states["episode_cost" if settings.episode_cost else "constraint"]
    n = sums.total("n")
    if not n > 0:
        return missing("no_data", "pressure")
    if not np.isfinite(n):
        return missing("non_finite", "pressure")
    part = sums.columns["c1" if settings.mean_cost or settings.episode_cost else "v1"]
    _, window = np.unique(sums.hour // settings.window_hours, return_inverse=True)
    weights = np.bincount(window, weights=sums.columns["k1"])
    values = divide(np.bincount(window, weights=part), weights)[weights != 0]
    method = f"folded over {len(values)} windows, step {PRESSURE_STEP:g}"
    return exact(pressure(values, settings.limit), n, "pressure", method)


def pressure(values: ArrayLike, limit: float, step: float = PRESSURE_STEP) -> float:
    """λ ← max(0, λ + η(v − d)) over the values v of windows, oldest first; λ₀ = 0, η = `step`.

    The multiplier of a Lagrangian, as dual ascent would set it. NaN where a value is NaN.
    """
    found = 0.0
    for value in np.asarray(values, dtype=np.float64).tolist():
        found = value if value != value else max(0.0, found + step * (value - limit))
    return found


def variance_inflation(rates: ArrayLike, n: ArrayLike) -> float:
    """φ = max(1, variance of window rates ÷ its binomial value), for windows of any size.

    `rates` v_i and decisions n_i of W windows: Σ n_i(v_i − v̄)²/(v̄(1−v̄))/(W−1), v̄ the pooled
    rate (Pearson's dispersion). 1.0 where there are fewer than two windows or nothing varies.
    """
    v, size = np.asarray(rates, dtype=np.float64), np.asarray(n, dtype=np.float64)
    used = np.isfinite(v) & (size > 0)
    v, size = v[used], size[used]
    if len(v) < 2:
        return 1.0
    pooled = float(size @ v / size.sum())
    dispersion = float(divide(size @ (v - pooled) ** 2, pooled * (1 - pooled) * (len(v) - 1)))
    return max(1.0, dispersion) if np.isfinite(dispersion) else 1.0
