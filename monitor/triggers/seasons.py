"""Windows laid out by season and phase: reference mean, its error, and how much windows really vary."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import numpy as np
from numpy.typing import ArrayLike, NDArray

from monitor.metrics.estimate import Reading
from monitor.metrics.ratios import divide
from monitor.triggers.windows import closed_groups, since, usable

Array = NDArray[np.float64]
ROUNDING = 1e-12


def grid(
    series: Mapping[str, Sequence[Reading]],
    origin: datetime,
    end: int,
    size: int,
    out: Collection[datetime] = (),
) -> tuple[Array, float]:
    """n, Σ(r−c) and Σ(r−c)² of each window from `origin` on, 0 where left out, shape (3, size); and c."""
    means, sds = series["reward_mean"], series["reward_sd"]
    length = means[-1].window_end - means[-1].window_start
    spread = {r.window_start: r.estimate.value for r in sds[since(sds, origin) :]}
    rows = [
        ((start - origin) // length, reading.estimate.n, reading.estimate.value, spread.get(start, math.nan))
        for reading in means[since(means, origin) : end]
        if (start := reading.window_start) not in out and usable(reading)
    ]
    at, n, mean, sd = np.array(rows, dtype=np.float64).reshape(-1, 4).T
    centre = float(divide(mean.sum(), len(mean)))
    within = np.where(n > 1, np.nan_to_num(sd) ** 2 * (n - 1), 0.0)
    cells = np.zeros((3, size))
    cells[:, at.astype(np.int64)] = n, n * (mean - centre), within + n * (mean - centre) ** 2
    return cells, centre


def mean_and_error(pooled: Array, n: ArrayLike) -> tuple[Array, Array]:
    """m, and e = row sd·√(1/n + 1/n_m), from n_m, Σ(r−c), Σ(r−c)² of the reference."""
    count, total, square = pooled
    mean = divide(total, count)
    variance = np.maximum(divide(square - total * mean, np.maximum(count - 1, 0.0)), 0.0)
    variance = np.where(variance <= ROUNDING * divide(square, count), 0.0, variance)
    return mean, np.sqrt(variance * (divide(1.0, n) + divide(1.0, count)))


def scale(own: Array, fewest: float) -> float:
    """s: root mean square of z over the windows of the seasons, each against the other seasons;
    1.0 where no z can be made. Thin windows are merged as they are for the test."""
    others = own.sum(axis=1, keepdims=True) - own
    own, others = own.reshape(3, -1), others.reshape(3, -1)
    if (own[0] >= fewest).all():
        merged, reference = own, others
    else:
        groups = closed_groups(own[0].tolist(), fewest)
        if not groups:
            return 1.0
        edges = [first for first, _ in groups]
        last = groups[-1][1] + 1
        seen = np.where(own[0] > 0, others, 0.0)
        merged = np.add.reduceat(own[:, :last], edges, axis=1)
        reference = np.add.reduceat(seen[:, :last], edges, axis=1)
    mean, error = mean_and_error(reference, merged[0])
    z = divide(divide(merged[1], merged[0]) - mean, error)
    z = z[np.isfinite(z)]
    return math.sqrt(float(z @ z) / len(z)) if len(z) else 1.0
