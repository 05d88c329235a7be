"""Constraints the candidate would break: its off-policy costs against d_k, before it controls anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gates.bounds import at_most
from gates.checks.check import Params
from gates.checks.grade import graded
from gates.evidence import Evidence
from gates.needs import daily_volume, needed
from gates.outcome import Finding, Outcome, finding

REMEDY = "a candidate that keeps the constraint: maximise the reward subject to it"
MEASURED = {
    "rate": "violation rate", "mean_cost": "mean cost", "episode_cost": "mean cost of an episode",
}  # fmt: skip


def constraint_value(params: Params, evidence: Evidence) -> list[Finding]:
    """One finding for each constraint, on what the candidate would cost (`offpolicy_cost`).

    PASS: upper end ≤ d_k, for a hard constraint ≤ `hard_limit`, since no upper end is ever 0. FAIL:
    lower end above it. INCONCLUSIVE: `no_constraint` where none is declared; else the estimate's reason.
    Where propensities are missing, a sign-off on an external evaluation (grade C) may stand for them.
    """
    rules = evidence.facts.get("constraints") or {}
    if not rules:
        message = "no constraint is declared, so it cannot be told whether the candidate would keep one."
        reason = "no_constraint"
        return [finding(Outcome.INCONCLUSIVE, message, needed(reason), reason=reason)]
    hard_limit = float(params["hard_limit"])
    judged = [_constraint(name, rule, hard_limit, evidence) for name, rule in rules.items()]
    return [graded(found, params, evidence) for found in judged]


def _constraint(name: str, rule: Mapping[str, Any], hard_limit: float, evidence: Evidence) -> Finding:
    hard, measure = bool(rule.get("hard")), str(rule.get("measure", "rate"))
    limit = hard_limit if hard else float(rule.get("limit", float("nan")))
    kind = "hard constraint" if hard else "constraint"
    return at_most(
        f"off-policy {MEASURED[measure]} of {kind} {name}",
        evidence.estimate("offpolicy_cost", name),
        limit,
        metric="offpolicy_cost",
        key=name,
        per_day=daily_volume(evidence.facts),
        remedy=REMEDY,
    )
