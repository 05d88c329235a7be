"""State shift of one feature: Jensen–Shannon divergence from the frozen baseline, in nats."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike

from monitor.metrics.estimate import Estimate, exact, missing
from monitor.metrics.intervals import looks, standard_errors
from monitor.metrics.jackknife import MIN_DAYS, Array, variance_of
from monitor.metrics.ratios import divide, finish
from monitor.metrics.sums import Settings, Sums

MIN_ROWS = 30
FEWEST_INTERIOR = 5
MIN_BLOCKS = 72
BLOCK_FACTOR = 1.25
MIN_BASELINE_DAYS = 2


def state_js(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Corrected divergence max(0, D_JS − bias), in nats; at most ln 2.

    Under 7 days bias = (B−1)/8·(1/n + 1/m), and there is no interval. From 7 days on, bias and SE
    by jackknife over the days of the window and of the baseline, t with the smaller number of
    days − 1; T⁻¹(Φ(m)) with as many degrees of freedom in a confidence sequence. Fewer than
    max(30, 3(B−1)) rows: `low_n`. `method` says *uncalibrated* where the baseline has fewer than
    72 blocks.
    """
    found = shift(states, settings)
    if isinstance(found, str):
        return missing(found, "nat")
    low, high = np.maximum(0.0, found.corrected - found.margin), found.corrected + found.margin
    return finish(found.corrected, low, high, found.n, "nat", found.method, found.reason)


