"""Sign-offs: a person's word, written to the journal by `monitor attest`, with its evidence.

The body of an `attest` event: {item, by, reason, evidence, evidence_digest, verdict: "approved" |
"refused", expires: ISO time, policy, reward_hash, proposer, verdict_seq}. The newest one for this item and
policy counts. The fact `evidence_digests` {evidence: digest} tells what its files hold now, `reward_hash`
what the reward is now.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from gates.checks.check import Params
from gates.evidence import Event, Evidence
from gates.needs import shown
from gates.outcome import Finding, Outcome, finding
from gates.stages import instant_of

SAID = ("by", "reason", "evidence", "evidence_digest")


def sign_off(params: Params, evidence: Evidence) -> list[Finding]:
    """A person approved the item. PASS: approved, with who, why and evidence, and not expired.

    FAIL: refused. INCONCLUSIVE: `signoff_missing`, `signoff_incomplete`, `signoff_expired`, `signoff_void`
    (its evidence is not what it was); with `two_person`, `signoff_one_person` or `proposer_unknown`.
    """
    return [signed(params["item"], evidence, None, "a person's approval", asks_two(params))]


def review(params: Params, evidence: Evidence) -> list[Finding]:
    """A person looked at the largest disagreements and found them sensible: as `sign_off`.

    `labelled` and `sensible` are told to the person; the count itself is theirs to keep to.
    """
    share, labelled = float(params["sensible"]), float(params["labelled"])
    asked = f"{shown(labelled)} of the largest disagreements labelled, {shown(100 * share)} % sensible"
    return [signed(params["item"], evidence, None, asked, asks_two(params))]


def red_team(params: Params, evidence: Evidence) -> list[Finding]:
    """People tried to break the reward function: as `sign_off`, not older than `max_age_days`, and void
    (`signoff_void`) once the reward is another one."""
    age = timedelta(days=float(params["max_age_days"]))
    asked = "a red-team report on the reward function"
    return [signed(params["item"], evidence, age, asked, asks_two(params), on_reward=True)]


def signed(
    item: str,
    evidence: Evidence,
    max_age: timedelta | None,
    asked: str,
    two_person: bool = False,
    *,
    on_reward: bool = False,
    policy: str = "",
) -> Finding:
    """Whether a person's newest word on the item holds for `policy` (the one that is judged where none is
    named): PASS, else why not and what is asked."""
    policy = policy or evidence.policy
    found = [e for e in evidence.events("attest") if _is_about(e, item, policy, evidence)]
    command = f"`monitor attest --item {item}` by a person: {asked}"
    if not found:
        message = f"nobody has signed off {item} for {policy}."
        return finding(Outcome.INCONCLUSIVE, message, command, reason="signoff_missing")
    event = max(found, key=lambda e: (e.at, e.seq))
    body = event.body
    says = f"{body.get('by')} on {event.at:%Y-%m-%d}: {body.get('reason')}"
    absent = [name for name in SAID if not str(body.get(name) or "").strip()]
    expires = instant_of(body.get("expires"))
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
    void = _void(event, evidence, on_reward)
    if void:
        message = f"the sign-off of {item} is void: {void} ({says})."
        return finding(Outcome.INCONCLUSIVE, message, command, reason="signoff_void")
    if two_person:
        alone = _alone(event, evidence)
        if alone is not None:
            reason, why = alone
            needs = f"{command}, somebody else than who put {evidence.policy} forward"
            message = f"the sign-off of {item} needs two persons: {why}."
            return finding(Outcome.INCONCLUSIVE, message, needs, reason=reason)
    return finding(Outcome.PASS, f"{item} was approved by {says}. It holds until {until:%Y-%m-%d}.")


def _void(event: Event, evidence: Evidence, on_reward: bool) -> str:
    """Why what was signed is not what is there now, "" where it is."""
    body, name = event.body, str(event.body.get("evidence"))
    signed = str(body.get("evidence_digest"))
    if signed.startswith("file:"):
        now = (evidence.facts.get("evidence_digests") or {}).get(name)
        if not now:
            return f"its evidence {name} cannot be read any more"
        if now != signed:
            return f"its evidence {name} was changed since"
    reward = evidence.facts.get("reward_hash")
    if on_reward and (not reward or body.get("reward_hash") != reward):
        return "the reward is defined in another way now"
    return ""


def _alone(event: Event, evidence: Evidence) -> tuple[str, str] | None:
    """Reason and why the approver counts as the proposer; None where they are two persons. Proposers are
    whoever the sign-off names and whoever entered the policy in its stage."""
    entries = [
        e
        for kind in ("promote", "adopt")
        for e in evidence.events(kind)
        if e.subject == evidence.policy and e.at <= evidence.as_of
    ]
    newest = max(entries, key=lambda e: (e.at, e.seq), default=None)
    named = [event.body.get("proposer"), newest.body.get("by") if newest else None]
    proposers = {_person(n) for n in named if str(n or "").strip()}
    if not proposers:
        return "proposer_unknown", f"who put {evidence.policy} forward is not known (`--proposer NAME`)"
    if _person(event.body.get("by")) in proposers:
        return "signoff_one_person", f"{event.body.get('by')} put {evidence.policy} forward too"
    return None


def asks_two(params: Params) -> bool:
    return bool(params.get("two_person"))


def _person(name: Any) -> str:
    return " ".join(str(name).split()).casefold()


def _is_about(event: Event, item: str, policy: str, evidence: Evidence) -> bool:
    body = event.body
    about = body.get("item") == item and body.get("policy") == policy
    return about and event.at <= evidence.as_of
