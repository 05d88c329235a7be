"""Pause the training of a policy that was rolled back: once per incident, journalled before and after.

Its events are of kind `rollback` with statuses of their own (`pausing`, `paused`, `pause_failed`), so that
no fold takes them for a rollback. A target that cannot be read back is told again after a crash.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from alerts.rollback.target import RollbackTarget, moved
from monitor.chain import iso
from monitor.journal import Journal


def pause_training(
    journal: Journal, target: RollbackTarget, incident: str, *, policy: str, at: datetime
) -> tuple[str, str]:
    """(status, error): `paused` now, `already` before, or `failed` and tried again by the next call. Raises
    JournalError only."""
    key = f"pause_training:{incident}"
    earlier = {event.key: event for event in journal.events("rollback", subject=incident)}
    if f"{key}:done" in earlier:
        return "already", ""
    said: Mapping[str, Any] = {"incident": incident, "policy": policy, "act": "pause_training"}
    intent = earlier.get(f"{key}:intent")
    began = intent.at if intent else at
    if intent is None:
        journal.append("rollback", incident, {**said, "status": "pausing"}, at=at, key=f"{key}:intent")
    body = {"schema": 1, "paused": True, "policy": policy, "incident": incident, "at": iso(began)}
    error = moved(target, body, began=intent is not None)
    if error:
        tries = sum(1 for event in earlier.values() if event.body.get("status") == "pause_failed")
        failed = {**said, "status": "pause_failed", "error": error}
        journal.append("rollback", incident, failed, at=at, key=f"{key}:failed:{tries + 1}")
        return "failed", error
    journal.append("rollback", incident, {**said, "status": "paused"}, at=at, key=f"{key}:done")
    return "paused", ""
