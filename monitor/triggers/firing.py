"""What a trigger returns when a window trips it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Firing:
    """A rule that a window broke. `value` and `limit` are in the metric's own unit; `message` is a
    finished sentence with both numbers; `state` is what a person needs to debug it later."""

    trigger: str
    key: str
    policy_id: str
    window_start: datetime
    window_end: datetime
    value: float
    limit: float
    message: str
    state: Mapping[str, Any] = field(default_factory=dict)


def confirmed(trips: Sequence[bool], need: int, of: int) -> bool:
    """True when the newest window tripped and at least `need` of the last `of` windows did.

    `trips` is one flag a window, oldest first; a history shorter than `of` is taken as it is.
    """
    recent = list(trips)[-of:]
    return bool(recent) and recent[-1] and sum(recent) >= need
