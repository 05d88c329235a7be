"""Rewards of the frozen baseline by phase, and how far windows lie from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from weakref import WeakKeyDictionary

import numpy as np

from monitor.metrics.estimate import Reading
from monitor.metrics.ratios import divide
from monitor.triggers.context import Healthy
from monitor.triggers.seasons import Array, grid, mean_and_error, scale
from monitor.triggers.windows import closed_groups, decisions

MIN_WINDOWS = 168
MIN_DECISIONS = 30

_KNOWN: WeakKeyDictionary[Healthy, FrozenRewards | None] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class FrozenRewards:
    """`sums` are n, Σ(r−c) and Σ(r−c)² of each phase of the season, shape (3, phases), c the `centre`;
    `scale` s₀ is the root mean square of z over the baseline's `windows`, each against the same phase
    of the other seasons. Phase 0 begins at `origin`; a window lasts `length`."""

    sums: Array
    centre: float
    scale: float
    windows: int
    origin: datetime
    length: timedelta


@dataclass(frozen=True, eq=False)
class Scores:
    """Windows, thin ones merged: their means, what the baseline expects, the error e, and the index of
    each group's first and last window."""

    mean: Array
    expected: Array
    error: Array
    groups: list[tuple[int, int]]

    @property
    def z(self) -> Array:
        """(r̄ − m)/e, NaN where rewards never vary."""
        return divide(self.mean - self.expected, self.error)


def frozen_rewards(healthy: Healthy, season: timedelta) -> FrozenRewards | None:
    """The rewards of the baseline, None with fewer than 168 windows or two seasons."""
    if healthy not in _KNOWN:
        _KNOWN[healthy] = _frozen(healthy, season)
    return _KNOWN[healthy]


def scores(means: Sequence[Reading], reference: FrozenRewards) -> Scores | None:
    """Every closed group of at least 30 decisions against the same phases of the baseline; None if none."""
    n = np.array([decisions(reading) for reading in means])
    groups = closed_groups(n.tolist(), MIN_DECISIONS)
    if not groups:
        return None
    last, edges = groups[-1][1] + 1, [first for first, _ in groups]
    n, value = n[:last], np.array([r.estimate.value if k else 0.0 for r, k in zip(means, n, strict=False)])
    phases = reference.sums.shape[1]
    phase = [(r.window_start - reference.origin) // reference.length % phases for r in means[:last]]
    pooled = np.add.reduceat(np.where(n > 0, reference.sums[:, phase], 0.0), edges, axis=1)
    total = np.add.reduceat(n, edges)
    mean = divide(np.add.reduceat(n * value[:last], edges), total)
    off, error = mean_and_error(pooled, total)
    return Scores(mean, reference.centre + off, error, groups)


def _frozen(healthy: Healthy, season: timedelta) -> FrozenRewards | None:
    means = healthy.of("reward_mean")
    if not means:
        return None
    origin, length = means[0].window_start, means[0].window_end - means[0].window_start
    phases = season // length
    size = (means[-1].window_start - origin) // length + 1 if phases else 0
    seasons = -(-size // phases) if phases else 0
    if seasons < 2:
        return None
    cells, centre = grid(healthy.series, origin, len(means), seasons * phases)
    windows = int((cells[0] > 0).sum())
    if windows < MIN_WINDOWS:
        return None
    cells = cells.reshape(3, seasons, phases)
    s0 = scale(cells, MIN_DECISIONS)
    return FrozenRewards(cells.sum(axis=1), centre, s0, windows, origin, length)
