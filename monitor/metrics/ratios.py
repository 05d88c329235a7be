"""Where zero, NaN and infinity are handled, once, for every metric."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from monitor.metrics.estimate import LEVEL, Estimate, exact, missing


def divide(numerator: ArrayLike, denominator: ArrayLike) -> NDArray[np.float64]:
    """numerator / denominator, NaN where the denominator is 0. Shapes broadcast, nothing is raised."""
    if isinstance(numerator, float) and isinstance(denominator, float):
        return np.asarray(float(numerator) / float(denominator) if denominator else math.nan)
    below = np.asarray(denominator, dtype=np.float64)
    with np.errstate(all="ignore"):
        return np.asarray(numerator / np.where(below == 0.0, np.nan, below), dtype=np.float64)


def finish(
    value: float, low: float, high: float, n: float, unit: str, method: str, reason: str | None = None
) -> Estimate:
    """An Estimate at .95, or one with a reason: `no_data` without rows, `non_finite` without a number.

    An end of the interval that is not finite becomes NaN, which a gate never passes.
    """
    if not n > 0:
        return missing("no_data", unit)
    if not math.isfinite(value):
        return missing(reason or "non_finite", unit, n, method)
    low, high = (end if math.isfinite(end) else math.nan for end in (low, high))
    return Estimate(float(value), float(low), float(high), LEVEL, float(n), unit, method, reason)


def share(part: float, whole: float, method: str = "counted") -> Estimate:
    """part / whole of rows that were all counted: known without sampling error."""
    if not whole > 0:
        return missing("no_data", "share")
    return exact(float(divide(part, whole)), whole, "share", method)
