"""Standard errors of smooth functions of sums when decisions of one unit, and of one day, are dependent."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.metrics.sums import BUCKETS, Settings, Sums

MIN_DAYS = 7
MIN_BUCKETS = 10
HIGH_LAG_ONE = 0.3
MOST_PERSISTENT = 0.5
CANCELLED = 1e-12

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]


@dataclass(frozen=True, slots=True)
class Jackknife:
    """`value` of the statistic, its standard error `se` with `df` degrees of freedom, and `groups`:
    the sums of each non-empty bucket (of each day for time blocks), shape (groups, columns).

    `se` is NaN where there is none. `reason` is `low_units` where a gate may not use the interval.
    """

    value: float
    se: float
    df: float
    groups: Array
    method: str
    reason: str | None


def jackknife(statistic: Statistic, sums: Sums, columns: Sequence[str], settings: Settings) -> Jackknife:
    """Delete-one-group jackknife of `statistic`, which maps sums of shape (…, columns) to (…).

    Over the g non-empty buckets V_b = (g−1)/g·Σ(f₍₋ᵢ₎ − f̄)². On 7 or more days with rows the same
    over cells of day x bucket (V_bd) and over days, there times (1+r)/(1−r) for the `persistence` r of
    the f₍₋ᵢ₎ (V_d): SE² = max(V_b, V_d, V_b + V_d − V_bd), with SE⁴/(V_b²/(g_b−1) + V_d²/(g_d−1)) degrees
    of freedom where V_d > V_bd, else g_b − 1. Time blocks: SE² = V_d with g_d − 1, from 7 days on. Fewer
    than 10 buckets, or time blocks of fewer than 7 days: `low_units`. The statistic must be smooth: no
    quantile, no extreme.

    Source: Efron and Stein 1981; two-way clustering as Cameron, Gelbach and Miller 2011.
    """
    cells = np.array([sums.columns[name] for name in columns])
    total = cells.sum(axis=1)
    if not len(sums) or not np.isfinite(total).all():
        why = "non_finite" if len(sums) else "no_data"
        return Jackknife(math.nan, math.nan, math.nan, np.empty((0, len(columns))), "none", why)
    day = sums.day
    day = day - day.min()
    several = int(day.max()) >= MIN_DAYS - 1
    if settings.time_blocks:
        return _of_days(statistic, cells, total, day)
    buckets = _grouped(cells, sums.bucket)
    v_b = _variance(statistic, buckets, total)
    g_b = len(buckets)
    reason = "low_units" if g_b < MIN_BUCKETS else None
    days = _grouped(cells, day) if several else buckets[:0]
    if len(days) < MIN_DAYS:
        method = f"jackknife of {g_b} buckets"
        return Jackknife(_at(statistic, total), math.sqrt(v_b), g_b - 1, buckets, method, reason)
    v_d, said = _of_followers(delete_one(statistic, days, total))
    v_bd = _variance(statistic, _grouped(cells, day * BUCKETS + sums.bucket), total)
    square, df = two_way(v_b, v_d, v_bd, g_b, len(days))
    method = f"two-way jackknife of {g_b} buckets and {len(days)} days{said}"
    return Jackknife(_at(statistic, total), math.sqrt(square), df, buckets, method, reason)


def two_way(v_b: float, v_d: float, v_bd: float, g_b: int, g_d: int) -> tuple[float, float]:
    """SE² and degrees of freedom from the variances over buckets, days and their cells (NaN stays NaN)."""
    square = float(np.max([v_b, v_d, v_b + v_d - v_bd]))
    spread = v_b**2 / max(g_b - 1, 1) + v_d**2 / max(g_d - 1, 1)
    return square, square**2 / spread if v_d > v_bd and spread > 0 else float(g_b - 1)


def delete_one(statistic: Statistic, groups: Array, total: Array) -> Array:
    """The statistic without each group in turn, shape (groups,). What is left of a sum after
    taking nearly all of it away is rounding, and is set to 0."""
    rest = total - groups
    rest[np.abs(rest) <= CANCELLED * np.abs(total)] = 0.0
    return statistic(rest)


def variance_of(without: Array) -> float:
    """(g−1)/g·Σ(f₍₋ᵢ₎ − f̄)² of delete-one values, NaN for fewer than two groups."""
    g = len(without)
    if g < 2:
        return math.nan
    deviation = without - without.sum() / g
    return (g - 1) / g * float(deviation @ deviation)


def lag_one(values: Array) -> float:
    """Correlation of successive values: Σ d_t·d_{t+1} / Σ d_t² for deviations d from their mean; 0 where
    nothing varies."""
    deviation = values - values.sum() / len(values)
    square = float(deviation @ deviation)
    return float(deviation[1:] @ deviation[:-1]) / square if square > 0 else 0.0


def persistence(values: Array, fitted: int = 1) -> float:
    """`lag_one` without its bias, which `fitted` numbers taken out of n values bring (1: a mean, 2: a line):
    (n·ρ̂ + fitted)/(n − 2 − fitted), from 0 to .5. Source: Marriott and Pope 1954."""
    n = len(values)
    return float(np.clip((n * lag_one(values) + fitted) / (n - 2 - fitted), 0.0, MOST_PERSISTENT))


def _of_days(statistic: Statistic, cells: Array, total: Array, day: NDArray[np.int64]) -> Jackknife:
    days = _grouped(cells, day)
    value = _at(statistic, total)
    if len(days) < MIN_DAYS:
        method = f"no interval: {len(days)} of {MIN_DAYS} days"
        return Jackknife(value, math.nan, math.nan, days, method, "low_units")
    square, said = _of_followers(delete_one(statistic, days, total))
    method = f"jackknife of {len(days)} days{said}"
    return Jackknife(value, math.sqrt(square), len(days) - 1, days, method, None)


def _grouped(cells: Array, codes: NDArray[np.int64]) -> Array:
    codes = codes - codes.min()
    groups = np.array([np.bincount(codes, weights=row) for row in cells]).T
    return groups[groups.any(axis=1)]


def _variance(statistic: Statistic, groups: Array, total: Array) -> float:
    return variance_of(delete_one(statistic, groups, total))


def _at(statistic: Statistic, total: Array) -> float:
    return float(statistic(total))


def _of_followers(without: Array) -> tuple[float, str]:
    """The variance of delete-one values of days that follow each other, and what is to be said of it."""
    r, found = persistence(without), lag_one(without)
    square = variance_of(without) * (1 + r) / (1 - r)
    if not found > HIGH_LAG_ONE:
        return square, ""
    return square, f"; days follow each other (lag-1 correlation {found:.2f}), no interval is honest then"
