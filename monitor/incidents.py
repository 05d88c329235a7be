"""Incidents as folds of the journal: one per (policy, trigger, key) until it is resolved.

Events that are read: `incident` (subject = incident id; body `status` open, acknowledged or
resolved), `firing` with the incident's id in its body (each moves the end of the incident's
window on) and `rollback` (subject = incident id). Nothing here writes: the builders return
bodies, and whoever acts appends them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from monitor.chain import instant
from monitor.journal import Event

GOOD_WINDOWS = 3
QUIET_WINDOWS = 3
KEY_LENGTH = 40

Status = Literal["open", "acknowledged", "resolved"]


@dataclass(frozen=True, slots=True)
class Incident:
    """What is known of one incident. `window_start` to `window_end` spans its firings; `real` is True
    once a person acknowledged it as real, `accepted` once one agreed that the change stays."""

    id: str
    policy: str
    trigger: str
    key: str
    status: Status
    opened_at: datetime
    window_start: datetime
    window_end: datetime
    action: str = ""
    message: str = ""
    real: bool = False
    accepted: bool = False
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    reason: str = ""
    rolled_back_at: datetime | None = None
    rolled_back_to: str = ""
    resolved_at: datetime | None = None


def incidents(events: Iterable[Event]) -> dict[str, Incident]:
    """Every incident by id, oldest first, from events in the journal's order.

    Events of other kinds, and those about an incident that was never opened, change nothing.
    A resolved incident stays resolved; a later acknowledgement still records what a person said.
    """
    found: dict[str, Incident] = {}
    for event in events:
        known = found.get(_incident_of(event))
        if event.kind == "incident" and known is None and event.body.get("status") == "open":
            found[event.subject] = _opened(event)
        elif known is not None:
            found[known.id] = FOLDS[event.kind](known, event)
    return found


def open_incident(events: Iterable[Event], policy: str, trigger: str, key: str = "") -> Incident | None:
    """The incident of this policy, trigger and key that is not resolved yet (open or acknowledged)."""
    wanted = (policy, trigger, key)
    return next((i for i in unresolved(events) if (i.policy, i.trigger, i.key) == wanted), None)


def unresolved(events: Iterable[Event]) -> list[Incident]:
    """Incidents that are open or acknowledged, oldest first."""
    return [i for i in incidents(events).values() if i.status != "resolved"]


def real_windows(events: Iterable[Event], policy: str, trigger: str = "") -> list[tuple[datetime, datetime]]:
    """[start, end) of the incidents of `policy` (of `trigger` only, if given) that a person
    acknowledged as real: left out of the reference of `reward_drop`. Those merely open, or accepted
    as the new normal, are not among them."""
    return [
        (i.window_start, i.window_end)
        for i in incidents(events).values()
        if i.policy == policy and trigger in ("", i.trigger) and i.real and not i.accepted
    ]


def accepted_from(events: Iterable[Event], policy: str, trigger: str, key: str = "") -> datetime | None:
    """Start of the newest change of this policy, trigger and key that a person accepted as permanent:
    reference values begin there. None when nothing was accepted."""
    starts = [
        i.window_start
        for i in incidents(events).values()
        if i.accepted and (i.policy, i.trigger, i.key) == (policy, trigger, key)
    ]
    return max(starts, default=None)


def may_resolve(incident: Incident, good_windows: int, quiet_windows: int) -> bool:
    """True after 3 good windows in a row; for a rollback the policy must also have controlled
    nothing for 3 windows."""
    quiet = incident.rolled_back_at is None or quiet_windows >= QUIET_WINDOWS
    return incident.status != "resolved" and good_windows >= GOOD_WINDOWS and quiet


def incident_id(
    policy: str, trigger: str, key: str, window_start: datetime, taken: Collection[str] = ()
) -> str:
    """A readable id: `cooling-v7-reward_drop-20260121T14`, with `-key` where there is one and `-2`,
    `-3` … where the id is `taken`. Letters, digits and . _ - only, so it is safe in a shell."""
    hour = (window_start.astimezone(UTC) if window_start.tzinfo else window_start).strftime("%Y%m%dT%H")
    parts = [_word(policy), _word(trigger), hour, *([_word(key)] if key else [])]
    base = "-".join(parts)
    number, name = 1, base
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    return name


def opening(
    policy: str, trigger: str, key: str, window_start: datetime, window_end: datetime, **more: Any
) -> dict[str, Any]:
    """Body of the event that opens an incident; its journal key is `incident:<id>:open`. `more` may
    hold `action`, `message` and whatever a person needs to debug it."""
    return {
        **more, "status": "open", "policy": policy, "trigger": trigger, "key": key,
        "window_start": window_start, "window_end": window_end,
    }


def acknowledging(by: str, reason: str, *, real: bool, accept: bool = False) -> dict[str, Any]:
    """Body of an acknowledgement: who, why, whether it was real, whether the change is agreed."""
    return {"status": "acknowledged", "by": by, "reason": reason, "real": real, "accept": accept}


def resolving(reason: str) -> dict[str, Any]:
    """Body of the event that resolves an incident; its journal key is `incident:<id>:resolved`."""
    return {"status": "resolved", "reason": reason}


def _opened(event: Event) -> Incident:
    body = event.body
    start, end = _window(body, (event.at, event.at))
    return Incident(
        event.subject, str(body.get("policy", "")), str(body.get("trigger", "")), str(body.get("key", "")),
        "open", event.at, start, end, str(body.get("action", "")), str(body.get("message", "")),
    )


def _told(incident: Incident, event: Event) -> Incident:
    body, status = event.body, event.body.get("status")
    if status == "resolved" and incident.status != "resolved":
        return replace(incident, status="resolved", resolved_at=event.at)
    if status == "acknowledged":
        return replace(
            incident,
            status=incident.status if incident.status == "resolved" else "acknowledged",
            real=body.get("real") is True,
            accepted=incident.accepted or body.get("accept") is True,
            acknowledged_at=event.at,
            acknowledged_by=str(body.get("by", "")),
            reason=str(body.get("reason", "")),
        )
    return incident


def _fired(incident: Incident, event: Event) -> Incident:
    if incident.status == "resolved":
        return incident
    start, end = _window(event.body, (incident.window_start, incident.window_end))
    return replace(
        incident, window_start=min(start, incident.window_start), window_end=max(end, incident.window_end)
    )


def _rolled_back(incident: Incident, event: Event) -> Incident:
    if event.body.get("status") != "done" or incident.rolled_back_at is not None:
        return incident
    return replace(incident, rolled_back_at=event.at, rolled_back_to=str(event.body.get("safe", "")))


FOLDS = {"incident": _told, "firing": _fired, "rollback": _rolled_back}


def _incident_of(event: Event) -> str:
    if event.kind == "firing":
        return str(event.body.get("incident") or "")
    return event.subject if event.kind in FOLDS else ""


def _window(body: Mapping[str, Any], default: tuple[datetime, datetime]) -> tuple[datetime, datetime]:
    start, end = body.get("window_start"), body.get("window_end")
    return (instant(start) if start else default[0], instant(end) if end else default[1])


def _word(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text)[:KEY_LENGTH] or "_"
