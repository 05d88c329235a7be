"""What lies in the tails: the distribution of rewards under the candidate, and that of the weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from monitor.metrics.estimate import Estimate, exact, missing
from monitor.metrics.intervals import clopper_pearson, effective_size, kish_size, t_interval
from monitor.metrics.jackknife import Array, Jackknife, jackknife
from monitor.metrics.offpolicy import judged
from monitor.metrics.quantiles import uniform_rows
from monitor.metrics.ratios import divide, finish
from monitor.metrics.sums import Settings, Sums

TAIL = 0.1
MIN_EFFECTIVE = 100
LARGEST = 100
MIN_LARGEST = 20


def offpolicy_q05(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """5th percentile of the rewards that the candidate would earn."""
    return weighted_quantile(states, 0.05, settings)


def offpolicy_q50(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Median of the rewards that the candidate would earn."""
    return weighted_quantile(states, 0.50, settings)


def offpolicy_q95(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """95th percentile of the rewards that the candidate would earn."""
    return weighted_quantile(states, 0.95, settings)


def weighted_quantile(states: Mapping[str, Sums], tau: float, settings: Settings) -> Estimate:
    """F̂⁻¹(τ), F̂ the distribution of sampled rewards weighted by w.

    Interval: F̂⁻¹ of the Clopper–Pearson interval at N*τ, N* from the jackknife of F̂(q̂), at most
    (Σw)²/Σw². `low_ess`: under 100 effective rows. Source: Chandak et al. 2021.
    """
    sample = uniform_rows(states["pair_sample"])
    order = np.argsort(sample.columns["reward"], kind="stable")
    reward, w = sample.columns["reward"][order], sample.columns["w"][order]
    total, n = float(w.sum()), float(len(w))
    if not 0 < total < math.inf:
        why = "no_data" if total == 0 else "non_finite"
        return judged(missing(why, "reward", n), states["offpolicy"], settings)
    share = np.cumsum(w) / total
    value = _at(reward, share, tau)
    below = _sums(sample, {"b": sample.columns["w"] * (sample.columns["reward"] <= value)})
    jack = jackknife(lambda x: divide(x[..., 0], x[..., 1]), below, ("b", "w"), settings)
    size = effective_size(tau, replace_value(jack, tau), kish_size(total, float(w @ w)))
    low, high = clopper_pearson(size * tau, size)
    ends = (_at(reward, share, low), _at(reward, share, high)) if size > 0 else (math.nan, math.nan)
    method = f"order statistics at {size:.6g} effective of a sample of {len(w)}"
    found = judged(finish(value, *ends, n, "reward", method, jack.reason), states["offpolicy"], settings)
    return found if kish_size(total, float(w @ w)) >= MIN_EFFECTIVE else found.because("low_ess")


def offpolicy_cvar10(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """CVaR₁₀: mean of the worst tenth of the rewards under the candidate, the boundary row split.

    (1/α)Σ clip(α − C_{i−1}, 0, w_i)·r_i over rewards sorted upward, weights normalised to 1, C their
    running sum, α = .1. Jackknife by buckets of units. `low_ess`: under 100 effective rows in the tail.
    """
    sample = uniform_rows(states["pair_sample"])
    w, n = sample.columns["w"], float(len(sample))
    if not 0 < float(w.sum()) < math.inf:
        why = "no_data" if float(w.sum()) == 0 else "non_finite"
        return judged(missing(why, "reward", n), states["offpolicy"], settings)
    order = np.argsort(sample.columns["reward"], kind="stable")
    reward, w, bucket = sample.columns["reward"][order], w[order], sample.bucket[order]
    value, in_tail = _cvar(reward, w)
    groups = np.unique(bucket)
    without = np.array([_cvar(reward[bucket != b], w[bucket != b])[0] for b in groups])
    g = len(groups)
    square = (g - 1) / g * float(((without - without.mean()) ** 2).sum()) if g > 1 else math.nan
    method = f"jackknife of {g} buckets of a sample of {len(w)}"
    reason = "low_units" if g < 10 or settings.time_blocks else None
    jack = Jackknife(value, math.sqrt(square), g - 1, np.ones((g, 1)), method, reason)
    found = judged(t_interval(jack, n, "reward", settings), states["offpolicy"], settings)
    enough = kish_size(float(in_tail.sum()), float(in_tail @ in_tail)) >= MIN_EFFECTIVE
    return found if enough else found.because("low_ess")


def pareto_k(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """k̂ of a generalised Pareto tail fitted to the 100 largest weights above the smallest of them.

    Over .7 the mean of the weights converges too slowly to be relied on. `low_n`: fewer than 20
    different weights above 1, so there is no tail to speak of. Source: Zhang and Stephens 2009, with
    the prior of Vehtari, Simpson, Gelman, Yao, Gabry 2024.
    """
    weights = np.sort(states["largest"].columns["w"])[-LARGEST:]
    n = float(len(weights))
    if not n:
        return missing("no_data", "shape")
    over = weights[weights > weights[0]] - weights[0]
    if len(np.unique(over)) < MIN_LARGEST:
        return missing("low_n", "shape", n)
    return exact(_shape(over), n, "shape", "fitted to the largest weights")


def _shape(x: Array) -> float:
    """Posterior mean of k for sorted exceedances x: the profile likelihood averaged over a grid of θ, then
    drawn towards .5 by ten pseudo-observations."""
    n = len(x)
    points = 30 + int(math.sqrt(n))
    steps = np.arange(1, points + 1) - 0.5
    theta = 1 / x[-1] + (1 - np.sqrt(points / steps)) / (3 * x[int(n / 4 + 0.5) - 1])
    k = np.log1p(-np.outer(theta, x)).mean(axis=1)
    fit = n * (np.log(-theta / k) - k - 1)
    weight = np.exp(fit - fit.max())
    best = float(theta @ weight / weight.sum())
    shape = float(np.log1p(-best * x).mean())
    return (n * shape + 10 * 0.5) / (n + 10)


def _cvar(reward: Array, w: Array) -> tuple[float, Array]:
    total = w.sum()
    if not total > 0:
        return math.nan, w[:0]
    share = w / total
    kept = np.clip(TAIL - (np.cumsum(share) - share), 0.0, share)
    return float(kept @ reward) / TAIL, w[kept > 0]


def _at(reward: Array, share: Array, tau: float) -> float:
    place = int(np.searchsorted(share, tau * (1 - 1e-12)))
    return float(reward[min(place, len(reward) - 1)])


def replace_value(jack: Jackknife, value: float) -> Jackknife:
    """The jackknife of F̂(q̂) about the share that was asked for: a tie makes F̂(q̂) larger."""
    return replace(jack, value=value)


def _sums(sample: Sums, beside: dict[str, Array]) -> Sums:
    return replace(sample, columns=MappingProxyType({**sample.columns, **beside}))
