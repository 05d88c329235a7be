"""A window whose mean reward lies two standard deviations below the rolling mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np

from monitor.metrics.estimate import Reading
from monitor.triggers.context import Context
from monitor.triggers.firing import Firing
from monitor.triggers.numbers import number, one_of
from monitor.triggers.seasons import ROUNDING, grid, mean_and_error, scale
from monitor.triggers.windows import clock, closed_groups, decisions, group_start, last_group, pooled_mean


@dataclass(frozen=True, slots=True)
class RewardDropParams:
    """`season` 24h compares with 8 seasons before, 7d with 4. `excluded` are the starts of windows
    of incidents acknowledged as real, `pending` of windows that tripped and are not confirmed yet:
    both are left out of the reference, never out of the test."""

    mode: Literal["seasonal", "letter"] = one_of("seasonal", "letter")
    season: timedelta = timedelta(hours=24)
    sigmas: float = number(2, 0.1, 20)
    letter_windows: int = 24
    min_decisions: int = 30
    excluded: frozenset[datetime] = frozenset()
    pending: frozenset[datetime] = frozenset()

    @property
    def seasons(self) -> int:
        """Seasons that the reference is pooled from."""
        return 8 if self.season <= timedelta(hours=24) else 4


@dataclass(frozen=True, slots=True)
class Reference:
    """What the window was compared with: it trips below `limit`."""

    limit: float
    mean: float
    state: Mapping[str, Any]
    text: str


def reward_drop(series: Mapping[str, Sequence[Reading]], params: RewardDropParams) -> Firing | None:
    """Trips where z_t < −2s, z_t = (r̄_t − m_t)/e_t, for the newest window of `reward_mean`.

    m_t is the pooled mean of the same phase of the previous 8 seasons, e_t = row sd·√(1/n_t + 1/n_m)
    with the sd of the rows pooled in m_t, s the root mean square of z over the windows of those
    seasons, each against the same phase of the other seasons. Before 9 seasons of history, where
    fewer than half of those seasons have the phase, or with `mode: letter`: r̄_t < μ − 2σ, mean and
    sd (n−1) of the previous 24 window means. Windows under 30 decisions merge with the next; a
    window that closes no group, or has no 24 before it, is not judged. `state["mode"]` tells the mode.
    """
    means = series["reward_mean"]
    group = last_group(means, params.min_decisions)
    if group is None:
        return None
    first, tested = group[0], means[-1]
    counts = [decisions(reading) for reading in means[first:]]
    n, mean = sum(counts), pooled_mean(means[first:], counts)
    reference = _seasonal(series, first, n, params) or _letter(means, first, params)
    if reference is None:
        return None
    if not (mean < reference.limit and reference.mean - mean > ROUNDING * (1 + abs(reference.mean))):
        return None
    merged_from, start, end = means[first].window_start, tested.window_start, tested.window_end
    limit, key, policy = reference.limit, tested.key, tested.policy_id
    window = clock(merged_from, end)
    message = f"Reward mean {mean:.4g} on {policy}, {window}, is below {limit:.4g}: {reference.text}."
    state = {**reference.state, "n": n, "merged_from": merged_from.isoformat()}
    return Firing("reward_drop", key, policy, start, end, mean, limit, message, state)


def judged(series: Mapping[str, Sequence[Reading]], params: RewardDropParams) -> bool:
    """True where the newest window closes a group of at least 30 decisions. Confirmation counts
    only such windows: the others were merged into one of them."""
    return last_group(series["reward_mean"], params.min_decisions) is not None


def facts(context: Context) -> dict[str, Any]:
    """The season, and the windows that are left out of the reference."""
    return {"season": context.season, "excluded": context.excluded(), "pending": context.pending}


def _seasonal(
    series: Mapping[str, Sequence[Reading]], first: int, n: float, params: RewardDropParams
) -> Reference | None:
    means, back = series["reward_mean"], params.seasons
    tested, start = means[-1], means[first].window_start
    length = tested.window_end - tested.window_start
    phases = params.season // length
    enough = means[0].window_start <= start - (back + 1) * params.season
    members = [(reading.window_start - start) // length for reading in means[first:]]
    if params.mode == "letter" or not enough or not phases or members[-1] >= phases:
        return None
    out = params.excluded | params.pending
    cells, centre = grid(series, start - back * params.season, first, back * phases, out)
    cells = cells.reshape(3, back, phases)
    if (cells[0][:, members] > 0).any(axis=1).sum() < back / 2:
        return None
    pooled = cells[:, :, members].sum(axis=(1, 2))
    off, error = mean_and_error(pooled, n)
    mean, e, s = centre + float(off), float(error), scale(cells, params.min_decisions)
    state = {"mode": "seasonal", "reference_mean": mean, "reference_n": float(pooled[0]), "e": e, "s": s}
    text = (
        f"{params.sigmas:g} x {s:.3g} standard errors of {e:.3g} under the mean {mean:.4g} "
        f"of the same time in the {back} seasons before"
    )
    return Reference(mean - params.sigmas * s * e, mean, state, text)


def _letter(means: Sequence[Reading], first: int, params: RewardDropParams) -> Reference | None:
    before = _means_before(means, first, params)
    if len(before) < params.letter_windows:
        return None
    recent = np.array(before[-params.letter_windows :])
    mu, sigma = float(recent.mean()), float(recent.std(ddof=1))
    sigma = sigma if sigma > ROUNDING * (1 + abs(mu)) else 0.0
    state = {"mode": "letter", "reference_mean": mu, "sd": sigma, "windows": len(recent)}
    text = f"{params.sigmas:g} x {sigma:.3g} under the mean {mu:.4g} of the {len(recent)} windows before"
    return Reference(mu - params.sigmas * sigma, mu, state, text)


def _means_before(means: Sequence[Reading], end: int, params: RewardDropParams) -> list[float]:
    """Means of the merged windows before `end`, oldest first: 24 of them where there are as many."""
    out, fewest, span = params.excluded | params.pending, params.min_decisions, 2 * params.letter_windows
    while True:
        start = group_start(means, max(0, end - span), fewest)
        n = [decisions(reading) for reading in means[start:end]]
        found = [
            pooled_mean(means[start + a : start + b + 1], n[a : b + 1])
            for a, b in closed_groups(n, fewest)
            if not out or all(reading.window_start not in out for reading in means[start + a : start + b + 1])
        ]
        if len(found) >= params.letter_windows or start == 0:
            return found
        span *= 2
