"""Shape of the reward's distribution from sums of powers: skewness, kurtosis, Sarle's coefficient."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from monitor.metrics.estimate import Estimate, missing
from monitor.metrics.intervals import t_interval
from monitor.metrics.jackknife import Array, jackknife
from monitor.metrics.ratios import divide
from monitor.metrics.sums import Settings, Sums

ROUNDING_3 = 1e-8
ROUNDING_4 = 1e-6


def reward_skewness(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """G1 = g1·√(n(n−1))/(n−2), g1 = m₃/m₂^1.5 with moments about the mean weighted by 1/k.

    `low_n` under 3 rewards; `non_finite` where m₂ is under 1e-8 of the mean square about the middle
    of `reward.range`: all rewards equal, or too little left of the sums after rounding.
    Source: Joanes and Gill 1998.
    """
    return _shape(_skewness, 3, states["reward"], settings)


def reward_kurtosis(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Excess kurtosis G2 = (n−1)/((n−2)(n−3))·((n+1)g2 + 6), g2 = m₄/m₂² − 3, weighted by 1/k.

    `low_n` under 4 rewards; `non_finite` as for `reward_skewness`, from 1e-6 on.
    Source: Joanes and Gill 1998.
    """
    return _shape(_kurtosis, 4, states["reward"], settings)


def sarle(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Sarle's bimodality coefficient (G1² + 1)/(G2 + 3(n−1)²/((n−2)(n−3))): 5/9 for a uniform
    distribution, larger for two modes and for skewed ones. Shown beside the dip, decides nothing."""
    return _shape(_sarle, 4, states["reward"], settings, "coefficient")


def _shape(
    statistic: Callable[[Array], Array], fewest: int, sums: Sums, settings: Settings, unit: str = "moment"
) -> Estimate:
    n = sums.total("n_reward")
    if not n > 0:
        return missing("no_data", unit)
    if n < fewest:
        return missing("low_n", unit, n)
    jack = jackknife(statistic, sums, ("r1", "r2", "r3", "r4", "k1", "n_reward"), settings)
    return t_interval(jack, n, unit, settings)


def _moments(x: Array, rounding: float) -> tuple[Array, Array, Array, Array]:
    """m₂, m₃, m₄ about the mean and n; m₂ is NaN where rounding has eaten it."""
    m, s2, s3, s4 = (divide(x[..., power], x[..., 4]) for power in range(4))
    m2 = s2 - m**2
    m2 = np.where(m2 > rounding * s2, m2, np.nan)
    return m2, s3 - 3 * m * s2 + 2 * m**3, s4 - 4 * m * s3 + 6 * m**2 * s2 - 3 * m**4, x[..., 5]


def _skewness(x: Array, rounding: float = ROUNDING_3) -> Array:
    m2, m3, _, n = _moments(x, rounding)
    return m3 / m2**1.5 * divide(np.sqrt(np.maximum(n * (n - 1), 0.0)), n - 2)


def _kurtosis(x: Array) -> Array:
    m2, _, m4, n = _moments(x, ROUNDING_4)
    return divide(n - 1, (n - 2) * (n - 3)) * ((n + 1) * (m4 / m2**2 - 3) + 6)


def _sarle(x: Array) -> Array:
    n = x[..., 5]
    return divide(
        _skewness(x, ROUNDING_4) ** 2 + 1, _kurtosis(x) + divide(3 * (n - 1) ** 2, (n - 2) * (n - 3))
    )
