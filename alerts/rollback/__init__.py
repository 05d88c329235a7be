"""Rollback: put the safe policy in control, once per incident, journalled before and after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from alerts.rollback.file import PointerFile
from alerts.rollback.target import RollbackError, RollbackTarget
from monitor.chain import iso
from monitor.journal import Event, Journal, JournalError

__all__ = ["TARGETS", "RollbackError", "RollbackOutcome", "RollbackTarget", "build", "roll_back"]


class RollbackSettings(Protocol):
    """The `rollback:` part of the configuration."""

    @property
    def kind(self) -> str: ...
    @property
    def path(self) -> str: ...


@dataclass(frozen=True, slots=True)
class RollbackOutcome:
    """What became of a rollback. `done` moved the pointer now, `already_done` found it journalled as
    done, `failed` did not get the safe policy into control and may be tried again; `error` says why.
    `resumed` is True where an earlier run had begun it."""

    status: Literal["done", "already_done", "failed"]
    incident: str
    policy: str
    safe: str
    at: datetime
    error: str = ""
    resumed: bool = False


def _file(settings: RollbackSettings, folder: Path) -> RollbackTarget:
    return PointerFile(Path(settings.path), folder)


TARGETS: dict[str, Callable[[RollbackSettings, Path], RollbackTarget]] = {"file": _file}


def build(settings: RollbackSettings, folder: Path) -> RollbackTarget:
    """The target that the configuration names; its paths are relative to `folder` and stay inside."""
    return TARGETS[settings.kind](settings, folder)


def roll_back(
    journal: Journal,
    target: RollbackTarget,
    incident: str,
    *,
    policy: str,
    safe: str,
    stage: str,
    at: datetime,
) -> RollbackOutcome:
    """Put `safe` in control in place of `policy`, at most once per incident, and read it back.

    The intent is journalled before anything moves and the outcome after. An intent without an
    outcome is a crash in between: the pointer is read, and moved only if it does not yet carry
    this incident. A failure is journalled and returned, never raised; the next call tries again.
    Raises JournalError only: where the intent cannot be written, nothing is moved, and inside a
    transaction it is refused, since the intent would not be on disk before the pointer moves.
    """
    if journal.in_transaction:
        raise JournalError("a rollback journals its intent first and cannot be part of a transaction")
    earlier = {event.key: event for event in journal.events("rollback", subject=incident)}
    done = earlier.get(f"rollback:{incident}:done")
    if done is not None:
        return _already(done, incident)
    intent = earlier.get(f"rollback:{incident}:intent")
    said: Mapping[str, Any] = {"incident": incident, "policy": policy, "safe": safe, "stage": stage}
    if intent is None:
        body = {**said, "status": "intent"}
        journal.append("rollback", incident, body, at=at, key=f"rollback:{incident}:intent")
    pointer = {
        "schema": 1, "policy": safe, "stage": stage, "previous": policy, "incident": incident, "at": iso(at),
    }
    error = _move(target, pointer, began=intent is not None)
    resumed = intent is not None
    if error:
        tries = sum(1 for event in earlier.values() if event.body.get("status") == "failed")
        body = {**said, "status": "failed", "error": error, "resumed": resumed}
        journal.append("rollback", incident, body, at=at, key=f"rollback:{incident}:failed:{tries + 1}")
        return RollbackOutcome("failed", incident, policy, safe, at, error, resumed)
    body = {**said, "status": "done", "resumed": resumed}
    journal.append("rollback", incident, body, at=at, key=f"rollback:{incident}:done")
    return RollbackOutcome("done", incident, policy, safe, at, "", resumed)


def _already(done: Event, incident: str) -> RollbackOutcome:
    body = done.body
    return RollbackOutcome("already_done", incident, body["policy"], body["safe"], done.at)


def _move(target: RollbackTarget, pointer: Mapping[str, Any], *, began: bool) -> str:
    """The error of moving the pointer, empty when it was read back as written."""
    try:
        if began and _stands(target, pointer):
            return ""
        target.write(pointer)
        standing = target.read()
    except Exception as error:
        return str(error) if isinstance(error, RollbackError) else f"{type(error).__name__}: {error}"
    if standing == dict(pointer):
        return ""
    found = "nothing" if standing is None else f"policy {standing.get('policy')}"
    return f"the pointer was written but reads back as {found}, not as policy {pointer['policy']}"


def _stands(target: RollbackTarget, pointer: Mapping[str, Any]) -> bool:
    """True where an earlier run moved the pointer for this incident (a pointer that cannot be read
    does not stand: it is written again)."""
    try:
        standing = target.read()
    except RollbackError:
        return False
    return standing is not None and all(standing.get(k) == pointer[k] for k in ("policy", "incident"))
