"""From judged firings to what is done: recorded first, then settled, each step safe to repeat.

`record` writes firings and incidents. `settle` brings about what they call for: rollbacks,
messages, resolutions. A crash in between loses nothing: the next run settles what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from alerts import message as messages
from alerts.pipeline import Alert, enqueue
from alerts.rollback import build, pause_training, roll_back
from gates import stages
from monitor import telling
from monitor.config import Loaded
from monitor.incidents import (
    Incident,
    incident_id,
    incidents,
    may_resolve,
    opening,
    resolving,
    unresolved,
)
from monitor.journal import Event, Journal
from monitor.judge import Judged
from monitor.level import heard
from monitor.readings import hour_of, matured_after, outcome_hours
from monitor.triggers import TRIGGERS
from monitor.triggers.firing import Firing

Did = Literal["watched", "rolled_back", "observed", "alerted", "escalated", "historical"]


@dataclass(frozen=True)
class Acting:
    """The terms on which one run acts: `now` is when it acts, `level` what it may do (observe, alert or
    rollback), `armed_at` since when it may; `safe` is the policy that takes over. `environ` is where a
    rollback looks for its secret."""

    loaded: Loaded
    now: datetime
    level: str
    armed_at: datetime
    stage: str
    safe: str
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def candidate(self) -> str:
        return self.loaded.config.policies.candidate


def armed_at(journal: Journal, configured: str, now: datetime) -> datetime:
    """Since when acting is at its effective level. A run that finds monitor.yaml changed, or nothing
    said yet, writes that down: the level holds from now on."""
    events = journal.events("arm")
    if events and heard(events[-1]) == configured:
        return events[-1].at
    body = {"level": configured, "by": "monitor.yaml", "configured": configured}
    journal.append("arm", configured, body, at=now)
    return now


def record(
    journal: Journal,
    judged: Iterable[Judged],
    acting: Acting,
    capture: Callable[[Firing], Mapping[str, Any]],
    *,
    identity: Callable[[Firing], str],
) -> list[Event]:
    """Write each firing once, and the incident it belongs to; returns the new firing events.

    `capture` gives the trigger state that an incident keeps; `identity` what makes a firing unique
    beside trigger, key and policy: its window, or the row.
    """
    new: list[Event] = []
    known = list(journal.events("incident", "firing", "rollback"))
    for found in judged:
        firing = found.firing
        key = f"firing:{firing.trigger}:{firing.key}:{firing.policy_id}:{identity(firing)}"
        action, did = _called_for(found, acting)
        with journal.transaction():
            incident = _incident(known, firing) if did != "historical" else None
            incident_name = incident.id if incident else ""
            if found.confirmed and did != "historical" and incident is None:
                incident_name = incident_id(
                    firing.policy_id, firing.trigger, firing.key, firing.window_start, incidents(known)
                )
            event = journal.append(
                "firing",
                firing.policy_id,
                {
                    "trigger": firing.trigger, "key": firing.key, "policy": firing.policy_id,
                    "window_start": firing.window_start, "window_end": firing.window_end,
                    "value": firing.value, "limit": firing.limit, "message": firing.message,
                    "confirmed": found.confirmed, "action": action, "did": did,
                    "historical": did == "historical", "incident": incident_name, "state": dict(firing.state),
                },
                at=acting.now,
                key=key,
            )
            if event is None:
                continue
            new.append(event)
            known.append(event)
            if incident_name and incident is None:
                opened = journal.append(
                    "incident",
                    incident_name,
                    opening(
                        firing.policy_id, firing.trigger, firing.key, firing.window_start, firing.window_end,
                        action=action, did=did, message=firing.message, value=firing.value,
                        limit=firing.limit, stage=acting.stage, escalate_only=found.escalate_only,
                        trigger_state={**firing.state, **capture(firing)},
                    ),
                    at=acting.now,
                    key=f"incident:{incident_name}:open",
                )
                if opened is not None:
                    known.append(opened)
    return new


def settle(journal: Journal, acting: Acting) -> list[str]:
    """Roll back and tell people, for every incident that still waits for it; returns what was done.

    Everything here is keyed by the incident, so repeating it does nothing twice.
    """
    done: list[str] = []
    alerts: list[Alert] = []
    events = {e.subject: e for e in journal.events("incident") if e.body.get("status") == "open"}
    known = telling.known_incidents(journal)
    for incident in known.values():
        event = events[incident.id]
        if incident.resolved_at is not None:
            alerts += telling.over(event, incident, acting.loaded.config.alerts, acting.safe, acting.now)
            continue
        former = telling.former_of(incident, known)
        if event.body.get("did") == "rolled_back":
            moved, said = _roll_back(journal, acting, incident, event, former)
            done, alerts = done + moved, alerts + said
        else:
            alerts.append(telling.opened(event, acting.safe, former))
    telling.tell(journal, acting.loaded.config.alerts, alerts, acting.now)
    return done


def summarise(journal: Journal, acting: Acting) -> None:
    """One message for each policy with the confirmed firings since the last run that were too old to
    act on. Called in the transaction that writes the run, so that a crash neither loses nor repeats it."""
    last = journal.newest("run")
    by_policy: dict[str, list[Event]] = {}
    for event in journal.events("firing"):
        told = last is not None and event.seq < last.seq
        if not told and event.body["historical"] and event.body["confirmed"]:
            by_policy.setdefault(event.subject, []).append(event)
    for policy, events in by_policy.items():
        summary = messages.for_summary([telling.as_firing(e.body) for e in events], policy=policy)
        key = f"summary:{policy}:{events[0].seq}"
        enqueue(journal, acting.loaded.config.alerts.channels, summary, key, acting.now)


def watch(
    journal: Journal,
    acting: Acting,
    controlled: Callable[[str, int], tuple[int, int | None]],
    judged_to: Mapping[bool, int],
    span: int,
) -> None:
    """After a rollback: page when the policy still decides. Resolve what has been good long enough.

    `controlled(policy, hour)` gives the decisions a policy made from that hour on, and the last of
    those hours; `judged_to` the hours up to which triggers were judged that do not (False) and that do
    (True) wait for rewards to mature: a window is only good once its incident's trigger has judged it.
    """
    alerts = _override_did_not_take(journal, acting, controlled)
    for incident in unresolved(journal.events("incident", "firing", "rollback")):
        quiet = judged_to[False]
        if incident.rolled_back_at is not None:
            since = hour_of(incident.rolled_back_at) + 1
            decisions, last = controlled(incident.policy, since)
            if decisions and last is not None:
                told = messages.rollback_did_not_take(
                    incident.policy, incident.rolled_back_to, incident.id, decisions=decisions,
                    since=incident.rolled_back_at, until=acting.now, stage=acting.stage,
                )
                alerts.append(Alert(f"{incident.id}:did_not_take", told))
            quiet -= last + 1 if last is not None else since
        trigger = TRIGGERS.get(incident.trigger)
        end = judged_to[bool(trigger and trigger.matures)]
        end -= outcome_hours(acting.loaded.config, incident.trigger)
        step = 24 if trigger and trigger.daily else span
        good = (end - hour_of(incident.window_end)) // step
        if may_resolve(incident, good, quiet // span):
            _resolve(journal, acting, incident, f"{good} good windows")
    telling.tell(journal, acting.loaded.config.alerts, alerts, acting.now)


def _override_did_not_take(
    journal: Journal, acting: Acting, controlled: Callable[[str, int], tuple[int, int | None]]
) -> list[Alert]:
    """A page where a policy still decides after a person took it out of control."""
    road = journal.events(*stages.ROAD)
    fell = stages.dropped(road, acting.candidate, acting.now)
    if fell is None or fell.kind != "override" or stages.entry(road, acting.candidate, acting.now):
        return []
    decisions, last = controlled(acting.candidate, hour_of(fell.at) + 1)
    if not decisions or last is None:
        return []
    name = f"the override of {fell.at:%Y-%m-%d %H:%M} UTC"
    told = messages.rollback_did_not_take(
        acting.candidate, str(fell.body.get("safe")), "", decisions=decisions, since=fell.at,
        until=acting.now, stage=acting.stage, cause=name,
    )  # fmt: skip
    return [Alert(f"override:{fell.seq}:did_not_take", told)]


def _resolve(journal: Journal, acting: Acting, incident: Incident, reason: str) -> None:
    """Close an incident, and tell those who were told of it."""
    with journal.transaction():
        key = f"incident:{incident.id}:resolved"
        journal.append("incident", incident.id, resolving(reason), at=acting.now, key=key)
        if journal.told_of(incident.id):
            alert = telling.resolved(incident, reason, acting.now)
            enqueue(
                journal, acting.loaded.config.alerts.channels, alert.message, alert.key, acting.now
            )


def called_for(found: Judged, candidate: str) -> str:
    """What a firing calls for: a rollback only where it is confirmed and the candidate was in control."""
    live = found.firing.policy_id == candidate and not found.escalate_only
    return "rollback" if live and found.confirmed else "escalate" if found.confirmed else "watch"


def _called_for(found: Judged, acting: Acting) -> tuple[str, Did]:
    """What the firing calls for, and what is done on this run's terms."""
    firing, config = found.firing, acting.loaded.config
    action = called_for(found, acting.candidate)
    known = firing.window_end + matured_after(config, firing.trigger)
    if known < acting.now - config.act_within or firing.window_end <= acting.armed_at:
        return action, "historical"
    if not found.confirmed:
        return action, "watched"
    if action == "escalate":
        return action, "observed" if acting.level == "observe" else "escalated"
    return action, {"rollback": "rolled_back", "alert": "alerted", "observe": "observed"}[acting.level]  # type: ignore[return-value]


