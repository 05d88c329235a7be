"""Level, spread and quantiles of the reward of a policy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from monitor.metrics.estimate import Estimate, missing
from monitor.metrics.intervals import kish, kish_size, t_interval, zero_one_interval
from monitor.metrics.jackknife import Array, jackknife
from monitor.metrics.quantiles import quantile
from monitor.metrics.ratios import divide, share
from monitor.metrics.sums import Settings, Sums


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


def reward_q99(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """99th percentile of the sampled rewards."""
    return quantile(states["sample"], 0.99, settings)


def immature_share(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Share of decisions that have no reward (yet), counted."""
    sums = states["reward"]
    rows = sums.total("n")
    return share(rows - sums.total("n_reward"), rows, "counted: decisions without a reward")


def zero_one_rewards(sums: Sums, settings: Settings) -> bool:
    """True where every reward was 0 or 1 and `reward.range` allows nothing beyond them."""
    return settings.reward_low >= 0 and settings.reward_high <= 1 and sums.total("n_not01") == 0


def _row_sd(x: Array) -> Array:
    r1, r2, k1, n = x[..., 0], x[..., 1], x[..., 2], x[..., 3]
    variance = divide(r2 - divide(r1**2, k1), k1) * divide(n, n - 1)
    return np.sqrt(np.maximum(variance, 0.0))
