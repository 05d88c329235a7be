"""A replay as a table to read, or as JSON."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from monitor.metrics.estimate import Estimate
from monitor.readings import moment
from monitor.replay.play import Stretch
from monitor.replay.tally import Seen, Tally

HEADS = ("trigger", "windows", "trips", "alarms", "a month (95 %)", "by the letter", "a month (95 %)")


def table(stretches: Sequence[Stretch]) -> Iterator[str]:
    """One block for the log as it is, one for each planted change."""
    for stretch in stretches:
        yield from _planted(stretch) if stretch.plant else _plain(stretch)
        yield ""
    yield "nothing was journalled, sent or moved"


def to_json(stretches: Sequence[Stretch]) -> dict[str, Any]:
    """The same as plain values; times ISO 8601 in UTC, numbers that are not finite null."""
    return {"schema": 1, "stretches": [_stretch(s) for s in stretches]}


def _plain(stretch: Stretch) -> Iterator[str]:
    yield f"{_period(stretch)}, {stretch.unchanged}"
    rows = [
        (t.trigger, str(t.windows), str(t.trips), str(t.alarms), rate(t.a_month),
         str(t.letter_alarms), rate(t.letter_a_month))
        for t in stretch.tallies
    ]
    yield from _columns(HEADS, rows)
    if any(t.first_trip for t in stretch.tallies) or stretch.unchanged.endswith("declared"):
        yield ""
        yield from _delays(stretch.tallies)
    advice = [sentence for t in stretch.tallies for sentence in t.advice]
    if advice:
        yield ""
        yield from advice
    yield from _gate(stretch)


def _planted(stretch: Stretch) -> Iterator[str]:
    assert stretch.plant is not None
    yield f"planted {stretch.plant.text}: {stretch.changed_rows} decisions until {_at(stretch.end)}"
    yield from _delays(stretch.tallies)
    yield from _gate(stretch)


def _delays(tallies: Sequence[Tally]) -> Iterator[str]:
    rows = [(t.trigger, seen(t.first_trip), seen(t.first_confirmed)) for t in tallies]
    yield from _columns(("trigger", "first trip", "first confirmation"), rows)


def _gate(stretch: Stretch) -> Iterator[str]:
    if not stretch.days:
        return
    yield ""
    counts = Counter(f"{d.outcome} (exit code {d.exit_code})" for d in stretch.days)
    yield "gate once a day: " + ", ".join(f"{n} {what}" for what, n in counts.most_common())
    before = None
    for day in stretch.days:
        said = (day.outcome, day.exit_code, day.holds)
        if said != before:
            holds = f": {', '.join(day.holds)}" if day.holds else ""
            yield f"  {day.as_of:%Y-%m-%d %H:%M}  {day.outcome} (exit code {day.exit_code}){holds}"
        before = said


def rate(estimate: Estimate) -> str:
    """`0.7 (0.1 to 2.5)`, or why there is none."""
    if not math.isfinite(estimate.value):
        return estimate.reason or "none"
    return f"{estimate.value:.2g} ({estimate.low:.2g} to {estimate.high:.2g})"


def seen(found: Seen | None) -> str:
    """`window 2, after 2.2 h`, or `not seen`."""
    return "not seen" if found is None else f"window {found.windows}, after {found.hours:.1f} h"


def _columns(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    for row in (heads, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _period(stretch: Stretch) -> str:
    days = (stretch.end - stretch.start) / 24
    return f"{_at(stretch.start)} to {_at(stretch.end)} UTC ({days:.3g} days, windows of {stretch.span} h)"


def _at(hour: int) -> str:
    return f"{moment(hour):%Y-%m-%d %H:%M}"


def _stretch(stretch: Stretch) -> dict[str, Any]:
    plant = stretch.plant
    return {
        "from": moment(stretch.start).isoformat(), "to": moment(stretch.end).isoformat(),
        "window_hours": stretch.span, "unchanged": stretch.unchanged,
        "plant": None if plant is None else {
            "spec": plant.text, "at": plant.at.isoformat(), "decisions": stretch.changed_rows,
        },
        "triggers": [
            {
                "trigger": t.trigger, "windows": t.windows, "trips": t.trips, "alarms": t.alarms,
                "a_month": _rate(t.a_month), "letter_alarms": t.letter_alarms,
                "letter_a_month": _rate(t.letter_a_month), "first_trip": _seen(t.first_trip),
                "first_confirmed": _seen(t.first_confirmed), "advice": t.advice,
            }
            for t in stretch.tallies
        ],
        "gate": [
            {"as_of": d.as_of.isoformat(), "outcome": d.outcome, "exit_code": d.exit_code, "holds": d.holds}
            for d in stretch.days
        ],
    }


def _rate(estimate: Estimate) -> dict[str, float | None]:
    return {
        name: value if math.isfinite(value) else None
        for name, value in (("value", estimate.value), ("low", estimate.low), ("high", estimate.high))
    }


def _seen(found: Seen | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"window_start": moment(found.start).isoformat(), "windows": found.windows, "hours": found.hours}
