"""The ledger of windows: which window was judged by which run, a fold of the journal's `run` events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from monitor.journal import Event


@dataclass(frozen=True)
class JudgedWindow:
    """The hours start to end, and the runs that judged them: by rules that do not wait for rewards
    (`plain`) and by those that do (`matured`). Each holds one event, or none yet."""

    start: int
    end: int
    plain: tuple[Event, ...] = ()
    matured: tuple[Event, ...] = ()


def stretch(begin: int, end: int, span: int) -> dict[str, int] | None:
    """The windows begin ≤ start < end as a `run` event keeps them: the first and the last start, in
    hours since 1970-01-01 UTC, how many, and how long each is. None where there is none."""
    starts = range(begin, end, span)
    if not starts:
        return None
    return {"first": starts[0], "last": starts[-1], "count": len(starts), "hours": span}


def judged_windows(events: Iterable[Event]) -> list[JudgedWindow]:
    """Every window that a run judged, oldest first."""
    runs: dict[tuple[int, int], dict[str, list[Event]]] = {}
    for event in events:
        if event.kind == "run":
            for name, found in event.body.get("stretches", {}).items():
                for place in _places(found):
                    runs.setdefault(place, {"plain": [], "matured": []})[name].append(event)
    return [
        JudgedWindow(*place, plain=tuple(by["plain"]), matured=tuple(by["matured"]))
        for place, by in sorted(runs.items())
    ]


def _places(found: dict[str, Any] | None) -> list[tuple[int, int]]:
    if not found:
        return []
    first, count, hours = int(found["first"]), int(found["count"]), int(found["hours"])
    return [(first + n * hours, first + (n + 1) * hours) for n in range(count)]
