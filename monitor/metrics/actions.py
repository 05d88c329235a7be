"""How many actions a policy really uses, and what its exploration costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from monitor.metrics.entropy import action_entropy
from monitor.metrics.estimate import Estimate, exact, missing
from monitor.metrics.intervals import kish, kish_size, t_interval, zero_one_interval
from monitor.metrics.jackknife import Array, jackknife
from monitor.metrics.ratios import divide
from monitor.metrics.sums import NO_BUCKET, Settings, Sums


def effective_actions(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """e^H: as many equally likely actions would have this entropy. Reasons and method of `action_entropy`.

    Densities have no number of actions: `n_actions_unknown`.
    """
    if settings.density:
        return missing("n_actions_unknown", "actions")
    entropy = action_entropy(states, settings)
    value, low, high = (math.exp(x) for x in (entropy.value, entropy.low, entropy.high))
    return replace(entropy, value=value, low=low, high=high, unit="actions")


def never_taken_actions(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Actions of the set without a single decision, |A| − K, counted; `n` is the decisions."""
    if settings.density or settings.n_actions is None:
        return missing("n_actions_unknown", "actions")
    sums = states["action"]
    counts = sums.where(sums.bucket == NO_BUCKET)
    n = counts.total("n")
    if not n > 0:
        return missing("no_data", "actions")
    if not math.isfinite(n):
        return missing("non_finite", "actions")
    taken = len(np.unique(counts.key[counts.columns["n"] > 0].astype(str)))
    method = f"counted: {taken} of {settings.n_actions} actions taken"
    return exact(float(max(0, settings.n_actions - taken)), n, "actions", method)


def exploration_rate(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """ε̂ = mean of 1{the action is not the most probable one}·|A|/(|A|−1): the ε of an ε-greedy policy.

    Over decisions with a logged distribution, a propensity and |A| > 1; ties count as most probable.
    The interval is that of the share, times the mean |A|/(|A|−1).
    """
    sums = states["exploration"]
    n = sums.total("n")
    if not n > 0:
        return missing("no_data", "share")
    jack = jackknife(lambda x: divide(x[..., 0], x[..., 1]), sums, ("kx", "k1", "n_x", "n"), settings)
    explored, decisions = jack.groups[:, 2], jack.groups[:, 3]
    units = kish(sums, "k1", states.get("units"), "k", jack.groups, settings)
    effective = kish_size(sums.total("k1"), sums.total("k2"))
    share = zero_one_interval(jack, explored, decisions - explored, effective, units, n, "share", settings)
    scaled, weight = ("e1", "kx") if sums.total("kx") > 0 else ("a1", "k1")
    scale = float(divide(sums.total(scaled), sums.total(weight)))
    return replace(share, value=share.value * scale, low=share.low * scale, high=share.high * scale)


def exploration_cost(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Reward that exploration costs a decision: share of exploratory decisions × (mean reward of the
    greedy − mean reward of the exploratory ones). Below 0 where exploring pays. `no_data` while no
    exploratory or no greedy decision has a reward."""
    sums = states["exploration"]
    greedy, explored = sums.total("n_greedy"), sums.total("n_explored")
    if not (greedy > 0 and explored > 0):
        return missing("no_data", "reward")
    columns = ("kx", "k1", "rg", "kg", "re", "ke")
    jack = jackknife(_cost, sums, columns, settings)
    return t_interval(jack, greedy + explored, "reward", settings)


def _cost(x: Array) -> Array:
    share, greedy, explored = (divide(x[..., i], x[..., i + 1]) for i in (0, 2, 4))
    return np.asarray(share * (greedy - explored))
