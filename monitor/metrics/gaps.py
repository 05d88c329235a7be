"""Gaps between what was predicted, optimised or valued and what came; and steps between actions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from monitor.metrics.estimate import Estimate, missing
from monitor.metrics.intervals import looks, standard_errors, t_interval
from monitor.metrics.jackknife import Array, jackknife
from monitor.metrics.quantiles import uniform_rows
from monitor.metrics.ratios import divide, finish
from monitor.metrics.sums import Settings, Sums

DECILES = 10
MIN_PAIRS = 10


def model_gap(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Mean |predicted − observed next state| of one feature, in sd of the feature in the baseline.

    The next state is that of the next decision of the same episode (else unit and segment) in the
    same hour. `baseline_missing` without a baseline in which the feature varied.
    """
    return _mean_gap(states["model"], settings.feature_sd, settings)


def action_step(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Mean |a_t − a_{t−1}| of one dimension of the executed action, in its own unit; pairs as `model_gap`."""
    sums = states["action_step"]
    if not sums.total("n") > 0:
        return missing("no_data", "action")
    jack = jackknife(lambda x: divide(x[..., 0], x[..., 1]), sums, ("g1", "k1"), settings)
    return t_interval(jack, sums.total("n"), "action", settings)


def critic_gap(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Mean of q̂ − what came of it (the reward; in episodes the return from the step on), in sd of the
    reward in the baseline. Above 0 the critic promises too much."""
    return _mean_gap(states["critic"], settings.moments.get("reward", (0.0, math.nan))[1], settings)


def critic_gap_by_support(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """`critic_gap` of one tenth of the decisions by propensity: 1 the least probable actions, 10 the most.

    From a sample. Equal propensities stay together, in the lowest tenth that they reach, so that some
    tenths may be empty (`no_data`).
    """
    sample = uniform_rows(states["critic_sample"])
    tenth = tenths(sample.columns["propensity"])
    part = sample.where(tenth == settings.decile)
    k, gap = part.columns["k"], part.columns["gap"]
    columns = {"n": np.ones(len(part)), "k1": k, "g1": gap * k}
    sums = Sums(part.hour, part.bucket, part.key, MappingProxyType(columns))
    return _mean_gap(sums, settings.moments.get("reward", (0.0, math.nan))[1], settings)


def goodhart_gap(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Mean of (proxy − μ)/σ less mean of (outcome − μ)/σ, each with the mean and sd of the baseline.

    Over decisions where both are known, in the baseline too. 0 while the proxy stands for the outcome
    as it did; above 0 the proxy has risen more. `baseline_missing` where the baseline has no pairs.
    """
    sums = states["goodhart"]
    (proxy, proxy_sd), (outcome, outcome_sd) = (
        settings.moments.get(name, (math.nan, math.nan)) for name in ("proxy_reward", "outcome")
    )
    n = sums.total("n")
    if not n > 0:
        return missing("no_data", "baseline sd")
    if not (proxy_sd > 0 and outcome_sd > 0):
        return missing("baseline_missing", "baseline sd", n)

    def gap(x: Array) -> Array:
        proxies, outcomes = divide(x[..., 0], x[..., 2]), divide(x[..., 1], x[..., 2])
        return np.asarray((proxies - proxy) / proxy_sd - (outcomes - outcome) / outcome_sd)

    return t_interval(jackknife(gap, sums, ("p1", "o1", "k1"), settings), n, "baseline sd", settings)


def goodhart_rank(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Spearman's rank correlation of proxy and outcome, from a sample; ties get their mean rank.

    Interval: Fisher's z with the variance (1 + ρ²/2)/(n − 3), rows taken as independent. Fewer than 10
    pairs, or one of the two that does not vary: `low_n`. Source: Bonett and Wright 2000.
    """
    sample = uniform_rows(states["goodhart_sample"])
    n = len(sample)
    if not n:
        return missing("no_data", "correlation")
    values = np.array([sample.columns["proxy"], sample.columns["outcome"]])
    if not np.isfinite(values).all():
        return missing("non_finite", "correlation", n)
    first, second = (_ranks(x) - (n + 1) / 2 for x in values)
    spread = math.sqrt(float(first @ first) * float(second @ second))
    if n < MIN_PAIRS or not spread > 0:
        return missing("low_n", "correlation", n)
    rho = float(np.clip(first @ second / spread, -1, 1))
    method = f"{looks(settings)}Spearman's, Fisher's z on a sample of {n}, rows taken as independent"
    if abs(rho) == 1:
        return finish(rho, math.nan, math.nan, n, "correlation", method)
    margin = standard_errors(n - 1, n, settings) * math.sqrt((1 + rho**2 / 2) / (n - 3))
    low, high = math.tanh(math.atanh(rho) - margin), math.tanh(math.atanh(rho) + margin)
    return finish(rho, low, high, n, "correlation", method)


def tenths(values: ArrayLike) -> NDArray[np.int64]:
    """The tenth, 1 to 10, of each value among all: 1 + ⌊10·(values below it)/n⌋."""
    x = np.asarray(values, dtype=np.float64)
    below = np.searchsorted(np.sort(x), x, side="left")
    return np.asarray(1 + below * DECILES // max(1, len(x)), dtype=np.int64)


def _mean_gap(sums: Sums, sd: float, settings: Settings) -> Estimate:
    n = sums.total("n")
    if not n > 0:
        return missing("no_data", "baseline sd")
    if not sd > 0:
        return missing("baseline_missing", "baseline sd", n)
    jack = jackknife(lambda x: divide(x[..., 0], x[..., 1]) / sd, sums, ("g1", "k1"), settings)
    return t_interval(jack, n, "baseline sd", settings)


def _ranks(x: Array) -> Array:
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse])
