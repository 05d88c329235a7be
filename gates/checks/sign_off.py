"""Sign-offs: a person's word, written to the journal by `monitor attest`, with its evidence.

The body of an `attest` event: {item, by, reason, evidence, evidence_digest, verdict: "approved" |
"refused", expires: ISO time, policy}. The newest one for this item and policy counts.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from gates.checks.check import Params
from gates.evidence import Event, Evidence
from gates.needs import shown
from gates.outcome import Finding, Outcome, finding

SAID = ("by", "reason", "evidence", "evidence_digest")


def sign_off(params: Params, evidence: Evidence) -> list[Finding]:
    """A person approved the item. PASS: approved, with who, why and evidence, and not expired.

    FAIL: refused. INCONCLUSIVE: `signoff_missing`, `signoff_incomplete` or `signoff_expired`.
    """
    return [_judge(params["item"], evidence, None, "a person's approval")]


def review(params: Params, evidence: Evidence) -> list[Finding]:
    """A person looked at the largest disagreements and found them sensible: as `sign_off`.

    `labelled` and `sensible` are told to the person; the count itself is theirs to keep to.
    """
    share, labelled = float(params["sensible"]), float(params["labelled"])
    asked = f"{shown(labelled)} of the largest disagreements labelled, {shown(100 * share)} % sensible"
    return [_judge(params["item"], evidence, None, asked)]


def red_team(params: Params, evidence: Evidence) -> list[Finding]:
    """People tried to break the reward function: as `sign_off`, and not older than `max_age_days`."""
    age = timedelta(days=float(params["max_age_days"]))
    return [_judge(params["item"], evidence, age, "a red-team report on the reward function")]


def _judge(item: str, evidence: Evidence, max_age: timedelta | None, asked: str) -> Finding:
    found = [e for e in evidence.events("attest") if _is_about(e, item, evidence)]
    command = f"`monitor attest --item {item}` by a person: {asked}"
    if not found:
        message = f"nobody has signed off {item} for {evidence.policy}."
        return finding(Outcome.INCONCLUSIVE, message, command, reason="signoff_missing")
    event = max(found, key=lambda e: (e.at, e.seq))
    body = event.body
    says = f"{body.get('by')} on {event.at:%Y-%m-%d}: {body.get('reason')}"
    absent = [name for name in SAID if not str(body.get(name) or "").strip()]
    expires = _instant(body.get("expires"))
    if body.get("verdict") == "refused":
        needs = f"what was refused put right, then {command}"
        return finding(Outcome.FAIL, f"{item} was refused by {says}.", needs, reason="signoff_refused")
    if body.get("verdict") != "approved" or absent or expires is None:
        lacks = ", ".join([*absent, *([] if expires else ["expires"])]) or "verdict"
        message = f"the sign-off of {item} does not say: {lacks}."
        return finding(Outcome.INCONCLUSIVE, message, command, reason="signoff_incomplete")
    until = min(expires, event.at + max_age) if max_age is not None else expires
    if until <= evidence.as_of:
        message = f"the sign-off of {item} expired on {until:%Y-%m-%d} ({says})."
        return finding(Outcome.INCONCLUSIVE, message, command, reason="signoff_expired")
    return finding(Outcome.PASS, f"{item} was approved by {says}. It holds until {until:%Y-%m-%d}.")


def _is_about(event: Event, item: str, evidence: Evidence) -> bool:
    body = event.body
    about = body.get("item") == item and body.get("policy") == evidence.policy
    return about and event.at <= evidence.as_of


def _instant(value: Any) -> datetime | None:
    try:
        instant = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant
