"""Judge closed windows in order: which triggers trip, and which trips are confirmed.

Reads readings and the journal's events; decides nothing about what is done then.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import duckdb

from monitor.config import Config
from monitor.incidents import accepted_from, real_windows
from monitor.journal import Event
from monitor.metrics.estimate import Reading
from monitor.metrics.trend import MAX_DAYS
from monitor.readings import HOUR, hour_of, load, moment, outcome_hours, window_hours
from monitor.rules import Rule
from monitor.sums.baseline import Baseline
from monitor.triggers import TRIGGERS, Series, Trigger
from monitor.triggers.context import Context, Healthy
from monitor.triggers.firing import Firing, confirmed
from monitor.triggers.windows import by_day

RECENT = 48
LETTER_WINDOWS = 30
HISTORY = {"24h": timedelta(days=11), "7d": timedelta(days=43)}
DAYS = timedelta(days=MAX_DAYS + 1)
DAY = 24
Place = tuple[str, str]


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
    earliest: int | None = None,
) -> Iterator[Judged]:
    """Trips of all windows begin ≤ start < end, oldest first; `begin` and `end` hold hours for
    triggers that do not (False) and that do (True) wait for rewards to mature. Those that wait for outcomes
    are as many hours behind as outcomes mature later, but never before `earliest`. Daily triggers judge
    the day that a window closes."""
    first, last = min(begin.values()), max(end.values())
    if first >= last:
        return
    on, span = {name: row for name, row in TRIGGERS.items() if name in rules}, window_hours(config)
    behind = {name: outcome_hours(config, name) for name in on}
    ranges = {n: (begin[row.matures] - behind[n], end[row.matures] - behind[n]) for n, row in on.items()}
    on = {name: row for name, row in on.items() if not row.daily or _day_closes(*ranges[name], span)}
    back = -(-max((behind[name] for name in on), default=0) // span) * span
    bench = Bench(connection, config, baseline, rules, events, on, first, last, back=back)
    for start in range(first - back, last, span):
        for name, row in on.items():
            if not ranges[name][0] <= start < ranges[name][1] or (earliest is not None and start < earliest):
                continue
            if row.daily and (start + span) % DAY:
                continue
            at = start + span - DAY if row.daily else start
            for policy, key in bench.subjects(row, at):
                found = bench.judge(name, policy, key, at)
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
    row, first, last = TRIGGERS[trigger], hour_of(period.start), hour_of(period.end)
    bench = Bench(connection, config, baseline, rules, [], {trigger: row}, first, last, history=0)
    policy = "" if row.per == "log" else period.policy
    step = DAY if row.daily else window_hours(config)
    windows = [s for s in range(first, last, step) if (policy, key) in bench.subjects(row, s)]
    tripped = sum(bench.judge(trigger, policy, key, start) is not None for start in windows)
    return tripped, len(windows)


def place(firing: Firing) -> tuple[str, str, str]:
    """(policy, candidate, key) of the readings that a firing is about."""
    per = TRIGGERS[firing.trigger].per
    if per == "log":
        return "", "", ""
    return (firing.policy_id, firing.key, "") if per == "pair" else (firing.policy_id, "", firing.key)


class Shelf:
    """Readings of one length, by metric, policy and key, in the order of their windows; of a metric of
    pairs the key is the candidate."""

    def __init__(self, readings: Iterable[Reading]) -> None:
        self._readings: dict[tuple[str, str, str], list[Reading]] = {}
        for reading in readings:
            at = (reading.metric, reading.policy_id, reading.key or reading.candidate_id)
            self._readings.setdefault(at, []).append(reading)
        self._index()

    def by_day(self) -> Shelf:
        """The same, days in place of windows."""
        return Shelf(day for windows in self._readings.values() for day in by_day(windows))

    def subjects(self, metric: str, start: int) -> list[Place]:
        """(policy, key) of the readings of one window."""
        return self._subjects.get((metric, start), [])

    def up_to(self, metrics: Iterable[str], policy: str, key: str, start: int) -> Series:
        """The readings of windows that begin no later than `start`."""
        return {
            metric: self._readings.get(at, [])[: bisect_right(self._starts.get(at, []), start)]
            for metric in metrics
            for at in [(metric, policy, key)]
        }

    def _index(self) -> None:
        self._starts = {at: [hour_of(r.window_start) for r in rs] for at, rs in self._readings.items()}
        self._subjects: dict[tuple[str, int], list[Place]] = {}
        for (metric, policy, key), starts in self._starts.items():
            for start in starts:
                self._subjects.setdefault((metric, start), []).append((policy, key))


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


class Bench:
    """What windows first ≤ start < last are judged with: readings of them and of `history` before (by
    default as much as the season asks for), the baseline's windows, and the trips so far. Days are read
    from `back` hours earlier on."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        config: Config,
        baseline: Baseline | None,
        rules: Mapping[str, Rule],
        events: Sequence[Event],
        on: Mapping[str, Trigger],
        first: int,
        last: int,
        history: int | None = None,
        back: int = 0,
    ) -> None:
        self._config, self._baseline, self._rules, self._events = config, baseline, rules, events
        self._trips = Trips(events)
        self._contexts: dict[tuple[str, str, str], Context] = {}
        self._accepted: dict[tuple[str, str, str], datetime | None] = {}
        if history is None:
            history = int(max(HISTORY[config.season], LETTER_WINDOWS * config.window) / HOUR)
        days = int(DAYS / HOUR) if history else 0
        self._windows = Shelf(_read(connection, _metrics(_hourly(on)), first - history, last))
        daily = _metrics(on.keys() - _hourly(on))
        self._days = Shelf(_read(connection, daily, first - back - days, last)).by_day()
        self._healthy = Shelf(self._baseline_readings(connection, on))
        self._of_key: dict[str, Healthy] = {}
        self._family: tuple[Any, Mapping[str, tuple[Series, Healthy]]] = (None, {})

    def subjects(self, row: Trigger, start: int) -> list[Place]:
        """(policy, key) that a trigger judges in the window of `start`."""
        found = (self._days if row.daily else self._windows).subjects(row.metrics[0], start)
        return [p for p in found if row.per != "constraint" or p[1] in self._config.soft]

    def judge(self, name: str, policy: str, key: str, start: int) -> Judged | None:
        """One trigger on one window, None where it does not trip."""
        row, rule = TRIGGERS[name], self._rules[name]
        who = policy or self._config.policies.candidate
        at = (name, key, who)
        series = self._series(row, at, policy, start)
        windows = [hour_of(r.window_start) for r in series[row.metrics[0]][-RECENT:]]
        waiting = max(rule.confirm[1], rule.confirm_letter[1]) - 1
        pending = frozenset(moment(w) for w in self._trips.among(at, windows[-1 - waiting : -1]))
        context = replace(
            self._context(at), pending=pending, beside=lambda: self._beside(row, name, policy, start)
        )
        params = row.params(**rule.numbers, **row.facts(context))
        firing = row.function(series, params)
        if firing is None:
            return None
        self._trips.add(at, windows[-1])
        letter = firing.state.get("mode") == "letter" and self._config.window < timedelta(days=1)
        need, of = rule.confirm_letter if letter else rule.confirm
        counted = _judged_windows(row, series, params, windows, of)
        recent = self._trips.among(at, counted)
        return Judged(
            replace(firing, key=key, policy_id=who),
            confirmed([w in recent for w in counted], need, of),
            row.escalates or bool(firing.state.get("escalate_only")),
        )

    def _series(self, row: Trigger, at: tuple[str, str, str], policy: str, start: int) -> Series:
        key = at[1]
        series = (self._days if row.daily else self._windows).up_to(row.metrics, policy, key, start)
        since = self._accepted_from(at)
        if since is None:
            return series
        return {m: [r for r in rs if r.window_start >= since] for m, rs in series.items()}

    def _beside(
        self, row: Trigger, name: str, policy: str, start: int
    ) -> Mapping[str, tuple[Series, Healthy]]:
        """What a trigger reads of each key of a policy in one window; kept, for each key asks for it."""
        asked = (name, policy, start)
        if self._family[0] != asked:
            keys = [key for who, key in self.subjects(row, start) if who == policy]
            places = [(name, key, policy or self._config.policies.candidate) for key in keys]
            series = {at[1]: self._series(row, at, policy, start) for at in places}
            healthy = {at[1]: self._healthy_of(at[1], self._accepted_from(at)) for at in places}
            self._family = asked, {key: (series[key], healthy[key]) for key in keys}
        return self._family[1]

    def _accepted_from(self, at: tuple[str, str, str]) -> datetime | None:
        if at not in self._accepted:
            name, key, who = at
            self._accepted[at] = accepted_from(self._events, who, name, key)
        return self._accepted[at]

    def _context(self, at: tuple[str, str, str]) -> Context:
        if at not in self._contexts:
            self._contexts[at] = self._new_context(*at)
        return self._contexts[at]

    def _new_context(self, name: str, key: str, policy: str) -> Context:
        config, body = self._config, self._baseline.body if self._baseline else {}
        return Context(
            key=key,
            policy_id=policy,
            season=timedelta(days=7 if config.season == "7d" else 1),
            window=config.window,
            limits={k: (config.constraints[k].limit, config.constraints[k].margin) for k in config.soft},
            inflation=body.get("phi", {}),
            measures={k: config.constraints[k].measure for k in config.soft},
            spread=self._baseline.cost_spread if self._baseline else {},
            features=len(config.state.features),
            max_rejects=config.log.max_rejects,
            longest_gap=timedelta(hours=body.get("longest_gap_hours", 0)),
            healthy=self._healthy_of(key, self._accepted_from((name, key, policy))),
            pending=frozenset(),
            excluded=cache(
                lambda: frozenset(_starts(real_windows(self._events, policy, name), config.window))
            ),
        )

    def _healthy_of(self, key: str, accepted: datetime | None) -> Healthy:
        """The baseline's windows; none once a person accepted a change that came after them."""
        period = self._config.baseline
        if period is None or self._baseline is None or (accepted is not None and period.start < accepted):
            return Healthy()
        if key not in self._of_key:
            metrics = _metrics({name: row for name, row in TRIGGERS.items() if row.baseline})
            series = self._healthy.up_to(metrics, period.policy, key, hour_of(period.end))
            self._of_key[key] = Healthy(period.policy, series)
        return self._of_key[key]

    def _baseline_readings(
        self, connection: duckdb.DuckDBPyConnection, on: Mapping[str, Trigger]
    ) -> list[Reading]:
        period = self._config.baseline
        if period is None or self._baseline is None:
            return []
        metrics = _metrics({name: row for name, row in on.items() if row.baseline})
        return _read(connection, metrics, hour_of(period.start), hour_of(period.end), period.policy)


def _day_closes(first: int, last: int, span: int) -> bool:
    """Whether one of the windows first ≤ start < last is the last of a UTC day."""
    return len(range(first + (-first - span) % DAY, last, DAY)) > 0


def _hourly(on: Mapping[str, Trigger]) -> dict[str, Trigger]:
    return {name: row for name, row in on.items() if not row.daily}


def _metrics(names: Iterable[str]) -> list[str]:
    """The metrics that these triggers read."""
    return sorted({metric for name in names for metric in TRIGGERS[name].metrics})


def _read(
    connection: duckdb.DuckDBPyConnection, metrics: Sequence[str], first: int, last: int, policy: str = ""
) -> list[Reading]:
    if not metrics:
        return []
    return load(
        connection,
        "window_start >= ? AND window_start < ? AND metric IN (SELECT unnest(?::VARCHAR[])) "
        "AND (policy_id = ? OR ? = '')",
        [first, last, metrics, policy, policy],
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


def _starts(periods: Iterable[tuple[datetime, datetime]], step: timedelta) -> Iterator[datetime]:
    for start, end in periods:
        while start < end:
            yield start
            start += step
