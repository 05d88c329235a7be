"""Whether returns have one mode or several: Hartigan's dip, and where the modes are and who is in them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from monitor.metrics.estimate import Estimate, missing
from monitor.metrics.jackknife import Array
from monitor.metrics.quantiles import Ordered, ordered
from monitor.metrics.ratios import finish
from monitor.metrics.sums import Settings, Sums

MOST_RETURNS = 10_000
FEWEST_RETURNS = 20
DISCRETE_VALUES = 10
BIMODAL_P = 0.01
BIMODAL_DIP = 0.005
SMALLEST_MODE = 0.05
OVER_REPRESENTED = 1.2
NAMED_SEGMENTS = 5
GRID = 512
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Mode:
    """A mode: where its peak is, its share of the returns, and the segments that more often than
    elsewhere are in it (at most five, largest part first; none where segments are alike)."""

    location: float
    share: float
    segments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dip:
    """Hartigan's dip of `n` returns with its `p`. `modes` where they are bimodal. `shares` of the values
    where they are discrete (dip and p are NaN then). `each`: what gave one return, a unit or an hour.
    `reason` where there is nothing to say."""

    dip: float
    p: float
    n: int
    each: str = "unit"
    modes: tuple[Mode, ...] = ()
    shares: tuple[tuple[float, float], ...] = ()
    reason: str | None = None

    @property
    def bimodal(self) -> bool:
        """p < .01 and a dip of .005 or more."""
        return self.p < BIMODAL_P and self.dip >= BIMODAL_DIP

    @property
    def method(self) -> str:
        """What was found, in words."""
        if self.shares:
            return "discrete: " + ", ".join(f"{value:.6g} ({share:.3f})" for value, share in self.shares)
        if self.reason:
            return "none"
        told = f"Hartigan's dip of {self.n} returns, one of each {self.each}, p {self.p:.3g}"
        if not self.bimodal:
            return f"unimodal; {told}"
        return f"bimodal: {' and '.join(_told(mode) for mode in self.modes)}; {told}"


def reward_dip(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Hartigan's dip of the sampled rewards: the largest distance of their distribution function from
    the nearest unimodal one, 0 to .25. `method` says unimodal or bimodal (p < .01 and dip ≥ .005), and
    names the modes with their segments.

    At most 10 000 returns, one a unit (of time blocks: one an hour), those of smallest hash. Each
    is moved, by its hash, by at most half the median gap between distinct values: ties alone
    would reject. At most 10 distinct values: `discrete`, with their shares. Under 20: `low_n`.

    Source: Hartigan and Hartigan 1985; p by interpolation in the table of the package diptest.
    """
    found = dip(states["sample"], settings)
    return _estimate(found, found.dip, "share")


