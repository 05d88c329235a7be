"""A daily value that rises, however slowly: Mann–Kendall, judged once a day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from monitor.metrics.estimate import Reading
from monitor.metrics.trend import MAX_DAYS, MIN_DAYS, MannKendall, mann_kendall
from monitor.triggers.context import Context, Healthy
from monitor.triggers.family import Others, among_signals, nobody
from monitor.triggers.firing import Firing
from monitor.triggers.numbers import number
from monitor.triggers.windows import since, usable

DAY = timedelta(days=1)
Series = Mapping[str, Sequence[Reading]]


@dataclass(frozen=True, slots=True)
class TrendParams:
    """p must be below `p` by Benjamini–Hochberg: `n_tests` series are watched together, and `others` gives
    the p-values of those that were judged on the same day."""

    p: float = number(0.001, 0, 0.5)
    n_tests: int = 1
    others: Others = nobody


def constraint_trend(series: Series, params: TrendParams) -> Firing | None:
    """The violation rate of one constraint rises: see `rise`."""
    what = "The violation rate of constraint {key} on {policy}"
    return rise("constraint_trend", "violation_rate", what, series, params)


def disagreement(series: Series, params: TrendParams) -> Firing | None:
    """The candidate's disagreement with the policy in control rises: see `rise`."""
    return rise("disagreement", "disagreement", "Disagreement of {policy} with {key}", series, params)


def rise(trigger: str, metric: str, what: str, series: Series, params: TrendParams) -> Firing | None:
    """Trips where the one-sided p of an upward trend of the last 14 to 28 days is below .001, by
    Benjamini–Hochberg among the K series that are watched together.

    Each reading is a day. Fewer than 14 days with a number: not judged. The slope is Theil–Sen's; any
    that passes the test counts, however small.
    """
    found, days = trend_of(series[metric]), series[metric]
    if found is None or not among_signals(found.p_up, params.others, params.n_tests, params.p):
        return None
    tested = days[-1]
    subject = what.format(key=tested.key or tested.candidate_id, policy=tested.policy_id)
    among = f" among {params.n_tests}" if params.n_tests > 1 else ""
    message = (
        f"{subject} rises by {found.slope:.3g} a day over the last {found.n} days (to "
        f"{tested.estimate.value:.4g}): p {found.p_up:.2g}, below {params.p:.2g}{among}."
    )
    state = {"p": found.p_up, "days": found.n, "slope_low": found.low, "slope_high": found.high}
    at = tested.window_start, tested.window_end
    return Firing(trigger, tested.key, tested.policy_id, *at, found.slope, 0.0, message, state)


def trend_of(days: Sequence[Reading]) -> MannKendall | None:
    """The trend of the 28 days up to the newest; None where it, or more than half of them, has no number."""
    if not days or not usable(days[-1]):
        return None
    first = days[-1].window_start - (MAX_DAYS - 1) * DAY
    recent = [day for day in days[since(days, first) :] if usable(day)]
    if len(recent) < MIN_DAYS:
        return None
    return mann_kendall(
        [(day.window_start - first) // DAY for day in recent], [day.estimate.value for day in recent]
    )


def constraints(context: Context) -> dict[str, Any]:
    """How many constraints are watched together, and the trends of the others."""
    return {"n_tests": max(1, len(context.limits)), "others": partial(context.others, _chance)}


def _chance(series: Series, healthy: Healthy) -> float:
    found = trend_of(series["violation_rate"])
    return found.p_up if found else 1.0
