"""What a rollback acts on: something that says which policy controls, and can be read back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class RollbackError(Exception):
    """The target refused or could not be reached; the sentence says why."""


class RollbackTarget(Protocol):
    """Where the controlling policy is set. Both methods raise RollbackError."""

    def write(self, pointer: Mapping[str, Any]) -> None:
        """Put the policy of `pointer` in control; after a crash, all of it happened or nothing."""

    def read(self) -> dict[str, Any] | None:
        """The pointer that stands now; None where there is none yet."""
