"""Waivers: an open item that a person lets pass for a time, in the open.

The body of a `waive` event: {item, stage, policy, by, reason, expires: ISO time}; its newest one for an
item, stage and policy counts. Whatever is wrong with a waiver, there is then none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from gates.checklist import Item
from gates.evidence import Event, Evidence
from gates.outcome import Finding, Outcome
from gates.stages import instant_of

# What no checklist can make open to a waiver: a violation, and a log that cannot be trusted.
NEVER = ("hard_constraints", "data_contract")


def may_be_waived(item: Item) -> bool:
    """Whether a waiver may cover an item: one that decides, and that the checklist does not keep shut."""
    return item.role in ("guardrail", "sign_off") and not item.no_waiver and item.check not in NEVER


def open_waivers(events: Iterable[Event], policy: str, stage: str, as_of: datetime) -> dict[str, str]:
    """Item -> who lets it pass, until when and why, for the waivers that hold at `as_of`."""
    newest: dict[str, Event] = {}
    about = [e for e in events if e.kind == "waive" and e.at <= as_of]
    for event in sorted(about, key=lambda e: (e.at, e.seq)):
        body = event.body
        if (body.get("policy"), body.get("stage")) == (policy, stage):
            newest[str(body.get("item"))] = event
    return {item: told for item, event in newest.items() if (told := _told(event, as_of))}


def waived(item: Item, findings: Iterable[Finding], waivers: dict[str, str]) -> list[Finding]:
    """The findings of an item, those that are not PASS marked where a waiver covers it."""
    told = waivers.get(item.item) if may_be_waived(item) else None
    return [f if told is None or f.outcome is Outcome.PASS else replace(f, waived=told) for f in findings]


def waivers_of(evidence: Evidence) -> dict[str, str]:
    """The waivers that hold for this evidence; none where they cannot be looked up."""
    try:
        return open_waivers(evidence.events("waive"), evidence.policy, evidence.stage, evidence.as_of)
    except Exception:
        return {}


def _told(event: Event, as_of: datetime) -> str | None:
    by, reason = (str(event.body.get(name) or "").strip() for name in ("by", "reason"))
    expires = instant_of(event.body.get("expires"))
    if not by or not reason or expires is None or expires <= as_of:
        return None
    return f"by {by} until {expires:%Y-%m-%d %H:%M} UTC: {reason}"
