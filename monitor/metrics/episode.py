"""Returns and lengths of whole episodes: G = Σγ^t r_t.

Where the log names no episodes every decision is its own, and its reward is the return.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from monitor.metrics.constraint import mean_cost
from monitor.metrics.estimate import Estimate, exact, missing
from monitor.metrics.intervals import t_interval
from monitor.metrics.jackknife import jackknife
from monitor.metrics.quantiles import cvar, quantile
from monitor.metrics.ratios import divide, share
from monitor.metrics.reward import reward_mean, reward_sd
from monitor.metrics.shape import reward_kurtosis, reward_skewness
from monitor.metrics.sums import Settings, Sums

MAX_LEFT_OUT = 0.01


def return_mean(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Mean return Σ(G/k)/Σ(1/k) over episodes whose rewards are all known, in units of reward.

    Returns that are all 0 or 1 get the interval of a share. `n` counts episodes.
    """
    if alone(states, settings):
        return reward_mean(states, settings)
    return judged(reward_mean({"reward": states["episode"]}, settings), states["episode"])


def return_sd(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Standard deviation (n−1) of returns, weighted by 1/k, in units of reward."""
    if alone(states, settings):
        return reward_sd(states, settings)
    return judged(reward_sd({"reward": states["episode"]}, settings), states["episode"])


def return_skewness(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """G1 of returns, as `reward_skewness`."""
    return _shape(reward_skewness, states, settings)


def return_kurtosis(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Excess kurtosis G2 of returns, as `reward_kurtosis`."""
    return _shape(reward_kurtosis, states, settings)


def return_q05(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """5th percentile of the sampled returns."""
    return _quantile(states, 0.05, settings)


def return_q25(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """25th percentile of the sampled returns."""
    return _quantile(states, 0.25, settings)


def return_q50(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Median of the sampled returns."""
    return _quantile(states, 0.50, settings)


def return_q75(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """75th percentile of the sampled returns."""
    return _quantile(states, 0.75, settings)


def return_q95(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """95th percentile of the sampled returns."""
    return _quantile(states, 0.95, settings)


def return_cvar10(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Mean of the worst tenth of the sampled returns."""
    if alone(states, settings):
        return cvar(states["sample"], settings)
    return judged(cvar(states["returns"], settings), states["episode"])


def episode_cost(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Mean cost of an episode Σ(C/k)/Σ(1/k), C = Σγ^t c, over episodes whose costs are all known, in units of
    the cost. Unknown in more than 1 % of the episodes: `missing_cost`."""
    found = mean_cost({"constraint": states["episode_cost"]}, settings)
    return judged(found, states["episode"], rewards=False)


def episode_length(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Mean number of decisions in an episode, Σ(T/k)/Σ(1/k)."""
    sums = states["episode"]
    if alone(states, settings):
        n = states["reward"].total("n")
        return exact(1.0, n, "decisions", "every decision is an episode") if n else _none("decisions")
    if not sums.total("n") > 0:
        return judged(_none("decisions"), sums)
    jack = jackknife(lambda x: divide(x[..., 0], x[..., 1]), sums, ("length", "k0"), settings)
    return judged(t_interval(jack, sums.total("n"), "decisions", settings), sums, rewards=False)


def truncated_share(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Share of the episodes that ended in silence, without a terminal row, counted."""
    sums = states["episode"]
    if alone(states, settings):
        return share(0.0, states["reward"].total("n"), "every decision is an episode")
    n = sums.total("n")
    return judged(share(n - sums.total("n_terminated"), n), sums, rewards=False)


def unbounded(settings: Settings) -> Settings:
    """The settings of returns: `reward.range` bounds rewards only."""
    return replace(settings, reward_low=-math.inf, reward_high=math.inf)


def alone(states: Mapping[str, Sums], settings: Settings) -> bool:
    """Whether no row names an episode, so that every decision is its own."""
    sums = states["episode"]
    return not settings.episodes or (sums.total("n_steps") == 0 and sums.total("n_alone") > 0)


def judged(found: Estimate, sums: Sums, *, rewards: bool = True) -> Estimate:
    """With the reason why these episodes do not speak for the policy, if there is one.

    Each over 1 %: `missing_episode`, decisions that name no episode; `mixed_policies`, episodes of
    several policies; `missing_reward`, episodes in which a reward is not known.
    """
    n, mixed, unnamed = (sums.total(c) for c in ("n", "n_mixed", "n_alone"))
    if unnamed > MAX_LEFT_OUT * (unnamed + sums.total("n_steps")):
        return replace(found, reason="missing_episode")
    if mixed > MAX_LEFT_OUT * (n + mixed):
        return replace(found, reason="mixed_policies")
    if rewards and n - sums.total("n_reward") > MAX_LEFT_OUT * n:
        return replace(found, reason="missing_reward")
    return found


def _shape(
    shape: Callable[[Mapping[str, Sums], Settings], Estimate], states: Mapping[str, Sums], settings: Settings
) -> Estimate:
    if alone(states, settings):
        return shape(states, settings)
    return judged(shape({"reward": states["episode"]}, settings), states["episode"])


def _quantile(states: Mapping[str, Sums], tau: float, settings: Settings) -> Estimate:
    if alone(states, settings):
        return quantile(states["sample"], tau, settings)
    return judged(quantile(states["returns"], tau, unbounded(settings)), states["episode"])


def _none(unit: str) -> Estimate:
    return missing("no_data", unit)
