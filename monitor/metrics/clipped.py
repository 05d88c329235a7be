"""Estimates of the candidate's value and costs beside IPS and SNIPS: clipped, Cressie–Read, violations.

w = q/p, k is `keep_prob`, λ the largest weight that is kept (fixed before looking).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from monitor.metrics.constraint import MAX_UNKNOWN
from monitor.metrics.estimate import Estimate, exact, missing
from monitor.metrics.intervals import kish, kish_size, t_interval, zero_one_interval
from monitor.metrics.jackknife import Array, jackknife
from monitor.metrics.offpolicy import judged, without_propensity
from monitor.metrics.ratios import divide, share
from monitor.metrics.sequential import FEW_EVENTS, candidate_episode_cost
from monitor.metrics.sums import Settings, Sums

MAX_MISSING = 0.01
ROUNDING = 1e-12


def clipped_ips(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """r_min + Σ(min(w, λ)(r − r_min)/k)/Σ(1/k): IPS whose largest weights count as λ.

    Too low by `clipped_ips_bias` at most. λ is `off_policy.clip`, else the .99 quantile of w in the
    baseline. Source: Ionides 2008.
    """
    sums, lowest = states["clipped"], settings.reward_low

    def value(x: Array) -> Array:
        return lowest + divide(x[..., 0] - lowest * x[..., 1], x[..., 2])

    jack = jackknife(value, sums, ("wlr1", "wl1", "k1"), settings)
    found = t_interval(jack, sums.total("n"), "reward", settings)
    named = replace(found, method=f"weights clipped at {settings.clip:.6g}, {found.method}")
    return judged(named, states["offpolicy"], settings)


def clipped_ips_bias(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """(1 − Σ(min(w, λ)/k)/Σ(1/k))·(r_max − r_min): the most that clipping takes away from the value."""
    sums = states["clipped"]
    n = sums.total("n")
    if not n > 0:
        return missing("no_data", "reward")
    lost = max(0.0, 1 - float(divide(sums.total("wl1"), sums.total("k1"))))
    return exact(lost * (settings.reward_high - settings.reward_low), n, "reward")


def cressie_read(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """CR(−2): the value under the most likely weights that average 1 (empirical likelihood, order −2).

    With w_f = ∞ where Σw < n (to rounding), else 0: γ = −(1+n)/n, β = 0 for ∞; for 0 with
    a = (w_f + Σw)/(1+n), b = (w_f² + Σw²)/(1+n), β = (1−a)/(a²−b), γ = (b−a)/(a²−b);
    V = (−γΣwr − βΣw²r)/(1+n) + max(0, 1 + (γΣw + βΣw²)/(1+n))·r̄. First powers carry 1/k, second
    1/k², n = Σ1/k. For independent rows; shown without an interval, and read by no gate.
    Source: Karampatziakis, Langford, Mineiro 2020.
    """
    sums = states["offpolicy"]
    n, w1, w2, wr1, w2r, r1 = (sums.total(c) for c in ("k1", "w1", "w2", "wr1", "w2r", "r1"))
    if not n > 0:
        return judged(missing("no_data", "reward"), sums, settings)
    value = _cressie_read(n, w1, w2, wr1, w2r, r1)
    if not math.isfinite(value):
        return missing("non_finite", "reward", sums.total("n"))
    found = exact(value, sums.total("n"), "reward", "no interval")
    return judged(replace(found, low=math.nan, high=math.nan), sums, settings)


def offpolicy_cost(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Σ(w·1{cost>0}/k)/Σ(w/k): how often the candidate would violate one constraint, self-normalised.

    `measure: mean_cost`: Σ(w·cost/k)/Σ(w/k), with the jackknife, `few_events` with fewer than 10 costs above
    0, whose spread is not known; `episode_cost`: `candidate_episode_cost`,
    the mean cost of an episode. Else the interval of a share with
    (Σw)²/Σw² effective decisions. Reasons as `snips`; cost unknown on more
    than 1 % of the rows: `missing_cost`.
    """
    if settings.episode_cost:
        return candidate_episode_cost(states, settings)
    sums = states["offpolicy_cost"]
    n, rows = sums.total("n"), sums.total("n_rows")
    if not n > 0:
        return judged(missing("no_data", "share"), states["offpolicy"], settings)
    paid = "wc1" if settings.mean_cost else "wv1"
    jack = jackknife(lambda x: divide(x[..., 0], x[..., 1]), sums, (paid, "w1", "n_one", "n"), settings)
    if settings.mean_cost:
        found = t_interval(jack, n, "cost", settings)
        found = found if sums.total("n_one") >= FEW_EVENTS else found.because("few_events")
    else:
        events, known = jack.groups[:, 2], jack.groups[:, 3]
        units = kish(sums, "w1", states.get("units"), "w", jack.groups, settings)
        size = kish_size(sums.total("w1"), sums.total("w2"))
        found = zero_one_interval(jack, events, known - events, size, units, n, "share", settings)
    found = judged(found, states["offpolicy"], settings)
    if without_propensity(sums) > MAX_MISSING * rows:
        return found.because("missing_propensity")
    return found.because("missing_cost") if sums.total("n_null") > MAX_UNKNOWN * rows else found


def unsupported_share(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Support deficiency: mean of the candidate's probability on actions with π_b = 0.

    Needs both full distributions; what lies on those actions cannot be told from this log.
    """
    sums = states["clipped"]
    known = sums.total("n_support")
    if not known > 0:
        return missing("no_candidate_distribution", "share", sums.total("n"))
    return share(sums.total("m1"), sums.total("ks"))


def _cressie_read(n: float, w1: float, w2: float, wr1: float, w2r: float, r1: float) -> float:
    if w1 < n * (1 - ROUNDING):
        gamma, beta = -(1 + n) / n, 0.0
    else:
        a, b = w1 / (1 + n), w2 / (1 + n)
        beta, gamma = (float(divide(part, a * a - b)) for part in (1 - a, b - a))
    left = max(0.0, 1 + (gamma * w1 + beta * w2) / (1 + n)) if np.isfinite(gamma) else math.nan
    return (-gamma * wr1 - beta * w2r) / (1 + n) + left * r1 / n
