"""Sums built by numpy from raw rows, one cell an hour, bucket and key: what the SQL is to agree with."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from monitor.metrics.sums import BUCKETS, Sums


def sums(hour, bucket, key, **columns):
    """Sums of the given cells."""
    size = len(hour)
    keys = np.empty(size, dtype=object)
    keys[:] = key
    return Sums(
        np.asarray(hour, dtype=np.int64),
        np.broadcast_to(np.asarray(bucket, dtype=np.int64), size).copy(),
        keys,
        MappingProxyType({name: np.asarray(column, dtype=np.float64) for name, column in columns.items()}),
    )


def summed(hour, unit, rows, largest=(), smallest=()):
    """Rows added up by (hour, unit modulo 64); `largest` and `smallest` columns by max and min."""
    hour, unit = np.asarray(hour), np.asarray(unit)
    cells, code = np.unique(np.stack([hour, unit % BUCKETS]), axis=1, return_inverse=True)
    code = code.ravel()
    columns = {}
    for name, row in rows.items():
        if name in largest:
            columns[name] = np.full(cells.shape[1], -np.inf)
            np.maximum.at(columns[name], code, row)
        elif name in smallest:
            columns[name] = np.full(cells.shape[1], np.inf)
            np.minimum.at(columns[name], code, row)
        else:
            columns[name] = np.bincount(code, weights=row, minlength=cells.shape[1])
    return sums(cells[0], cells[1], "", **columns)


def reward_sums(hour, unit, reward, centre=0.5, keep=None):
    """The family `reward` of rows that all have a reward."""
    r, k = np.asarray(reward, dtype=float), np.ones(len(reward)) if keep is None else np.asarray(keep)
    one = np.ones(len(r))
    return summed(hour, unit, {
        "n": one, "n_reward": one, "k1": 1 / k, "k2": 1 / k**2, "r1": (r - centre) / k,
        "r2": (r - centre) ** 2 / k, "r3": (r - centre) ** 3 / k, "r4": (r - centre) ** 4 / k,
        "n_not01": (r != 0) & (r != 1), "n_one": r == 1,
    })


def sample_sums(reward, hour=0, unit=None, k=None, key="", row_hash=None):
    """A sample of returns: a unit each where none is given, hashes at random."""
    size = len(reward)
    unit = np.arange(size) if unit is None else np.asarray(unit)
    found = sums(np.broadcast_to(hour, size), unit % BUCKETS, key, reward=reward,
                 k=np.ones(size) if k is None else k)
    if row_hash is None:
        row_hash = np.random.default_rng(0).integers(0, 2**62, size)
    hashes = {"row_hash": np.asarray(row_hash, dtype=np.int64), "unit_hash": unit.astype(np.int64)}
    return Sums(found.hour, found.bucket, found.key, MappingProxyType({**found.columns, **hashes}))


def constraint_sums(hour, unit, violated):
    """The family `constraint` of one constraint, all costs known."""
    x = np.asarray(violated, dtype=float)
    one = np.ones(len(x))
    return summed(hour, unit, {
        "n": one, "n_null": 0 * one, "x": x, "k1": one, "k2": one, "v1": x, "c1": x,
    })


def offpolicy_sums(hour, unit, p, q, reward, keep=None, missing_p=0, missing_q=0):
    """The family `offpolicy` of complete rows, plus rows counted as missing a propensity."""
    p, q, r = (np.asarray(a, dtype=float) for a in (p, q, reward))
    k = np.ones(len(r)) if keep is None else np.asarray(keep, dtype=float)
    w, one, first = q / p, np.ones(len(r)), np.arange(len(r)) == 0
    wk, wrk = w / k, w * r / k
    rows = {
        "n_rows": one + first * (missing_p + missing_q), "n_missing_p": first * missing_p,
        "n_missing_q": first * missing_q, "n_missing_r": 0 * one, "n": one, "k1": 1 / k, "w1": wk,
        "wr1": wrk, "r1": r / k, "w2": wk**2, "w2r": wk**2 * r, "wr2": wrk**2, "r2": (r / k) ** 2,
        "wra": np.abs(wrk), "w_max": wk, "w_min": wk, "n_over10": w > 10,
        "n_not01": (r != 0) & (r != 1), "n_one": (r == 1) & (w > 0),
    }
    return summed(hour, unit, rows, largest=("w_max",), smallest=("w_min",))


def unit_sums(unit, weight=None):
    """The family `units` of decisions of the given units (`weight`: off-policy weights)."""
    counts = np.unique(np.asarray(unit), return_counts=True)[1].astype(float)
    w = np.ones(len(unit)) if weight is None else np.asarray(weight)
    weights = np.bincount(np.unique(np.asarray(unit), return_inverse=True)[1], weights=w)
    return sums([0], -1, "", n_units=[len(counts)], k1=[counts.sum()], k2=[counts @ counts],
                w1=[weights.sum()], w2=[weights @ weights])


def state_sums(hour, counts):
    """The family `state` of one feature: `counts` of shape (hours, bins)."""
    counts = np.asarray(counts, dtype=float)
    code, bins = np.nonzero(counts)
    keys = np.empty(len(bins), dtype=object)
    keys[:] = [int(b) for b in bins]
    return sums(np.asarray(hour)[code], -1, keys, n=counts[code, bins])
