"""How a live policy behaves: what it explores, what the safety layer takes from it, what its log supports."""

from __future__ import annotations

import math
from dataclasses import replace

from gates.bounds import at_least, at_most, broken, interval
from gates.checks.check import Params
from gates.evidence import Evidence
from gates.needs import daily_volume, needed
from gates.outcome import Finding, Outcome, finding


def exploration(params: Params, evidence: Evidence) -> list[Finding]:
    """Share of random exploration ≤ `share` with its upper end; what it costs is told beside it."""
    rate = evidence.estimate("exploration_rate")
    if rate.reason == "no_data":
        message = "no decision tells with which probabilities the policy drew, so exploration cannot be told."
        needs = "decisions of this stage in the log, with `action_probs` and `propensity`"
        return [
            finding(Outcome.NO_DATA, message, needs, reason="no_data", metric="exploration_rate",
                    limit=float(params["share"]))
        ]  # fmt: skip
    judged = at_most(
        "share of random exploration",
        rate,
        float(params["share"]),
        metric="exploration_rate",
        per_day=daily_volume(evidence.facts),
        remedy="less exploration, or a `share` that somebody agreed to",
    )
    cost = evidence.estimate("exploration_cost")
    beside = (
        f"It costs {interval(cost)} of reward a decision" if broken(cost) is None else "Its cost is not known"
    )
    return [replace(judged, message=f"{judged.message} {beside}.")]


def safety_layer(params: Params, evidence: Evidence) -> list[Finding]:
    """Share of proposed actions that the safety layer changed, for the action as a whole and each of its
    dimensions; the worst one is the finding. PASS: every upper end ≤ `share`."""
    rates = {key: evidence.estimate("clip_rate", key) for key in evidence.keys("clip_rate")}
    known = {k: e for k, e in rates.items() if e.reason != "no_data"}
    if not known:
        message = "what the policy proposed before the safety layer is not logged."
        return [
            finding(
                Outcome.NO_DATA, message, "`proposed_action` in the log", reason="no_data", metric="clip_rate"
            )
        ]
    judged = [
        at_most(
            f"share of proposed actions changed by the safety layer{f' in {key}' if key else ''}",
            rate,
            float(params["share"]),
            metric="clip_rate",
            key=key,
            per_day=daily_volume(evidence.facts),
            remedy="a policy that stays inside the limits by itself",
        )
        for key, rate in known.items()
    ]
    return [max(judged, key=lambda f: (f.outcome, f.high if math.isfinite(f.high) else -math.inf))]


def support(params: Params, evidence: Evidence) -> list[Finding]:
    """Can another policy still be estimated from the live log: effective sample size ≥ `ess` for the worst
    of those that recommend beside the live one."""
    names = [key for key in evidence.keys("reevaluated_ess") if key != evidence.policy]
    if not names:
        message = "no other policy recommends beside the live one, so support cannot be told."
        needs = "recommendations of another policy, with `candidate_propensity`"
        return [finding(Outcome.NO_DATA, message, needs, reason="no_data", metric="reevaluated_ess")]
    least = float(params["ess"])
    judged = [_supported(name, least, evidence) for name in names]
    return [max(judged, key=lambda f: (f.outcome, -f.value if math.isfinite(f.value) else math.inf))]


def _supported(name: str, least: float, evidence: Evidence) -> Finding:
    value = evidence.estimate("reevaluated_value", name)
    judged = at_least(
        f"effective sample size for {name}", evidence.estimate("reevaluated_ess", name), least,
        metric="reevaluated_ess", key=name, remedy=needed("low_ess"),
    )  # fmt: skip
    reason = broken(value)
    if judged.outcome is Outcome.PASS and reason is not None:
        message = f"{judged.message} Its value cannot be estimated: {reason.replace('_', ' ')}."
        return replace(
            judged, outcome=Outcome.INCONCLUSIVE, reason=reason, needs=needed(reason), message=message
        )
    return judged
