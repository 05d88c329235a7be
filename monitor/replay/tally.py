"""What a replay adds up: windows that tripped, alarms, how often, and how long until the first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from monitor.incidents import GOOD_WINDOWS
from monitor.metrics.estimate import Estimate
from monitor.metrics.poisson import poisson_rate

HOURS_A_MONTH = 730.5
Place = tuple[str, str]


@dataclass(frozen=True)
class Trip:
    """A window that a trigger tripped in: its policy and key, its first hour, whether the trips before
    it confirmed it, whether that calls for a rollback (`acts`) or only for people, the hour of the
    row that a single-row rule was broken by (`at`), and how many hours the window has."""

    policy: str
    key: str
    start: int
    confirmed: bool
    acts: bool = True
    at: float | None = None
    hours: int = 1


@dataclass(frozen=True)
class Seen:
    """When a change was first seen: the start of the window, how many windows after the change (1: the
    window it happened in), and hours until that window could be judged. None: not seen."""

    start: int
    windows: int
    hours: float


@dataclass(frozen=True)
class Tally:
    """One trigger over the unchanged windows of a stretch. `alarms` counts what a person would have been
    told of as one incident."""

    trigger: str
    windows: int
    trips: int
    tripped_alarms: int
    alarms: int
    a_month: Estimate
    letter_alarms: int
    letter_a_month: Estimate
    first_trip: Seen | None = None
    first_confirmed: Seen | None = None
    advice: list[str] = field(default_factory=list)


def alarms(trips: Iterable[Trip], span: int) -> int:
    """Incidents that these trips make: those of one policy and key with at most 3 windows (days, where
    they are of days) between them are one."""
    by_place: dict[Place, list[Trip]] = {}
    for trip in trips:
        by_place.setdefault((trip.policy, trip.key), []).append(trip)
    return sum(
        1 + sum(b.start - a.start > (GOOD_WINDOWS + 1) * max(span, a.hours) for a, b in pairwise(s))
        for s in (sorted(found, key=lambda t: t.start) for found in by_place.values())
    )


def a_month(count: int, windows: int, span: int) -> Estimate:
    """`count` alarms in `windows` windows as alarms a month (730.5 hours), exact Poisson interval."""
    return poisson_rate(count, windows * span / HOURS_A_MONTH, "alarms a month")


def first_seen(
    trips: Sequence[Trip],
    changed: float,
    span: int,
    wait: float,
    before: Collection[tuple[str, str, int]] = (),
) -> Seen | None:
    """The first of `trips` in a window that ends after the hour `changed`, other than those that tripped
    without the change too (`before`: policy, key, start). `wait` are hours from a window's end until it
    can be judged; a single row is judged when it is read."""
    seen = [
        (t.start, t.start + max(span, t.hours) + wait if t.at is None else t.at)
        for t in trips
        if (t.start + max(span, t.hours) if t.at is None else t.at) > changed
        and (t.policy, t.key, t.start) not in before
    ]
    if not seen:
        return None
    start, known = min(seen)
    return Seen(start, max(0, int((start - changed // span * span) // span)) + 1, known - changed)


def within(start: int, span: int, periods: Iterable[tuple[datetime, datetime]]) -> bool:
    """Whether the window overlaps one of the periods."""
    return any(start * 3600 < b.timestamp() and (start + span) * 3600 > a.timestamp() for a, b in periods)
