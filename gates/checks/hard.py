"""Hard constraints: no violation, and an upper bound on how often one can still happen."""

from __future__ import annotations

import math
from dataclasses import replace

from gates.bounds import at_most, interval, numbers
from gates.checks.check import Params
from gates.evidence import Evidence
from gates.needs import daily_volume, needed
from gates.outcome import Finding, Outcome, finding


def hard_constraints(params: Params, evidence: Evidence) -> list[Finding]:
    """One finding for each hard constraint, on its violation rate.

    FAIL: any violation, whatever else is missing, since one is a fact. A rate that cannot be told
    has its reason's outcome; an upper end > `limit` is INCONCLUSIVE. Otherwise INCONCLUSIVE
    `not_built`: a PASS also needs a drill of the automatic rollback, which cannot be told yet.
    """
    hard = [name for name, rule in evidence.facts.get("constraints", {}).items() if rule.get("hard")]
    if not hard:
        message = "no hard constraint is declared, and a rollback drill cannot be told yet."
        return [finding(Outcome.INCONCLUSIVE, message, needed("not_built"), reason="not_built")]
    return [_constraint(name, float(params["limit"]), evidence) for name in hard]


def _constraint(name: str, limit: float, evidence: Evidence) -> Finding:
    rate = evidence.estimate("violation_rate", name)
    what = f"violation rate of hard constraint {name}"
    if math.isfinite(rate.value) and rate.value > 0:
        return finding(
            Outcome.FAIL,
            f"{what} is {interval(rate)}: it must be 0.",
            "a policy that does not violate it, and evidence from then on",
            reason="violation",
            limit=limit,
            metric="violation_rate",
            key=name,
            **numbers(rate),
        )
    per_day = daily_volume(evidence.facts)
    judged = at_most(what, rate, limit, metric="violation_rate", key=name, per_day=per_day)
    if judged.outcome is not Outcome.PASS:
        return judged
    message = f"{judged.message} A drill of the automatic rollback cannot be told yet."
    return replace(
        judged, outcome=Outcome.INCONCLUSIVE, reason="not_built", message=message, needs=needed("not_built")
    )