def _incident(known: Sequence[Event], firing: Firing) -> Incident | None:
    place = (firing.policy_id, firing.trigger, firing.key)
    return next((i for i in unresolved(known) if (i.policy, i.trigger, i.key) == place), None)


def _roll_back(
    journal: Journal, acting: Acting, incident: Incident, event: Event, former: tuple[Incident, ...]
) -> tuple[list[str], list[Alert]]:
    """What was done, and the alerts of it."""
    config = acting.loaded.config
    target = build(config.rollback, acting.loaded.folder, acting.environ)
    outcome = roll_back(
        journal, target, incident.id, policy=incident.policy, safe=acting.safe,
        stage=str(event.body.get("stage", "")), at=acting.now,
    )  # fmt: skip
    alert = telling.rolled_back(
        event, status="failed" if outcome.status == "failed" else "done", safe=outcome.safe, at=outcome.at,
        error=outcome.error, former=former,
    )  # fmt: skip
    done = [] if outcome.status == "already_done" else [alert.message.title]
    if "pause_training" not in config.on_incident:
        return done, [alert]
    paused, failed = _pause(journal, acting, incident)
    return done + paused, [alert, *failed]


def _pause(journal: Journal, acting: Acting, incident: Incident) -> tuple[list[str], list[Alert]]:
    """Pause the training of what was rolled back; told where it failed, for a person must do it then."""
    config = acting.loaded.config
    assert config.pause_training is not None
    target = build(config.pause_training, acting.loaded.folder, acting.environ)
    status, error = pause_training(journal, target, incident.id, policy=incident.policy, at=acting.now)
    if status == "failed":
        told = messages.for_pause_failed(incident.policy, incident.id, error=error, at=acting.now)
        return [told.title], [Alert(f"{incident.id}:pause_failed", told)]
    return [f"training of {incident.policy} was paused"] if status == "paused" else [], []
