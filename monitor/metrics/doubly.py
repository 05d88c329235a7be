"""Doubly robust estimates of the candidate's value: a model of the reward, mended by weighted residuals.

q̂(x, a) is the critic that the log carries, else a ridge regression fitted from sums
(`monitor.metrics.ridge`). w = q/p, λ the largest weight that is kept (`off_policy.clip`), V̂_q the
mean of E_{a~candidate} q̂(x, a).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from monitor.metrics.estimate import Estimate, missing
from monitor.metrics.intervals import t_interval
from monitor.metrics.jackknife import Array, jackknife
from monitor.metrics.offpolicy import MAX_Z, MIN_EVENTS, judged
from monitor.metrics.ratios import divide
from monitor.metrics.reward import zero_one_rewards
from monitor.metrics.ridge import fitted_terms
from monitor.metrics.sums import Settings, Sums

MAX_UNKNOWN = 0.01
MAX_OFF = 0.01
COLUMNS = ("k1", "w1", "wr1", "ws1", "wsr1", "wo1", "wor1", "dm1", "wq1", "wsq1", "woq1")
Row = dict[str, Array]


def dm(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Direct method: V̂_q. As good as its model and no better, so no gate reads it alone."""
    return _estimated(states, settings, lambda x: divide(x["dm1"], x["k1"]))


def dr(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Doubly robust: V̂_q + Σ(w(r − q̂)/k)/Σ(1/k). Source: Dudík, Langford, Li 2011."""
    return _estimated(states, settings, _dr)


def sndr(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Self-normalised DR: V̂_q + Σ(w(r − q̂)/k)/Σ(w/k)."""
    return _estimated(
        states, settings, lambda x: divide(x["dm1"], x["k1"]) + divide(x["wr1"] - x["wq1"], x["w1"])
    )


def switch_dr(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """DR with w·1{w ≤ λ} in place of w: the model alone where weights are large. λ = 0 is DM.

    Source: Wang, Agarwal, Dudík 2017.
    """
    return _estimated(states, settings, lambda x: divide(x["dm1"] + x["wsr1"] - x["wsq1"], x["k1"]))


def dros(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """DR with optimistic shrinkage: λ²w/(w² + λ²) in place of w. λ = 0 is DM.

    Source: Su, Dimakopoulou, Krishnamurthy, Dudík 2020.
    """
    return _estimated(states, settings, lambda x: divide(x["dm1"] + x["wor1"] - x["woq1"], x["k1"]))


def snips_dr_difference(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """SNIPS − DR on the same rows, jackknife of the difference: 0 lies in it where the two agree."""
    return _estimated(states, settings, lambda x: divide(x["wr1"], x["w1"]) - _dr(x))


@dataclass(frozen=True)
class Terms:
    """Sums of doubly robust terms (None where there are none) with the columns COLUMNS, the name of their
    model, and why they may not be judged."""

    sums: Sums | None
    model: str
    reason: str | None = None


def terms(states: Mapping[str, Sums], settings: Settings) -> Terms:
    """The terms of the logged critic, else those of the ridge model.

    `no_candidate_distribution`: E_{a~candidate} q̂(x, a) is not known for more than 1 % of the rows, or
    the candidate's actions are not as frequent as its weights say. `baseline_missing`: the ridge model is
    standardised on it. `low_units`: fewer than two folds of units.
    """
    critic, ridge = states["valued"], states["ridge"]
    unknown = "no_candidate_distribution"
    if critic.total("n") > 0 and (_complete(critic) or not len(ridge)):
        return Terms(critic, "logged critic", None if _complete(critic) else unknown)
    if not ridge.total("n") > 0:
        return Terms(None, "ridge model", unknown if settings.baseline_frozen else "baseline_missing")
    fitted = fitted_terms(ridge, states["gram"])
    if fitted is None:
        return Terms(None, "ridge model", "low_units")
    sound = _complete(ridge) and _as_weighted(ridge, settings)
    return Terms(fitted, "ridge model", None if sound else unknown)


def _estimated(
    states: Mapping[str, Sums], settings: Settings, value: Callable[[Row], Array]
) -> Estimate:
    weights, used = states["offpolicy"], terms(states, settings)
    if used.sums is None:
        found = missing(used.reason or "no_data", "reward", weights.total("n"))
        return judged(found, weights, settings)

    def statistic(x: Array) -> Array:
        return value({name: x[..., at] for at, name in enumerate(COLUMNS)})

    jack = jackknife(statistic, used.sums, COLUMNS, settings)
    found = t_interval(jack, used.sums.total("n"), "reward", settings)
    found = replace(found, method=f"{used.model}, {found.method}", reason=used.reason or found.reason)
    found = judged(found, weights, settings)
    ones, n = weights.total("n_one"), weights.total("n")
    rare = zero_one_rewards(weights, settings) and min(ones, n - ones) < MIN_EVENTS
    return found.because("few_events") if rare else found


def _dr(x: Row) -> Array:
    return divide(x["dm1"] + x["wr1"] - x["wq1"], x["k1"])


def _complete(sums: Sums) -> bool:
    rows = sums.total("n_rows")
    return rows - sums.total("n") <= MAX_UNKNOWN * rows


def _as_weighted(ridge: Sums, settings: Settings) -> bool:
    """Whether the candidate's actions are as frequent as the weights say: Σ π_e(a|x) against Σ w·1{A = a}.

    They are not where the likeliest action of a policy that explores was logged in place of a draw, or
    where `actions` stand in another order than the distributions. Off by more than .01 and 4 SE.
    """
    intercept = ridge.where(ridge.columns["i"] == 0)
    gap, n = intercept.columns["m"] - intercept.columns["u"], intercept.total("k1")
    names, action = np.unique(intercept.key.astype(str), return_inverse=True)
    off = np.abs(np.bincount(action, weights=gap, minlength=len(names))) > MAX_OFF * n
    for at in np.flatnonzero(off):
        one = replace(
            intercept, columns={"gap": np.where(action == at, gap, 0.0), "k1": intercept.columns["k1"]}
        )
        jack = jackknife(lambda x: divide(x[..., 0], x[..., 1]), one, ("gap", "k1"), settings)
        if not abs(jack.value) <= MAX_Z * jack.se:
            return False
    return True
