"""Would somebody wake up? A test page was acknowledged, in time, not long ago.

The body of a `test_page` event: {"page": id, "status": "sent" | "acknowledged", "by"}; both share `page`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from gates.checks.check import Params
from gates.checks.sign_off import asks_two, signed
from gates.evidence import Event, Evidence
from gates.needs import shown
from gates.outcome import Finding, Outcome, finding


def on_call_path(params: Params, evidence: Evidence) -> list[Finding]:
    """The newest test page: acknowledged within `minutes`, not older than `days`. One that was sent less than
    `minutes` ago may still wait; the one before it then counts.

    Where `alerts.escalation: pagerduty` is declared, a sign-off of this item (a test that somebody attests)
    stands for it. FAIL: the newest page was acknowledged too late, or not at all within `minutes`.
    INCONCLUSIVE: none was sent, the last one is too old, or the newest still waits.
    """
    days, minutes = float(params["days"]), float(params["minutes"])
    if evidence.facts.get("escalation") == "pagerduty":
        asked = "a test of the escalation in PagerDuty, attested by whoever was paged"
        return [signed(params["item"], evidence, timedelta(days=days), asked, asks_two(params))]
    needs = f"a test page that is acknowledged within {shown(minutes)} minutes (`monitor ack`)"
    sent = [e for e in _pages(evidence) if e.body.get("status") == "sent"]
    if not sent:
        message = "no test page was ever sent, so nobody knows whether somebody would wake up."
        return [finding(Outcome.INCONCLUSIVE, message, needs, reason="page_missing")]
    page, answer, took = _settled(sorted(sent, key=lambda e: (e.at, e.seq)), minutes, evidence)
    told = f"the test page of {page.at:%Y-%m-%d %H:%M} UTC"
    numbers: dict[str, Any] = {
        "value": took,
        "limit": minutes,
        "n": 1.0,
        "unit": "minutes",
        "method": f"event {page.seq}",
    }
    if answer is None and took <= minutes:
        message = f"{told} is not acknowledged yet, after {shown(took)} minutes."
        return [finding(Outcome.INCONCLUSIVE, message, needs, reason="page_waits", **numbers)]
    if answer is None:
        message = f"{told} was not acknowledged: {shown(took)} minutes ago, at most {shown(minutes)}."
        return [
            finding(
                Outcome.FAIL, message, f"the on-call list mended, then {needs}", reason="limit", **numbers
            )
        ]
    says = f"{told} was acknowledged by {answer.body['by']} after {shown(took)} minutes"
    if took > minutes:
        message = f"{says}: not within {shown(minutes)}."
        return [
            finding(
                Outcome.FAIL, message, f"the on-call list mended, then {needs}", reason="limit", **numbers
            )
        ]
    if evidence.as_of - page.at > timedelta(days=days):
        message = f"{says}, which is more than {shown(days)} days ago."
        return [finding(Outcome.INCONCLUSIVE, message, needs, reason="page_expired", **numbers)]
    return [finding(Outcome.PASS, f"{says}: within {shown(minutes)}.", **numbers)]


def _settled(sent: Sequence[Event], minutes: float, evidence: Evidence) -> tuple[Event, Event | None, float]:
    """The newest page that is answered or overdue, its answer, and how long that took in minutes; the newest
    of all where each still waits."""
    judged = []
    for page in reversed(sent):
        answer = _acknowledged(page, evidence)
        took = ((answer.at if answer else evidence.as_of) - page.at) / timedelta(minutes=1)
        judged.append((page, answer, took))
        if answer is not None or took > minutes:
            return judged[-1]
    return judged[0]


def _pages(evidence: Evidence) -> list[Event]:
    return [e for e in evidence.events("test_page") if e.body.get("page") and e.at <= evidence.as_of]


def _acknowledged(page: Event, evidence: Evidence) -> Event | None:
    """The first acknowledgement of this page by somebody with a name."""
    answers = [
        e
        for e in _pages(evidence)
        if e.body.get("status") == "acknowledged"
        and e.body["page"] == page.body["page"]
        and e.at >= page.at
        and str(e.body.get("by") or "").strip()
    ]
    return min(answers, key=lambda e: (e.at, e.seq), default=None)
