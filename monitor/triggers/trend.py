"""A daily value that rises, however slowly: Mann–Kendall, judged once a day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from monitor.metrics.estimate import Reading
from monitor.metrics.trend import MAX_DAYS, MIN_DAYS, mann_kendall
from monitor.triggers.context import Context
from monitor.triggers.firing import Firing
from monitor.triggers.numbers import number
from monitor.triggers.windows import since, usable

DAY = timedelta(days=1)
Series = Mapping[str, Sequence[Reading]]


@dataclass(frozen=True, slots=True)
class TrendParams:
    """p must lie below `p`/`n_tests`; `n_tests` series are watched together."""

    p: float = number(0.001, 0, 0.5)
    n_tests: int = 1


def constraint_trend(series: Series, params: TrendParams) -> Firing | None:
    """The violation rate of one constraint rises: see `rise`."""
    what = "The violation rate of constraint {key} on {policy}"
    return rise("constraint_trend", "violation_rate", what, series, params)


def disagreement(series: Series, params: TrendParams) -> Firing | None:
    """The candidate's disagreement with the policy in control rises: see `rise`."""
    return rise("disagreement", "disagreement", "Disagreement of {policy} with {key}", series, params)


def rise(trigger: str, metric: str, what: str, series: Series, params: TrendParams) -> Firing | None:
    """Trips where the one-sided p of an upward trend of the last 14 to 28 days is below .001/K.

    Each reading is a day. Fewer than 14 days with a number: not judged. The slope is Theil–Sen's; any
    that passes the test counts, however small.
    """
    days = series[metric]
    if not days or not usable(days[-1]):
        return None
    tested = days[-1]
    first = tested.window_start - (MAX_DAYS - 1) * DAY
    recent = [day for day in days[since(days, first) :] if usable(day)]
    if len(recent) < MIN_DAYS:
        return None
    found = mann_kendall(
        [(day.window_start - first) // DAY for day in recent], [day.estimate.value for day in recent]
    )
    level = params.p / params.n_tests
    if not found.p_up < level:
        return None
    subject = what.format(key=tested.key or tested.candidate_id, policy=tested.policy_id)
    message = (
        f"{subject} rises by {found.slope:.3g} a day over the last {found.n} days (to "
        f"{tested.estimate.value:.4g}): p {found.p_up:.2g}, below {level:.2g}."
    )
    state = {"p": found.p_up, "days": found.n, "slope_low": found.low, "slope_high": found.high}
    at = tested.window_start, tested.window_end
    return Firing(trigger, tested.key, tested.policy_id, *at, found.slope, 0.0, message, state)


def constraints(context: Context) -> dict[str, Any]:
    """How many constraints are watched together."""
    return {"n_tests": max(1, len(context.limits))}
