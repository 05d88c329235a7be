"""Shift of all state features together: what a classifier can tell bounds the divergence from below."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from monitor.metrics.estimate import Estimate, missing
from monitor.metrics.intervals import t_interval
from monitor.metrics.jackknife import Array, jackknife
from monitor.metrics.quantiles import uniform_rows
from monitor.metrics.ratios import divide, finish
from monitor.metrics.sums import Settings, Sums

KEPT = 200  # rows an hour that the family keeps
MOST = 2000
FOLDS = 4
MIN_ROWS = 100
RIDGE = 10.0
STEPS = 100
SURE = 1e-6


def state_joint_js(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """D_JS ≥ ln 2 − CE, clipped at 0, in nats: CE the held-out cross-entropy of a classifier that tells
    decisions of the window from those of the baseline, both classes weighing the same.

    The classifier is a ridge logistic regression on the scores of the bins, their squares and products
    of two (so it sees features that go together otherwise), empty values and categories; four folds by
    bucket of units, so that no unit is on both sides. A better classifier could only find more: the upper
    end is ln 2, so that a gate never passes on it. Interval: jackknife of the held-out losses.
    Under 100 rows on either side: `low_n`. Source: Lopez-Paz and Oquab 2017; Lin 1991.
    """
    window, base = _smallest(uniform_rows(states["state_sample"], KEPT), MOST), states["baseline_sample"]
    if not len(window):
        return missing("no_data", "nat")
    if min(len(window), len(base)) < MIN_ROWS:
        return missing("low_n", "nat", len(window))
    ours, theirs = _codes(window), _codes(base)
    if ours.shape[1] != theirs.shape[1]:
        return missing("baseline_missing", "nat", len(window))
    y = np.repeat([1.0, 0.0], [len(window), len(base)])
    bucket = np.concatenate([window.bucket, base.bucket])
    x = terms(np.concatenate([ours, theirs]), settings.joint_bins)
    losses = held_out_losses(x, y, bucket)
    if losses is None:
        return missing("low_n", "nat", len(window))
    columns = {"l1": losses * y, "n1": y, "l0": losses * (1 - y), "n0": 1 - y}
    hour = np.concatenate([window.hour, base.hour])
    rows = Sums(hour, bucket, np.zeros(len(y), dtype=object), MappingProxyType(columns))
    found = t_interval(jackknife(_bound, rows, tuple(columns), settings), len(window), "nat", settings)
    value, low = max(0.0, found.value), max(0.0, found.low) if math.isfinite(found.low) else math.nan
    told = f"lower bound by logistic regression on {x.shape[1]} terms of {len(window)} + {len(base)} rows"
    method = f"{told}, {FOLDS} folds, {found.method}"
    return finish(value, low, math.log(2), len(window), "nat", method, found.reason)


def terms(codes: NDArray[np.int64], interior: tuple[int, ...]) -> Array:
    """What the classifier sees of bins (rows, features): standardised terms, constant ones left out.

    A numeric feature (`interior` bins > 0) has the score of its bin from −1 to 1, 0 where empty, and
    whether it is empty; a category (0) a term for each of its bins.
    """
    scores, others = [], []
    for code, bins in zip(codes.T, interior, strict=True):
        if bins > 0:
            empty = code == bins + 2
            scores.append(np.where(empty, 0.0, 2 * code / (bins + 1) - 1))
            others.append(empty.astype(np.float64))
        else:
            others += [(code == place).astype(np.float64) for place in np.unique(code)]
    products = [a * b for i, a in enumerate(scores) for b in scores[i:]]
    columns = np.array([*scores, *products, *others]).T
    spread = columns.std(axis=0)
    kept = spread > 0
    return np.asarray((columns[:, kept] - columns[:, kept].mean(axis=0)) / spread[kept])


def held_out_losses(x: Array, y: Array, bucket: NDArray[np.int64]) -> Array | None:
    """−log of the probability that a classifier fitted without its fold gives to each row's class; None
    where some fold leaves only one class to learn from."""
    losses = np.zeros(len(y))
    for fold in range(FOLDS):
        out = bucket % FOLDS == fold
        if not 0 < y[~out].sum() < (~out).sum():
            return None
        probability = _sigmoid(_with_one(x[out]) @ _fitted(_with_one(x[~out]), y[~out]))
        right = np.where(y[out] == 1, probability, 1 - probability)
        losses[out] = -np.log(np.clip(right, SURE, 1.0))
    return losses


def _fitted(x: Array, y: Array) -> Array:
    """Coefficients by steps under Böhning's bound of the Hessian, ¼XᵀWX: each step lowers the loss."""
    weight = np.where(y == 1, len(y) / (2 * y.sum()), len(y) / (2 * (len(y) - y.sum())))
    ridge = np.full(x.shape[1], RIDGE)
    ridge[-1] = 1e-9
    inverse = np.linalg.inv(x.T @ (x * weight[:, None]) / 4 + np.diag(ridge))
    beta = np.zeros(x.shape[1])
    for _ in range(STEPS):
        beta += inverse @ (x.T @ (weight * (y - _sigmoid(x @ beta))) - ridge * beta)
    return beta


def _bound(x: Array) -> Array:
    window, base = divide(x[..., 0], x[..., 1]), divide(x[..., 2], x[..., 3])
    return np.asarray(math.log(2) - (window + base) / 2)


def _sigmoid(x: Array) -> Array:
    return np.asarray((1 + np.tanh(x / 2)) / 2)


def _with_one(x: Array) -> Array:
    return np.hstack([x, np.ones((len(x), 1))])


def _smallest(sample: Sums, most: int) -> Sums:
    """The rows of smallest hash."""
    hashes = sample.columns["row_hash"]
    return sample if len(sample) <= most else sample.where(hashes < np.partition(hashes, most)[most])


def _codes(sums: Sums) -> NDArray[np.int64]:
    return np.array([str(key).split(",") for key in sums.key], dtype=np.int64)
