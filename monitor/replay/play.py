"""Run the triggers, and the gate once a day, over stored history; nothing is journalled, sent or moved."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import duckdb

from gates.stages import stage_named
from monitor.config import Config, ConfigError, Loaded, did_you_mean
from monitor.incidents import real_windows
from monitor.journal import Event, Journal
from monitor.judge import HISTORY, LETTER_WINDOWS, Judged, judge_windows
from monitor.readings import closed_end, hour_of, matured_after, moment, window_hours
from monitor.replay.copy import planted
from monitor.replay.daily import DAY, Day, days
from monitor.replay.looked import SINGLE_ROW, breaches, single_rows, windows
from monitor.replay.plant import Plant, parse
from monitor.replay.tally import Tally, Trip, a_month, alarms, first_seen, within
from monitor.rules import Rule
from monitor.rules import load as load_rules
from monitor.store import Store, StoreError, opened
from monitor.sums.baseline import Baseline
from monitor.triggers import TRIGGERS
from monitor.triggers.single_row import TRIGGER_OF_RULE
from monitor.verdicts import checklists_of, current_baseline, store_of

Progress = Callable[[str, int, int], None]
PLANTED_DAYS = 14
UNMEASURED = 48
CONFIRMATIONS = ((2, 2), (2, 3), (3, 3), (3, 4))


@dataclass(frozen=True)
class Asked:
    """What to replay: whole hours `start` to `end` (None: all there is), triggers by name (none: all that
    are on), changes to plant, the hour of a change that is known to have happened, a stage to judge."""

    start: int | None = None
    end: int | None = None
    triggers: Sequence[str] = ()
    plants: Sequence[str] = ()
    change: datetime | None = None
    gate: str | None = None


@dataclass(frozen=True)
class Stretch:
    """One replay: of the log as it is (`plant` None), or with a change planted."""

    start: int
    end: int
    span: int
    unchanged: str
    tallies: list[Tally]
    plant: Plant | None = None
    changed_rows: int = 0
    days: tuple[Day, ...] = ()


@dataclass(frozen=True)
class _Terms:
    """What all stretches of one replay share."""

    loaded: Loaded
    store: Store
    journal: Journal
    baseline: Baseline | None
    rules: Mapping[str, Rule]
    events: list[Event]
    asked: Asked
    progress: Progress | None
    copied: bool = False

    @property
    def config(self) -> Config:
        return self.loaded.config

    @property
    def span(self) -> int:
        return window_hours(self.config)

    def wait(self, trigger: str) -> float:
        """Hours from the end of a window until it is judged."""
        return (self.config.log.lag + matured_after(self.config, trigger)) / timedelta(hours=1)


def replay(loaded: Loaded, asked: Asked, *, as_of: datetime, progress: Progress | None) -> list[Stretch]:
    """The log as it is first, then once more for each planted change. Raises ConfigError, StoreError."""
    store, config = store_of(loaded), loaded.config
    plants = [parse(text, config) for text in asked.plants]
    rules = _chosen(load_rules(checklists_of(loaded)), asked.triggers)
    if asked.gate:
        _checked_stage(asked.gate)
    if not store.sums.exists() or not store.journal.exists():
        raise StoreError("nothing was measured yet; run `monitor run` first")
    with Journal(store.journal) as journal:
        baseline = current_baseline(journal, store)
        events = journal.events("firing", "incident", "rollback")
        terms = _Terms(loaded, store, journal, baseline, rules, events, asked, progress)
        with opened(store.sums, read_only=True) as connection:
            start, end = _bounds(connection, terms, as_of)
            found, plain = _stretch(connection, terms, start, end)
        found = replace(found, days=_gate(terms, loaded, start, end, plain))
        return [found, *(_with(terms, plant, end, plain) for plant in plants)]


def _with(terms: _Terms, plant: Plant, end: int, plain: Mapping[str, Sequence[Trip]]) -> Stretch:
    """The stretch from a day before the plant on, in a copy that is thrown away."""
    span, hour = terms.span, hour_of(plant.at) // terms.span * terms.span
    last = end if terms.asked.end else min(end, hour + PLANTED_DAYS * DAY)
    if hour >= last:
        raise ConfigError([f"--plant {plant.text}: {plant.at:%Y-%m-%d %H:%M} is not before the end, "
                           f"{moment(last):%Y-%m-%d %H:%M} UTC"])
    history = max(HISTORY[terms.config.season], LETTER_WINDOWS * terms.config.window)
    start = hour - max(DAY, 4 * span)
    first = 0 if terms.asked.gate else start - int(history / timedelta(hours=1)) - span
    hours = {"history": first, "first": hour, "end": last}
    with tempfile.TemporaryDirectory(prefix="monitor-replay-") as folder:
        copy, changed = planted(
            terms.loaded, terms.store, Path(folder), terms.baseline, plant, hours, terms.progress
        )
        own = replace(terms, store=copy, copied=True, asked=replace(terms.asked, change=plant.at))
        with opened(copy.sums, read_only=True) as connection:
            found, trips = _stretch(connection, own, start, last, plain)
        there = terms.loaded.model_copy(
            update={"config": terms.config.model_copy(update={"store": str(Path(folder).resolve())})}
        )
        judged = _gate(terms, there, hour, last, trips)
    return replace(found, plant=plant, changed_rows=changed, days=judged)


def _gate(
    terms: _Terms, loaded: Loaded, start: int, end: int, trips: Mapping[str, Sequence[Trip]]
) -> tuple[Day, ...]:
    if terms.asked.gate is None:
        return ()
    stage = stage_named(terms.asked.gate)
    return tuple(days(terms.journal, loaded, stage, start, end, trips, terms.progress))


def _stretch(
    connection: duckdb.DuckDBPyConnection,
    terms: _Terms,
    start: int,
    end: int,
    without: Mapping[str, Sequence[Trip]] | None = None,
) -> tuple[Stretch, dict[str, list[Trip]]]:
    """Tallies of all triggers over start ≤ window < end, and every trip as configured. `without`: the
    trips of the same windows without the change that is looked for."""
    span, config, change = terms.span, terms.config, terms.asked.change
    trips = _judged(connection, terms, terms.rules, start, end, "judging")
    letter = _judged(connection, terms, _by_letter(terms.rules), start, end, "judging by the letter")
    if set(TRIGGER_OF_RULE.values()) & set(terms.rules):
        rows = _single_rows(connection, terms, start, end)
        trips, letter = trips | {SINGLE_ROW: rows}, letter | {SINGLE_ROW: rows}
    quiet, said = _quiet(terms, start, end)
    seen = {name: {(t.policy, t.key, t.start) for t in (without or {}).get(name, ())} for name in trips}
    tallies = []
    for name, found in trips.items():
        looked = [w for w in windows(connection, name, config, start, end) if quiet(w, span)]
        false = [t for t in found if quiet(t.start, max(span, t.hours))]
        wrong = [t for t in false if t.confirmed]
        wrong_letter = [t for t in letter[name] if quiet(t.start, max(span, t.hours))]
        tally = Tally(
            name, len(looked), len({t.start for t in false}), alarms(false, span), alarms(wrong, span),
            a_month(alarms(wrong, span), len(looked), span),
            alarms(wrong_letter, span), a_month(alarms(wrong_letter, span), len(looked), span),
        )
        if change is not None:
            at, wait = change.timestamp() / 3600, terms.wait(name)
            confirmed = [t for t in found if t.confirmed]
            tally = replace(
                tally,
                first_trip=first_seen(found, at, span, wait, seen[name]),
                first_confirmed=first_seen(confirmed, at, span, wait, seen[name]),
            )
        tallies.append(replace(tally, advice=_advice(connection, terms, tally, start, end, quiet)))
    return Stretch(start, end, span, said, tallies), trips


def _single_rows(
    connection: duckdb.DuckDBPyConnection, terms: _Terms, start: int, end: int
) -> list[Trip]:
    """Of the log as it is the rows that ingest found; of a planted change the windows with such rows."""
    if terms.copied:
        return single_rows(connection, terms.config, start, end) if "constraint" in terms.rules else []
    last = terms.asked.end or end + UNMEASURED
    return breaches(store_of(terms.loaded).decisions, terms.config, terms.rules, start, last)


def _judged(
    connection: duckdb.DuckDBPyConnection,
    terms: _Terms,
    rules: Mapping[str, Rule],
    start: int,
    end: int,
    what: str,
) -> dict[str, list[Trip]]:
    """Trips by trigger, from an empty journal."""
    if terms.progress:
        terms.progress(what, 0, 0)
    begin, last = dict.fromkeys((False, True), start), dict.fromkeys((False, True), end)
    found = judge_windows(connection, terms.config, terms.baseline, rules, [], begin, last, start)
    trips: dict[str, list[Trip]] = {name: [] for name in rules if name in TRIGGERS}
    for judged in found:
        trips.setdefault(judged.firing.trigger, []).append(_trip(judged))
    return trips


def _trip(judged: Judged) -> Trip:
    firing = judged.firing
    start = hour_of(firing.window_start)
    acts, hours = not judged.escalate_only, hour_of(firing.window_end) - start
    return Trip(firing.policy_id, firing.key, start, judged.confirmed, acts, hours=hours)


def _by_letter(rules: Mapping[str, Rule]) -> dict[str, Rule]:
    """The rules as they are written down, acted on at the first window: no season, no confirmation."""
    return {
        name: replace(
            rule,
            numbers={**rule.numbers, "mode": "letter"} if "mode" in rule.numbers else rule.numbers,
            confirm=(1, 1),
            confirm_letter=(1, 1),
        )
        for name, rule in rules.items()
    }


def _advice(
    connection: duckdb.DuckDBPyConnection,
    terms: _Terms,
    tally: Tally,
    start: int,
    end: int,
    quiet: Callable[[int, int], bool],
) -> list[str]:
    """What the configured confirmation saves, and what a stricter one would have saved."""
    name, span = tally.trigger, terms.span
    if name not in terms.rules or name not in TRIGGERS:
        return []
    need, of = terms.rules[name].confirm
    said = []
    if tally.tripped_alarms > tally.alarms:
        saved = tally.tripped_alarms - tally.alarms
        said.append(f"{name}: confirm {need} of {of} saved {saved} of {tally.tripped_alarms} alarms")
    if not tally.alarms:
        return said
    for stricter in CONFIRMATIONS:
        if stricter <= (need, of):
            continue
        rule = {name: replace(terms.rules[name], confirm=stricter, confirm_letter=stricter)}
        trips = _judged(connection, terms, rule, start, end, f"trying confirm {stricter[0]} of {stricter[1]}")
        left = alarms([t for t in trips[name] if t.confirmed and quiet(t.start, max(span, t.hours))], span)
        if left < tally.alarms:
            saved = tally.alarms - left
            confirm = f"confirm {stricter[0]} of {stricter[1]}"
            said.append(f"{name}: {confirm} would have saved {saved} of {tally.alarms} alarms")
    return said


def _quiet(terms: _Terms, start: int, end: int) -> tuple[Callable[[int, int], bool], str]:
    """Which windows (start, hours) count as unchanged, and how that is known."""
    change = terms.asked.change
    if change is not None:
        at = change.timestamp() / 3600
        return lambda w, hours: w + hours <= at, f"unchanged before {change:%Y-%m-%d %H:%M} UTC, as declared"
    policies = {i.body.get("policy", "") for i in terms.events if i.kind == "incident"}
    real = [period for policy in policies for period in real_windows(terms.events, policy)]
    left_out = f", but for {len(real)} incidents acknowledged as real" if real else ""
    return lambda w, hours: not within(w, hours, real), f"assumed to be unchanged{left_out}"


def _bounds(connection: duckdb.DuckDBPyConnection, terms: _Terms, as_of: datetime) -> tuple[int, int]:
    """First and last hour: what was asked for, within what is measured; from the end of the baseline on."""
    span, asked, period = terms.span, terms.asked, terms.config.baseline
    ((first, last),) = connection.execute(
        "SELECT MIN(window_start), MAX(window_end) FROM readings"
    ).fetchall()
    if first is None:
        raise StoreError("nothing was measured yet; run `monitor run` first")
    start = asked.start
    if start is None:
        start = max(first, hour_of(period.end)) if period and hour_of(period.end) < last else first
    start = max(int(first), -(-int(start) // span) * span)
    end = min(int(last), closed_end(terms.config, as_of, matured=False), asked.end or int(last))
    if start >= end:
        raise ConfigError(
            [f"there is no window to replay: {moment(int(first)):%Y-%m-%d %H:%M} to "
             f"{moment(int(last)):%Y-%m-%d %H:%M} UTC is measured"]
        )
    return start, end


def _chosen(rules: Mapping[str, Rule], names: Sequence[str]) -> dict[str, Rule]:
    for name in names:
        if name not in rules:
            hint = did_you_mean(name, rules)
            raise ConfigError([f"--trigger {name} is not on{hint}; on are {', '.join(rules)}"])
    return {name: rule for name, rule in rules.items() if not names or name in names}


def _checked_stage(name: str) -> None:
    try:
        stage_named(name)
    except ValueError as error:
        raise ConfigError([f"--gate: {error}"]) from None