def reward_dip_p(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """How often a uniform sample of as many independent returns has so large a dip."""
    found = dip(states["sample"], settings)
    return _estimate(found, found.p, "probability")


_DIPS: WeakKeyDictionary[Sums, tuple[bool, Dip]] = WeakKeyDictionary()


def dip(sample: Sums, settings: Settings) -> Dip:
    """The dip of a sample of returns; remembered, since two metrics of a window need it."""
    known = _DIPS.get(sample)
    if known is None or known[0] != settings.time_blocks:
        known = _DIPS[sample] = settings.time_blocks, _dip(ordered(sample), settings)
    return known[1]


def one_a_unit(rows: Sums, *, time_blocks: bool) -> NDArray[np.int64]:
    """The places of the rows of smallest hash of each unit (of each hour for time blocks), in the order
    of their hashes, at most 10 000."""
    hashes = rows.columns["row_hash"]
    by_hash = np.argsort(hashes, kind="stable")
    unit = (rows.hour if time_blocks else rows.columns["unit_hash"])[by_hash]
    first = np.unique(unit, return_index=True)[1]
    return by_hash[np.sort(first)[:MOST_RETURNS]]


def jittered(returns: Array, hashes: NDArray[Any]) -> Array:
    """Returns moved by at most half the median gap between distinct values, each by its own hash."""
    gaps = np.diff(np.unique(returns))
    if not len(gaps):
        return returns
    fraction = (hashes.astype(np.uint64) * GOLDEN).astype(np.float64) / 2.0**64
    return returns + (fraction - 0.5) * float(np.median(gaps))


def _dip(found: Ordered, settings: Settings) -> Dip:
    size = len(found.returns)
    if not size:
        return Dip(math.nan, math.nan, 0, reason="no_data")
    if not found.finite:
        return Dip(math.nan, math.nan, size, reason="non_finite")
    if size < FEWEST_RETURNS:
        return Dip(math.nan, math.nan, size, reason="low_n")
    last = np.flatnonzero(np.diff(found.returns, append=np.inf))
    if len(last) <= DISCRETE_VALUES:
        shares = np.diff(found.share[last], prepend=0.0)
        told = zip(found.returns[last].tolist(), shares.tolist(), strict=True)
        return Dip(math.nan, math.nan, size, shares=tuple(told), reason="discrete")
    place = one_a_unit(found.rows, time_blocks=settings.time_blocks)
    if len(place) < FEWEST_RETURNS:
        return Dip(math.nan, math.nan, len(place), reason="low_n")
    from diptest import diptest

    moved = jittered(found.returns[place], found.rows.columns["row_hash"][place])
    value, p = diptest(moved)
    result = Dip(float(value), float(p), len(place), "hour" if settings.time_blocks else "unit")
    if not result.bimodal:
        return result
    return replace(result, modes=_modes(found.returns, found.rows.key))


def _modes(returns: Array, segments: NDArray[Any]) -> tuple[Mode, ...]:
    """Modes of a kernel density of all returns, whose bandwidth shrinks from Silverman's until two hold
    5 % each. Weights are left out: this is to be read."""
    low, high = np.quantile(returns, [0.005, 0.995]).tolist()
    counts, edges = np.histogram(np.clip(returns, low, high), GRID, (low, high))
    spread = np.subtract(*np.quantile(returns, [0.75, 0.25])) / 1.34
    width = 0.9 * min(float(returns.std()), float(spread) or math.inf) * len(returns) ** -0.2
    step = float(edges[1] - edges[0])
    cuts: list[int] = []
    peaks: list[int] = []
    while width > step:
        density = _smooth(counts, width / step)
        peaks, cuts = _peaks(density, counts / counts.sum())
        if len(peaks) > 1:
            break
        width *= 0.9
    centres = (edges[1:] + edges[:-1]) / 2
    part = np.searchsorted(edges[cuts], returns, side="right")
    return tuple(
        Mode(float(centres[peak]), float((part == i).mean()), _over_represented(segments, part == i))
        for i, peak in enumerate(peaks)
    )


def _smooth(counts: NDArray[np.int64], width: float) -> Array:
    """Counts on a grid convolved with a normal density of `width` cells."""
    size = 2 * len(counts)
    frequency = np.fft.rfftfreq(size)
    kernel = np.exp(-2 * (math.pi * frequency * width) ** 2)
    return np.asarray(np.fft.irfft(np.fft.rfft(counts, size) * kernel, size)[: len(counts)])


def _peaks(density: Array, share: Array) -> tuple[list[int], list[int]]:
    """Peaks of a density and the valleys between them; a mode under 5 % joins across its higher valley."""
    rises = np.diff(np.concatenate([[0.0], density, [0.0]]))
    peaks = np.flatnonzero((rises[:-1] > 0) & (rises[1:] <= 0)).tolist()
    cuts = [a + int(np.argmin(density[a:b])) for a, b in pairwise(peaks)]
    while cuts:
        shares = [part.sum() for part in np.split(share, cuts)]
        small = int(np.argmin(shares))
        if shares[small] >= SMALLEST_MODE:
            break
        sides = [i for i in (small - 1, small) if 0 <= i < len(cuts)]
        gone = max(sides, key=lambda i: density[cuts[i]])
        peaks[gone : gone + 2] = [max(peaks[gone : gone + 2], key=lambda place: density[place])]
        del cuts[gone]
    return peaks, cuts


def _over_represented(segments: NDArray[Any], inside: NDArray[np.bool_]) -> tuple[str, ...]:
    names, code = np.unique(segments.astype(str), return_inverse=True)
    within = np.bincount(code[inside], minlength=len(names)) / max(int(inside.sum()), 1)
    overall = np.bincount(code, minlength=len(names)) / len(segments)
    order = np.argsort(-within, kind="stable")
    return tuple(str(names[i]) for i in order if within[i] > OVER_REPRESENTED * overall[i])[:NAMED_SEGMENTS]


def _told(mode: Mode) -> str:
    where = f", more from {', '.join(mode.segments)}" if mode.segments else ""
    return f"{mode.location:.4g} ({mode.share:.2f} of the returns{where})"


def _estimate(found: Dip, value: float, unit: str) -> Estimate:
    if found.reason:
        return missing(found.reason, unit, found.n, found.method)
    return finish(value, math.nan, math.nan, found.n, unit, found.method)
