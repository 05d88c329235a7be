"""Value of the candidate over whole episodes, from episodes that another policy controlled.

w_{0:t} = Π_{s≤t} q_s/p_s weighs what happened up to step t as if the candidate had acted. A finished
episode carries its weight forward with r = 0. The horizon is cut at the first step whose effective
sample size (Σw_{0:t})²/Σ(w_{0:t})² is under 100; `method` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from monitor.metrics.estimate import Estimate, exact, missing
from monitor.metrics.intervals import t_interval
from monitor.metrics.jackknife import Array, Jackknife, Statistic, jackknife
from monitor.metrics.offpolicy import MAX_OFF_ONE, MAX_Z, MIN_ESS
from monitor.metrics.ratios import divide
from monitor.metrics.sums import BUCKETS, Settings, Sums

LONGEST = 200
FEW_EVENTS = 10
MAX_LEFT_OUT = 0.01
LEFT_OUT = {
    "n_no_w": "missing_propensity", "n_mixed": "mixed_policies", "n_no_r": "missing_reward",
    "n_away": "overridden_episodes",
}


@dataclass(frozen=True, slots=True)
class Horizon:
    """`cut` steps can be told, of `longest` that the log has; `ess` of each of those steps."""

    cut: int
    longest: int
    ess: Array


def pdis(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Per-decision importance sampling: Σ_i Σ_t γ^t w_{0:t} r_t / n, in units of reward.

    Source: Precup, Sutton and Singh 2000.
    """
    sums = states["sequential"]
    return _ratio(sums, "wr1", "k0", sums.total("n"), settings)


