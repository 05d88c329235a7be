"""What the pages show, as folds of the journal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gates import passes
from gates.stages import STAGES
from monitor.button import open_overrides
from monitor.config import Loaded
from monitor.incidents import FOLDS, Incident, incidents
from monitor.journal import Event, Journal
from monitor.level import effective_level
from monitor.report.collect import SHOWN_AS, places, shown
from monitor.road import KINDS, others, road
from monitor.status import in_control
from monitor.verdicts import store_of

POLICIES_SHOWN = 8
VERDICTS_SHOWN = 200
PAST_SHOWN = 30


@dataclass(frozen=True)
class Cell:
    """A policy in a stage: its newest verdict there, and whether it is there now."""

    outcome: str
    at: datetime | None
    here: bool
    seq: int


@dataclass(frozen=True)
class Board:
    """The first page: who controls, what is open, policies x stages."""

    controls: str
    level: str
    last_run: datetime | None
    open: tuple[Incident, ...]
    waiting: int
    unfinished: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    past: tuple[tuple[str, str, str], ...]


def board(loaded: Loaded, now: datetime, environ: Mapping[str, str]) -> Board:
    """The board as of now."""
    config = loaded.config
    with Journal(store_of(loaded).journal, busy_seconds=2.0) as journal:
        events = journal.events(*KINDS, until=now)
        told = journal.events(*SHOWN_AS, until=now)
        arms = journal.events("arm")
        last, waiting = journal.heartbeat("run"), len(journal.undelivered())
        unfinished = tuple(open_overrides(journal))
    known = incidents(e for e in told if e.kind in FOLDS)
    policies = [config.policies.candidate, *others(events, config.policies.candidate)[:POLICIES_SHOWN]]
    return Board(
        in_control(loaded, environ), effective_level(arms, config.acting), last,
        tuple(i for i in known.values() if i.status != "resolved"), waiting, unfinished,
        tuple((policy, tuple(_cells(events, policy, now, loaded))) for policy in policies),
        tuple(shown(told)[:PAST_SHOWN]),
    )  # fmt: skip


def _cells(events: Sequence[Event], policy: str, now: datetime, loaded: Loaded) -> list[Cell]:
    found = road(events, policy, now, loaded.config.cooldown)
    cells = []
    for stage in STAGES:
        newest = passes.newest_verdict(events, policy=policy, stage=stage, as_of=now)
        cells.append(
            Cell(
                str(newest.body["outcome"]) if newest else "", newest.at if newest else None,
                found.stage == stage, newest.seq if newest else 0,
            )
        )  # fmt: skip
    return cells


@dataclass(frozen=True)
class One:
    """An incident with the trigger state that it kept."""

    incident: Incident
    state: str
    past: tuple[tuple[str, str, str], ...]


def incident(loaded: Loaded, name: str) -> One | None:
    """One incident, None where there is none of this name."""
    with Journal(store_of(loaded).journal, busy_seconds=2.0) as journal:
        events = journal.events(*FOLDS)
    found = incidents(events).get(name)
    if found is None:
        return None
    mine = [e for e in events if e.subject == name or e.body.get("incident") == name]
    opening = next((e.body for e in mine if e.kind == "incident" and e.body.get("status") == "open"), {})
    state = json.dumps(opening.get("trigger_state") or {}, indent=2, ensure_ascii=False)
    return One(found, state, tuple(shown(mine)))


def verdicts(loaded: Loaded, now: datetime) -> list[Event]:
    """The newest verdicts, newest first."""
    with Journal(store_of(loaded).journal, busy_seconds=2.0) as journal:
        return list(reversed(journal.events("verdict", until=now)))[:VERDICTS_SHOWN]


@dataclass(frozen=True)
class Change:
    """One finding of a verdict beside the same of the verdict before; empty where it was not there."""

    name: str
    before: str
    after: str
    says: str
    changed: bool


def difference(loaded: Loaded, seq: int) -> tuple[Event, Event | None, list[Change]] | None:
    """A verdict and the one before it of the same policy and stage, finding by finding; None without it."""
    with Journal(store_of(loaded).journal, busy_seconds=2.0) as journal:
        events = journal.events("verdict")
    here = next((e for e in events if e.seq == seq), None)
    if here is None:
        return None
    same = [e for e in events if e.seq < seq and all(e.body[k] == here.body[k] for k in ("policy", "stage"))]
    before = same[-1] if same else None
    old, new = _by_place(before), _by_place(here)
    changes = []
    for place in [*new, *(p for p in old if p not in new)]:
        was, now = old.get(place), new.get(place)
        name = " ".join(filter(None, place[:3])) + (f" ({place[3] + 1})" if place[3] else "")
        a, b = (str(f["outcome"]) if f else "" for f in (was, now))
        changes.append(Change(name, a, b, str((now or was or {}).get("message", "")), a != b))
    return here, before, sorted(changes, key=lambda c: not c.changed)


def _by_place(event: Event | None) -> dict[tuple[str, str, str, int], dict[str, Any]]:
    found = event.body.get("findings", []) if event else []
    return dict(zip(places((f["item"], f["metric"], f["key"]) for f in found), found, strict=True))
