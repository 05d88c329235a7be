"""Simulated logs, many runs at once, as the sums that metrics take; what each truly is, is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.metrics.sums import BUCKETS, Sums

Array = NDArray[np.float64]
Rows = Mapping[str, Any]
CONFIDENT = 1.959963984540054


@dataclass(frozen=True)
class Batch:
    """Runs of one stream. `states(run, look)` is what a metric gets at that look; `values` are the
    estimates, shape (runs, looks); `rivals` are ends of others' intervals, each (runs, looks)."""

    states: Callable[[int, int], Mapping[str, Any]]
    values: Array
    rivals: Mapping[str, tuple[Array, Array]] = field(default_factory=dict)


class Cells:
    """Rows added up by (hour, bucket), for every run: columns of shape (runs, cells), or (cells,)
    where all runs share them. `ends` are the hours at which the runs are looked at."""

    def __init__(self, hour: NDArray[Any], bucket: NDArray[Any], rows: Rows, ends: NDArray[Any]) -> None:
        code = hour * (BUCKETS + 1) + bucket + 1
        order = np.argsort(code, kind="stable")
        code = code[order]
        starts = np.flatnonzero(np.concatenate([[True], code[1:] != code[:-1]]))
        self.hour, self.bucket = code[starts] // (BUCKETS + 1), code[starts] % (BUCKETS + 1) - 1
        self.key = np.full(len(starts), "", dtype=object)
        ordered = np.array_equal(order, np.arange(len(order)))
        self.columns = {
            name: np.add.reduceat(np.asarray(row, float) if ordered else np.asarray(row, float)[..., order],
                                  starts, axis=-1)
            for name, row in rows.items()
        }
        self.stop = np.searchsorted(self.hour, ends, side="right")

    def at(self, run: int, look: int) -> Sums:
        stop = int(self.stop[look])
        of = {n: c[:stop] if c.ndim == 1 else c[run, :stop] for n, c in self.columns.items()}
        return Sums(self.hour[:stop], self.bucket[:stop], self.key[:stop], MappingProxyType(of))

    def totals(self, column: str) -> Array:
        """The column up to each look, shape (runs, looks) or (looks,)."""
        return np.asarray(np.cumsum(self.columns[column], axis=-1)[..., self.stop - 1])


def growing(first: int, last: int, factor: float = 1.1) -> NDArray[np.int64]:
    """Numbers of rows to look at, each `factor` times the one before."""
    steps = int(np.ceil(np.log(last / first) / np.log(factor)))
    return np.unique(np.rint(np.geomspace(first, last, steps + 1)).astype(np.int64))


