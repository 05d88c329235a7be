"""A drop of the reward too small for one window, seen by the evidence of many: Shiryaev–Roberts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from monitor.metrics.estimate import Reading
from monitor.metrics.ratios import divide
from monitor.triggers.context import Context
from monitor.triggers.firing import Firing
from monitor.triggers.frozen import MIN_DECISIONS, FrozenRewards, frozen_rewards, scores
from monitor.triggers.numbers import number
from monitor.triggers.seasons import Array
from monitor.triggers.windows import clock, last_group, since

MEMORY_DAYS = 11
LARGEST = 1e12


@dataclass(frozen=True, slots=True)
class EDetectorParams:
    """`run_length` is 1/α, the windows that a healthy stream takes on average before it alarms at least;
    `reference` the baseline by phase, None without one of 168 windows."""

    run_length: float = number(2160, 1, 1e6)
    reference: FrozenRewards | None = None


def e_detector(series: Mapping[str, Sequence[Reading]], params: EDetectorParams) -> Firing | None:
    """Trips where M_t ≥ 1/α, M_t = (1 + M_{t−1})L_t, L_t = exp(λz_t − λ²/2) with λ = 1 and z_t as in
    `window_scores`: evidence that the mean reward lies below the baseline's of the same phase.

    M is folded anew from the readings of the last 11 days, from midnight on, so that it needs no memory
    of its own and a restart changes nothing; starting later only makes M smaller. A baseline whose windows
    never differ from each other (s₀ = 0) gives no scale to tell chance by: not judged. The promised run
    length holds for independent windows. Source: Shin, Ramdas, Rinaldo, arXiv 2203.03532.
    """
    means, reference = series["reward_mean"], params.reference
    if reference is None or not reference.scale > 0 or last_group(means, MIN_DECISIONS) is None:
        return None
    tested = means[-1]
    midnight = tested.window_start.replace(hour=0, minute=0, second=0, microsecond=0)
    recent = means[since(means, midnight - timedelta(days=MEMORY_DAYS)) :]
    found = scores(recent, reference)
    if found is None or found.groups[-1][1] != len(recent) - 1:
        return None
    z = window_scores(found.z, reference.scale, reference.windows)
    evidence = shiryaev_roberts(likelihood_of_windows(z))
    value = float(evidence[-1])
    if not value >= params.run_length:
        return None
    start = recent[found.groups[rising_from(evidence)][0]].window_start
    low, usual = float(found.mean[-1]), float(found.expected[-1])
    message = (
        f"Reward mean on {tested.policy_id} is below the baseline's since about {start:%Y-%m-%d %H:%M} UTC: "
        f"evidence of {value:.4g}, at least {params.run_length:.4g} is an alarm; the newest window, "
        f"{clock(tested.window_start, tested.window_end)}, has {low:.4g} where {usual:.4g} is usual."
    )
    state = {"since": start.isoformat(), "z": float(z[-1]), "windows": len(evidence)}
    at = tested.window_start, tested.window_end
    where = tested.key, tested.policy_id
    return Firing("e_detector", *where, *at, value, params.run_length, message, state)


def window_scores(z: ArrayLike, scale: float, windows: int) -> Array:
    """−z/(s(1 + √(2/(n₀−1)))) − 2/√n₀ for s estimated from n₀ windows of the baseline: both of its
    errors are taken at their unfavourable end. Positive where the reward is low, and 0 evidence (−∞
    is never made) where z is NaN or there is no s."""
    inflated = scale * (1 + math.sqrt(2 / max(windows - 1, 1)))
    return np.nan_to_num(divide(-np.asarray(z, dtype=np.float64), inflated), nan=0.0) - 2 / math.sqrt(windows)


def likelihood_of_windows(z: ArrayLike, bet: float = 1.0) -> Array:
    """L = exp(λz − λ²/2): mean at most 1 for z of mean at most 0 and variance at most 1."""
    return np.exp(bet * np.asarray(z, dtype=np.float64) - bet**2 / 2)


def likelihood_of_decisions(x: ArrayLike, mean: float, bet: float) -> Array:
    """L = 1 + λ(x/m − 1) for x in [0, 1] of mean at most m, 0 < λ < 1: a bet that the mean rose."""
    return 1 + bet * (np.asarray(x, dtype=np.float64) / mean - 1)


def shiryaev_roberts(likelihoods: ArrayLike) -> Array:
    """M_t = (1 + M_{t−1})L_t from M₀ = 0 along the first axis; any further axes are streams of their own."""
    ratios = np.asarray(likelihoods, dtype=np.float64)
    evidence = np.empty_like(ratios)
    before = np.zeros(ratios.shape[1:])
    for t, ratio in enumerate(ratios):
        evidence[t] = before = np.minimum((1 + before) * ratio, LARGEST)
    return evidence


def facts(context: Context) -> dict[str, Any]:
    """The baseline by phase."""
    return {"reference": frozen_rewards(context.healthy, context.season)}


def rising_from(evidence: Array) -> int:
    """Index after the last window whose evidence was below 1: where the rise began."""
    below = np.flatnonzero(evidence[:-1] < 1)
    return int(below[-1]) + 1 if len(below) else 0
