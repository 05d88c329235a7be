"""Lanes under a scheduler, with clocks and passes that are made up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import pytest

from alerts.message import pass_keeps_failing
from monitor.config import Config, ConfigError
from monitor.journal import Event
from monitor.schedule import ALERT_AFTER, Lane, Terms, repeat, spans, tick
from monitor.store import StoreError, StoreHeld
from monitor.windows import judged_windows, stretch

T = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Ticking:
    """A lane whose work is given pass by pass, and everything that is heard of it."""

    def __init__(self, *work: Exception | str) -> None:
        self.work = list(work)
        self.now = T - MINUTE
        self.said: list[str] = []
        self.beats: list[datetime] = []
        self.alerts: list[tuple[str, datetime]] = []
        self.lane = Lane("run", MINUTE, self._next, lambda *told: self.alerts.append(told))
        self.terms = Terms(lambda: self.now, self.said.append, self.beats.append)

    def tick(self, times: int = 1) -> Ticking:
        for _ in range(times):
            self.now += MINUTE
            tick(self.lane, self.terms)
        return self

    def _next(self, now: datetime) -> Iterable[str]:
        found = self.work.pop(0)
        if isinstance(found, Exception):
            raise found
        return [found] if found else []


def test_a_tick_logs_what_the_pass_did_with_the_time_and_the_lane() -> None:
    assert Ticking("2 windows measured").tick().said == ["2026-01-01T12:00:00Z run: 2 windows measured"]


def test_a_pass_that_raises_is_one_sentence_and_the_next_tick_tries_again() -> None:
    ticking = Ticking(ConfigError(["monitor.yaml: bad"]), ValueError("one\ntwo"), "works").tick(3)
    assert ticking.said == [
        "2026-01-01T12:00:00Z run: failed, 1 in a row: monitor.yaml: bad",
        "2026-01-01T12:01:00Z run: failed, 2 in a row: this should not have happened: ValueError: one",
        "2026-01-01T12:02:00Z run: works",
        "2026-01-01T12:02:00Z run: works again after 2 failures in a row",
    ]
    assert ticking.alerts == []


def test_the_third_failure_in_a_row_alerts_once_with_its_beginning() -> None:
    ticking = Ticking(*[StoreError(f"no {n}") for n in range(6)]).tick(6)
    assert ALERT_AFTER == 3 and ticking.alerts == [("no 2", T)]


def test_after_a_pass_that_works_three_more_failures_alert_again() -> None:
    bad = [StoreError("no")] * 3
    ticking = Ticking(*bad, "fine", *bad[:2], "fine", *bad).tick(10)
    assert [since for _, since in ticking.alerts] == [T, T + 7 * MINUTE]


def test_a_store_held_by_another_run_is_no_failure_and_ends_none() -> None:
    held = StoreHeld("another run holds this store (process 7)")
    ticking = Ticking(held, held, held, StoreError("no"), StoreError("no"), held, StoreError("no")).tick(7)
    assert len(ticking.alerts) == 1
    assert ticking.said[0].endswith("run: left to the next tick: another run holds this store (process 7)")


def test_an_alert_that_cannot_be_given_is_said_and_stops_nothing() -> None:
    ticking = Ticking(*[StoreError("no")] * 3, "fine")

    def refuse(sentence: str, since: datetime) -> None:
        raise RuntimeError("channel broke")

    ticking.lane.alert = refuse
    ticking.tick(4)
    assert any("nobody could be told of it" in line and "channel broke" in line for line in ticking.said)
    assert ticking.said[-1].endswith("works again after 3 failures in a row")


def test_every_tick_beats_also_one_that_fails_or_finds_the_store_held() -> None:
    ticking = Ticking(StoreHeld("held"), StoreError("no"), "").tick(3)
    assert ticking.beats == [T, T + MINUTE, T + 2 * MINUTE]


def test_a_heartbeat_that_cannot_be_written_is_a_failed_pass() -> None:
    ticking = Ticking("never reached")

    def refuse(now: datetime) -> None:
        raise StoreError("journal.db: disk full")

    ticking.terms.beat = refuse
    assert ticking.tick().said == ["2026-01-01T12:00:00Z run: failed, 1 in a row: journal.db: disk full"]


def test_no_pass_begins_once_it_is_time_to_stop() -> None:
    ticking = Ticking("never reached")
    ticking.terms.stopping.set()
    assert ticking.tick().said == [] and ticking.beats == []


def lanes_of(work: Callable[[str], None], *names: str, every: float = 0.05) -> list[Lane]:
    def lane(name: str) -> Lane:
        return Lane(name, timedelta(seconds=every), lambda now: work(name) or [], lambda *_: None)

    return [lane(name) for name in names]


def terms() -> Terms:
    return Terms(lambda: datetime.now(UTC), lambda line: None, lambda now: None)


def test_passes_never_overlap_and_none_is_dropped_for_being_late() -> None:
    running, most, order = [0], [0], []

    def work(name: str) -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        order.append(name)
        time.sleep(0.12)
        running[0] -= 1

    repeat(lanes_of(work, "fast", "run", "third"), terms(), wait=lambda: time.sleep(0.8))
    assert most == [1]
    assert order[:3] == ["fast", "run", "third"], "each lane ran although it was due before it could"
    assert all(order.count(name) >= 2 for name in ("fast", "run", "third"))


def test_stopping_finishes_the_running_pass_and_begins_no_other() -> None:
    begun, ended = threading.Event(), []

    def work(name: str) -> None:
        begun.set()
        time.sleep(0.3)
        ended.append(name)

    repeat(lanes_of(work, "fast", "run"), terms(), wait=lambda: begun.wait(5) or None)
    assert ended == ["fast"]


def config(window: str) -> Config:
    source = {"paths": ["*.jsonl"], "format": "jsonl"}
    return Config.model_validate(
        {
            "policies": {"candidate": "new", "incumbent": "old", "safe": "old"},
            "log": {"sources": [source]}, "window": window,
            "reward": {"range": [0, 1], "missing_after_maturity": "exclude"},
        }
    )  # fmt: skip


def test_the_spans_are_read() -> None:
    assert spans(config("1h"), "5m", "60s") == (5 * MINUTE, MINUTE)
    assert spans(config("24h"), "12h", "1s") == (timedelta(hours=12), timedelta(seconds=1))


@pytest.mark.parametrize(
    ("every", "fast", "says"),
    [
        ("5", "60s", "--every must be a span such as 60s or 5m, not '5'"),
        ("5m", "often", "--fast must be a span such as 60s or 5m, not 'often'"),
        ("5m", "6m", "--fast is 6m; it must be 1s at least and --every (5m) at most"),
        ("5m", "0s", "--fast is 0s; it must be 1s at least"),
        ("31m", "60s", "--every is 31m; it must be half a window (30m) at most"),
    ],
)
def test_spans_that_cannot_work_are_refused(every: str, fast: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        spans(config("1h"), every, fast)
    assert says in str(refused.value)


def run_event(seq: int, **stretches: dict[str, int] | None) -> Event:
    return Event(seq, T, "run", "run", None, {"stretches": stretches}, "")


def test_the_ledger_names_every_window_once_with_the_run_that_judged_it() -> None:
    runs = [
        run_event(1, plain=stretch(10, 13, 1), matured=stretch(10, 11, 1)),
        run_event(2, plain=None, matured=None),
        run_event(3, plain=stretch(13, 16, 1), matured=stretch(11, 14, 1)),
    ]
    ledger = judged_windows(runs)
    assert [(w.start, w.end) for w in ledger] == [(h, h + 1) for h in range(10, 16)]
    assert [[e.seq for e in w.plain] for w in ledger] == [[1]] * 3 + [[3]] * 3
    assert [[e.seq for e in w.matured] for w in ledger] == [[1], [3], [3], [3], [], []]


def test_the_ledger_shows_a_window_that_was_judged_twice_and_passes_over_older_events() -> None:
    old = Event(1, T, "run", "run", None, {"judged": {"plain": 3}}, "")
    (window,) = judged_windows([old, *(run_event(n, plain=stretch(24, 48, 24)) for n in (2, 3))])
    assert (window.start, window.end, [e.seq for e in window.plain]) == (24, 48, [2, 3])


def test_a_stretch_is_its_first_and_last_window_and_how_many() -> None:
    assert stretch(48, 120, 24) == {"first": 48, "last": 96, "count": 3, "hours": 24}
    assert stretch(48, 48, 24) is None


def test_the_message_on_a_failing_pass_names_the_pass_the_cause_and_the_next_step() -> None:
    told = pass_keeps_failing("fast", failures=3, error="disk full", since=T, until=T + 2 * MINUTE)
    assert told.severity == "page" and "fast pass failed 3 times in a row" in told.title
    assert "disk full" in told.what_happened and told.what_to_do and "monitor run" in told.commands
