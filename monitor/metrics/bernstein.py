"""Empirical Bernstein sequences: means of bounded rewards that hold at any look, with no normal law behind.

Only where every decision is a unit of its own and the policy does not change while it is judged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from monitor.metrics.estimate import Estimate, missing
from monitor.metrics.intervals import ALPHA
from monitor.metrics.jackknife import Array
from monitor.metrics.offpolicy import not_estimable
from monitor.metrics.ratios import divide, finish
from monitor.metrics.sums import Settings, Sums

STRONGEST = 0.5
WRONG_WEIGHTS = ("missing_propensity", "propensity")


def reward_bounded(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Mean reward with the empirical Bernstein sequence of rewards scaled to [0, 1], in units of reward.

    ξ = (r − low)/(high − low) for the lower end, 1 − ξ for the upper. `not_independent`,
    `policy_changes`, `dropped_rows`: the sequence does not hold for such a log.
    """
    sums, span = states["reward"], settings.reward_high - settings.reward_low
    if not _finite(sums, ("n_reward", "k1", "r1", "r2")):
        return missing("non_finite", "reward")
    n, centred = sums.columns["n_reward"], sums.columns["r1"] / span
    below = Series(sums.hour, n, n / 2 + centred, n / 4 + centred + sums.columns["r2"] / span**2)
    above = Series(sums.hour, n, n - below.first, n - 2 * below.first + below.second)
    return _estimate(below, above, sums.total("k1"), settings)


def ips_bounded(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Importance sampled value of the candidate with its closed-form sequence, in units of reward.

    φ = w·(r − low)/(high − low) for the lower end, w − φ for the upper, κ = 0. Weights may be as
    heavy as they like; wrong ones (`missing_propensity`, `propensity`) spoil it. Also
    `not_independent`, `policy_changes`, `dropped_rows`.
    Source: Waudby-Smith, Wu, Ramdas, Karampatziakis and Mineiro, arXiv 2210.10768.
    """
    sums, span = states["offpolicy"], settings.reward_high - settings.reward_low
    of, low = sums.columns, settings.reward_low
    if not _finite(sums, ("n", "k1", "w1", "wr1", "w2", "w2r", "wr2")):
        return missing("non_finite", "reward")
    first, crossed = (of["wr1"] - low * of["w1"]) / span, (of["w2r"] - low * of["w2"]) / span
    second = (of["wr2"] - 2 * low * of["w2r"] + low**2 * of["w2"]) / span**2
    below = Series(sums.hour, of["n"], first, second)
    above = Series(sums.hour, of["n"], of["w1"] - first, of["w2"] - 2 * crossed + second)
    found = _estimate(below, above, sums.total("k1"), settings)
    reason = not_estimable(sums, settings)
    return replace(found, reason=reason) if reason in WRONG_WEIGHTS else found


@dataclass(frozen=True, slots=True)
class Series:
    """Sums of terms ξ ≥ 0 by cell: hour, number, Σξ and Σξ²."""

    hour: NDArray[np.int64]
    n: Array
    first: Array
    second: Array


def lower_end(n: Array, first: Array, second: Array, alpha: float, kappa: float = 0.0) -> float:
    """L = [Σλξ − log(1/α) − Σ(ξ − ξ̂)²ψ(λ)] / Σ(λ/(κ+1)) ∨ 0 over the series of hours, in their order.

    `n`, `first` = Σξ and `second` = Σξ² of each hour, ξ = φ/(κ+1) with φ ≥ −κ. In an hour
    λ = √(2 log(1/α)/(σ̂²·t·log(1+t))) ∧ ½, t its first row, σ̂² = (¼ + Σ(ξ − ξ̄)²)/t and
    ξ̂ = ((½ + Σξ)/t) ∧ 1/(κ+1), all of them as they stood at the end of the hour before;
    ψ(λ) = −log(1−λ) − λ. The mean of φ is below L at any look with probability α at most.
    """
    size, total = np.cumsum(n), np.cumsum(first)
    t = np.concatenate([[1.0], size[:-1] + 1])
    so_far = np.concatenate([[0.0], total[:-1]])
    mean = (0.5 + total) / (1 + size)
    deviation = np.maximum(second - 2 * mean * first + n * mean**2, 0.0)
    variance = (0.25 + np.concatenate([[0.0], np.cumsum(deviation)[:-1]])) / t
    bet = np.minimum(np.sqrt(2 * math.log(1 / alpha) / (variance * t * np.log1p(t))), STRONGEST)
    guess = np.minimum((0.5 + so_far) / t, 1 / (kappa + 1))
    around = second - 2 * guess * first + n * guess**2
    psi = -np.log1p(-bet) - bet
    gained = float(bet @ first) - math.log(1 / alpha) - float(psi @ around)
    return max(0.0, float(divide(gained, float(bet @ n) / (kappa + 1))))


def _estimate(below: Series, above: Series, kept: float, settings: Settings) -> Estimate:
    n, low = float(below.n.sum()), settings.reward_low
    span = settings.reward_high - low
    ends = [lower_end(*_hourly(s), ALPHA / 2) if n > 0 else math.nan for s in (below, above)]
    value = low + span * float(divide(float(below.first.sum()), n))
    method = f"empirical Bernstein sequence of {len(np.unique(below.hour))} hours, independent rows"
    reason = _unfit(n, kept, settings)
    return finish(value, low + span * ends[0], low + span * (1 - ends[1]), n, "reward", method, reason)


def _finite(sums: Sums, columns: tuple[str, ...]) -> bool:
    return all(np.isfinite(sums.columns[name]).all() for name in columns)


def _unfit(n: float, kept: float, settings: Settings) -> str | None:
    if not settings.independent:
        return "not_independent"
    if settings.versioned:
        return "policy_changes"
    return "dropped_rows" if abs(kept - n) > 1e-9 * n else None


def _hourly(series: Series) -> tuple[Array, Array, Array]:
    at = np.unique(series.hour, return_inverse=True)[1]
    hourly = np.zeros((3, int(at.max(initial=-1)) + 1))
    for sums, cells in zip(hourly, (series.n, series.first, series.second), strict=True):
        np.add.at(sums, at, cells)
    return hourly[0], hourly[1], hourly[2]
