"""Are the policies that could take over scored on the live log?"""

from __future__ import annotations

from gates.bounds import broken, interval, numbers, unjudged
from gates.checks.check import Params
from gates.evidence import Evidence
from gates.needs import needed, shown
from gates.outcome import Finding, Outcome, finding, outcome_of_reason


def offline_reevaluation(params: Params, evidence: Evidence) -> list[Finding]:
    """One finding for the previous policy, and one for each other candidate that recommends beside the live
    policy: its value on the live log (SNIPS, and its lift over the live policy).

    PASS: it can be estimated, and its newest recommendation is at most `days` days old. FAIL: the previous
    policy is surely better (lower end of its lift > 0). What cannot be estimated has that reason's outcome.
    """
    previous = str(evidence.facts.get("previous") or "")
    if not previous:
        message = "there is no policy from before this one to score on the live log."
        needs = "`policies.safe`, or a policy that held a PASS before"
        return [finding(Outcome.INCONCLUSIVE, message, needs, reason="no_previous")]
    others = [key for key in evidence.keys("reevaluated_lift") if key not in (previous, evidence.policy)]
    return [_scored(name, name == previous, float(params["days"]), evidence) for name in (previous, *others)]


def _scored(name: str, previous: bool, days: float, evidence: Evidence) -> Finding:
    value, lift, age = (
        evidence.estimate(metric, name)
        for metric in ("reevaluated_value", "reevaluated_lift", "reevaluated_days")
    )
    what = f"value of {'the previous policy' if previous else 'the next candidate'} {name} on the live log"
    fields = {"metric": "reevaluated_lift", "key": name, **numbers(lift)}
    for estimate in (age, value, lift):
        reason = broken(estimate)
        if reason is not None:
            return unjudged(what, value, reason, metric="reevaluated_value", key=name)
    if age.value > days:
        message = (
            f"{what} rests on recommendations that are {shown(age.value)} days old: not within {shown(days)}."
        )
        return finding(outcome_of_reason("stale"), message, needed("stale"), reason="stale", **fields)
    says = f"{what} is {interval(value)}, a lift of {interval(lift)} over {evidence.policy}"
    if previous and lift.low > 0:
        needs = f"a look at whether {name} should not take over again"
        return finding(
            Outcome.FAIL, f"{says}: it is better.", needs, reason="previous_better", limit=0.0, **fields
        )
    return finding(Outcome.PASS, f"{says}.", limit=0.0, **fields)
