"""Drills: the manual override was pressed, the automatic rollback was played, and both took.

The body of a `drill` event: {"drill": "override" | "rollback", "policy", "safe", "button_at",
"pointer_at", "seconds", "pointer_read_back", "first_safe_decision": ISO time or null}, subject the policy
that was replaced. The newest one of its kind counts.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

from gates.bounds import broken
from gates.checks.check import Params
from gates.evidence import Event, Evidence
from gates.needs import shown
from gates.outcome import Finding, Outcome, finding
from gates.stages import instant_of


def override_ready(params: Params, evidence: Evidence) -> list[Finding]:
    """The newest drill of the manual override, from button to safe policy.

    PASS: not older than `drill_days`, the pointer named the safe policy within `seconds` and was read back,
    and the log holds a decision of the safe policy after it. FAIL: too slow, or it did not take.
    INCONCLUSIVE: never drilled, too long ago, or the safe policy has not decided since.
    """
    days, most = float(params["drill_days"]), float(params["seconds"])
    found = drilled("override", "the manual override", days, evidence, most)
    if found.outcome is not Outcome.PASS:
        return [found]
    event = newest("override", evidence)
    first = _first_safe(event, evidence) if event else ""
    if not first:
        needs = "a decision of the safe policy in the log after the drill, then `monitor run`"
        message = f"{found.message} No decision of the safe policy is in the log since."
        return [finding(Outcome.INCONCLUSIVE, message, needs, reason="no_safe_decision", **_numbers(found))]
    return [finding(Outcome.PASS, f"{found.message} {first}", **_numbers(found))]


def drilled(kind: str, what: str, days: float, evidence: Evidence, seconds: float = math.inf) -> Finding:
    """Was `what` drilled within `days`, did it take, and (where a limit is given) within `seconds`?"""
    event = newest(kind, evidence)
    needs = f"a drill of {what}, and its event in the journal"
    if event is None:
        return finding(Outcome.INCONCLUSIVE, f"{what} was never drilled.", needs, reason="drill_missing")
    body, when = event.body, f"{event.at:%Y-%m-%d}"
    took = _number(body.get("seconds"))
    numbers: dict[str, Any] = {"value": took, "n": 1.0, "unit": "seconds", "method": f"event {event.seq}"}
    if math.isfinite(seconds):
        numbers["limit"] = seconds
    if not math.isfinite(took) or took < 0 or not isinstance(body.get("pointer_read_back"), bool):
        message = f"the drill of {what} on {when} does not say how long it took and whether it took."
        return finding(Outcome.NO_DATA, message, needs, reason="non_finite", **numbers)
    if not body["pointer_read_back"]:
        message = f"the drill of {what} on {when} did not take: the pointer did not read back."
        return finding(
            Outcome.FAIL, message, f"its cause mended, then {needs}", reason="drill_failed", **numbers
        )
    says = f"the drill of {what} on {when} had the safe policy in the pointer after {shown(took)} s"
    if took > seconds:
        message = f"{says}: not within {shown(seconds)} s."
        return finding(Outcome.FAIL, message, f"its cause mended, then {needs}", reason="limit", **numbers)
    if evidence.as_of - event.at > timedelta(days=days):
        message = f"{says}, which is more than {shown(days)} days ago."
        return finding(Outcome.INCONCLUSIVE, message, needs, reason="drill_expired", **numbers)
    within = f", within {shown(seconds)} s" if math.isfinite(seconds) else ""
    return finding(Outcome.PASS, f"{says}{within}.", **numbers)


def newest(kind: str, evidence: Evidence) -> Event | None:
    """The newest drill of a kind on this policy, up to as-of."""
    found = [
        e
        for e in evidence.events("drill")
        if e.body.get("drill") == kind and e.subject == evidence.policy and e.at <= evidence.as_of
    ]
    return max(found, key=lambda e: (e.at, e.seq), default=None)


def _first_safe(event: Event, evidence: Evidence) -> str:
    """A sentence on the first decision of the safe policy after a drill; "" where none is known."""
    pointed = instant_of(event.body.get("pointer_at")) or event.at
    first = instant_of(event.body.get("first_safe_decision"))
    if first is not None and pointed <= first <= evidence.as_of:
        return f"The safe policy decided from {first:%Y-%m-%d %H:%M:%S} UTC on."
    since = evidence.estimate("safe_decisions", pointed.isoformat())
    if broken(since) is None and since.low > 0:
        return f"{shown(since.value)} decisions of the safe policy are in the log since."
    return ""


def _number(value: Any) -> float:
    usable = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if usable else math.nan


def _numbers(found: Finding) -> dict[str, Any]:
    return {name: getattr(found, name) for name in ("value", "n", "unit", "method", "limit")}
