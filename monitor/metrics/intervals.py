"""Intervals at .95: t for smooth functions of sums, Clopper–Pearson at an effective size for 0/1 outcomes.

Where `Settings.n_star` is set, both are confidence sequences: they hold however often one looks.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from monitor.metrics.estimate import LEVEL, Estimate
from monitor.metrics.jackknife import Array, Jackknife
from monitor.metrics.ratios import divide, finish
from monitor.metrics.sequence import multiplier, t_multiplier
from monitor.metrics.sums import Settings, Sums

ALPHA = 1 - LEVEL
Z = 1.959963984540054
FEW_GROUPS = 20
FEW_SHARE = 0.8
FIRST_DECISIONS = 200
FIRST_BUCKETS = 20
FARTHEST = 37.0
NEARLY_NOTHING = 1e-9
ONE_LOOK = Settings()


def t_interval(jack: Jackknife, n: float, unit: str, settings: Settings) -> Estimate:
    """value ± t·SE with the jackknife's degrees of freedom, two-sided .95; NaN ends without an SE.

    As a confidence sequence: value ± T⁻¹_df(Φ(m))·SE, and `first_look` where it is too early for a
    look: fewer than 200 decisions, 20 buckets (with time blocks, 7 days: `low_units`) or 1/1900 of n*.
    """
    margin = standard_errors(jack.df, n, settings) * jack.se
    reason = jack.reason
    if settings.n_star is not None and reason is None:
        few = n < FIRST_DECISIONS or (not settings.time_blocks and len(jack.groups) < FIRST_BUCKETS)
        reason = "first_look" if few or farthest(n, settings) >= FARTHEST else None
    method = looks(settings) + jack.method
    return finish(jack.value, jack.value - margin, jack.value + margin, n, unit, method, reason)


def standard_errors(df: float, n: float, settings: Settings) -> float:
    """How many standard errors a two-sided .95 interval has on each side of an estimate.

    Student's t quantile, for one look; the confidence sequence's T⁻¹_df(Φ(m)) after n decisions
    where `n_star` is set. NaN for df that is not positive.
    """
    if settings.n_star is None:
        return t_quantile(df, 1 - ALPHA / 2 / settings.at_once)
    return t_multiplier(farthest(n, settings), df) if df > 0 and n > 0 else math.nan


def alpha_of(n: float, settings: Settings) -> float:
    """The level that an exact interval takes: .05 for one look, 2Φ(−m) in a confidence sequence."""
    from scipy.special import ndtr

    if settings.n_star is None:
        return ALPHA / settings.at_once
    return 2 * float(ndtr(-farthest(n, settings))) if n > 0 else 0.0


def farthest(n: float, settings: Settings) -> float:
    """m of the confidence sequence after n decisions, 1.96 for one look at one interval.

    No more than 37, beyond which Φ(−m) is no number any more: at 1e-299 a union over all looks
    that anybody could take stays far below α.
    """
    if settings.n_star is None:
        return Z if settings.at_once == 1 else -_normal_quantile(ALPHA / 2 / settings.at_once)
    return min(multiplier(n, settings.n_star, ALPHA / settings.at_once), FARTHEST)


def _normal_quantile(level: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(level))


def looks(settings: Settings) -> str:
    """What `method` says of an interval that holds at every look; nothing for one look."""
    if settings.n_star is None:
        return ""
    return f"confidence sequence tightest at {settings.n_star:.6g} decisions, "


def zero_one_interval(
    jack: Jackknife,
    events: Array,
    others: Array,
    effective: float,
    units: float,
    n: float,
    unit: str,
    settings: Settings,
) -> Estimate:
    """Clopper–Pearson interval of a share v of 0/1 outcomes, clusters taken into account.

    N* = min(v(1−v)/SE²·(1.96/t)², `effective`). `events` and `others` are the events and
    non-events of each group; where fewer than 20 groups and fewer than 80 % of them hold an event
    (or a non-event, the same rule at the other end), also N* ≤ `units`, the Kish number of units.
    Zero events in n independent decisions: upper end 3.7/n. As a confidence sequence: the same at
    level 2Φ(−m), with m and T⁻¹_df(Φ(m)) for 1.96 and t, valid from the first row.
    """
    value = min(max(jack.value, 0.0), 1.0)
    size = effective_size(value, jack, effective, n, settings)
    if few(events) or few(others):
        size = min(size, units)
    low, high = clopper_pearson(size * value, size, alpha_of(n, settings))
    method = jack.method
    if math.isfinite(size):
        method = f"{looks(settings)}Clopper-Pearson at {size:.6g} effective decisions, {method}"
    return finish(jack.value, low, high, n, unit, method, jack.reason)


def few(events: Array) -> bool:
    """Whether fewer than 20 groups and fewer than 80 % of them hold an event."""
    holding = int((events > 0).sum())
    return holding < FEW_GROUPS and holding < FEW_SHARE * len(events)


def effective_size(
    value: float, jack: Jackknife, effective: float, n: float = 1.0, settings: Settings = ONE_LOOK
) -> float:
    """N* = min(v(1−v)/SE²·(1.96/t)², effective); NaN without a standard error.

    In a confidence sequence m stands for 1.96 and T⁻¹_df(Φ(m)) for t.
    """
    if not math.isfinite(jack.se):
        return math.nan
    spread = value * (1 - value)
    if not (spread > 0 and jack.se > 0):
        return effective
    sure = farthest(n, settings) / standard_errors(jack.df, n, settings)
    return min(max(spread / jack.se**2 * sure**2, NEARLY_NOTHING), effective)


def clopper_pearson(x: float, n: float, alpha: float = ALPHA) -> tuple[float, float]:
    """Beta(α/2; x, n−x+1) to Beta(1−α/2; x+1, n−x), for real x events in n; 0 or 1 at the edges.

    NaN for an n that is not a positive number. Source: Clopper and Pearson 1934.
    """
    from scipy.special import betaincinv

    if not n > 0 or not math.isfinite(n):
        return math.nan, math.nan
    low = float(betaincinv(x, n - x + 1, alpha / 2)) if x > 0 else 0.0
    high = float(betaincinv(x + 1, n - x, 1 - alpha / 2)) if n - x > 0 else 1.0
    return low, high


def kish(
    sums: Sums, weight: str, units: Sums | None, prefix: str, groups: Array, settings: Settings
) -> float:
    """Kish number of units (Σw_u)²/Σw_u².

    From the table of units (columns `prefix`1 and `prefix`2) where it was read; with time blocks,
    hours stand for units; where rows were declared independent, each is a unit of its own and
    there is no bound. Otherwise the number of non-empty buckets: each holds a unit or more.
    """
    if settings.independent:
        return math.inf
    if settings.time_blocks:
        hourly = np.bincount(sums.hour - sums.hour.min(), weights=sums.columns[weight])
        return kish_size(float(hourly.sum()), float(hourly @ hourly))
    if units is not None and len(units):
        return kish_size(units.total(f"{prefix}1"), units.total(f"{prefix}2"))
    return float(len(groups))


def kish_size(first: float, second: float) -> float:
    """(Σw)²/Σw², the size of an equally weighted sample as precise; NaN without weight."""
    return float(divide(first**2, second))


@lru_cache(maxsize=4096)
def t_quantile(df: float, upper: float = 1 - ALPHA / 2) -> float:
    """Student's t quantile at `upper`; NaN for df that is not positive."""
    from scipy.special import stdtrit

    return float(stdtrit(df, upper)) if df > 0 else math.nan