def blocks(looks: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each row among the looks: rows between two looks share an hour."""
    return np.repeat(np.arange(len(looks)), np.diff(np.concatenate([[0], looks])))


def rewards(r: Array, hour: NDArray[Any], bucket: NDArray[Any], ends: NDArray[Any], centre: float) -> Batch:
    """The family `reward` of rewards r, shape (runs, rows)."""
    one = np.ones(r.shape[-1])
    rows = {"n": one, "n_reward": one, "k1": one, "k2": one, "r1": r - centre, "r2": (r - centre) ** 2,
            "n_not01": one, "n_one": 0 * one}
    cells = Cells(hour, bucket, rows, ends)
    n, mean = cells.totals("n"), centre + cells.totals("r1") / cells.totals("n")
    square = cells.totals("r2") / n - (mean - centre) ** 2
    margin = CONFIDENT * np.sqrt(np.maximum(square, 0) / n)
    rivals = {"row by row, 1.96 s/√n": (mean - margin, mean + margin)}
    return Batch(lambda run, look: {"reward": cells.at(run, look)}, mean, rivals)


def violations(
    x: Array, hour: NDArray[Any], unit: NDArray[Any], ends: NDArray[Any], bucket: NDArray[Any] | None = None
) -> Batch:
    """The families `constraint` and `units` of violations x, shape (runs, rows)."""
    one = np.ones(x.shape[-1])
    rows = {"n": one, "n_null": 0 * one, "k1": one, "k2": one, "x": x, "v1": x, "c1": x}
    cells = Cells(hour, unit % BUCKETS if bucket is None else bucket, rows, ends)
    rate, n = cells.totals("v1") / cells.totals("n"), cells.totals("n")
    code = np.unique(unit, return_inverse=True)[1]
    units = [_units(code[hour <= end]) for end in ends]
    margin = CONFIDENT * np.sqrt(rate * (1 - rate) / n)
    return Batch(
        lambda run, look: {"constraint": cells.at(run, look), "units": units[look]}, rate,
        {"row by row, 1.96 √(v(1−v)/n)": (rate - margin, rate + margin)},
    )  # fmt: skip


def weighted(
    w: Array, r: Array, hour: NDArray[Any], bucket: NDArray[Any], ends: NDArray[Any], kind: str
) -> Batch:
    """The family `offpolicy` of weights w and rewards r, shape (runs, rows); values of snips, lift or ips."""
    one = np.ones(w.shape[-1])
    binary = bool(np.isin(r[:1], (0, 1)).all())
    rows = {
        "n_rows": one, "n_missing_p": 0 * one, "n_missing_q": 0 * one, "n_missing_r": 0 * one, "n": one,
        "k1": one, "w1": w, "wr1": w * r, "r1": r, "w2": w**2, "w2r": w**2 * r, "wr2": (w * r) ** 2,
        "r2": r**2, "wra": w * np.abs(r), "w_max": 0 * one, "w_min": 0 * one, "n_over10": w > 10,
        "n_not01": 0 * one if binary else one, "n_one": (r == 1) & (w > 0) if binary else 0 * one,
    }  # fmt: skip
    cells = Cells(hour, bucket, rows, ends)
    snips, n = cells.totals("wr1") / cells.totals("w1"), cells.totals("n")
    spread = cells.totals("wr2") / n / (cells.totals("w1") / n) ** 2 - snips**2
    bootstrap = CONFIDENT * np.sqrt(np.maximum(spread, 0) / n)
    values = {
        "snips": snips, "lift": snips - cells.totals("r1") / n, "ips": cells.totals("wr1") / n,
    }  # fmt: skip
    rivals = {"bootstrap of w r/w̄, not renormalised": (snips - bootstrap, snips + bootstrap)}
    states = lambda run, look: {"offpolicy": cells.at(run, look)}  # noqa: E731
    return Batch(states, values[kind], rivals if kind == "snips" else {})


def histograms(counts: Array, baseline: Array, ends: NDArray[Any]) -> Batch:
    """The family `state` of counts by (run, day, bin) beside a baseline of (run, day, bin)."""
    from monitor.metrics.divergence import jensen_shannon

    bins = counts.shape[-1]
    total = np.cumsum(counts, axis=1)[:, ends]
    values = jensen_shannon(total, baseline.sum(axis=1)[:, None])

    def family(days: Array) -> Sums:
        key = np.tile(np.arange(1, bins + 1).astype(object), len(days))
        hour = np.repeat(24 * np.arange(len(days)), bins)
        return Sums(hour, np.full(len(key), -1), key, {"n": days.ravel().astype(float)})

    def states(run: int, look: int) -> Mapping[str, Sums]:
        return {"state": family(counts[run, : ends[look] + 1]), "baseline": family(baseline[run])}

    return Batch(states, values)


def autoregressive(rng: np.random.Generator, shape: tuple[int, int], rho: float) -> Array:
    """Stationary AR(1) of variance 1 along the last axis."""
    from scipy.signal import lfilter

    noise = rng.normal(size=shape) * np.sqrt(1 - rho**2)
    noise[:, 0] /= np.sqrt(1 - rho**2)
    return np.asarray(lfilter([1], [1, -rho], noise, axis=-1))


def _units(code: NDArray[Any]) -> Sums:
    n = np.bincount(code).astype(float)
    of = {"n_units": len(n), "k1": n.sum(), "k2": n @ n, "w1": n.sum(), "w2": n @ n}
    return Sums(np.zeros(1, int), np.full(1, -1), np.array([""], object),
                {name: np.array([float(v)]) for name, v in of.items()})
