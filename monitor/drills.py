"""Drills of the override and of the automatic rollback: played for real, then put back.

Like the button they open no DuckDB file and take no run lock.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from alerts import button as messages
from alerts.pipeline import enqueue
from alerts.rollback import RollbackError, RollbackTarget, build, roll_back
from alerts.rollback.target import moved, pointer_to
from gates.stages import LIVE
from monitor.button import BUSY_SECONDS, Hand, Pressed, entered_stage, journal_at, runs, sent
from monitor.chain import instant
from monitor.config import Reach
from monitor.journal import Journal
from monitor.target import target_of

SLACK = timedelta(minutes=1)
Wait = Callable[[float], None]


def drill(
    reach: Reach, folder: Path, hand: Hand, kind: str, hold: float, wait: Wait = time.sleep
) -> Pressed:
    """Play the override, or the automatic rollback, for real: the safe policy takes control, is read back,
    stays for `hold` seconds, and what stood before is put back, also when the wait is interrupted. It is no
    incident and no drop; one that was interrupted is told and counts for no item. Raises JournalError, and
    RollbackError where what stands cannot be read."""
    policy, begin = reach.policies.candidate, time.monotonic()

    def now() -> datetime:
        return hand.at + timedelta(seconds=time.monotonic() - begin)

    with Journal(journal_at(reach, folder), busy_seconds=BUSY_SECONDS) as journal:
        target = build(reach.rollback, folder, hand.environ)
        finish_drills(journal, target, reach, hand.at)
        safe = target_of(journal, reach.policies.safe, policy, hand.at)
        stage = entered_stage(journal, policy, hand.at)
        name = f"drill-{hand.at:%Y%m%dT%H%M%S}"
        before = target.read() or _before(reach, stage, policy, hand.at)
        until = hand.at + timedelta(seconds=hold) + SLACK
        said = {"begun": name, "before": before, "process": os.getpid(), "until": until}
        journal.append("drill", policy, said, at=hand.at)
        pointer = pointer_to(safe, stage="", previous=policy, incident=name, at=hand.at)
        error, whole, seconds, pressed_at = "", False, 0.0, time.monotonic()
        try:
            if kind == "rollback":
                error = roll_back(
                    journal, target, name, policy=policy, safe=safe, stage=stage, at=hand.at, drill=True
                ).error
            else:
                error = moved(target, pointer)
            seconds = time.monotonic() - pressed_at
            if not error:
                wait(hold)
            whole = True
        finally:
            back = _put_back(target, before, name)
            wrong = (error if whole else "it was stopped before it was over") or back
            told = messages.for_drill(kind, policy, safe, seconds=seconds, error=wrong, back=back, by=hand.by)
            with journal.transaction():
                journal.append("drill", policy, {"ended": name, "error": wrong}, at=now())
                if whole:
                    body = {
                        "drill": kind, "policy": policy, "safe": safe, "by": hand.by, "reason": hand.reason,
                        "button_at": hand.at, "pointer_at": hand.at + timedelta(seconds=seconds),
                        "seconds": seconds, "pointer_read_back": not error, "first_safe_decision": None,
                    }  # fmt: skip
                    journal.append("drill", policy, body, at=now())
                enqueue(journal, reach.alerts.channels, told, name, now())
            warnings = sent(journal, reach, name, now(), hand.environ)
    return Pressed(policy, safe, error or back, seconds, warnings)


def finish_drills(journal: Journal, target: RollbackTarget, reach: Reach, at: datetime) -> list[str]:
    """Put back what stood before a drill that was killed; what to tell of it. One that still runs is left."""
    told = []
    for name, body in open_drills(journal).items():
        if runs(int(body["process"])) and at < instant(str(body["until"])):
            continue
        error = _put_back(target, body["before"], name)
        journal.append("drill", reach.policies.candidate, {"ended": name, "error": error}, at=at)
        told.append(f"{name} was cut short: {error or 'what stood before it is in control again'}")
    return told


def open_drills(journal: Journal) -> dict[str, dict[str, Any]]:
    """Drills that began and did not end, by name."""
    events = journal.events("drill")
    ended = {e.body.get("ended") for e in events}
    begun = (e.body for e in events if "begun" in e.body)
    return {str(body["begun"]): body for body in begun if body["begun"] not in ended}


def _put_back(target: RollbackTarget, before: Mapping[str, Any], name: str) -> str:
    """The error of putting back what stood before; nothing is done where something else took over since."""
    try:
        standing = target.read()
    except RollbackError as error:
        return str(error)
    if standing is not None and standing.get("incident", name) != name:
        return ""
    return moved(target, before)


def _before(reach: Reach, stage: str, policy: str, at: datetime) -> dict[str, Any]:
    """A pointer to who controls where there is none yet: the candidate where it is live, or the incumbent."""
    who = policy if stage in LIVE else reach.policies.incumbent
    return pointer_to(who, stage=stage, previous=reach.policies.safe, incident="", at=at)
