"""Q of the candidate fitted on whole episodes (linear FQE: LSTD-Q), and what it says of its value.

The cells (i, j) of the family `fqe` hold A, b and the moments that turn θ = A⁻¹b into a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from monitor.metrics.estimate import Estimate, missing
from monitor.metrics.intervals import t_interval
from monitor.metrics.jackknife import Array, jackknife
from monitor.metrics.ratios import divide
from monitor.metrics.sequential import horizon_of, why_not
from monitor.metrics.sums import BUCKETS, Settings, Sums

RIDGE = 1e-6
REFINED = 4
WORST_CONDITION = 1e10
MAX_UNKNOWN = 0.01
FIRST, DOUBLY, COUNTS = -1, -2, -3
FITTED, UNKNOWN, STARTS, SEEN_STARTS, K_SEEN, ENDED, DOUBLE, K_DOUBLE, WEIGHTED, ALL, MIXED, AWAY = range(12)


@dataclass(frozen=True)
class Moments:
    """The cells of `fqe` added up by day and bucket: `a` (groups, d, d), `b`, `first` and `doubly`
    (groups, d), `counts` (groups, 12), and the `day` and `bucket` of each group."""

    day: NDArray[np.int64]
    bucket: NDArray[np.int64]
    a: Array
    b: Array
    first: Array
    doubly: Array
    counts: Array

    @property
    def total(self) -> Array:
        return np.asarray(self.counts.sum(axis=0))


def fqe(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Value of the candidate Σ φ̄(s_0)·θ/k / Σ(1/k) over first steps, θ = A⁻¹b, in units of reward.

    A = Σφ(s,a)(φ(s,a) − γφ̄(s′))ᵀ, b = Σφr. Jackknife that fits again without each group. Rests on
    Q being linear in φ, not on propensities. Reasons: see `why_not_fitted`.
    Source: Lagoudakis and Parr 2003; Le, Voloshin and Yue 2019.
    """
    found = moments(states["fqe"])
    reason = why_not_fitted(found, settings)
    n = float(found.total[STARTS])
    if reason == "no_data":
        return missing("baseline_missing" if not settings.baseline_frozen else reason, "reward")
    live = _live(found)
    d = int(live.sum())
    parts = (found.a[:, live][:, :, live].reshape(-1, d * d), found.b[:, live], found.first[:, live])
    flat = np.concatenate([*parts, found.counts[:, [K_SEEN]]], axis=1)

    def value(x: Array) -> Array:
        a, b, first = x[..., : d * d], x[..., d * d : d * d + d], x[..., d * d + d : -1]
        theta = solve(a.reshape(*a.shape[:-1], d, d), b)
        return divide((first * theta).sum(axis=-1), x[..., -1])

    if reason == "ill_conditioned":
        return missing(reason, "reward", n)
    jack = jackknife(value, *_cells(found, flat), settings)
    method = f"LSTD-Q of {d} features, "
    estimate = t_interval(jack, n, "reward", settings)
    estimate = replace(estimate, method=method + estimate.method)
    return replace(estimate, reason=reason) if reason else estimate


