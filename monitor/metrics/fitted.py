"""Value of the candidate where no propensity was logged: evidence grade B, for a person to look at.

p̂(a|cell) is the share of the decisions of a cell of states that took the action. What the logging
policy looked at beside the cell stays unseen, so that the value is shown with a sensitivity bound
and no gate reads it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from monitor.metrics.estimate import Estimate, exact, missing
from monitor.metrics.intervals import kish_size, t_interval
from monitor.metrics.jackknife import Array, jackknife
from monitor.metrics.ratios import divide
from monitor.metrics.sums import Settings, Sums

ODDS = 2.0
MIN_ESS = 100
MAX_OFF_ONE, MAX_Z = 0.02, 4
FOLDS, BUCKETS_A_FOLD = 8, 4
BETWEEN = "␟"


def estimated_snips(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Σ(s r/p̂)/Σ(s/p̂), s the candidate's probability of the executed action: SNIPS on fitted p̂.

    Jackknife with p̂ fitted anew. `low_ess`: effective size under 100; `propensity`: the mean weight
    is off 1 by more than .02 and 4 SE, so the candidate takes actions that no cell has seen;
    `no_candidate_distribution`: s unknown on more than 1 % of the rows.
    Source: Hirano, Imbens, Ridder 2003.
    """
    sums = states["taken"]
    n = sums.total("n")
    if (reason := _unusable(sums)) is not None:
        return missing(reason, "reward", n if n > 0 else 0.0)
    table = _table(sums)
    size = len(table.cell)

    def factors(x: Array) -> Array:
        return divide(x[..., :size] @ table.same_cell, x[..., :size])

    def value(x: Array) -> Array:
        f = np.nan_to_num(factors(x))
        s, sr = x[..., size : 2 * size], x[..., 2 * size : 3 * size]
        return divide((f * sr).sum(axis=-1), (f * s).sum(axis=-1))

    def mean_weight(x: Array) -> Array:
        f = np.nan_to_num(factors(x))
        return divide((f * x[..., size : 2 * size]).sum(axis=-1), x[..., :size].sum(axis=-1))

    jack = jackknife(value, table.wide, table.names, settings)
    found = t_interval(jack, n, "reward", settings)
    found = replace(found, method=f"grade B, propensities fitted in {table.cells} cells, {found.method}")
    weight = jackknife(mean_weight, table.wide, table.names, settings)
    off = abs(weight.value - 1)
    if sums.total("n_rows") - n > 0.01 * sums.total("n_rows"):
        found = found.because("no_candidate_distribution")
    if off > MAX_OFF_ONE and not off <= MAX_Z * weight.se:
        found = found.because("propensity")
    f = np.nan_to_num(factors(table.total))
    effective = kish_size(float(f @ table.total[size : 2 * size]), float(f**2 @ table.s2))
    return found if effective >= MIN_ESS else found.because("low_ess")


