"""A model of the reward fitted from sums: ridge regression for each action, cross-fitted by folds of units.

Sums `gram` hold Σ x xᵀ/k and Σ x r/k of each action by fold, sums `ridge` the first powers of each
day, bucket and action, so that doubly robust terms follow without a second look at the rows:
Σ w q̂(x, a) = Σ_a β_a·Σ w x, Σ E_{a~candidate} q̂(x, a) = Σ_a β_a·Σ x π_e(a|x).
"""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from monitor.metrics.jackknife import Array
from monitor.metrics.sums import Sums

PENALTY = 1.0
FOLDS = 8
BUCKETS_A_FOLD = 4
SCALARS = ("n_rows", "n", "k1", "r1", "wr1", "wsr1", "wor1")


@lru_cache(maxsize=2)
def fitted_terms(ridge: Sums, gram: Sums) -> Sums | None:
    """Doubly robust terms by day and bucket: dm1, wq1, wsq1, woq1 from the coefficients of the other
    folds, w1, ws1, wo1 from the intercept, SCALARS added up. None with fewer than two folds.

    Kept for the newest sums (which compare by identity): each doubly robust estimate asks for it anew."""
    actions, action = np.unique(np.concatenate([ridge.key, gram.key]).astype(str), return_inverse=True)
    at, place = action[: len(ridge)], ridge.columns["i"].astype(np.int64)
    beta = coefficients(gram, action[len(ridge) :], len(actions))
    if beta is None:
        return None
    place_known = (place >= 0) & (place < beta.shape[2])
    used = np.zeros(len(ridge))
    fold = ridge.bucket[place_known] // BUCKETS_A_FOLD
    used[place_known] = beta[fold, at[place_known], place[place_known]]
    cells, cell = np.unique(np.stack([ridge.hour, ridge.bucket]), axis=1, return_inverse=True)
    cell = cell.ravel()
    intercept = place == 0

    def summed(values: Array) -> Array:
        return np.asarray(np.bincount(cell, weights=values, minlength=cells.shape[1]), dtype=np.float64)

    columns = {name: summed(ridge.columns[name]) for name in SCALARS}
    columns["dm1"] = summed(ridge.columns["m"] * used)
    for name, moment in (("w", "u"), ("ws", "us"), ("wo", "uo")):
        columns[f"{name}1"] = summed(ridge.columns[moment] * intercept)
        columns[f"{name}q1"] = summed(ridge.columns[moment] * used)
    return Sums(cells[0], cells[1], np.full(cells.shape[1], "", dtype=object), MappingProxyType(columns))


def coefficients(gram: Sums, action: NDArray[np.int64], actions: int) -> Array | None:
    """β (folds, actions, features) of q̂(x, a) = x·β for the rows of each fold, fitted on all others.

    β = r̄e₀ + (G + I)⁻¹(b − r̄G e₀) with r̄ the mean reward of the other folds: ridge with penalty 1 a
    coefficient around that mean, so that an action nobody took is worth r̄. None with fewer than two
    folds that hold rows. The last column of the features' products is the reward (j = −1).
    """
    i, j = (gram.columns[name].astype(np.int64) for name in ("i", "j"))
    size = int(i.max(initial=0)) + 1
    square, moment = np.zeros((FOLDS, actions, size, size)), np.zeros((FOLDS, actions, size))
    g = gram.columns["g"]
    pair = j >= 0
    np.add.at(square, (gram.bucket[pair], action[pair], i[pair], j[pair]), g[pair])
    mirror = pair & (i != j)
    np.add.at(square, (gram.bucket[mirror], action[mirror], j[mirror], i[mirror]), g[mirror])
    np.add.at(moment, (gram.bucket[~pair], action[~pair], i[~pair]), g[~pair])
    if (square[:, :, 0, 0].sum(axis=1) > 0).sum() < 2:
        return None
    if not (np.isfinite(square).all() and np.isfinite(moment).all()):
        return np.full((FOLDS, actions, size), np.nan)
    square, moment = square.sum(axis=0) - square, moment.sum(axis=0) - moment
    mean = moment[:, :, 0].sum(axis=1) / square[:, :, 0, 0].sum(axis=1)
    centred = moment - mean[:, None, None] * square[:, :, :, 0]
    found = np.linalg.solve(square + PENALTY * np.eye(size), centred[..., None])[..., 0]
    found[:, :, 0] += mean[:, None]
    return np.asarray(found)
