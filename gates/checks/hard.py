"""Hard constraints and the envelope: no violation, and an upper bound on how often one can still happen."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

from gates.bounds import at_most, interval, numbers
from gates.checks.check import Params
from gates.checks.drills import drilled
from gates.evidence import Evidence
from gates.needs import daily_volume, shown
from gates.outcome import Finding, Outcome, finding
from gates.stages import instant_of

ENVELOPE = "envelope:"


def hard_constraints(params: Params, evidence: Evidence) -> list[Finding]:
    """One finding for each hard constraint and each dimension of the envelope, on its violation rate, and
    one for the drill of the automatic rollback.

    FAIL: any violation, whatever else is missing, since one is a fact; it tells how long it was from the
    decision to the safe policy. A rate that cannot be told has its reason's outcome; an upper end > `limit`
    is INCONCLUSIVE. PASS: none, every upper end ≤ `limit`, and the rollback was drilled within `drill_days`.
    """
    facts, days = evidence.facts, float(params["drill_days"])
    hard = [name for name, rule in facts.get("constraints", {}).items() if rule.get("hard")]
    keys = [*hard, *(ENVELOPE + d for d in facts.get("envelope", []))]
    drill = drilled("rollback", "the automatic rollback", days, evidence)
    if not keys:
        message = "no hard constraint and no envelope is declared."
        needs = "a constraint with `hard: true`, an `envelope`, or `role: off` with a `because`"
        return [finding(Outcome.INCONCLUSIVE, message, needs, reason="no_hard_constraint"), drill]
    return [*(_constraint(key, float(params["limit"]), evidence) for key in keys), drill]


def _constraint(key: str, limit: float, evidence: Evidence) -> Finding:
    rate = evidence.estimate("violation_rate", key)
    what = f"violation rate of hard constraint {key}"
    if key.startswith(ENVELOPE):
        what = f"share of executed actions outside the envelope of {key.removeprefix(ENVELOPE)}"
    names: dict[str, Any] = {"metric": "violation_rate", "key": key}
    if math.isfinite(rate.value) and rate.value > 0:
        return finding(
            Outcome.FAIL,
            f"{what} is {interval(rate)}: it must be 0.{_until_safe(key, evidence)}",
            "a policy that does not violate it, and evidence from then on",
            reason="violation",
            limit=limit,
            **names,
            **numbers(rate),
        )
    judged = at_most(what, rate, limit, per_day=daily_volume(evidence.facts), **names)
    if judged.outcome is Outcome.FAIL:  # no violation, so it cannot be surely above the limit
        return replace(judged, outcome=Outcome.INCONCLUSIVE, reason="straddles")
    return judged


def _until_safe(key: str, evidence: Evidence) -> str:
    """` From the decision to the safe policy it took 12 s.`, of the newest rollback for this rule; "" where
    there was none."""
    name = key.removeprefix(ENVELOPE)
    opened = [
        e
        for e in evidence.events("incident")
        if e.body.get("status") == "open"
        and e.body.get("policy") == evidence.policy
        and e.body.get("trigger") == "constraint"
        and e.body.get("key") == name
    ]
    for incident in reversed(opened):
        decided = instant_of(incident.body.get("window_start"))
        done = [
            e
            for e in evidence.events("rollback")
            if e.subject == incident.subject and e.body.get("status") == "done"
        ]
        if decided is not None and done:
            seconds = (done[0].at - decided) / timedelta(seconds=1)
            return f" From the decision to the safe policy it took {shown(seconds)} s."
    return ""
