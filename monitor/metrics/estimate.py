"""What every metric returns: a value with its interval, never a bare float."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its uncertainty.

    `value`, `low` and `high` are in `unit`; `low` to `high` is the two-sided interval at `level`
    (NaN where there is none); `n` counts the decisions behind it; `method` names how the interval
    was made. `reason` is None for a number that may be judged. With a reason the value is shown
    and never judged: the reason says why (`low_n`, `missing_propensity`, `baseline_missing` …).
    """

    value: float
    low: float
    high: float
    level: float
    n: float
    unit: str
    method: str
    reason: str | None = None

    @property
    def judgeable(self) -> bool:
        """True where value may be compared with a limit: no reason and a finite value."""
        return self.reason is None and math.isfinite(self.value)

    def because(self, reason: str) -> Estimate:
        """The same numbers, not to be judged for `reason` (the first reason given stays)."""
        return self if self.reason else replace(self, reason=reason)


def missing(reason: str, unit: str = "", n: float = 0.0, method: str = "none") -> Estimate:
    """An estimate that could not be made, with the reason."""
    return Estimate(math.nan, math.nan, math.nan, LEVEL, n, unit, method, reason)


def exact(value: float, n: float, unit: str, method: str = "exact") -> Estimate:
    """A count or an extreme, known without sampling error: its interval is the value itself.
    `non_finite` where it, or n, is not a finite number."""
    if not math.isfinite(value + n):
        return missing("non_finite", unit, n, method)
    return Estimate(value, value, value, LEVEL, n, unit, method)


@dataclass(frozen=True, slots=True)
class Reading:
    """An estimate of one metric for one policy in one window: a row of the table `readings`.

    `key` is the constraint, feature or segment ("" where the metric has none); `candidate_id` is
    "" for metrics of the controlling policy alone. Times are aware UTC datetimes.
    """

    estimate: Estimate
    metric: str
    key: str
    policy_id: str
    candidate_id: str
    window_start: datetime
    window_end: datetime
