"""The candidate's value cannot be estimated from the log: no propensities, wrong ones, or no support."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from monitor.metrics.estimate import Reading
from monitor.triggers.firing import Firing
from monitor.triggers.numbers import number
from monitor.triggers.windows import binomial_tail, clock, pooled, since, usable

WEEK, DAY = timedelta(days=7), timedelta(days=1)
CHANCE = 0.01
Z, OFF = 4.0, 0.02
T_95 = 1.96
Series = Mapping[str, Sequence[Reading]]


@dataclass(frozen=True, slots=True)
class SupportParams:
    """`missing` is the share of decisions without a propensity that an estimate survives; `ess` the
    effective sample size that a week must reach, asked of weeks with at least `decisions`."""

    missing: float = number(0.01, 0, 1)
    ess: float = number(100, 0, 1e6)
    decisions: float = number(1000, 0, 1e9)


def support(series: Series, params: SupportParams) -> Firing | None:
    """Trips where an off-policy value is *not estimable*: propensities missing on more than .01 of the
    window (and not by chance: binomial tail below .01); mean weight of the last day off 1 by more than .02
    and 4 standard errors; an effective sample size under 100 in a week of at least 1 000 decisions.

    A log that never had a propensity is not news: the gate says so, and nothing is told here.
    """
    shares = series["missing_propensity_share"]
    if not shares or not usable(shares[-1]):
        return None
    if all(r.estimate.value == 1 for r in shares if usable(r)):
        return None
    return _missing(shares[-1], params) or _weights(series["weight_mean"]) or _ess(series["ess"], params)


def _missing(tested: Reading, params: SupportParams) -> Firing | None:
    value, n = tested.estimate.value, tested.estimate.n
    if not (value > params.missing and binomial_tail(value * n, n, params.missing) < CHANCE):
        return None
    what = f"{value:.4g} of {n:.0f} decisions have no propensity, above {params.missing:g}"
    return _firing(tested, tested.window_start, value, params.missing, what, "missing_propensity")


def _weights(means: Sequence[Reading]) -> Firing | None:
    """Mean weight of a day; its standard error from the windows' intervals, taken as independent."""
    if not means or not usable(means[-1]):
        return None
    tested = means[-1]
    recent = [r for r in means[since(means, tested.window_end - DAY) :] if usable(r)]
    n = [r.estimate.n for r in recent]
    half = [(r.estimate.high - r.estimate.low) / 2 for r in recent]
    if not all(math.isfinite(h) for h in half):
        return None
    mean = pooled(recent)
    error = math.sqrt(sum((k * h / T_95) ** 2 for k, h in zip(n, half, strict=True))) / sum(n)
    if recent[0].window_start > tested.window_end - DAY or not (abs(mean - 1) > max(OFF, Z * error)):
        return None
    limit = 1 + math.copysign(max(OFF, Z * error), mean - 1)
    side = "above" if mean > 1 else "below"
    what = f"the mean importance weight is {mean:.4g}, {side} {limit:.4g} where 1 is right"
    return _firing(tested, tested.window_end - DAY, mean, limit, what, "propensity")


def _ess(sizes: Sequence[Reading], params: SupportParams) -> Firing | None:
    """Σ of the windows' sizes, which is never less than the size of the whole week."""
    if not sizes or not usable(sizes[-1]):
        return None
    tested = sizes[-1]
    week = [r for r in sizes[since(sizes, tested.window_end - WEEK) :] if usable(r)]
    size, n = sum(r.estimate.value for r in week), sum(r.estimate.n for r in week)
    if not (n >= params.decisions and size < params.ess):
        return None
    what = f"{n:.0f} decisions are worth at most {size:.0f}, below {params.ess:g}"
    return _firing(tested, tested.window_end - WEEK, size, params.ess, what, "low_ess")


def _firing(
    tested: Reading, start: object, value: float, limit: float, what: str, reason: str
) -> Firing:
    message = (
        f"The value of {tested.candidate_id} cannot be estimated from decisions of {tested.policy_id}, "
        f"{clock(start, tested.window_end)}: {what}."  # type: ignore[arg-type]
    )
    at = tested.window_start, tested.window_end
    return Firing("support", tested.key, tested.policy_id, *at, value, limit, message, {"reason": reason})
