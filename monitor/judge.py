"""Judge closed windows in order: which triggers trip, and which trips are confirmed.

Reads readings and the journal's events; decides nothing about what is done then.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import duckdb

from monitor.config import Config
from monitor.incidents import accepted_from, real_windows
from monitor.journal import Event
from monitor.metrics.estimate import Reading
from monitor.readings import hour_of, load, moment, window_hours
from monitor.rules import Rule
from monitor.sums.baseline import Baseline
from monitor.triggers import TRIGGERS, Trigger
from monitor.triggers.context import Context
from monitor.triggers.firing import Firing, confirmed

RECENT = 48
LETTER_WINDOWS = 30
HISTORY = {"24h": timedelta(days=11), "7d": timedelta(days=43)}


@dataclass(frozen=True)
class Judged:
    """A firing and whether enough windows in a row agree to act on it."""

    firing: Firing
    confirmed: bool
    escalate_only: bool = False


def judge_windows(
    connection: duckdb.DuckDBPyConnection,
    config: Config,
    baseline: Baseline | None,
    rules: Mapping[str, Rule],
    events: Sequence[Event],
    begin: Mapping[bool, int],
    end: Mapping[bool, int],
) -> Iterator[Judged]:
    """Trips of all windows begin ≤ start < end, oldest first; `begin` and `end` hold hours for
    triggers that do not (False) and that do (True) wait for rewards to mature."""
    first, last = min(begin.values()), max(end.values())
    if first >= last:
        return
    span = window_hours(config)
    history = max(HISTORY[config.season], LETTER_WINDOWS * config.window)
    book = Book(connection, first - int(history / timedelta(hours=1)), last)
    trips = Trips(events)
    for start in range(first, last, span):
        for name, row in TRIGGERS.items():
            if not begin[row.matures] <= start < end[row.matures] or name not in rules:
                continue
            for policy, key in book.subjects(row.metrics[0], start):
                if row.per == "constraint" and key not in config.soft:
                    continue
                series = book.up_to(row.metrics, policy, key, start)
                found = _judge(name, series, config, baseline, rules, events, trips, policy, key)
                if found is not None:
                    yield found


def false_alarms(
    connection: duckdb.DuckDBPyConnection,
    config: Config,
    baseline: Baseline | None,
    rules: Mapping[str, Rule],
    trigger: str,
    key: str,
) -> tuple[int, int]:
    """(windows that trip, windows judged) of one rule on the user's own baseline period."""
    period = config.baseline
    if period is None:
        return 0, 0
    first, last, span = hour_of(period.start), hour_of(period.end), window_hours(config)
    book = Book(connection, first, last)
    row, trips = TRIGGERS[trigger], Trips([])
    place = (period.policy, key)
    windows = [s for s in range(first, last, span) if place in book.subjects(row.metrics[0], s)]
    tripped = 0
    for start in windows:
        series = book.up_to(row.metrics, period.policy, key, start)
        found = _judge(trigger, series, config, baseline, rules, [], trips, period.policy, key)
        tripped += found is not None
    return tripped, len(windows)


