"""Trend of daily values: Mann–Kendall test and Theil–Sen slope."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from monitor.metrics.estimate import LEVEL, Estimate, missing
from monitor.metrics.jackknife import Array, persistence
from monitor.metrics.sequence import multiplier

MIN_DAYS = 14
MAX_DAYS = 28
SIGNIFICANT = 1.959963984540054


@dataclass(frozen=True, slots=True)
class MannKendall:
    """Trend of `n` daily values: one-sided p of an upward and of a downward trend, and the
    Theil–Sen slope per day with Sen's two-sided .95 interval (NaN where it has no end)."""

    p_up: float
    p_down: float
    slope: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Score:
    """`s` = Σ_{i<j} sign(x_j − x_i), its variance (ties and serial correlation taken into account),
    and z with continuity correction."""

    s: float
    variance: float
    z: float


def mann_kendall(days: ArrayLike, values: ArrayLike) -> MannKendall:
    """Mann–Kendall test and Theil–Sen slope of daily values; `days` (whole days) give the spacing.

    p from z of `score`; both p are 1 where nothing varies or there are fewer than two days. It
    answers for any number of days: a rule asks for `n` ≥ MIN_DAYS of its own accord. Days may come in
    any order, each once. Raises ValueError for values that are not finite.
    Source: Mann 1945; Kendall 1975; Theil 1950; Sen 1968.
    """
    from scipy.special import ndtr

    t, x = _in_order(days, values)
    found = score(t, x)
    if not found.variance > 0:
        return MannKendall(1.0, 1.0, _median(_slopes(t, x)), math.nan, math.nan, len(x))
    low, high = _sen(_slopes(t, x), found.variance, SIGNIFICANT)
    up, down = float(ndtr(-found.z)), float(ndtr(found.z))
    return MannKendall(up, down, _median(_slopes(t, x)), low, high, len(x))


def score(days: ArrayLike, values: ArrayLike) -> Score:
    """S = Σ_{i<j} sign(x_j − x_i) with Var = [n(n−1)(2n+5) − Σt(t−1)(2t+5)]/18 over ties of size t,
    times max(1, Hamed–Rao), and z = (S ∓ 1)/√Var (0 without variance).

    Raises ValueError for values that are not finite. Source: Kendall 1975; Hamed and Rao 1998.
    """
    t, x = _in_order(days, values)
    s = float(np.sign(_pairs(x)).sum())
    variance = _tied_variance(x) * max(1.0, hamed_rao(x, t))
    return Score(s, variance, float((s - np.sign(s)) / math.sqrt(variance)) if variance > 0 else 0.0)


def slope(
    days: ArrayLike, values: ArrayLike, unit: str = "", tightest_at: float | None = None
) -> Estimate:
    """Theil–Sen slope, the median of (x_j − x_i)/(t_j − t_i), in `unit` per day.

    Interval: Sen's, the slopes of rank (N ∓ C)/2 with C = z·√Var(S), N pairs, Var(S) as in
    `score`, or that of days which follow each other as their `persistence` says, if larger. Fewer than
    14 days: `low_n`. z is 1.96 for one look; with `tightest_at`, a number of days, m of the confidence
    sequence whose n is Σ(t − t̄)², which is what the precision of a slope grows with: a mixture over
    slopes, flat over levels; `low_n` too where the days there are leave an end open.
    Source: Theil 1950; Sen 1968.
    """
    per_day = f"{unit} per day".strip()
    t, x = np.asarray(days, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if not len(x):
        return missing("no_data", per_day)
    if not (np.isfinite(x).all() and np.isfinite(t).all()):
        return missing("non_finite", per_day, len(x))
    if len(np.unique(t)) < MIN_DAYS:
        return missing("low_n", per_day, len(x))
    t, x = _in_order(t, x)
    slopes = _slopes(t, x)
    z, method = SIGNIFICANT, f"Theil-Sen slope of {len(x)} days, Sen's interval"
    if tightest_at is not None:
        z = multiplier(float(((t - t.mean()) ** 2).sum()), (tightest_at**3 - tightest_at) / 12)
        method = f"confidence sequence tightest at {tightest_at:.6g} days, {method}"
    low, high = _sen(slopes, _tied_variance(x) * max(1.0, hamed_rao(x, t), _of_followers(x, t)), z)
    reason = "low_n" if tightest_at is not None and math.isnan(low + high) else None
    return Estimate(float(np.median(slopes)), low, high, LEVEL, len(x), per_day, method, reason)


def hamed_rao(values: ArrayLike, days: ArrayLike) -> float:
    """Factor by which serial correlation inflates Var(S), which may be below 1.

    1 + 2/(n(n−1)(n−2))·Σ_i (n−i)(n−i−1)(n−i−2)·ρ_i over lags i whose ρ_i, the autocorrelation of
    the ranks of the values without their slope, lies beyond ±1.96/√n.
    """
    x, t = _finite(values), _finite(days)
    n = len(x)
    if n < 3:
        return 1.0
    deviation = _flat_ranks(t, x)
    square = float(deviation @ deviation)
    if not square > 0:
        return 1.0
    rho = np.correlate(deviation, deviation, "full")[n:] / square
    return _inflation(np.where(np.abs(rho) > SIGNIFICANT / math.sqrt(n), rho, 0.0))


def _of_followers(x: Array, t: Array) -> float:
    """The factor of `hamed_rao` for ρ_i = r^i, r the persistence of the ranks without their slope."""
    r = persistence(_flat_ranks(t, x), fitted=2)
    return _inflation(np.power(r, np.arange(1, len(x)), dtype=np.float64))


def _flat_ranks(t: Array, x: Array) -> Array:
    ranks = _ranks(x - np.median(_slopes(t, x)) * t)
    return ranks - ranks.mean()


def _inflation(rho: Array) -> float:
    n = len(rho) + 1
    lag = np.arange(1, n)
    return float(1 + 2 / (n * (n - 1) * (n - 2)) * ((n - lag) * (n - lag - 1) * (n - lag - 2) @ rho))


def _sen(slopes: Array, variance: float, z: float) -> tuple[float, float]:
    width = z * math.sqrt(variance)
    lower = math.floor((len(slopes) - width) / 2) - 1
    upper = math.ceil((len(slopes) + width) / 2)
    low = float(slopes[lower]) if lower >= 0 else math.nan
    return low, float(slopes[upper]) if upper < len(slopes) else math.nan


def _median(slopes: Array) -> float:
    return float(np.median(slopes)) if len(slopes) else math.nan


def _in_order(days: ArrayLike, values: ArrayLike) -> tuple[Array, Array]:
    t, x = _finite(days), _finite(values)
    order = np.argsort(t, kind="stable")
    return t[order], x[order]


def _pairs(x: Array) -> Array:
    i, j = np.triu_indices(len(x), 1)
    return x[j] - x[i]


def _slopes(t: Array, x: Array) -> Array:
    step = _pairs(t)
    return np.sort(_pairs(x)[step != 0] / step[step != 0])


def _tied_variance(x: Array) -> float:
    n = len(x)
    ties = np.unique(x, return_counts=True)[1].astype(np.float64)
    return float((n * (n - 1) * (2 * n + 5) - (ties * (ties - 1) * (2 * ties + 5)).sum()) / 18)


def _ranks(x: Array) -> Array:
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def _finite(values: ArrayLike) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError("a trend needs finite values; leave out the days that have none")
    return array
