"""Value of the candidate estimated from another policy's log, and whether it can be estimated at all.

w = q/p is the importance weight of a decision: q the probability of the executed action under the
candidate, p under the policy that controlled it. k is `keep_prob`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from monitor.metrics.estimate import Estimate, exact, missing
from monitor.metrics.intervals import kish, kish_size, t_interval, zero_one_interval
from monitor.metrics.jackknife import Array, Jackknife, jackknife
from monitor.metrics.ratios import divide, share
from monitor.metrics.reward import zero_one_rewards
from monitor.metrics.sums import Settings, Sums

MIN_ESS = 100
MIN_EFFECTIVE_EVENTS = 100
MIN_EVENTS = 10
MAX_Z, MAX_OFF_ONE = 4, 0.02
MAX_MISSING = 0.01


def ips(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """r_min + Σ(w(r − r_min)/k)/Σ(1/k): importance sampling on rewards counted from their lowest.

    Shown, never read by a gate: with heavy weights its interval covers too little.
    Source: Horvitz and Thompson 1952.
    """
    sums, lowest = states["offpolicy"], settings.reward_low

    def value(x: Array) -> Array:
        return lowest + divide(x[..., 0] - lowest * x[..., 1], x[..., 2])

    jack = jackknife(value, sums, ("wr1", "w1", "k1"), settings)
    return judged(t_interval(jack, sums.total("n"), "reward", settings), sums, settings)


def snips(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Σ(wr/k)/Σ(w/k): self-normalised importance sampling, in units of reward.

    Rewards that are all 0 or 1 get the interval of a share with (Σw)²/Σw² effective decisions.
    Source: Swaminathan and Joachims 2015.
    """
    sums = states["offpolicy"]
    n = sums.total("n")
    if not n > 0:
        return judged(missing("no_data", "reward"), sums, settings)
    jack = jackknife(lambda x: divide(x[..., 0], x[..., 1]), sums, ("wr1", "w1", "n_one", "n"), settings)
    if not zero_one_rewards(sums, settings):
        return judged(t_interval(jack, n, "reward", settings), sums, settings)
    ones, rewards = jack.groups[:, 2], jack.groups[:, 3]
    units = kish(sums, "w1", states.get("units"), "w", jack.groups, settings)
    size = kish_size(sums.total("w1"), sums.total("w2"))
    found = zero_one_interval(jack, ones, rewards - ones, size, units, n, "reward", settings)
    return judged(found, sums, settings)


def lift(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Σwr/Σw − Σr/n: how much better the candidate is than the policy that was logged, paired.

    Jackknife of the difference. Fewer than 10 rewards of 1, or of 0, among 0/1 rewards:
    `few_events`, because no t interval can be believed then.
    """
    sums = states["offpolicy"]

    def value(x: Array) -> Array:
        return divide(x[..., 0], x[..., 1]) - divide(x[..., 2], x[..., 3])

    jack = jackknife(value, sums, ("wr1", "w1", "r1", "k1"), settings)
    n = sums.total("n")
    found = judged(t_interval(jack, n, "reward", settings), sums, settings)
    ones = sums.total("n_one")
    if zero_one_rewards(sums, settings) and min(ones, n - ones) < MIN_EVENTS:
        return found.because("few_events")
    return found


def ess(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Effective sample size (Σw)²/Σw²: the number of decisions by the candidate itself worth as much."""
    sums = states["offpolicy"]
    n = sums.total("n")
    if not n > 0:
        return missing("no_data", "decisions")
    return exact(kish_size(sums.total("w1"), sums.total("w2")), n, "decisions")


def ess_share(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Effective sample size as a share of the decisions."""
    found = ess(states, settings)
    return exact(float(divide(found.value, found.n)), found.n, "share") if found.judgeable else found


def weight_mean(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Mean weight w̄ = Σ(w/k)/Σ(1/k). It is 1 on average where propensities are right and the
    candidate's actions are all logged."""
    sums = states["offpolicy"]
    return t_interval(_mean_weight(sums, settings), sums.total("n"), "weight", settings)


def weight_mean_z(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """z = (w̄ − 1)/SE by jackknife: the cheapest detector of a bug in logging."""
    sums = states["offpolicy"]
    n = sums.total("n")
    if not n > 0:
        return missing("no_data", "standard errors")
    return exact(_z(_mean_weight(sums, settings)), n, "standard errors")


def weight_max(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Largest weight w/k."""
    sums = states["offpolicy"]
    n = sums.total("n")
    if not n > 0:
        return missing("no_data", "weight")
    return exact(float(sums.columns["w_max"].max()), n, "weight")


def weight_max_share(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Share of all weight that one decision carries."""
    found = replace(weight_max(states, settings), unit="share")
    if not found.judgeable:
        return found
    return exact(float(divide(found.value, states["offpolicy"].total("w1"))), found.n, "share")


def weight_over_10_share(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Share of decisions with a weight above 10."""
    sums = states["offpolicy"]
    return share(sums.total("n_over10"), sums.total("n"))


def missing_propensity_share(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Share of decisions without a propensity of their own or of the candidate, whichever is larger."""
    sums = states["offpolicy"]
    return share(without_propensity(sums), sums.total("n_rows"))


def not_estimable(sums: Sums, settings: Settings) -> str | None:
    """Why the candidate's value cannot be estimated from these rows, or None where it can.

    `missing_propensity`: missing on more than 1 % of rows. `propensity`: |z| > 4 and
    |w̄ − 1| > .02. `low_ess`: effective sample size under 100. `few_events`: rewards mostly 0,
    not 0/1, and (Σ|wr|)²/Σ(wr)² under 100.
    """
    if without_propensity(sums) > MAX_MISSING * sums.total("n_rows"):
        return "missing_propensity"
    n = sums.total("n")
    if not n > 0:
        return "no_data"
    weights = _mean_weight(sums, settings)
    if abs(_z(weights)) > MAX_Z and abs(weights.value - 1) > MAX_OFF_ONE:
        return "propensity"
    if not kish_size(sums.total("w1"), sums.total("w2")) >= MIN_ESS:
        return "low_ess"
    zeros = n - sums.total("n_not01") - sums.total("n_one")
    if zeros > n / 2 and not zero_one_rewards(sums, settings):
        events = kish_size(sums.total("wra"), sums.total("wr2"))
        if not events >= MIN_EFFECTIVE_EVENTS:
            return "few_events"
    return None


def judged(found: Estimate, sums: Sums, settings: Settings) -> Estimate:
    """The estimate with the reason why nothing can be estimated from these weights, where there is one."""
    reason = not_estimable(sums, settings)
    return replace(found, reason=reason) if reason else found


def without_propensity(sums: Sums) -> float:
    """Rows without a propensity of their own or of the candidate, whichever are more."""
    return max(sums.total("n_missing_p"), sums.total("n_missing_q"))


def _mean_weight(sums: Sums, settings: Settings) -> Jackknife:
    return jackknife(lambda x: divide(x[..., 0], x[..., 1]), sums, ("w1", "k1"), settings)


def _z(weights: Jackknife) -> float:
    off = weights.value - 1
    if weights.se > 0 or not math.isfinite(weights.se):
        return off / weights.se
    return math.copysign(math.inf, off) if abs(off) > 1e-12 else 0.0