class Book:
    """Readings of a stretch of hours, by metric, policy and key, in the order of their windows."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, first: int, last: int) -> None:
        metrics = sorted({m for row in TRIGGERS.values() for m in row.metrics})
        self._readings: dict[tuple[str, str, str], list[Reading]] = {}
        self._subjects: dict[tuple[str, int], list[tuple[str, str]]] = {}
        found = load(
            connection,
            "window_start >= ? AND window_start < ? AND metric IN (SELECT unnest(?::VARCHAR[])) "
            "AND candidate_id = ''",
            [first, last, metrics],
        )
        for reading in found:
            self._readings.setdefault((reading.metric, reading.policy_id, reading.key), []).append(reading)
            at = (reading.metric, hour_of(reading.window_start))
            self._subjects.setdefault(at, []).append((reading.policy_id, reading.key))
        self._starts = {place: [hour_of(r.window_start) for r in rs] for place, rs in self._readings.items()}

    def subjects(self, metric: str, start: int) -> list[tuple[str, str]]:
        """(policy, key) of the readings of one window."""
        return self._subjects.get((metric, start), [])

    def up_to(
        self, metrics: Iterable[str], policy: str, key: str, start: int
    ) -> dict[str, Sequence[Reading]]:
        """The readings of windows that begin no later than `start`."""
        return {
            metric: self._readings.get(place, [])[: bisect_right(self._starts.get(place, []), start)]
            for metric in metrics
            for place in [(metric, policy, key)]
        }


class Trips:
    """Starts of windows that tripped, by trigger, key and policy; grows while windows are judged."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._starts: dict[tuple[str, str, str], list[int]] = {}
        for event in events:
            if event.kind == "firing" and event.body.get("window_start"):
                body = event.body
                start = hour_of(datetime.fromisoformat(body["window_start"]))
                self.add((body["trigger"], body["key"], body["policy"]), start)

    def add(self, place: tuple[str, str, str], start: int) -> None:
        starts = self._starts.setdefault(place, [])
        where = bisect_left(starts, start)
        if where == len(starts) or starts[where] != start:
            starts.insert(where, start)

    def among(self, place: tuple[str, str, str], windows: Sequence[int]) -> list[int]:
        """Those of `windows` that tripped."""
        starts = set(self._starts.get(place, []))
        return [w for w in windows if w in starts]


def _judge(
    name: str,
    series: Mapping[str, Sequence[Reading]],
    config: Config,
    baseline: Baseline | None,
    rules: Mapping[str, Rule],
    events: Sequence[Event],
    trips: Trips,
    policy: str,
    key: str,
) -> Judged | None:
    row, place = TRIGGERS[name], (name, key, policy)
    since = accepted_from(events, policy, name, key)
    if since is not None:
        series = {m: [r for r in rs if r.window_start >= since] for m, rs in series.items()}
    tested = series[row.metrics[0]]
    windows = [hour_of(r.window_start) for r in tested[-RECENT:]]
    waiting = max(rules[name].confirm[1], rules[name].confirm_letter[1]) - 1
    pending = frozenset(moment(w) for w in trips.among(place, windows[-1 - waiting : -1]))
    facts = row.facts(_context(name, key, policy, config, baseline, events, pending))
    params = row.params(**rules[name].numbers, **facts)
    firing = row.function(series, params)
    if firing is None:
        return None
    trips.add(place, windows[-1])
    letter = firing.state.get("mode") == "letter" and config.window < timedelta(days=1)
    need, of = rules[name].confirm_letter if letter else rules[name].confirm
    counted = _judged_windows(row, series, params, windows, of)
    recent = trips.among(place, counted)
    return Judged(
        replace(firing, key=key, policy_id=policy),
        confirmed([w in recent for w in counted], need, of),
        bool(firing.state.get("escalate_only")),
    )


def _judged_windows(
    row: Trigger, series: Mapping[str, Sequence[Reading]], params: Any, windows: Sequence[int], of: int
) -> list[int]:
    """The last `of` windows that were looked at (small ones are merged into a later one)."""
    found: list[int] = []
    for back, window in enumerate(reversed(windows)):
        upto = {m: rs[: len(rs) - back] for m, rs in series.items()}
        if row.judged is None or back == 0 or row.judged(upto, params):
            found.insert(0, window)
        if len(found) == of:
            break
    return found


def _context(
    name: str,
    key: str,
    policy: str,
    config: Config,
    baseline: Baseline | None,
    events: Sequence[Event],
    pending: frozenset[datetime],
) -> Context:
    return Context(
        key=key,
        policy_id=policy,
        season=timedelta(days=7 if config.season == "7d" else 1),
        window=config.window,
        limits={k: (config.constraints[k].limit, config.constraints[k].margin) for k in config.soft},
        inflation=baseline.body["phi"] if baseline else {},
        features=len(config.state.features),
        pending=pending,
        excluded=lambda: frozenset(_starts(real_windows(events, policy, name), config.window)),
    )


def _starts(periods: Iterable[tuple[datetime, datetime]], step: timedelta) -> Iterator[datetime]:
    for start, end in periods:
        while start < end:
            yield start
            start += step
