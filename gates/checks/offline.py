"""Offline validation: the candidate's off-policy value, and its lift over the behaviour policy."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from gates.bounds import at_least, broken, difference, interval, numbers, unjudged
from gates.checks.check import Params
from gates.checks.grade import Fitted, fitted_lift, fitted_value, graded, open_to_word
from gates.evidence import Evidence
from gates.needs import daily_volume, shown, volume
from gates.outcome import Finding, Outcome, finding
from monitor.metrics.estimate import Estimate

ESS_NEEDED = 100
TOO_GOOD = "another look at the rewards and propensities, or an external evaluation"


def held_out_value(params: Params, evidence: Evidence) -> list[Finding]:
    """Off-policy value of the candidate on rows that were not in its training set, by two estimators.

    FAIL (`leakage`): a held-out row was trained on. Then INCONCLUSIVE or NO_DATA, in this order: the
    reason why SNIPS is not estimable; `training_undeclared` or `held_out_undeclared`; the reason why
    leakage cannot be told; `too_good`: a value above the 99th percentile of logged rewards (where that
    lies above their mean), or a lift over `max_lift` of the logged mean; the reason why DR is not
    estimable; `estimators_disagree`: 0 lies outside the interval of SNIPS − DR. Else PASS.
    The value is always shown. Where propensities are missing, a sign-off on evidence of grade B or C
    may stand for them; all that is asked of declarations and leakage stays.
    """
    snips, ips, doubly = (evidence.estimate(name) for name in ("snips", "ips", "dr"))
    training = evidence.facts.get("training")
    leaked = evidence.estimate("leaked_decisions")
    value = f"off-policy value (SNIPS) is {interval(snips)}, DR {interval(doubly)}, IPS {interval(ips)}"
    fields = {"metric": "snips", **numbers(snips)}
    if training != "none" and math.isfinite(leaked.value) and leaked.value > 0:
        message = f"{shown(leaked.value)} held-out decisions were in the training set; the {value}."
        needs = "held-out decisions the candidate was not trained on"
        return [finding(Outcome.FAIL, message, needs, reason="leakage", **fields)]
    reason = broken(snips)
    if reason is not None:
        needs = _effective_sample(evidence, snips, reason)
        blind = unjudged("off-policy value (SNIPS)", snips, reason, metric="snips", needs=needs)
        return [_by_word(blind, params, evidence) if open_to_word(blind, evidence) else blind]
    held = _undeclared(evidence, f"The {value};", fields)
    if held is not None:
        return [held]
    lift = evidence.estimate("lift")
    if broken(lift) is not None:
        return [unjudged("lift over the behaviour policy", lift, str(broken(lift)), metric="lift")]
    suspect = _too_good(evidence, snips, lift, float(params["max_lift"]))
    if suspect:
        return [_held(f"The {value}; {suspect}.", TOO_GOOD, "too_good", fields)]
    return [graded(_agreed(evidence, value, fields), params, evidence)]


def beats_baseline(params: Params, evidence: Evidence) -> list[Finding]:
    """Lift over the behaviour policy, in units of reward, against −margin.

    PASS: lower end of the paired lift > −margin. FAIL: upper end < −margin. Straddling is
    INCONCLUSIVE, with the decisions still needed. `margin` > 0 tolerates being that much worse
    (non-inferiority), `margin` < 0 asks to be that much better. Where propensities are missing, a
    sign-off on evidence of grade B or C may stand for them.
    """
    lift = evidence.estimate("lift")
    judged = at_least(
        "lift over the behaviour policy",
        lift,
        -float(params["margin"]),
        metric="lift",
        per_day=daily_volume(evidence.facts),
        remedy="a better candidate, or a `margin` that says how much worse it may be",
        strict=True,
    )
    if judged.reason == lift.reason and judged.reason is not None:
        judged = replace(judged, needs=_effective_sample(evidence, lift, judged.reason) or judged.needs)
    fitted = Fitted()
    if open_to_word(judged, evidence):
        fitted = fitted_lift(evidence, float(params["margin"]))
    return [graded(judged, params, evidence, fitted)]


def _undeclared(evidence: Evidence, says: str, fields: dict[str, Any]) -> Finding | None:
    """What keeps anybody from telling whether held-out decisions were trained on; None where nothing does."""
    training, leaked = evidence.facts.get("training"), evidence.estimate("leaked_decisions")
    if training is None:
        needs = "`training:` in monitor.yaml: until a date, ids in a file, or none with a reason"
        return _held(f"{says} `training` is not declared.", needs, "training_undeclared", fields)
    if not evidence.facts.get("held_out"):
        needs = "`held_out:` in monitor.yaml: the period the candidate was not trained on"
        return _held(f"{says} `held_out` is not declared.", needs, "held_out_undeclared", fields)
    if training != "none" and broken(leaked) is not None:
        what = "number of held-out decisions that were trained on"
        return unjudged(what, leaked, str(broken(leaked)), metric="leaked_decisions")
    return None


def _by_word(blind: Finding, params: Params, evidence: Evidence) -> Finding:
    """Where propensities are missing: estimated ones, or an external evaluation, with a sign-off."""
    fitted, value = fitted_value(evidence), evidence.estimate("estimated_snips")
    judged = graded(blind, params, evidence, fitted)
    if judged.outcome is not Outcome.PASS:
        return judged
    fields: dict[str, Any] = {"metric": "snips"}
    if fitted.supports:
        fields = {"metric": "estimated_snips", **numbers(value)}
    held = _undeclared(evidence, f"{judged.message} But", fields)
    if held is not None or not fitted.supports:
        return held or judged
    mean = evidence.estimate("reward_mean")
    suspect = f"the logged mean cannot be told ({broken(mean)})"
    if broken(mean) is None:
        suspect = _too_good(evidence, value, difference(value, mean), float(params["max_lift"]))
    if suspect:
        return _held(f"{judged.message} But {suspect}.", TOO_GOOD, "too_good", fields)
    return replace(judged, **fields)


def _too_good(evidence: Evidence, snips: Estimate, lift: Estimate, most: float) -> str:
    """Why nobody should believe the value; "" where it is of a believable size."""
    mean, top = (evidence.estimate(name) for name in ("reward_mean", "reward_q99"))
    if top.value > mean.value and snips.value > top.value:
        return f"that is above {shown(top.value)}, the 99th percentile of the logged rewards"
    logged = snips.value - lift.value
    if not lift.value <= most * abs(logged):
        return (
            f"its lift of {shown(lift.value)} is over {shown(100 * most)} % of the logged mean "
            f"{shown(logged)}: nothing off-policy is reliably that much better than its data"
        )
    return ""


def _agreed(evidence: Evidence, value: str, fields: dict[str, Any]) -> Finding:
    """PASS where SNIPS and DR, which fail in different ways, say the same."""
    apart = evidence.estimate("snips_dr_difference")
    reason = broken(apart)
    if reason is not None:
        told = unjudged("SNIPS less DR", apart, reason, metric="snips_dr_difference")
        return replace(told, message=f"The {value}. {told.message}")
    differ = f"SNIPS less DR is {interval(apart)}"
    if not apart.low <= 0 <= apart.high:
        message = f"The {value}; they do not agree: {differ}."
        needs = "a look at propensities and model: one of the two is wrong, and which cannot be told here"
        return _held(message, needs, "estimators_disagree", fields)
    return finding(Outcome.PASS, f"The {value}; they agree: {differ}.", **fields)


def _held(message: str, needs: str, reason: str, fields: dict[str, object]) -> Finding:
    return finding(Outcome.INCONCLUSIVE, message, needs, reason=reason, **fields)


def _effective_sample(evidence: Evidence, estimate: Estimate, reason: str) -> str:
    """How many more decisions bring the effective sample size to 100, where that is what lacks."""
    ess = evidence.estimate("ess").value
    if reason != "low_ess" or not 0 < ess < ESS_NEEDED:
        return ""
    more = volume(math.ceil(estimate.n * (ESS_NEEDED / ess - 1)), daily_volume(evidence.facts))
    return f"{more}: effective sample size {shown(ess)} of {ESS_NEEDED}" if more else ""
