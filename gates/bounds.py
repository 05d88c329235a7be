"""The one place that compares an estimate with a limit, so that failing closed lives here alone.

PASS needs the *unfavourable* end of the interval on the right side of the limit; FAIL needs the
favourable end on the wrong side; an interval that straddles the limit is INCONCLUSIVE. An estimate
with a reason has that reason's outcome; a number that is not finite, an interval upside down or
n = 0 never passes.
"""

from __future__ import annotations

import math
from typing import Any

from gates.needs import more_decisions, needed, shown, volume, why
from gates.outcome import Finding, Outcome, finding, outcome_of_reason
from monitor.metrics.estimate import Estimate

REMEDY = "a change of the policy or of its data: more of the same decisions will not turn this"


def at_most(
    what: str,
    estimate: Estimate,
    limit: float,
    *,
    metric: str,
    key: str = "",
    per_day: float = math.nan,
    remedy: str = REMEDY,
    strict: bool = False,
) -> Finding:
    """PASS where the upper end ≤ limit, FAIL where the lower end > limit.

    `what` begins the sentence; `per_day` are decisions a day, to tell in days what is needed;
    `remedy` is what a FAIL needs; `strict` asks the upper end to be < limit.
    """
    return _bound(what, estimate, limit, 1, strict, per_day, remedy, {"metric": metric, "key": key})


def at_least(
    what: str,
    estimate: Estimate,
    limit: float,
    *,
    metric: str,
    key: str = "",
    per_day: float = math.nan,
    remedy: str = REMEDY,
    strict: bool = False,
) -> Finding:
    """PASS where the lower end ≥ limit, FAIL where the upper end < limit; otherwise as `at_most`."""
    return _bound(what, estimate, limit, -1, strict, per_day, remedy, {"metric": metric, "key": key})


def difference(first: Estimate, second: Estimate) -> Estimate:
    """first − second of two estimates that know nothing of each other: its ends take the unfavourable end
    of both, so it is wider than it need be. It may not be judged where one of the two may not."""
    reason = broken(first) or broken(second)
    value, low, high = first.value - second.value, first.low - second.high, first.high - second.low
    method = "the ends of both intervals"
    n = min(first.n, second.n)
    return Estimate(value, low, high, min(first.level, second.level), n, first.unit, method, reason)


def unjudged(what: str, estimate: Estimate, reason: str, *, limit: float = math.nan, **names: Any) -> Finding:
    """The finding of an estimate that is shown and not judged, for `reason`."""
    needs = names.pop("needs", "") or needed(reason)
    compared = f" with the limit {shown(limit)}" if math.isfinite(limit) else ""
    if math.isfinite(estimate.value):
        message = f"{what} is {interval(estimate)}, not compared{compared}: {why(reason)}."
    else:
        message = f"{what} cannot be told and compared{compared}: {why(reason)}."
    return finding(
        outcome_of_reason(reason), message, needs, reason=reason, limit=limit, **numbers(estimate), **names
    )


def interval(estimate: Estimate) -> str:
    """`0.41 (0.38 to 0.44)`, the value alone where it is exact, and `not known` where there is none."""
    if math.isnan(estimate.value):
        return "not known"
    if estimate.low == estimate.high == estimate.value:
        return shown(estimate.value)
    return f"{shown(estimate.value)} ({shown(estimate.low)} to {shown(estimate.high)})"


def numbers(estimate: Estimate) -> dict[str, Any]:
    """The fields of a finding that come from its estimate."""
    return {
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "n": estimate.n,
        "unit": estimate.unit,
        "method": estimate.method,
    }


def broken(estimate: Estimate) -> str | None:
    """Why an estimate may not be compared: its reason, `non_finite`, `no_data`; None if it may."""
    if estimate.reason is not None:
        return estimate.reason
    if not all(map(math.isfinite, (estimate.value, estimate.low, estimate.high))):
        return "non_finite"
    if not estimate.n > 0:
        return "no_data"
    return "non_finite" if estimate.low > estimate.high else None


def _bound(
    what: str,
    estimate: Estimate,
    limit: float,
    sign: int,
    strict: bool,
    per_day: float,
    remedy: str,
    names: dict[str, Any],
) -> Finding:
    reason = broken(estimate) or (None if math.isfinite(limit) else "non_finite")
    if reason is not None:
        return unjudged(what, estimate, reason, limit=limit, **names)
    bad, good = (estimate.high, estimate.low) if sign > 0 else (estimate.low, estimate.high)
    bound = f"{'at most' if sign > 0 else 'at least'} {shown(limit)}"
    if strict:
        bound = f"{'below' if sign > 0 else 'above'} {shown(limit)}"
    says = f"{what} is {interval(estimate)}"
    if sign * (limit - bad) > 0 or (not strict and limit == bad):
        outcome, message, needs, reason = Outcome.PASS, f"{says}: {bound}.", "", None
    elif sign * (limit - good) < 0:
        outcome, message, needs, reason = Outcome.FAIL, f"{says}: not {bound}.", remedy, "limit"
    else:
        outcome, reason = Outcome.INCONCLUSIVE, "straddles"
        message = f"{says}: the interval does not settle whether it is {bound}."
        needs = volume(more_decisions(estimate, bad, limit), per_day) or (
            "more decisions, which can only settle it: the value itself is on the wrong side"
        )
    return finding(outcome, message, needs, reason=reason, limit=limit, **numbers(estimate), **names)
