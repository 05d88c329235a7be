"""Quantiles and tail of the sampled returns: single decisions, or whole episodes where these were sampled."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from weakref import WeakKeyDictionary

import numpy as np

from monitor.metrics.estimate import Estimate, missing
from monitor.metrics.intervals import (
    alpha_of,
    clopper_pearson,
    effective_size,
    few,
    kish,
    kish_size,
    looks,
    t_interval,
)
from monitor.metrics.jackknife import Array, Jackknife, jackknife
from monitor.metrics.ratios import divide, finish
from monitor.metrics.sums import Settings, Sums

SAMPLE_SIZE = 1000
TAIL = 0.1
TAIL_ROWS = 100


def reward_cvar10(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Mean of the worst tenth of the sampled rewards."""
    return cvar(states["sample"], settings)


def quantile(sample: Sums, tau: float, settings: Settings) -> Estimate:
    """F̂⁻¹(τ), the smallest return with at least a share τ of the sample's weight at or below it.

    Interval: F̂⁻¹ at the ends of the 0/1 interval (Clopper–Pearson at N*, clusters allowed for) of
    the share τ. N* is that of the returns at or below F̂⁻¹(τ), or below it where their share is
    nearer to τ. Where even the smallest (largest) return is not an end at this level, the end is
    that of `reward.range`. `low_units` as the jackknife gives it.
    """
    found = ordered(sample)
    n = len(found.returns)
    if not n:
        return missing("no_data", "reward")
    if not found.finite:
        return missing("non_finite", "reward", n)
    size, jack = _effective(found, tau, settings)
    alpha = alpha_of(n, settings)
    low, high = clopper_pearson(size * tau, size, alpha)
    if not math.isfinite(size):
        return finish(found.at(tau), math.nan, math.nan, n, "reward", jack.method, jack.reason)
    bottom = settings.reward_low if (1 - tau) ** size > alpha / 2 else found.at(low)
    top = settings.reward_high if tau**size > alpha / 2 else found.at(high)
    method = f"{looks(settings)}order statistics of a sample of {n}, {size:.6g} effective, {jack.method}"
    return finish(found.at(tau), bottom, top, n, "reward", method, jack.reason)


def cvar(sample: Sums, settings: Settings) -> Estimate:
    """CVaR₁₀ = (1/α)Σ_i clip(α − C_{i−1}, 0, w_i)·G_i over returns sorted upward, α = .1.

    w are weights normalised to 1, C their running sum: the return at the boundary is split. It is
    q − Σw(q − G)₊/α with q = F̂⁻¹(α), which does not move with q to first order, so q stays fixed in
    the jackknife. Fewer than 100 effective returns in the tail (αN*): `low_n`.

    Source: Rockafellar and Uryasev 2002.
    """
    found = ordered(sample)
    n = len(found.returns)
    if not n:
        return missing("no_data", "reward")
    if not found.finite:
        return missing("non_finite", "reward", n)
    q = found.at(TAIL)
    short = found.weight * np.maximum(q - found.returns, 0.0)
    jack = jackknife(
        lambda x: q - divide(x[..., 1], TAIL * x[..., 0]),
        _columns(found.rows, k=found.weight, short=short), ("k", "short"), settings,
    )
    size, _ = _effective(found, TAIL, settings)
    estimate = t_interval(jack, n, "reward", settings)
    method = f"mean of the worst tenth of a sample of {n}, {size:.6g} effective, {estimate.method}"
    estimate = replace(estimate, method=method)
    return estimate.because("low_n") if not TAIL * size >= TAIL_ROWS else estimate


@dataclass(frozen=True, slots=True)
class Ordered:
    """The uniform part of a sample, sorted upward by return: `rows`, their `returns` and `weight` (1/k),
    and `share`, the running sum of the weight, normalised to 1."""

    rows: Sums
    returns: Array
    weight: Array
    share: Array

    @property
    def finite(self) -> bool:
        """Whether every return and weight is a number, and there is some weight."""
        return bool(np.isfinite(self.returns).all() and np.isfinite(self.share).all())

    def at(self, share: float) -> float:
        """F̂⁻¹: the smallest return with at least this share of the weight at or below it."""
        place = int(np.searchsorted(self.share, share * (1 - 1e-12)))
        return float(self.returns[min(place, len(self.returns) - 1)])


_ORDERED: WeakKeyDictionary[Sums, Ordered] = WeakKeyDictionary()


def ordered(sample: Sums) -> Ordered:
    """The uniform rows of a sample in order; remembered, since several metrics of a window need it."""
    known = _ORDERED.get(sample)
    if known is None:
        rows = uniform_rows(sample)
        rows = rows.where(np.argsort(rows.columns["reward"], kind="stable"))
        weight = rows.columns.get("k", np.ones(len(rows)))
        running = np.cumsum(weight)
        share = divide(running, running[-1]) if len(running) else running
        known = _ORDERED[sample] = Ordered(rows, rows.columns["reward"], weight, share)
    return known


def uniform_rows(sample: Sums, size: int = SAMPLE_SIZE) -> Sums:
    """The rows of several hours that form one uniform sample.

    Each hour kept its `size` rows of smallest hash. Every row below the smallest of the largest
    hashes of hours that were full was kept in every hour, so those rows are a uniform sample.
    """
    hashes = sample.columns["row_hash"]
    if len(hashes) < size or sample.hour.min() == sample.hour.max():
        return sample
    hours, hour_of_row, rows = np.unique(sample.hour, return_inverse=True, return_counts=True)
    if not (rows >= size).any():
        return sample
    largest = np.zeros(len(hours), dtype=hashes.dtype)
    np.maximum.at(largest, hour_of_row, hashes)
    return sample.where(hashes <= largest[rows >= size].min())


def _effective(found: Ordered, tau: float, settings: Settings) -> tuple[float, Jackknife]:
    """N* of the share τ of a sample, and the jackknife of the share nearest to it that it can show."""
    q = found.at(tau)
    first, last = (int(np.searchsorted(found.returns, q, side)) for side in ("left", "right"))
    under, upto = (float(found.share[place - 1]) if place else 0.0 for place in (first, last))
    events = np.arange(len(found.returns)) < (last if upto < 1 and upto - tau <= tau - under else first)
    columns = _columns(found.rows, k=found.weight, x=found.weight * events)
    jack = jackknife(lambda x: divide(x[..., 1], x[..., 0]), columns, ("k", "x"), settings)
    share, most = min(max(jack.value, 0.0), 1.0), kish_size(*_powers(found.weight))
    size = effective_size(share, jack, most, len(found.returns), settings)
    k, x = jack.groups[:, 0], jack.groups[:, 1]
    if few(x) or few(k - x):
        size = min(size, kish(columns, "k", _units(found), "k", jack.groups, settings))
    return size, jack


def _units(found: Ordered) -> Sums:
    _, unit = np.unique(found.rows.columns["unit_hash"], return_inverse=True)
    first, second = _powers(np.bincount(unit, weights=found.weight).astype(np.float64))
    return _columns(
        found.rows.where(np.arange(len(found.rows)) < 1), k1=np.array([first]), k2=np.array([second])
    )


def _powers(weight: Array) -> tuple[float, float]:
    return float(weight.sum()), float(weight @ weight)


def _columns(rows: Sums, **columns: Array) -> Sums:
    """Other columns of the same rows."""
    return Sums(rows.hour, rows.bucket, rows.key, MappingProxyType(columns))
