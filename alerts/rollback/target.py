"""What a rollback acts on: something that says which policy controls, and can be read back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from monitor.chain import iso


class RollbackError(Exception):
    """The target refused or could not be reached; the sentence says why."""


class RollbackTarget(Protocol):
    """Where the controlling policy is set. Both methods raise RollbackError."""

    @property
    def reads(self) -> bool:
        """Whether it can be read back."""

    def write(self, pointer: Mapping[str, Any]) -> None:
        """Put the policy of `pointer` in control; after a crash, all of it happened or nothing."""

    def read(self) -> dict[str, Any] | None:
        """The pointer that stands now; None where there is none yet."""


def pointer_to(policy: str, *, stage: str, previous: str, incident: str, at: datetime) -> dict[str, Any]:
    """What a target is told: `policy` controls in place of `previous`, for an incident or a press."""
    who = {"policy": policy, "stage": stage, "previous": previous}
    return {"schema": 1, **who, "incident": incident, "at": iso(at)}


def moved(target: RollbackTarget, pointer: Mapping[str, Any], *, began: bool = False) -> str:
    """Write the pointer and read it back; the error, empty when it stands as written. `began`: an earlier
    run may have written it, so it is read first and not written twice."""
    try:
        if began and target.reads and _stands(target, pointer):
            return ""
        target.write(pointer)
        standing = target.read() if target.reads else dict(pointer)
    except Exception as error:
        return str(error) if isinstance(error, RollbackError) else f"{type(error).__name__}: {error}"
    if agrees(standing, pointer):
        return ""
    found = "nothing" if standing is None else f"policy {standing.get('policy')}"
    return f"the pointer was written but reads back as {found}, not as policy {pointer['policy']}"


def agrees(standing: Mapping[str, Any] | None, pointer: Mapping[str, Any]) -> bool:
    """Whether what was read back names the policy of the pointer and contradicts nothing in it."""
    if standing is None or standing.get("policy") != pointer["policy"]:
        return False
    return all(standing[name] == pointer[name] for name in standing if name in pointer)


def _stands(target: RollbackTarget, pointer: Mapping[str, Any]) -> bool:
    """True where an earlier run moved the pointer for this incident, or a target that knows no incidents
    names the policy already (a pointer that cannot be read does not stand: it is written again)."""
    try:
        standing = target.read()
    except RollbackError:
        return False
    if standing is None or standing.get("policy") != pointer["policy"]:
        return False
    return standing.get("incident", pointer["incident"]) == pointer["incident"]
