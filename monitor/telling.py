"""What people are told of incidents: derived from the journal at every pass, told once and never lost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import Any

from alerts import escalate as chain
from alerts import message as messages
from alerts.lifecycle import again, for_escalation, for_resolved, for_test_page
from alerts.message import Message
from alerts.numbers import moment
from alerts.pipeline import OF_THE_LOG, Alert, State, enqueue, send
from gates import stages
from monitor.chain import instant
from monitor.config import Alerts
from monitor.incidents import Incident, incidents, unresolved
from monitor.journal import Event, Journal
from monitor.triggers import TRIGGERS
from monitor.triggers.firing import Firing

ABOUT = ("incident", "firing", "rollback")
TOLD_AS: Mapping[str, messages.Action] = {
    "observed": "observe", "alerted": "alert", "escalated": "escalate", "watched": "watch",
}  # fmt: skip
TEST_PAGE_LASTS = timedelta(days=1)
DIGEST_LOOKS_BACK = timedelta(days=2)


def opened(event: Event, safe: str, former: tuple[Incident, ...] = ()) -> Alert:
    """The alert of an incident that did not roll anything back; `former`: those that it comes back after."""
    body = event.body
    told = messages.for_firing(
        as_firing(body), action=TOLD_AS[str(body.get("did"))], incident=event.subject,
        stage=str(body.get("stage", "")), safe=safe,
    )  # fmt: skip
    return _alert(f"{event.subject}:opened", told, event, former)


def over(event: Event, incident: Incident, settings: Alerts, safe: str, now: datetime) -> list[Alert]:
    """The alert of an incident that is over: nobody is woken for it, but the next digest tells it where it
    was one for the digest."""
    if incident.resolved_at is None or now - incident.resolved_at > DIGEST_LOOKS_BACK:
        return []
    if settings.escalate_only != "digest" or event.body.get("escalate_only") is not True:
        return []
    alert = opened(event, safe)
    said = f"{alert.message.title}, over since {moment(incident.resolved_at)}"
    return [replace(alert, message=replace(alert.message, title=said, commands=()))]


def rolled_back(
    event: Event, *, status: str, safe: str, at: datetime, error: str, former: tuple[Incident, ...] = ()
) -> Alert:
    """The alert of a rollback that was done or failed."""
    told = messages.for_rollback(
        as_firing(event.body), status=status, safe=safe, at=at, error=error, incident=event.subject,
        stage=str(event.body.get("stage", "")),
    )  # fmt: skip
    key = f"{event.subject}:{'rollback_failed' if status == 'failed' else 'rolled_back'}"
    return _alert(key, told, event, former)


def resolved(incident: Incident, reason: str, at: datetime) -> Alert:
    """The alert that an incident is over."""
    told = for_resolved(
        incident.id, incident.policy, reason=reason, opened=incident.opened_at, at=at,
        rolled_back_to=incident.rolled_back_to,
    )  # fmt: skip
    return Alert(f"{incident.id}:resolved", told)


def tell(journal: Journal, settings: Alerts, alerts: Iterable[Alert], now: datetime) -> None:
    """Put what is left of the alerts after every stage of the pipeline into the outbox."""
    asked = list(alerts)
    told = journal.told(a.key for a in asked)
    if all(a.key in told for a in asked):
        return  # as in most passes: what the journal says need not be looked at
    send(journal, settings.channels, asked, _state(journal, settings, asked, told, now), now)


def escalate(journal: Journal, settings: Alerts, now: datetime) -> None:
    """Call the next person for each page that nobody acknowledged, test pages too."""
    if not settings.on_call:
        return
    paged, waiting = journal.paged(), []
    for incident in unresolved(journal.events(*ABOUT)):
        if incident.status == "open" and incident.id in paged:
            at, title = paged[incident.id]
            safe = incident.rolled_back_to
            waiting.append(chain.Page(incident.id, incident.policy, title, at, safe, burns=not safe))
    for name, event in open_test_pages(journal, now).items():
        waiting.append(chain.Page(name, "", "a test page", event.at, burns=False))
    for call in chain.due(waiting, settings.on_call, settings.escalate_after, now):
        told = for_escalation(call.page, call.names, everybody=call.everybody, waited=now - call.page.at)
        enqueue(journal, settings.channels, told, call.key, now)


def test_page(journal: Journal, settings: Alerts, *, by: str, reason: str, at: datetime) -> str:
    """Write down a test page and put it in the outbox; its id."""
    page = f"test-{at:%Y%m%dT%H%M%S}"
    told = for_test_page(page, by=by, reason=reason, at=at, on_call=settings.on_call)
    with journal.transaction():
        body = {"page": page, "status": "sent", "by": by, "reason": reason}
        journal.append("test_page", page, body, at=at, key=f"test_page:{page}")
        enqueue(journal, settings.channels, told, page, at)
    return page


def open_test_pages(journal: Journal, now: datetime) -> dict[str, Event]:
    """Test pages of the last day that nobody acknowledged."""
    events = journal.events("test_page")
    answered = {e.body.get("page") for e in events if e.body.get("status") == "acknowledged"}
    return {
        str(e.body["page"]): e
        for e in events
        if e.body.get("status") == "sent" and e.body["page"] not in answered and now - e.at < TEST_PAGE_LASTS
    }


def former_of(incident: Incident, known: Mapping[str, Incident]) -> tuple[Incident, ...]:
    """Resolved incidents of the same policy, trigger and key that came before, oldest first."""
    place = (incident.policy, incident.trigger, incident.key)
    return tuple(
        i for i in known.values()
        if i.resolved_at is not None and i.resolved_at <= incident.opened_at
        and (i.policy, i.trigger, i.key) == place
    )  # fmt: skip


def as_firing(body: Mapping[str, Any]) -> Firing:
    """The firing that an event was written of."""

    def number(name: str) -> float:
        value = body.get(name)
        return math.nan if value is None else float(value)

    return Firing(
        body["trigger"], body["key"], body["policy"], instant(body["window_start"]),
        instant(body["window_end"]), number("value"), number("limit"), body["message"],
    )  # fmt: skip


def _alert(key: str, told: Message, event: Event, former: tuple[Incident, ...]) -> Alert:
    body = event.body
    told = replace(told, state="firing", plot=_plot(body))
    last = former[-1] if former else None
    if last is not None and last.resolved_at is not None:
        told = again(told, former=last.id, resolved=last.resolved_at, times=len(former) + 1)
    return Alert(
        key, told, trigger=str(body.get("trigger", "")), opens=True,
        escalate_only=body.get("escalate_only") is True, since=event.at,
    )  # fmt: skip


def _state(
    journal: Journal, settings: Alerts, alerts: list[Alert], told: set[str], now: datetime
) -> State:
    events = journal.events(*ABOUT)
    waiting = unresolved(events)
    taken = {i.policy: i.id for i in waiting if i.rolled_back_at is not None}
    road = journal.events(*stages.ROAD)
    for policy in {a.message.policy for a in alerts} - set(taken):
        fell = stages.dropped(road, policy, now)
        if fell is not None and fell.kind == "override" and stages.entry(road, policy, now) is None:
            taken[policy] = fell.subject
    return State(
        told=told, rolled_back=taken,
        unread={i.policy for i in waiting if i.trigger in OF_THE_LOG},
        digest=_digest_at(settings, now) if settings.escalate_only == "digest" else None,
        on_call=settings.on_call,
    )  # fmt: skip


def _digest_at(settings: Alerts, now: datetime) -> datetime:
    """The newest time at which a digest was due: today's, else yesterday's."""
    at = time.fromisoformat(settings.digest_at)
    today = now.replace(hour=at.hour, minute=at.minute, second=0, microsecond=0)
    return today if now >= today else today - timedelta(days=1)


def _plot(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """What may be drawn of an incident: the metric in the windows before it, its limit, the window."""
    trigger = TRIGGERS.get(str(body.get("trigger")))
    readings = (body.get("trigger_state") or {}).get("readings") or []
    if trigger is None or not readings:
        return None
    metric = trigger.metrics[0]
    points = [[r["window_start"], r["value"], r["low"], r["high"]] for r in readings if r["metric"] == metric]
    known = [p for p in points if p[1] is not None]
    if len(known) < 2:
        return None
    value, limit = body.get("value"), body.get("limit")
    same = value is not None and math.isclose(value, known[-1][1], rel_tol=1e-6, abs_tol=1e-9)
    return {
        "title": f"{metric} {body.get('key') or ''}".strip() + f" of {body.get('policy')}",
        "points": known, "limit": limit if same else None,
        "baseline": (body.get("trigger_state") or {}).get("reference_mean") if same else None,
        "fired": [body.get("window_start"), body.get("window_end")],
    }  # fmt: skip


def known_incidents(journal: Journal) -> dict[str, Incident]:
    """Every incident of the journal."""
    return incidents(journal.events(*ABOUT))
