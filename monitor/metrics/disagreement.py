"""How often the candidate recommends something else than what was executed."""

from __future__ import annotations

from collections.abc import Mapping

from monitor.metrics.estimate import Estimate, missing
from monitor.metrics.intervals import kish, t_interval, zero_one_interval
from monitor.metrics.jackknife import jackknife
from monitor.metrics.ratios import divide, share
from monitor.metrics.sums import Settings, Sums

UNKNOWN = 0.01


def recommended_share(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Share of the decisions with an executed action and a recommended one beside it, counted."""
    return share(states["pair"].total("n_beside"), states["reward"].total("n"))


def disagreement(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Share of decisions whose recommended action differs from the executed one."""
    return _share_of_decisions(states, "n_diff", "n_pair", settings)


def large_disagreement(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Share of decisions whose recommended action the incumbent practically never takes there,
    among those where that can be said; `unusual_unknown` where it cannot for more than 1 %."""
    found = _share_of_decisions(states, "n_large", "n_known", settings)
    sums = states["pair"]
    unknown = sums.total("n_beside") - sums.total("n_known")
    return found.because("unusual_unknown") if unknown > UNKNOWN * sums.total("n_beside") else found


def self_disagreement(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """How often two draws of the incumbent itself would differ: mean of 1 − Σπ_b².

    From logged distributions; without them the mean of 1 − p, which is unbiased for it.
    """
    sums = states["pair"]
    logged = sums.total("n_dist") > 0
    part, whole = ("d0", "n_dist") if logged else ("s1", "n_p")
    n = sums.total(whole)
    if not n > 0:
        return missing("missing_propensity" if len(sums) else "no_data", "share")
    jack = jackknife(lambda x: divide(x[..., 0], x[..., 1]), sums, (part, whole), settings)
    return t_interval(jack, n, "share", settings)


def _share_of_decisions(states: Mapping[str, Sums], part: str, whole: str, settings: Settings) -> Estimate:
    sums = states["pair"]
    n = sums.total(whole)
    if not n > 0:
        return missing("no_data", "share")
    jack = jackknife(lambda x: divide(x[..., 0], x[..., 1]), sums, (part, whole), settings)
    events, decisions = jack.groups[:, 0], jack.groups[:, 1]
    units = kish(sums, whole, states.get("units"), "k", jack.groups, settings)
    return zero_one_interval(jack, events, decisions - events, n, units, n, "share", settings)
