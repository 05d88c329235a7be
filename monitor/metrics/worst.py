"""How the candidate does where it may do worst: in each segment, in the tails of the states, and in the
episodes that went worst under the policy that was logged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from monitor.metrics.estimate import Estimate, missing
from monitor.metrics.intervals import ALPHA, kish, kish_size, t_interval, zero_one_interval
from monitor.metrics.jackknife import Array, jackknife
from monitor.metrics.offpolicy import MIN_ESS, ess, judged, lift
from monitor.metrics.quantiles import TAIL, ordered, uniform_rows
from monitor.metrics.ratios import divide, share
from monitor.metrics.sequential import why_not_whole
from monitor.metrics.sums import Settings, Sums

UNKNOWN = 0.01


def segment_lift(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """`lift` of one segment, at level α/#segments: of all segments in which the candidate recommended."""
    return _lift_of(states["segments"], states["offpolicy"], settings)


def segment_ess(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Effective sample size of one segment."""
    return ess({"offpolicy": states["segments"]}, settings)


def state_tail_lift(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """`lift` where one numeric feature lies in its lowest or highest tenth, at level α/#tails."""
    if not settings.baseline_frozen:
        return missing("baseline_missing", "reward")
    return _lift_of(states["tails"], states["offpolicy"], settings)


def state_tail_outside(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Share of recommendations outside the envelope in one tail of the states, counted."""
    return _outside(states["tails"], "n_rows")


def recommended_outside(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Share of recommendations that lie outside the envelope in some dimension.

    `unbounded_recommendations`: more than 1 % of them do not name every dimension of the envelope.
    """
    sums, counted = states["pair"], _outside(states["pair"], "n_rec")
    if not counted.n > 0:
        return counted
    jack = jackknife(lambda x: divide(x[..., 0], x[..., 1]), sums, ("n_outside", "n_bounded"), settings)
    events, known = jack.groups[:, 0], jack.groups[:, 1]
    units = kish(sums, "n_bounded", states.get("units"), "k", jack.groups, settings)
    found = zero_one_interval(jack, events, known - events, counted.n, units, counted.n, "share", settings)
    return found.because(counted.reason) if counted.reason else found


def worst_episodes_lift(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """ΣwG/Σw − ΣG/n over the worst tenth of the logged episodes, w the weight an episode ends with.

    From samples of whole episodes: those whose return is at most the 10th percentile of the logged
    returns, which stays fixed in the jackknife. Reasons as `candidate_return_cvar10`; `low_ess`:
    under 100 effective episodes in the tenth.
    """
    reason, tenth = _worst_episodes(states, settings)
    n = float(len(tenth))
    if not n:
        return missing(reason or "no_data", "reward")

    def value(x: Array) -> Array:
        return divide(x[..., 0], x[..., 1]) - divide(x[..., 2], x[..., 3])

    w, logged, returns = (tenth.columns[c] for c in ("k", "logged", "reward"))
    columns = {"wg": w * returns, "w": w, "g": logged * returns, "k": logged}
    sums = Sums(tenth.hour, tenth.bucket, tenth.key, MappingProxyType(columns))
    found = t_interval(jackknife(value, sums, tuple(columns), settings), n, "reward", settings)
    found = replace(found, reason=reason) if reason else found
    return found if kish_size(float(w.sum()), float(w @ w)) >= MIN_ESS else found.because("low_ess")


def worst_episodes_outside(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Share of recommendations outside the envelope over the steps of the worst tenth of the logged episodes,
    counted; how many of all are not known, `recommended_outside` tells."""
    reason, tenth = _worst_episodes(states, settings)
    if not len(tenth):
        return missing(reason or "no_data", "share")
    found = _outside(tenth, "n_bounded")
    return replace(found, reason=reason) if reason else found


def _lift_of(part: Sums, whole: Sums, settings: Settings) -> Estimate:
    """The lift over some of the rows; where there are none, why the whole cannot be estimated either."""
    if not part.total("n_rows") > 0:
        return judged(missing("no_data", "reward"), whole, settings)
    return replace(lift({"offpolicy": part}, settings), level=1 - ALPHA / settings.at_once)


def _outside(sums: Sums, rows: str) -> Estimate:
    n, every = sums.total("n_bounded"), sums.total(rows)
    if not n > 0:
        return missing("unbounded_recommendations" if every > 0 else "no_data", "share")
    found = share(sums.total("n_outside"), n)
    return found.because("unbounded_recommendations") if every - n > UNKNOWN * every else found


def _worst_episodes(states: Mapping[str, Sums], settings: Settings) -> tuple[str | None, Sums]:
    """Why these may not be judged, and the sampled episodes of the worst tenth: `k` the weight they end with
    and `logged` their 1/k in the log."""
    reason = why_not_whole(states["sequential"], settings)
    rows, logged = uniform_rows(states["weighted_returns"]), ordered(states["returns"])
    finite = all(np.isfinite(rows.columns[c]).all() for c in ("reward", "k"))
    if not len(rows) or not len(logged.returns) or not (finite and logged.finite):
        none = rows.where(np.zeros(len(rows), dtype=np.bool_))
        return reason or ("non_finite" if len(rows) and len(logged.returns) else "no_data"), none
    _, ours, theirs = np.intersect1d(
        rows.columns["row_hash"], logged.rows.columns["row_hash"], return_indices=True
    )
    both = rows.where(ours)
    both = replace(both, columns=MappingProxyType({**both.columns, "logged": logged.weight[theirs]}))
    return reason, both.where(both.columns["reward"] <= logged.at(TAIL))
