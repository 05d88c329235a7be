"""`monitor override`: a person puts the safe policy in control, now.

Opens `monitor.yaml`, the journal and the rollback's target, never a DuckDB file and never the run lock: it
waits for nobody. Where the journal cannot be written, the intent is left in a file beside it and the pointer
moves all the same; the next pass takes the file into the journal. A press that was cut short is finished
there too.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from alerts import button as messages
from alerts.channels import build as build_channels
from alerts.delivery import deliver
from alerts.pipeline import enqueue
from alerts.rollback import RollbackError, RollbackTarget, build
from alerts.rollback.target import moved, pointer_to
from gates.stages import DROPS, ENTRIES, ROAD, standing
from monitor.chain import canonical, instant, plain_json
from monitor.config import Reach
from monitor.journal import Event, Journal, JournalError
from monitor.target import target_of

BUSY_SECONDS = 0.5
DELIVERY_SECONDS = 3.0
# How long a press may be under way before a pass takes it for cut short, where its process still runs.
UNDER_WAY = timedelta(minutes=5)
LEFT = "override-*.json"


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
    name = f"override-{hand.at:%Y%m%dT%H%M%S}"
    with _journal(reach, folder) as journal:
        safe, stage = to or _target(journal, reach, policy, hand.at), entered_stage(journal, policy, hand.at)
        said = {
            "button": name, "policy": policy, "safe": safe, "stage": stage, "by": hand.by,
            "reason": hand.reason, "button_at": hand.at, "process": os.getpid(),
        }  # fmt: skip
        try:
            _intend(journal, said, hand.at)
        except JournalError as shut:
            left = _left(reach, folder, said)
            warnings.append(f"the journal does not hold this yet: {shut}; {left}")
            journal = None
        target = build(reach.rollback, folder, hand.environ)
        error = moved(target, pointer_to(safe, stage=stage, previous=policy, incident=name, at=hand.at))
        seconds = time.monotonic() - begin
        if journal is not None:
            try:
                _end(journal, reach, target, said, error, seconds, hand.at + timedelta(seconds=seconds))
                warnings += sent(journal, reach, name, hand.at, hand.environ)
            except JournalError as broken:
                warnings.append(f"the journal does not hold the outcome: {broken}; the next pass writes it")
    return Pressed(policy, safe, error, seconds, warnings)


def finish_overrides(
    journal: Journal, target: RollbackTarget, reach: Reach, folder: Path, at: datetime
) -> list[str]:
    """Take what presses left in files into the journal, and finish each press that was cut short: the pointer
    is read, and moved where it does not carry it yet. Nothing is moved where the policy was promoted, or lost
    control, since. What to tell of it."""
    for path in left_behind(reach, folder):
        said = _read(path)
        if said is not None:
            _intend(journal, said, instant(str(said["button_at"])))
            path.unlink()
        else:
            path.replace(path.with_name(f"{path.name}.rejected"))
    told = []
    for name, event in open_overrides(journal).items():
        said = event.body
        if runs(int(said["process"])) and at - event.at < UNDER_WAY:
            continue
        safe, stage, policy = (str(said[key]) for key in ("safe", "stage", "policy"))
        pointer = pointer_to(safe, stage=stage, previous=policy, incident=name, at=event.at)
        if _moved_on(journal, event):
            body = {**said, "status": "superseded"}
            journal.append("override", event.subject, body, at=at, key=f"override:{name}:done")
            told.append(f"{name} was cut short, and what was decided since stands")
            continue
        error = moved(target, pointer, began=True)
        _end(journal, reach, target, said, error, None, at)
        told.append(f"{name} was cut short: {error or f'{safe} is in control'}")
    return told


def open_overrides(journal: Journal) -> dict[str, Event]:
    """Presses whose intent stands in the journal without what came of it, by name."""
    events = [e for e in journal.events("override") if "button" in e.body]
    ended = {e.body["button"] for e in events if e.body.get("status") != "intent"}
    return {str(e.body["button"]): e for e in events if e.body["button"] not in ended}


def left_behind(reach: Reach, folder: Path) -> list[Path]:
    """Files of presses that found the journal shut, oldest first."""
    return sorted((folder / reach.store).glob(LEFT))


def _intend(journal: Journal | None, said: Mapping[str, Any], at: datetime) -> None:
    if journal is None:
        raise JournalError("it cannot be opened")
    body = {**said, "status": "intent"}
    journal.append("override", str(said["policy"]), body, at=at, key=f"override:{said['button']}:intent")


def _end(
    journal: Journal,
    reach: Reach,
    target: RollbackTarget,
    said: Mapping[str, Any],
    error: str,
    seconds: float | None,
    at: datetime,
) -> None:
    """What came of a press and the message of it, both or neither. `seconds` is None where a pass found out
    later than the press; it is told as of then."""
    name, policy, safe = str(said["button"]), str(said["policy"]), str(said["safe"])
    body = {**said, "status": "failed" if error else "done", "seconds": seconds}
    if error:
        body["error"] = error
    told = messages.for_override(
        policy, safe, by=str(said["by"]), reason=str(said["reason"]), at=at, error=error,
        stands=_stands(target) if error else "",
    )  # fmt: skip
    with journal.transaction():
        journal.append("override", policy, body, at=at, key=f"override:{name}:done")
        enqueue(journal, reach.alerts.channels, told, name, at)


def _stands(target: RollbackTarget) -> str:
    """Who controls after a press that did not take, as far as that can be read."""
    try:
        standing = target.read() if target.reads else None
    except Exception as error:  # the button tells what it knows, whatever a target does
        why = error if isinstance(error, RollbackError) else type(error).__name__
        return f"Who controls now could not be read back: {why}"
    who = (standing or {}).get("policy")
    return f"{who} is in control, as read back." if who else "Who controls now cannot be read back."


def _moved_on(journal: Journal, press: Event) -> bool:
    """Whether the policy was promoted, or lost control otherwise, after the press."""
    return any(
        e.at > press.at and e.body.get("status", "done") == "done"
        and not e.body.get("drill")
        and (e.subject if e.kind in ENTRIES else e.body.get("policy")) == press.subject
        for e in journal.events(*ENTRIES, *DROPS)
    )  # fmt: skip


def _left(reach: Reach, folder: Path, said: Mapping[str, Any]) -> str:
    """Leave the press in a file for the next pass; what to say of it."""
    place = folder / reach.store / f"{said['button']}.json"
    draft = place.with_suffix(".tmp")
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
            file.write(canonical(plain_json(said)))
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, place)
    except OSError as error:
        return f"nor could it be left in a file ({error.strerror}): press again when it can be written"
    return "the next `monitor run` writes it down and tells it"


def _read(path: Path) -> dict[str, Any] | None:
    """What a press left; None where it is no press."""
    try:
        said = json.loads(path.read_bytes())
        texts = ("policy", "safe", "stage", "by", "reason", "button")
        whole = all(isinstance(said[key], str) for key in texts) and isinstance(said["process"], int)
        instant(said["button_at"])
        return said if whole else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def runs(process: int) -> bool:
    """Whether a process with this number is there."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def entered_stage(journal: Journal | None, policy: str, at: datetime) -> str:
    """The stage a policy stands in, empty where nothing says."""
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


def journal_at(reach: Reach, folder: Path) -> Path:
    """Where the journal lies."""
    return folder / reach.store / "journal.db"


@contextmanager
def _journal(reach: Reach, folder: Path) -> Iterator[Journal | None]:
    try:
        journal = Journal(journal_at(reach, folder), busy_seconds=BUSY_SECONDS)
    except JournalError:
        yield None
        return
    try:
        yield journal
    finally:
        journal.close()


def sent(
    journal: Journal, reach: Reach, key: str, at: datetime, environ: Mapping[str, str]
) -> list[str]:
    """Empty the outbox in bounded time; what was not delivered is tried by the next pass."""
    channels = build_channels(reach.alerts.channels, environ)
    report = deliver(journal, channels, at, seconds=DELIVERY_SECONDS)
    return [f"alert not delivered to {f.channel} yet: {f.error}" for f in report.failed if f.key == key]