def estimated_snips_low(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """The lowest `estimated_snips` if the true odds of actions are off by a factor of 2 from p̂."""
    return _bound(states["taken"], settings, low=True)


def estimated_snips_high(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """The highest `estimated_snips` if the true odds of actions are off by a factor of 2 from p̂."""
    return _bound(states["taken"], settings, low=False)


def propensity_calibration(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Σ(observed − expected)²/expected ÷ degrees of freedom of action counts, p̂ from the other folds.

    About 1 for independent decisions of a policy that looks at nothing beside the cell; more says
    that p̂ moves between units or in time.
    """
    sums = states["taken"]
    rows = sums.total("n_rows")
    if not rows > 0:
        return missing("no_data", "ratio")
    if not math.isfinite(rows):
        return missing("non_finite", "ratio")
    expected, observed, _, freedom = _out_of_fold(sums)
    used = expected > 0
    square = float(((observed - expected)[used] ** 2 / expected[used]).sum())
    if not freedom > 0:
        return missing("low_n", "ratio", rows)
    return exact(square / freedom, rows, "ratio")


def reliability(sums: Sums) -> list[tuple[float, float, float]]:
    """Tenths of the predicted p̂, out of fold: (mean predicted, share observed, decisions) of each."""
    expected, observed, trials, _ = _out_of_fold(sums)
    predicted = divide(expected, trials)
    order = np.argsort(predicted, kind="stable")
    total = trials[order].sum()
    if not total > 0:
        return []
    tenth = np.minimum(9, (10 * (np.cumsum(trials[order]) - trials[order] / 2) / total).astype(np.int64))
    rows = [np.bincount(tenth, weights=x[order], minlength=10) for x in (expected, observed, trials)]
    return [(e / n, o / n, n) for e, o, n in zip(*(r.tolist() for r in rows), strict=True) if n > 0]


@dataclass(frozen=True)
class _Table:
    """Sums by (cell, action): `wide` has a column of counts, s and s·r for each; `same_cell` adds up
    cells."""

    wide: Sums
    names: tuple[str, ...]
    cell: NDArray[np.int64]
    cells: int
    same_cell: Array
    total: Array
    s2: Array


def _unusable(sums: Sums) -> str | None:
    """Why nothing can be fitted: no decision, or sums that are not finite."""
    if not sums.total("n") > 0:
        return "no_data"
    finite = all(math.isfinite(sums.total(name)) for name in ("k1", "s1", "sr1"))
    return None if finite else "non_finite"


def _table(sums: Sums) -> _Table:
    keys, key = np.unique(sums.key.astype(str), return_inverse=True)
    cells, cell = np.unique([k.rsplit(BETWEEN, 1)[0] for k in keys], return_inverse=True)
    places, place = np.unique(np.stack([sums.hour, sums.bucket]), axis=1, return_inverse=True)
    place, size = place.ravel(), len(keys)

    def spread(name: str) -> Array:
        found = np.zeros((size, places.shape[1]))
        np.add.at(found, (key, place), sums.columns[name])
        return found

    stacked = np.concatenate([spread("k1"), spread("s1"), spread("sr1")])
    names = tuple(f"{name}{at}" for name in ("k", "s", "sr") for at in range(size))
    wide = Sums(
        places[0], places[1], np.full(places.shape[1], "", dtype=object),
        MappingProxyType(dict(zip(names, stacked, strict=True))),
    )
    same = (cell[:, None] == cell[None, :]).astype(np.float64)
    s2 = np.asarray(np.bincount(key, weights=sums.columns["s2"], minlength=size), dtype=np.float64)
    return _Table(wide, names, cell, len(cells), same, stacked.sum(axis=1), s2)


def _bound(sums: Sums, settings: Settings, *, low: bool) -> Estimate:
    """Rewards scaled to [0, 1] count as a part r' that is 1 and a part 1 − r' that is 0; the first get the
    smallest (largest) weight that the odds allow, the others the largest (smallest).

    1/p lies in 1 + (1/p̂ − 1)/Γ to 1 + (1/p̂ − 1)Γ. Exact for 0/1 rewards, else the bound is wider
    than it need be. Source: Tan 2006; Zhao, Small, Bhattacharya 2019.
    """
    n = sums.total("n")
    if (reason := _unusable(sums)) is not None:
        return missing(reason, "reward", n if n > 0 else 0.0)
    table = _table(sums)
    size = len(table.cell)
    k, s, sr = (table.total[at * size : (at + 1) * size] for at in range(3))
    over = np.nan_to_num(divide(k @ table.same_cell, k)) - 1
    one, zero = (1 / ODDS, ODDS) if low else (ODDS, 1 / ODDS)
    width = settings.reward_high - settings.reward_low
    good = (sr - settings.reward_low * s) / width
    top = float(((1 + one * over) * good).sum())
    rest = float(((1 + zero * over) * (s - good)).sum())
    value = settings.reward_low + width * float(divide(top, top + rest))
    return exact(value, n, "reward", f"odds off by a factor of {ODDS:g}")


def _out_of_fold(sums: Sums) -> tuple[Array, Array, Array, float]:
    """(expected, observed, trials) of each fold, cell and action, and the degrees of freedom."""
    keys, key = np.unique(sums.key.astype(str), return_inverse=True)
    _, cell = np.unique([k.rsplit(BETWEEN, 1)[0] for k in keys], return_inverse=True)
    counts = np.zeros((FOLDS, len(keys)))
    np.add.at(counts, (sums.bucket // BUCKETS_A_FOLD, key), sums.columns["n_rows"])
    others = counts.sum(axis=0) - counts
    same = cell[:, None] == cell[None, :]
    chance, trials = np.nan_to_num(divide(others, others @ same)), counts @ same
    known = (trials > 0) & (others > 0)
    per_cell = np.array([known[:, cell == c].sum(axis=1) for c in range(int(cell.max()) + 1)])
    freedom = float(np.maximum(per_cell - 1, 0).sum())
    return (trials * chance)[known], counts[known], trials[known], freedom