def snpdis(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Self-normalised PDIS: Σ_t γ^t Σ_i w_{0:t} r_t / Σ_i w_{0:t}, weights of finished episodes carried.

    Source: Precup, Sutton and Singh 2000 (weighted, per decision).
    """
    sums = states["sequential"]
    found = horizon_of(sums)
    if not found.cut:
        return _none(sums)
    jack = jackknife(_self_normalised(found.cut), _by_step(sums, found.cut), _names(found.cut), settings)
    return _judged(t_interval(jack, sums.total("n"), "reward", settings), sums, found, settings)


def candidate_episode_cost(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """`snpdis` with costs in place of rewards: mean cost of an episode of the candidate.

    `missing_cost` where a cost is not known in more than 1 % of the episodes. `few_events`: costs above 0 in
    fewer than 10 groups of hour and bucket, for costs that were never seen have no spread to tell from.
    """
    sums = states["sequential_cost"]
    found = replace(snpdis({"sequential": sums}, settings), unit="cost")
    if found.reason == "missing_reward":
        return replace(found, reason="missing_cost")
    costly = sums.columns["wr1"] > 0
    groups = len(np.unique(sums.hour[costly] * BUCKETS + sums.bucket[costly]))
    return found if groups >= FEW_EVENTS else found.because("few_events")


def sequential_dr(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Doubly robust over episodes: Σ_i Σ_t γ^t [w_{0:t}(r − q̂) + w_{0:t−1} v̂] / n, w_{0:−1} = 1, with the
    logged `q_value` q̂ and `candidate_value` v̂.

    `missing_critic` where those are not known in more than 1 % of the episodes.
    Source: Jiang and Li 2016; Thomas and Brunskill 2016.
    """
    sums = states["sequential"]
    found = _ratio(sums, "dr1", "kq", sums.total("n_q"), settings)
    if sums.total("n") - sums.total("n_q") > MAX_LEFT_OUT * sums.total("n"):
        return found.because("missing_critic")
    return found


def trajectory_ess(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Effective sample size of whole episodes: (Σw)²/Σw², w the weight an episode ends with."""
    sums = states["sequential"]
    n = sums.total("n")
    if not n > 0:
        return missing("no_data", "episodes")
    return exact(float(divide(sums.total("e1") ** 2, sums.total("e2"))), n, "episodes")


def horizon(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Steps up to which the effective sample size is at least 100, at most 200."""
    sums = states["sequential"]
    n = sums.total("n")
    return exact(float(horizon_of(sums).cut), n, "steps") if n > 0 else missing("no_data", "steps")


def horizon_of(sums: Sums) -> Horizon:
    """Where the effective sample size of the carried weights falls under 100 for the first time."""
    if not sums.total("n") > 0:
        return Horizon(0, 0, np.empty(0))
    step = sums.key.astype(np.int64)
    longest = int(step[sums.columns["w2"] + sums.columns["k0"] > 0].max(initial=-1)) + 1
    size = min(longest, LONGEST)
    w1, w2, e1, e2 = (
        np.asarray(np.bincount(step, weights=sums.columns[c], minlength=LONGEST + 1)[:size], dtype=np.float64)
        for c in ("w1", "w2", "e1", "e2")
    )
    ess = divide(_carried(w1, e1) ** 2, _carried(w2, e2))
    low = np.flatnonzero(~(ess >= MIN_ESS))
    return Horizon(int(low[0]) if len(low) else size, longest, ess)


def why_not(sums: Sums, found: Horizon, settings: Settings) -> str | None:
    """Why these episodes cannot tell the candidate's value, or None.

    Each over 1 % of the episodes: `missing_propensity`; `missing_reward`; `mixed_policies`, of several
    policies or candidates; `overridden_episodes`, with a decision that a person took over or that was not
    activated. `low_ess`: not even the first step has an effective sample size of 100. `propensity`: the
    mean weight at the last step is off 1 by more than 4 standard errors and .02. `short_horizon`: more than
    1 % of the discounted absolute reward lies beyond the cut.
    """
    reason = left_out(sums)
    if reason:
        return reason
    if not found.cut:
        return "low_ess"
    if _off_one(_mean_weight(sums, found.cut, settings)):
        return "propensity"
    beyond = sums.columns["ra"][sums.key.astype(np.int64) >= found.cut].sum()
    return "short_horizon" if beyond > MAX_LEFT_OUT * sums.total("ra") else None


def why_not_whole(sums: Sums, settings: Settings) -> str | None:
    """The same for estimates that weigh an episode as a whole, whatever its length: `low_ess` where the
    weights that episodes end with have an effective sample size under 100."""
    reason = left_out(sums)
    if reason:
        return reason
    if not divide(sums.total("e1") ** 2, sums.total("e2")) >= MIN_ESS:
        return "low_ess"
    weights = jackknife(lambda x: divide(x[..., 0], x[..., 1]), sums, ("e1", "k0"), settings)
    return "propensity" if _off_one(weights) else None


def left_out(sums: Sums) -> str | None:
    """Why too many episodes cannot be used, or None; `no_data` where none can."""
    n = sums.total("n_episodes")
    if not n > 0:
        return "no_data"
    for column, reason in LEFT_OUT.items():
        if sums.total(column) > MAX_LEFT_OUT * n:
            return reason
    return None if sums.total("n") > 0 else "no_data"


def _off_one(weights: Jackknife) -> bool:
    return abs(weights.value - 1) > max(MAX_OFF_ONE, MAX_Z * weights.se)


def _ratio(sums: Sums, part: str, whole: str, n: float, settings: Settings) -> Estimate:
    found = horizon_of(sums)
    if not found.cut or not n > 0:
        return _none(sums)
    within = sums.key.astype(np.int64) < found.cut
    cut = _with(sums, part=np.where(within, sums.columns[part], 0.0), whole=sums.columns[whole])
    jack = jackknife(lambda x: divide(x[..., 0], x[..., 1]), cut, ("part", "whole"), settings)
    return _judged(t_interval(jack, n, "reward", settings), sums, found, settings)


def _none(sums: Sums) -> Estimate:
    n = sums.total("n")
    reason = why_not(sums, horizon_of(sums), Settings()) or "no_data"
    return missing(reason, "reward", n)


def _judged(found: Estimate, sums: Sums, steps: Horizon, settings: Settings) -> Estimate:
    if steps.cut < steps.longest:
        longest = str(steps.longest) if steps.longest <= LONGEST else f"more than {LONGEST}"
        found = replace(found, method=f"{found.method}; horizon cut at {steps.cut} of {longest} steps")
    reason = why_not(sums, steps, settings)
    return replace(found, reason=reason) if reason else found


def _mean_weight(sums: Sums, cut: int, settings: Settings) -> Jackknife:
    """Mean of the carried weights at the last step before the cut."""
    step = sums.key.astype(np.int64)
    ended = np.where(step < cut - 1, sums.columns["e1"], 0.0)
    alive = np.where(step == cut - 1, sums.columns["w1"], 0.0)
    last = _with(sums, part=ended + alive, whole=sums.columns["k0"])
    return jackknife(lambda x: divide(x[..., 0], x[..., 1]), last, ("part", "whole"), settings)


def _self_normalised(cut: int) -> Statistic:
    def value(x: Array) -> Array:
        wr, w, e = x[..., :cut], x[..., cut : 2 * cut], x[..., 2 * cut :]
        return np.asarray(divide(wr, _carried(w, e)).sum(axis=-1))

    return value


def _carried(alive: Array, ended: Array) -> Array:
    """Sums over all episodes at each step (last axis): those going on, and those that ended before."""
    with np.errstate(invalid="ignore"):
        return np.asarray(alive + ended.cumsum(axis=-1) - ended)


def _names(cut: int) -> list[str]:
    return [f"{c}{t}" for c in ("wr1_", "w1_", "e1_") for t in range(cut)]


def _by_step(sums: Sums, cut: int) -> Sums:
    """One cell a day and bucket, with the columns `wr1`, `w1`, `e1` of every step up to the cut."""
    step = sums.key.astype(np.int64)
    place, cell = np.unique(sums.day * BUCKETS + sums.bucket, return_inverse=True)
    columns: dict[str, Array] = {}
    for name in ("wr1", "w1", "e1"):
        wide = np.zeros((LONGEST + 1, len(place)))
        np.add.at(wide, (step, cell), sums.columns[name])
        columns |= {f"{name}_{t}": wide[t] for t in range(cut)}
    keys = np.full(len(place), "", dtype=object)
    return Sums(place // BUCKETS * 24, place % BUCKETS, keys, MappingProxyType(columns))


def _with(sums: Sums, **columns: Array) -> Sums:
    return replace(sums, columns=MappingProxyType(columns))
