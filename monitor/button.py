"""`monitor override`: a person puts the safe policy in control, now. And the drills of both ways back.

Opens `monitor.yaml`, the journal and the rollback's target, never a DuckDB file and never the run lock: it
waits for nobody. Where the journal cannot be written, it moves first and says so.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from alerts import button as messages
from alerts.channels import build as build_channels
from alerts.delivery import deliver
from alerts.message import Message
from alerts.pipeline import enqueue
from alerts.rollback import RollbackError, RollbackTarget, build, roll_back
from alerts.rollback.target import moved
from gates.stages import LIVE, ROAD, standing
from monitor.chain import instant, iso
from monitor.config import Reach
from monitor.journal import Journal, JournalError
from monitor.target import target_of

BUSY_SECONDS = 0.5
DELIVERY_SECONDS = 3.0
SLACK = timedelta(minutes=1)
Wait = Callable[[float], None]


@dataclass(frozen=True)
class Pressed:
    """What the button did: `error` is empty where `safe` is in control and was read back; `seconds` from the
    button to that; `warnings` what a person should know beside it."""

    policy: str
    safe: str
    error: str
    seconds: float
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Hand:
    """Who presses, why and when, and where secrets are."""

    by: str
    reason: str
    at: datetime
    environ: Mapping[str, str]


def override(reach: Reach, folder: Path, hand: Hand, to: str | None = None) -> Pressed:
    """Put `to`, else the last good policy, else the safe one in control in place of the candidate."""
    begin = time.monotonic()
    policy, warnings = reach.policies.candidate, []
    with _journal(reach, folder) as journal:
        safe = to or _target(journal, reach, policy, hand.at)
        said = {"policy": policy, "safe": safe, "by": hand.by, "reason": hand.reason, "button_at": hand.at}
        warnings += _written(journal, "override", policy, {**said, "status": "intent"}, hand.at)
        target = build(reach.rollback, folder, hand.environ)
        name = f"override-{hand.at:%Y%m%dT%H%M%S}"
        stage = _stage(journal, policy, hand.at)
        error = moved(target, _pointer(safe, stage, policy, name, hand.at), began=False)
        seconds = time.monotonic() - begin
        done = {**said, "status": "failed" if error else "done", "seconds": seconds}
        at = hand.at + timedelta(seconds=seconds)
        told = messages.for_override(policy, safe, by=hand.by, reason=hand.reason, at=at, error=error)
        warnings += _written(journal, "override", policy, done | ({"error": error} if error else {}), at)
        warnings += _told(journal, reach, told, name, at, hand.environ)
    return Pressed(policy, safe, error, seconds, warnings)


def drill(
    reach: Reach, folder: Path, hand: Hand, kind: str, hold: float, wait: Wait = time.sleep
) -> Pressed:
    """Play the override, or the automatic rollback, for real: the safe policy takes control, is read back,
    stays for `hold` seconds, and what stood before is put back, also when the wait is interrupted. It is no
    incident and no drop. Raises JournalError, and RollbackError where what stands cannot be read."""
    policy = reach.policies.candidate
    with Journal(_place(reach, folder), busy_seconds=BUSY_SECONDS) as journal:
        target = build(reach.rollback, folder, hand.environ)
        finish_drills(journal, target, reach, hand.at)
        safe = target_of(journal, reach.policies.safe, policy, hand.at)
        name = f"drill-{hand.at:%Y%m%dT%H%M%S}"
        before = target.read() or _before(journal, reach, policy, hand.at)
        until = hand.at + timedelta(seconds=hold) + SLACK
        said = {"begun": name, "before": before, "process": os.getpid(), "until": until}
        journal.append("drill", policy, said, at=hand.at)
        begin = time.monotonic()
        try:
            if kind == "rollback":
                stage = _stage(journal, policy, hand.at)
                outcome = roll_back(
                    journal, target, name, policy=policy, safe=safe, stage=stage, at=hand.at, drill=True
                )
                error = outcome.error
            else:
                error = moved(target, _pointer(safe, "", policy, name, hand.at), began=False)
            seconds = time.monotonic() - begin
            if not error:
                wait(hold)
        finally:
            back = _put_back(target, before, name, policy)
            journal.append("drill", policy, {"ended": name, "error": back}, at=hand.at)
        body = {
            "drill": kind, "policy": policy, "safe": safe, "by": hand.by, "reason": hand.reason,
            "button_at": hand.at, "pointer_at": hand.at + timedelta(seconds=seconds), "seconds": seconds,
            "pointer_read_back": not error, "first_safe_decision": None,
        }  # fmt: skip
        journal.append("drill", policy, body, at=hand.at + timedelta(seconds=seconds))
        told = messages.for_drill(kind, policy, safe, seconds=seconds, error=error or back, by=hand.by)
        warnings = _told(journal, reach, told, name, hand.at, hand.environ)
    return Pressed(policy, safe, error or back, seconds, warnings)


def finish_drills(journal: Journal, target: RollbackTarget, reach: Reach, at: datetime) -> list[str]:
    """Put back what stood before a drill that was killed; what to tell of it. One that still runs is left."""
    told = []
    for name, body in open_drills(journal).items():
        if _runs(int(body["process"])) and at < instant(str(body["until"])):
            continue
        error = _put_back(target, body["before"], name, reach.policies.candidate)
        journal.append("drill", reach.policies.candidate, {"ended": name, "error": error}, at=at)
        told.append(f"{name} was cut short: {error or 'what stood before it is in control again'}")
    return told


def open_drills(journal: Journal) -> dict[str, dict[str, Any]]:
    """Drills that began and did not end, by name."""
    events = journal.events("drill")
    ended = {e.body.get("ended") for e in events}
    begun = (e.body for e in events if "begun" in e.body)
    return {str(body["begun"]): body for body in begun if body["begun"] not in ended}


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _put_back(target: RollbackTarget, before: Mapping[str, Any], name: str, policy: str) -> str:
    """The error of putting back what stood before; nothing is done where something else took over since."""
    try:
        standing = target.read()
    except RollbackError as error:
        return str(error)
    if standing is not None and standing.get("incident", name) != name:
        return ""
    return moved(target, before, began=False)


def _pointer(safe: str, stage: str, policy: str, name: str, at: datetime) -> dict[str, Any]:
    who = {"policy": safe, "stage": stage, "previous": policy}
    return {"schema": 1, **who, "incident": name, "at": iso(at)}


def _before(journal: Journal, reach: Reach, policy: str, at: datetime) -> dict[str, Any]:
    """A pointer to who controls where there is none yet: the candidate where it is live, or the incumbent."""
    stage = _stage(journal, policy, at)
    who = policy if stage in LIVE else reach.policies.incumbent
    return _pointer(who, stage, reach.policies.safe, "", at)


def _stage(journal: Journal | None, policy: str, at: datetime) -> str:
    if journal is None:
        return ""
    try:
        now = standing(journal.events(*ROAD), policy, at)
    except JournalError:
        return ""
    return now.stage if now else ""


def _target(journal: Journal | None, reach: Reach, policy: str, at: datetime) -> str:
    try:
        return target_of(journal, reach.policies.safe, policy, at) if journal else reach.policies.safe
    except JournalError:
        return reach.policies.safe


def _place(reach: Reach, folder: Path) -> Path:
    return folder / reach.store / "journal.db"


@contextmanager
def _journal(reach: Reach, folder: Path) -> Iterator[Journal | None]:
    try:
        journal = Journal(_place(reach, folder), busy_seconds=BUSY_SECONDS)
    except JournalError:
        yield None
        return
    try:
        yield journal
    finally:
        journal.close()


def _written(
    journal: Journal | None, kind: str, subject: str, body: Mapping[str, Any], at: datetime
) -> list[str]:
    try:
        if journal is None:
            raise JournalError("it cannot be opened")
        journal.append(kind, subject, body, at=at)
    except JournalError as error:
        return [f"the journal does not hold this: {error}; press again when it can be written"]
    return []


def _told(
    journal: Journal | None,
    reach: Reach,
    message: Message,
    key: str,
    at: datetime,
    environ: Mapping[str, str],
) -> list[str]:
    """Into the outbox and, in bounded time, out; what was not delivered is tried by the next pass."""
    if journal is None:
        return []
    try:
        enqueue(journal, reach.alerts.channels, message, key, at)
        report = deliver(
            journal, build_channels(reach.alerts.channels, environ), at, seconds=DELIVERY_SECONDS
        )
    except JournalError as error:
        return [f"nobody was told: {error}"]
    return [f"alert not delivered to {f.channel} yet: {f.error}" for f in report.failed if f.key == key]
