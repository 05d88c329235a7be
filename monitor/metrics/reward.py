"""Level and shape of the reward of a policy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from monitor.metrics.estimate import Estimate, missing
from monitor.metrics.intervals import (
    alpha_of,
    clopper_pearson,
    kish,
    kish_size,
    looks,
    t_interval,
    zero_one_interval,
)
from monitor.metrics.jackknife import Array, jackknife
from monitor.metrics.ratios import divide, finish, share
from monitor.metrics.sums import Settings, Sums

SAMPLE_SIZE = 1000


def reward_mean(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Mean reward c + Σ((r−c)/k)/Σ(1/k), c the middle of `reward.range`, in units of reward.

    Rewards that are all 0 or 1 get the interval of a share, others the jackknife's.
    """
    sums = states["reward"]
    columns = ("r1", "k1", "n_one", "n_reward", "k2")
    jack = jackknife(lambda x: settings.reward_centre + divide(x[..., 0], x[..., 1]), sums, columns, settings)
    n = sums.total("n_reward")
    if not n > 0:
        return missing("no_data", "reward")
    if not zero_one_rewards(sums, settings):
        return t_interval(jack, n, "reward", settings)
    ones, rewards = jack.groups[:, 2], jack.groups[:, 3]
    units = kish(sums, "k1", states.get("units"), "k", jack.groups, settings)
    effective = kish_size(sums.total("k1"), sums.total("k2"))
    return zero_one_interval(jack, ones, rewards - ones, effective, units, n, "reward", settings)


def reward_sd(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Standard deviation (n−1) of single rewards, weighted by 1/k, in units of reward."""
    sums = states["reward"]
    n = sums.total("n_reward")
    if not n > 0:
        return missing("no_data", "reward")
    if n < 2:
        return missing("low_n", "reward", n)
    jack = jackknife(_row_sd, sums, ("r1", "r2", "k1", "n_reward"), settings)
    return t_interval(jack, n, "reward", settings)


def reward_q05(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """5th percentile of the sampled rewards."""
    return quantile(states["sample"], 0.05, settings)


def reward_q25(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """25th percentile of the sampled rewards."""
    return quantile(states["sample"], 0.25, settings)


def reward_q50(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Median of the sampled rewards."""
    return quantile(states["sample"], 0.50, settings)


def reward_q75(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """75th percentile of the sampled rewards."""
    return quantile(states["sample"], 0.75, settings)


def reward_q95(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """95th percentile of the sampled rewards."""
    return quantile(states["sample"], 0.95, settings)


def immature_share(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Share of decisions that have no reward (yet), counted."""
    sums = states["reward"]
    rows = sums.total("n")
    return share(rows - sums.total("n_reward"), rows, "counted: decisions without a reward")


def zero_one_rewards(sums: Sums, settings: Settings) -> bool:
    """True where every reward was 0 or 1 and `reward.range` allows nothing beyond them."""
    return settings.reward_low >= 0 and settings.reward_high <= 1 and sums.total("n_not01") == 0


def quantile(sample: Sums, tau: float, settings: Settings) -> Estimate:
    """F̂⁻¹(τ), the smallest reward with at least a share τ of the sample at or below it.

    Interval: F̂⁻¹ of the Clopper–Pearson interval at x = nτ. The sample knows no units, so rows
    are taken as independent and `method` says so. Where even the smallest (largest) reward is not
    an end at this level, the end is that of `reward.range`.
    """
    rewards = np.sort(uniform_rows(sample).columns["reward"])
    n = len(rewards)
    if not n:
        return missing("no_data", "reward")
    if not np.isfinite(rewards).all():
        return missing("non_finite", "reward", n)
    alpha = alpha_of(n, settings)
    low, high = clopper_pearson(n * tau, n, alpha)
    at = _order_statistic(rewards, np.array([tau, low, high]))
    bottom = settings.reward_low if (1 - tau) ** n > alpha / 2 else at[1]
    top = settings.reward_high if tau**n > alpha / 2 else at[2]
    method = f"{looks(settings)}order statistics of a sample of {n}, rows taken as independent"
    return finish(at[0], bottom, top, n, "reward", method)


def uniform_rows(sample: Sums) -> Sums:
    """The rows of several hours that form one uniform sample.

    Each hour kept its 1 000 rows of smallest hash. Every row below the smallest of the largest
    hashes of hours that were full was kept in every hour, so those rows are a uniform sample.
    """
    hashes = sample.columns["row_hash"]
    if len(hashes) < SAMPLE_SIZE:
        return sample
    hours, hour_of_row, rows = np.unique(sample.hour, return_inverse=True, return_counts=True)
    if not (rows >= SAMPLE_SIZE).any() or len(hours) == 1:
        return sample
    largest = np.zeros(len(hours), dtype=hashes.dtype)
    np.maximum.at(largest, hour_of_row, hashes)
    return sample.where(hashes <= largest[rows >= SAMPLE_SIZE].min())


def _row_sd(x: Array) -> Array:
    r1, r2, k1, n = x[..., 0], x[..., 1], x[..., 2], x[..., 3]
    variance = divide(r2 - divide(r1**2, k1), k1) * divide(n, n - 1)
    return np.sqrt(np.maximum(variance, 0.0))


def _order_statistic(ordered: Array, shares: Array) -> NDArray[np.float64]:
    rank = np.ceil(shares * len(ordered) * (1 - 1e-12)).astype(np.int64) - 1
    return ordered[np.clip(rank, 0, len(ordered) - 1)]