def state_js_raw(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """D_JS = ½KL(P‖M) + ½KL(Q‖M), M = ½(P+Q), of the merged bins, not corrected for bias; in nats."""
    found = shift(states, settings)
    if isinstance(found, str):
        return missing(found, "nat")
    return finish(found.raw, math.nan, math.nan, found.n, "nat", found.method, found.reason)


def state_js_p(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """P(χ²(B−1) ≥ 8·D_JS/(1/n + 1/m)): how unusual the raw divergence is for independent rows."""
    found = shift(states, settings)
    if isinstance(found, str):
        return missing(found, "probability")
    return finish(found.p, math.nan, math.nan, found.n, "probability", found.method, found.reason)


def state_js_limit(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """1.25 x the largest corrected D_JS of a block of the baseline against the rest of it, on the
    same merged bins, in nats. *Uncalibrated* (and 0 where there is no block) under 72 blocks."""
    found = shift(states, settings)
    if isinstance(found, str):
        return missing(found, "nat")
    return exact(found.limit, settings.n_blocks, "nat", found.method)


@dataclass(frozen=True, slots=True)
class Shift:
    """What the four metrics of one feature and window share. `margin` is half the interval's width."""

    raw: float
    corrected: float
    margin: float
    p: float
    limit: float
    n: float
    method: str
    reason: str | None


_DAYS: WeakKeyDictionary[Sums, Array] = WeakKeyDictionary()
_SHIFTS: WeakKeyDictionary[Sums, tuple[Sums, Settings, Shift | str]] = WeakKeyDictionary()


def shift(states: Mapping[str, Sums], settings: Settings) -> Shift | str:
    """The divergence of `states["state"]` from `states["baseline"]`, or the reason there is none.

    Remembered for the same two objects and equal settings: four metrics cost one computation.
    """
    state, baseline = states["state"], states.get("baseline")
    if baseline is None or not len(baseline):
        return "baseline_missing"
    known = _SHIFTS.get(state)
    if known is not None and known[0] is baseline and known[1] == settings:
        return known[2]
    found = _shift(_counts_by_day(state), _counts_by_day(baseline), settings)
    _SHIFTS[state] = (baseline, settings, found)
    return found


def jensen_shannon(counts: ArrayLike, others: ArrayLike) -> Array:
    """D_JS of two histograms over the last axis, in nats, at most ln 2; NaN where one is empty.

    Source: Lin 1991, with equal weights.
    """
    from scipy.special import rel_entr

    a, b = np.asarray(counts, dtype=np.float64), np.asarray(others, dtype=np.float64)
    p, q = divide(a, a.sum(axis=-1, keepdims=True)), divide(b, b.sum(axis=-1, keepdims=True))
    middle = (p + q) / 2
    return np.asarray((rel_entr(p, middle) + rel_entr(q, middle)).sum(axis=-1) / 2)


def bias(bins: int, n: ArrayLike, m: ArrayLike) -> Array:
    """(B−1)/8·(1/n + 1/m): what D_JS of two equal distributions is on average, B bins seen."""
    return (bins - 1) / 8 * (divide(1.0, n) + divide(1.0, m))


def merge_levels(interior: int) -> dict[int, int]:
    """Interior bins that merging neighbours leaves, largest first, and how many are merged into one.

    20 → {20: 1, 10: 2, 5: 4}. Categories (0) are never merged.
    """
    levels, step = {interior: 1}, 1
    while -(-interior // step) > FEWEST_INTERIOR:
        step *= 2
        levels[-(-interior // step)] = step
    return levels


def merged(counts: Array, interior: int, step: int) -> Array:
    """Counts (…, bins) with `step` neighbouring interior bins added into one. The bins are underflow,
    interior, overflow, NULL: only the interior is merged."""
    if step == 1:
        return counts
    inner = np.add.reduceat(counts[..., 1 : interior + 1], np.arange(0, interior, step), axis=-1)
    return np.concatenate([counts[..., :1], inner, counts[..., interior + 1 :]], axis=-1)


def block_maxima(blocks: ArrayLike, interior: int) -> dict[int, float]:
    """For each number of interior bins that merging can leave, the largest corrected D_JS of a
    block of the baseline against the rest of it.

    `blocks` are counts, shape (blocks, bins): one row a block as long as a window. Blocks too
    small to be judged on those bins (under max(30, 3(B−1)) rows) are left out; a level where all
    are is left out itself.
    """
    counts = np.asarray(blocks, dtype=np.float64)
    maxima = {}
    for level, step in merge_levels(interior).items():
        block = merged(counts, interior, step)
        rest = block.sum(axis=0) - block
        n, m = block.sum(axis=-1), rest.sum(axis=-1)
        bins = int((block.sum(axis=0) > 0).sum())
        judged = (n >= max(MIN_ROWS, 3 * (bins - 1))) & (m > 0)
        if judged.any():
            corrected = jensen_shannon(block[judged], rest[judged]) - bias(bins, n[judged], m[judged])
            maxima[level] = float(np.maximum(0.0, corrected.max()))
    return maxima


def _shift(days: Array, base_days: Array, settings: Settings) -> Shift | str:
    from scipy.special import chdtrc

    bins = max(days.shape[1], base_days.shape[1], settings.interior_bins + 3)
    total, base_total = _padded(days.sum(axis=0), bins), _padded(base_days.sum(axis=0), bins)
    n, m = float(total.sum()), float(base_total.sum())
    if not n > 0:
        return "no_data"
    if not m > 0:
        return "baseline_missing"
    if not math.isfinite(n + m):
        return "non_finite"
    level, step, seen = _merged_enough(total, base_total, n, settings.interior_bins)
    window, base = (merged(t, settings.interior_bins, step) for t in (total, base_total))
    raw = float(jensen_shannon(window, base))
    corrected, margin = raw - float(bias(seen, n, m)), math.nan
    method = f"{seen} bins, no interval under {MIN_DAYS} days"
    if len(days) >= MIN_DAYS and len(base_days) >= MIN_BASELINE_DAYS:
        ours, theirs = (merged(_padded(d, bins), settings.interior_bins, step) for d in (days, base_days))
        corrected, se = _by_days(ours, theirs, raw)
        margin = standard_errors(min(len(ours), len(theirs)) - 1, n, settings) * se
        sides = f"jackknife of {len(days)} days and {len(base_days)} days of baseline"
        method = f"{looks(settings)}{seen} bins, {sides}"
    limit = BLOCK_FACTOR * settings.block_maxima.get(level, 0.0)
    if settings.n_blocks < MIN_BLOCKS or level not in settings.block_maxima:
        method = f"uncalibrated: {settings.n_blocks} of {MIN_BLOCKS} blocks of baseline, {method}"
    statistic = 8 * raw / (1 / n + 1 / m)
    p = float(chdtrc(seen - 1, statistic)) if seen > 1 else 1.0
    reason = "low_n" if min(n, m) < max(MIN_ROWS, 3 * (seen - 1)) else None
    return Shift(raw, float(np.maximum(0.0, corrected)), margin, p, limit, n, method, reason)


def _merged_enough(total: Array, base_total: Array, n: float, interior: int) -> tuple[int, int, int]:
    """Interior bins left, how many are merged into one and bins seen: the finest with n ≥ 3(B−1), else
    the coarsest."""
    both = total + base_total
    for level, step in merge_levels(interior).items():  # noqa: B007
        seen = int(np.count_nonzero(merged(both, interior, step)))
        if n >= 3 * (seen - 1):
            break
    return level, step, seen


def _by_days(window: Array, base: Array, raw: float) -> tuple[float, float]:
    """Divergence corrected by the jackknife's bias, and its SE, over days of both sides."""
    total, base_total = window.sum(axis=0), base.sum(axis=0)
    without = jensen_shannon(total - window, base_total)
    base_without = jensen_shannon(total, base_total - base)
    square = variance_of(without) + variance_of(base_without)
    excess = (len(window) - 1) * (without.mean() - raw) + (len(base) - 1) * (base_without.mean() - raw)
    return raw - float(excess), math.sqrt(square)


def _counts_by_day(sums: Sums) -> Array:
    """Counts (days with rows, bins). Kept while the sums live: a baseline is read for every window."""
    known = _DAYS.get(sums)
    if known is not None:
        return known
    if not len(sums):
        return np.zeros((0, 0))
    code, day = sums.key.astype(np.int64), sums.day - sums.day.min()
    bins, days = int(code.max()) + 1, int(day.max()) + 1
    flat = np.bincount(day * bins + code, weights=sums.columns["n"], minlength=days * bins)
    counts = flat.astype(np.float64).reshape(days, bins)
    _DAYS[sums] = counts = counts[counts.any(axis=1)]
    return counts


def _padded(counts: Array, bins: int) -> Array:
    """Counts (…, bins) with empty bins added."""
    lacking = (*counts.shape[:-1], bins - counts.shape[-1])
    return np.concatenate([counts, np.zeros(lacking)], axis=-1) if lacking[-1] else counts
