"""From alerts to the outbox: each stage is one reason why an alert is not sent, or not alone, or not now.

Alerts are derived from the journal at every pass, so what is muted or waits is only told later if it still
holds, and a crash repeats nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from alerts.channels import ChannelSettings, name_of
from alerts.lifecycle import for_digest, together
from alerts.message import Message
from alerts.numbers import count
from monitor.journal import Journal

FOLLOW_UPS = ("acknowledged", "resolved")
# What a log that is not read any more makes meaningless.
OF_THE_LOG = ("stale", "rejects")


@dataclass(frozen=True, slots=True)
class Alert:
    """A message and what stages ask of it. `key` is unique for an incident in a state. `opens`: it tells of a
    new incident, by `trigger`; `escalate_only`: that trigger never rolls back. `includes`: keys of alerts
    that are told in it, `since` when its incident was opened."""

    key: str
    message: Message
    trigger: str = ""
    opens: bool = False
    escalate_only: bool = False
    includes: tuple[str, ...] = ()
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class State:
    """What the journal says: keys that were `told`; policy -> incident under which it is `rolled_back`;
    policies whose log is `unread` (stale, or rejected). `digest` is the newest time of day at which digests
    are due, None where escalate-only triggers page. `on_call`: who is called first."""

    told: Collection[str] = ()
    rolled_back: Mapping[str, str] = field(default_factory=dict)
    unread: Collection[str] = ()
    digest: datetime | None = None
    on_call: Sequence[str] = ()


Stage = Callable[[list[Alert], State], list[Alert]]


def deduplicated(alerts: list[Alert], state: State) -> list[Alert]:
    """An incident is told once in each of its states."""
    return [a for a in alerts if a.key not in state.told]


def inhibited(alerts: list[Alert], state: State) -> list[Alert]:
    """A rollback mutes what is less than it about the same policy, an unread log what is measured from it.
    The rollback's own message says how many are muted."""
    muted = [a for a in alerts if _muted(a, state)]
    kept = [a for a in alerts if a not in muted]
    number = Counter(a.message.policy for a in muted)
    return [
        _with_muted(a, number[a.message.policy]) if a.message.incident in state.rolled_back.values() else a
        for a in kept
    ]


def digested(alerts: list[Alert], state: State) -> list[Alert]:
    """Triggers that never roll back wait for the next daily digest, where they are told in one message."""
    if state.digest is None:
        return alerts
    waiting = [a for a in alerts if a.opens and a.escalate_only]
    kept = [a for a in alerts if a not in waiting]
    due = [a for a in waiting if a.since is None or a.since < state.digest]
    if not due:
        return kept
    key = f"digest:{state.digest:%Y-%m-%d}"
    return [*kept, Alert(key, for_digest([a.message for a in due]), includes=tuple(a.key for a in due))]


def grouped(alerts: list[Alert], state: State) -> list[Alert]:
    """New incidents of one policy in one pass are one message, led by the rollback where there is one."""
    found: dict[str, list[Alert]] = {}
    for alert in alerts:
        found.setdefault(alert.message.policy if alert.opens else f"alone {alert.key}", []).append(alert)
    return [_together(group, state) for group in found.values()]


def routed(alerts: list[Alert], state: State) -> list[Alert]:
    """Pages call the first person on call by name; each channel takes the severities it is configured for
    (see `enqueue`)."""
    first = tuple(state.on_call[:1])
    return [
        replace(a, message=replace(a.message, mention=first))
        if a.message.severity == "page" and not a.message.mention
        else a
        for a in alerts
    ]


STAGES: list[Stage] = [deduplicated, inhibited, digested, grouped, routed]


def prepared(alerts: Iterable[Alert], state: State) -> list[Alert]:
    """What is left of the alerts after every stage."""
    left = list(alerts)
    for stage in STAGES:
        left = stage(left, state)
    return left


def send(
    journal: Journal, settings: Sequence[ChannelSettings], alerts: Iterable[Alert], state: State, at: datetime
) -> None:
    """Prepare the alerts and put them in the outbox, all of them or none."""
    with journal.transaction():
        for alert in prepared(alerts, state):
            enqueue(journal, settings, alert.message, alert.key, at)
            journal.note_told(alert.includes, at)


def enqueue(
    journal: Journal, settings: Iterable[ChannelSettings], message: Message, key: str, at: datetime
) -> int:
    """Put the message in the outbox once for each channel that takes its severity; what became of an
    incident goes to all. Returns how many rows are new. Called in the transaction that writes the state it
    tells of, so that one is not kept without the other."""
    body = message.as_dict()
    return sum(
        journal.enqueue(key, name_of(one), body, at)
        for one in settings
        if message.severity in one.severities or message.state in FOLLOW_UPS
    )


def _muted(alert: Alert, state: State) -> bool:
    if not alert.opens or alert.trigger in OF_THE_LOG:
        return False
    policy, less = alert.message.policy, alert.escalate_only or alert.message.severity != "page"
    rolled_back = state.rolled_back.get(policy)
    if rolled_back is not None and rolled_back != alert.message.incident and less:
        return True
    return policy in state.unread and alert.escalate_only


def _with_muted(alert: Alert, muted: int) -> Alert:
    if not muted:
        return alert
    said = f" {count(muted, 'more alert')} of {alert.message.policy} muted while it is out of control."
    return replace(alert, message=replace(alert.message, what_was_done=alert.message.what_was_done + said))


def _together(group: list[Alert], state: State) -> Alert:
    if len(group) == 1:
        return group[0]
    lead = next((a for a in group if a.message.incident in state.rolled_back.values()), None)
    lead = lead or next((a for a in group if a.message.severity == "page"), group[0])
    others = [a for a in group if a is not lead]
    told = together(lead.message, [a.message for a in others])
    return replace(lead, message=told, includes=tuple(a.key for a in others))