def sequential_dr_model(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Sequential doubly robust value with the fitted Q: Σ_i Σ_t γ^t [w_{0:t}(r − φ·θ) + w_{0:t−1} φ̄·θ]/n.

    It is linear in θ, so that sums suffice; θ of each bucket is fitted on the 15 others. Carries the
    reasons of `pdis` and of `fqe`; `short_horizon` where the horizon has to be cut at all.
    Source: Jiang and Li 2016; cross-fitting as Chernozhukov et al. 2018.
    """
    found, sums = moments(states["fqe"]), states["sequential"]
    n = float(found.total[DOUBLE])
    reason = why_not_fitted(found, settings)
    if reason in ("no_data", "ill_conditioned") or not n > 0:
        return replace(fqe(states, settings), n=n) if reason else missing("no_data", "reward")
    live = _live(found)
    a, b = found.a[:, live][:, :, live], found.b[:, live]
    y = found.counts[:, WEIGHTED].copy()
    for bucket in np.unique(found.bucket):
        ours = found.bucket == bucket
        theta = solve(a[~ours].sum(axis=0), b[~ours].sum(axis=0))
        y[ours] += found.doubly[ours][:, live] @ theta
    flat = np.stack([y, found.counts[:, K_DOUBLE]], axis=1)
    jack = jackknife(lambda x: divide(x[..., 0], x[..., 1]), *_cells(found, flat), settings)
    estimate = t_interval(jack, n, "reward", settings)
    steps = horizon_of(sums)
    reason = why_not(sums, steps, settings) or reason
    if reason is None and sums.total("n") - n > MAX_UNKNOWN * sums.total("n"):
        reason = "missing_features"
    if reason is None and steps.cut < steps.longest:
        reason = "short_horizon"
    return replace(estimate, reason=reason) if reason else estimate


def why_not_fitted(found: Moments, settings: Settings) -> str | None:
    """Why Q cannot be fitted, or None.

    `mixed_policies` and `overridden_episodes`: more than 1 % of the episodes. `missing_features`: action,
    features, probabilities or reward unknown on more than 1 % of the steps. `no_termination`: γ = 1 and no
    episode terminated. `ill_conditioned`: cond(A) > 1e10, such as where the candidate takes actions
    in states in which they were never logged.
    """
    total = found.total
    if not total[ALL] > 0 or not total[FITTED] > 0 or not total[SEEN_STARTS] > 0:
        return "no_data"
    if settings.discount == 1 and not total[ENDED] > 0:
        return "no_termination"
    live = _live(found)
    a = found.a.sum(axis=0)[live][:, live]
    if not np.isfinite(a).all() or not np.linalg.cond(a) <= WORST_CONDITION:
        return "ill_conditioned"
    for count, reason in ((MIXED, "mixed_policies"), (AWAY, "overridden_episodes")):
        if total[count] > MAX_UNKNOWN * total[ALL]:
            return reason
    unknown, starts = total[UNKNOWN], total[STARTS] - total[SEEN_STARTS]
    known = unknown <= MAX_UNKNOWN * (unknown + total[FITTED]) and starts <= MAX_UNKNOWN * total[STARTS]
    return None if known else "missing_features"


def solve(a: Array, b: Array) -> Array:
    """θ = A⁻¹b for matrices (…, d, d): with the ridge 1e-6·tr(A)/d, and its bias taken out by refining.

    Each θ ← θ + (A + λI)⁻¹(b − Aθ) multiplies what the ridge distorts by about λ/σ, so that a few give
    the exact solution where A has one, and the ridge remains only in directions without data.
    """
    d = a.shape[-1]
    ridge = RIDGE * np.trace(a, axis1=-2, axis2=-1) / d
    ridged = a + ridge[..., None, None] * np.eye(d)
    theta = np.zeros_like(b)
    try:
        for _ in range(REFINED):
            rest = b - (a @ theta[..., None])[..., 0]
            theta = theta + np.linalg.solve(ridged, rest[..., None])[..., 0]
    except np.linalg.LinAlgError:
        return np.full_like(b, np.nan)
    return theta


def moments(sums: Sums) -> Moments:
    """The cells (i, j) as matrices, one group a day and bucket."""
    i, j = (sums.columns[c].astype(np.int64) for c in ("i", "j"))
    d = int(j[i >= 0].max(initial=-1)) + 1
    place, group = np.unique(sums.day * BUCKETS + sums.bucket, return_inverse=True)

    def of(rows: NDArray[np.bool_], *shape: int) -> Array:
        array = np.zeros((len(place), *shape))
        at = (group[rows], i[rows], j[rows]) if len(shape) == 2 else (group[rows], j[rows])
        if len(shape) == 1 and rows.any() and i[rows][0] >= 0:
            at = (group[rows], i[rows])
        np.add.at(array, at, sums.columns["g"][rows])
        return array

    return Moments(
        place // BUCKETS, place % BUCKETS, of((i >= 0) & (j >= 0), d, d), of((i >= 0) & (j < 0), d),
        of(i == FIRST, d), of(i == DOUBLY, d), of(i == COUNTS, AWAY + 1),
    )


def _live(found: Moments) -> NDArray[np.bool_]:
    """Features that some row has: those that were never logged and never wanted say nothing."""
    a, first = np.abs(found.a), np.abs(found.first)
    return np.asarray((a.sum(axis=(0, 1)) + a.sum(axis=(0, 2)) + first.sum(axis=0)) > 0)


def _cells(found: Moments, flat: Array) -> tuple[Sums, list[str]]:
    names = [f"c{at}" for at in range(flat.shape[1])]
    keys = np.full(len(flat), "", dtype=object)
    columns = MappingProxyType(dict(zip(names, flat.T, strict=True)))
    return Sums(found.day * 24, found.bucket, keys, columns), names
