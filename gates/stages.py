"""The four stages a policy passes, and where it stands: pure folds of the journal.

Bodies: `promote` and `adopt` {"stage", "since": ISO time, optional, "step", "triggers_hash", "acting"},
subject the policy; `rollback` {"policy", "status"}, subject the incident; `override` {"policy"}.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gates.evidence import Event
from monitor.config import did_you_mean

OFFLINE, SHADOW, LIMITED, FULL = (
    "offline_validation",
    "shadow_mode",
    "limited_deployment",
    "full_deployment",
)
STAGES = (OFFLINE, SHADOW, LIMITED, FULL)
LIVE = (LIMITED, FULL)
ENTRIES, DROPS = ("promote", "adopt"), ("rollback", "override")
ROAD = (*ENTRIES, *DROPS)
SHORT = {"offline": OFFLINE, "shadow": SHADOW, "limited": LIMITED, "full": FULL}


@dataclass(frozen=True)
class Standing:
    """The stage a policy is in, and since when."""

    stage: str
    since: datetime


def stage_named(name: str) -> str:
    """The stage of a full or short name. Raises ValueError with a suggestion."""
    if name in STAGES:
        return name
    if name not in SHORT:
        hint = did_you_mean(name, [*SHORT, *STAGES])
        raise ValueError(f"stage '{name}' is not known{hint}; the stages are {', '.join(SHORT)}")
    return SHORT[name]


def short_name(stage: str) -> str:
    """The name of a stage as the command line takes it."""
    return next(short for short, name in SHORT.items() if name == stage)


def next_stage(stage: str) -> str | None:
    """The stage after this one, None after the last."""
    position = STAGES.index(stage) + 1
    return STAGES[position] if position < len(STAGES) else None


def stage_before(stage: str) -> str | None:
    """The stage before this one, None before the first."""
    position = STAGES.index(stage)
    return STAGES[position - 1] if position else None


def standing(events: Iterable[Event], policy: str, as_of: datetime) -> Standing | None:
    """Where a policy stands as of a time, from the events of `ROAD`; None where nothing was said of it.

    Its newest `promote` or `adopt` says the stage. `since` is what that event says (adopting may begin in
    the past), else when the stage was entered: a step of the ramp, or a promotion to where it was, is no
    new entry. A rollback or an override ends it: the policy is back in shadow mode, and its evidence
    begins there.
    """
    known = list(events)
    fell, entries = dropped(known, policy, as_of), _entries(known, policy, as_of)
    if not entries:
        return Standing(SHADOW, fell.at) if fell else None
    stage, since = entries[-1].body["stage"], _since(entries, fell)
    if fell is None or (stage in LIVE and _order(fell) < _order(entries[-1])):
        return Standing(stage, since)
    back = stage if stage == OFFLINE else SHADOW
    return Standing(back, max(since, fell.at))


def dropped(events: Iterable[Event], policy: str, as_of: datetime) -> Event | None:
    """The newest rollback or override that took control from a policy, None where none did."""
    drops = [
        e
        for e in events
        if e.kind in DROPS
        and e.body.get("policy") == policy
        and e.body.get("status", "done") == "done"
        and not e.body.get("drill")
        and e.at <= as_of
    ]
    return max(drops, key=_order, default=None)


def entry(events: Iterable[Event], policy: str, as_of: datetime) -> Event | None:
    """The newest `promote` or `adopt` of a policy; None without one, or once a drop has ended it."""
    known = list(events)
    fell, entries = dropped(known, policy, as_of), _entries(known, policy, as_of)
    return entries[-1] if entries and (fell is None or _order(fell) < _order(entries[-1])) else None


def step_since(events: Iterable[Event], policy: str, as_of: datetime) -> datetime | None:
    """Since when a policy is on its step of the ramp: the first of the newest entries with that step; None
    where it is on none."""
    known = list(events)
    newest, now = entry(known, policy, as_of), standing(known, policy, as_of)
    if newest is None or now is None or newest.body.get("step") is None:
        return None
    since = newest.at
    for event in reversed(_entries(known, policy, as_of)):
        if event.at < now.since or event.body.get("step") != newest.body["step"]:
            break
        since = event.at
    return since


def _entries(events: Iterable[Event], policy: str, as_of: datetime) -> list[Event]:
    found = [e for e in events if e.kind in ENTRIES and e.subject == policy and e.at <= as_of]
    return sorted(found, key=_order)


def _since(entries: Sequence[Event], fell: Event | None) -> datetime:
    """When the stage of the newest entry was entered."""
    first = entries[-1]
    for before in reversed(entries[:-1]):
        again = first.kind == "promote" and before.body["stage"] == first.body["stage"]
        if not again or (fell is not None and _order(fell) > _order(before)):
            break
        first = before
    return instant_of(first.body.get("since")) or first.at


def _order(event: Event) -> tuple[datetime, int]:
    return event.at, event.seq


def instant_of(value: Any) -> datetime | None:
    """An aware UTC time from a time or its ISO text, None from anything else."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value
