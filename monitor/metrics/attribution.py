"""Where a change of the mean reward comes from: other states, other actions, or other outcomes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from monitor.metrics.ratios import divide


@dataclass(frozen=True, slots=True)
class Attribution:
    """`change` = mean reward now − that of the baseline = `context` + `action` + `outcome`, in units of
    reward; `known` is the share of decisions now whose state and action the baseline has seen together."""

    change: float
    context: float
    action: float
    outcome: float
    known: float


def attribution(now: ArrayLike, base: ArrayLike) -> Attribution | None:
    """Split a change of the mean reward over the bins b of one state feature and the actions a.

    `now` and `base` have shape (bins, actions, 2): rewarded decisions, and the sum of their rewards.
    With q the shares and π the actions of now, ρ the mean rewards of the baseline:
    context = Σ_b q_b ρ_b − ρ, action = Σ_b q_b (Σ_a π(a|b) ρ_ba − ρ_b), outcome = the rest. What the
    baseline has not seen says nothing: ρ_ba is ρ_b there, and ρ_b is ρ. None where either is empty.
    """
    counts, rewards = np.moveaxis(np.asarray(now, dtype=np.float64), -1, 0)
    base_counts, base_rewards = np.moveaxis(np.asarray(base, dtype=np.float64), -1, 0)
    n, m = counts.sum(), base_counts.sum()
    if not (n > 0 and m > 0):
        return None
    level = base_rewards.sum() / m
    in_bin = divide(base_rewards.sum(axis=1), base_counts.sum(axis=1))
    in_bin = np.where(np.isnan(in_bin), level, in_bin)
    in_cell = divide(base_rewards, base_counts)
    in_cell = np.where(np.isnan(in_cell), in_bin[:, None], in_cell)
    mean, of_states, of_actions = (
        float(x) for x in (rewards.sum() / n, counts.sum(axis=1) @ in_bin / n, (counts * in_cell).sum() / n)
    )
    known = float(counts[base_counts > 0].sum() / n)
    level = float(level)
    return Attribution(mean - level, of_states - level, of_actions - of_states, mean - of_actions, known)
