"""Was the policy watched for long enough, without holes, in enough of the conditions it will meet?"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from gates.bounds import at_least, at_most, broken, unjudged
from gates.checks.check import Params
from gates.evidence import Evidence
from gates.needs import shown, why
from gates.outcome import Finding, Outcome, finding, outcome_of_reason
from monitor.metrics.estimate import Estimate

NAMED = 3
SHORTEST_GAP = 1.0


def duration_and_coverage(params: Params, evidence: Evidence) -> list[Finding]:
    """Three findings: length of the evidence, its longest gap, and the conditions it has seen.

    PASS: at least `days` days; no gap longer than `gap_factor` × the baseline's own longest (an
    hour at least); the share `coverage` of the conditions seen `times` times. Too short and too few
    conditions are INCONCLUSIVE, since time mends them; a gap that is too long is FAIL.
    """
    return [_days(params, evidence), _gap(params, evidence), _conditions(params, evidence)]


def _days(params: Params, evidence: Evidence) -> Finding:
    days = evidence.estimate("evidence_days")
    judged = at_least("length of the evidence in days", days, float(params["days"]), metric="evidence_days")
    if broken(days) is not None or judged.outcome is Outcome.PASS:
        return judged
    left = max(1, math.ceil(float(params["days"]) - days.low))
    needs = f"{left} more day{'s' if left > 1 else ''} of evidence"
    return replace(judged, outcome=Outcome.INCONCLUSIVE, reason="low_days", needs=needs)


def _gap(params: Params, evidence: Evidence) -> Finding:
    gap, usual = evidence.estimate("longest_gap_hours"), evidence.estimate("baseline_longest_gap_hours")
    what = "longest gap between decisions in hours"
    reason = broken(usual)
    if reason is not None:
        return unjudged(f"the baseline's own {what}", usual, reason, metric="baseline_longest_gap_hours")
    return at_most(
        what,
        gap,
        max(SHORTEST_GAP, float(params["gap_factor"]) * usual.low),
        metric="longest_gap_hours",
        remedy="evidence without such a gap: enter the stage again from the day after it",
    )


def _conditions(params: Params, evidence: Evidence) -> Finding:
    keys, times = evidence.keys("condition_count"), float(params["times"])
    counts = {key: evidence.estimate("condition_count", key) for key in keys}
    what = "declared conditions" if evidence.facts.get("conditions_declared") else "segments and states"
    names: dict[str, Any] = {"metric": "condition_count", "limit": float(params["coverage"])}
    reasons = [r for c in counts.values() if (r := _not_counted(c)) is not None]
    if not counts or reasons:
        reason = max(reasons, key=outcome_of_reason, default="no_data")
        message = f"how often the {what} were seen cannot be told: {why(reason)}."
        needs = "decisions of this stage, and `conditions:` or a baseline to take them from"
        return finding(outcome_of_reason(reason), message, needs, reason=reason, **names)
    unseen = [key for key, count in counts.items() if count.low < times]
    share = (len(counts) - len(unseen)) / len(counts)
    seen = sum(c.value for c in counts.values())
    fields: dict[str, Any] = {**names, "value": share, "n": seen, "unit": "share"}
    says = f"{len(counts) - len(unseen)} of {len(counts)} {what} were seen {shown(times)} times or more"
    if share >= float(params["coverage"]):
        return finding(Outcome.PASS, f"{says}: at least {shown(params['coverage'])}.", **fields)
    rare = ", ".join(f"{key} ({shown(counts[key].value)})" for key in unseen[:NAMED])
    rest = f" and {len(unseen) - NAMED} more" if len(unseen) > NAMED else ""
    return finding(
        Outcome.INCONCLUSIVE,
        f"{says}: less than {shown(params['coverage'])}. Seldom seen: {rare}{rest}.",
        f"{shown(times)} decisions in each of: {rare}{rest}",
        reason="low_coverage",
        **fields,
    )


def _not_counted(count: Estimate) -> str | None:
    """As `broken`, but 0 of 0 is a count: a condition that was never seen."""
    if count.reason is None and count.value == count.low == 0:
        return None
    return broken(count)
