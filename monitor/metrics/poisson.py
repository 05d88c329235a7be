"""How often rare events happen: an exact interval for a rate."""

from __future__ import annotations

from monitor.metrics.estimate import LEVEL, Estimate, missing


def poisson_rate(events: int, exposure: float, unit: str) -> Estimate:
    """`events` in `exposure`, as a rate with its exact two-sided .95 interval.

    Ends: γ⁻¹(α/2; k)/T and γ⁻¹(1−α/2; k+1)/T, γ the regularised lower gamma function; low = 0 for
    k = 0. Events must be independent of each other. `no_data` without exposure. Source: Garwood 1936.
    """
    from scipy.special import gammaincinv

    if not exposure > 0:
        return missing("no_data", unit)
    tail = (1 - LEVEL) / 2
    low = float(gammaincinv(events, tail)) if events else 0.0
    high = float(gammaincinv(events + 1, 1 - tail))
    return Estimate(
        events / exposure, low / exposure, high / exposure, LEVEL, float(events), unit, "exact Poisson"
    )
