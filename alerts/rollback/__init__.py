"""Rollback: put the safe policy in control, once per incident, journalled before and after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Protocol

from alerts.rollback.command import Command
from alerts.rollback.file import PointerFile
from alerts.rollback.pause import pause_training
from alerts.rollback.target import RollbackError, RollbackTarget, moved, pointer_to
from alerts.rollback.webhook import Webhook
from monitor.journal import Event, Journal, JournalError

__all__ = [
    "TARGETS",
    "RollbackError",
    "RollbackOutcome",
    "RollbackTarget",
    "build",
    "pause_training",
    "roll_back",
]


class TargetSettings(Protocol):
    """The `rollback:` or `pause_training:` part of the configuration."""

    @property
    def kind(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def command(self) -> list[str]: ...
    @property
    def read(self) -> list[str]: ...
    @property
    def env(self) -> list[str]: ...
    @property
    def time_limit(self) -> timedelta: ...
    @property
    def url(self) -> str | None: ...
    @property
    def read_url(self) -> str | None: ...
    @property
    def unsigned(self) -> bool: ...


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


def _file(settings: TargetSettings, folder: Path, environ: Mapping[str, str]) -> RollbackTarget:
    return PointerFile(Path(settings.path), folder)


def _command(settings: TargetSettings, folder: Path, environ: Mapping[str, str]) -> RollbackTarget:
    seconds = settings.time_limit.total_seconds()
    return Command(
        settings.command, settings.read, folder, environ, env=settings.env, seconds=seconds
    )


def _webhook(settings: TargetSettings, folder: Path, environ: Mapping[str, str]) -> RollbackTarget:
    seconds = settings.time_limit.total_seconds()
    return Webhook(
        settings.url or "", settings.read_url, environ, unsigned=settings.unsigned, seconds=seconds
    )


TARGETS: dict[str, Callable[[TargetSettings, Path, Mapping[str, str]], RollbackTarget]] = {
    "file": _file, "command": _command, "webhook": _webhook,
}  # fmt: skip


def build(settings: TargetSettings, folder: Path, environ: Mapping[str, str]) -> RollbackTarget:
    """The target that the configuration names; its paths are relative to `folder` and stay inside.
    `environ` is where it looks for its secret and for what a command may see."""
    return TARGETS[settings.kind](settings, folder, environ)


def roll_back(
    journal: Journal,
    target: RollbackTarget,
    incident: str,
    *,
    policy: str,
    safe: str,
    stage: str,
    at: datetime,
    drill: bool = False,
) -> RollbackOutcome:
    """Put `safe` in control in place of `policy`, at most once per incident, and read it back.

    The intent is journalled before anything moves and the outcome after. An intent without an
    outcome is a crash in between: the pointer is read, and moved only if it does not yet carry
    this incident; it goes to the policy that the intent named. A failure is journalled and
    returned, never raised; the next call tries again. Raises JournalError only: where the intent
    cannot be written, nothing is moved, and inside a transaction it is refused, since the intent
    would not be on disk before the pointer moves. A `drill` says so in its events and counts for nothing.
    """
    if journal.in_transaction:
        raise JournalError("a rollback journals its intent first and cannot be part of a transaction")
    earlier = {event.key: event for event in journal.events("rollback", subject=incident)}
    done = earlier.get(f"rollback:{incident}:done")
    if done is not None:
        return _already(done, incident)
    intent = earlier.get(f"rollback:{incident}:intent")
    safe = str(intent.body["safe"]) if intent else safe
    said: Mapping[str, Any] = {"incident": incident, "policy": policy, "safe": safe, "stage": stage}
    said = {**said, "drill": True} if drill else said
    if intent is None:
        body = {**said, "status": "intent"}
        journal.append("rollback", incident, body, at=at, key=f"rollback:{incident}:intent")
    pointer = pointer_to(safe, stage=stage, previous=policy, incident=incident, at=at)
    error = moved(target, pointer, began=intent is not None)
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
