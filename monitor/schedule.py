"""`monitor schedule`: the run pass and a fast lane, repeated until a signal comes.

Nothing depends on the scheduler's memory: each lane does what is missing by watermark, so a lost tick
costs nothing. One worker thread, so passes of this process never overlap; the run lock of the store
keeps other processes away.
"""

from __future__ import annotations

import logging
import os
import queue
import re
import signal
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from alerts.channels import build as build_channels
from alerts.delivery import deliver
from alerts.message import pass_keeps_failing
from alerts.pipeline import enqueue
from monitor import config as configuration
from monitor import jobs
from monitor.config import Config, ConfigError, Loaded
from monitor.journal import Journal, JournalError
from monitor.store import StoreError, StoreHeld
from monitor.verdicts import store_of

ALERT_AFTER = 3
SIGNALS = (signal.SIGTERM, signal.SIGINT)
Clock = Callable[[], datetime]
Log = Callable[[str], None]


@dataclass
class Lane:
    """A pass that is repeated. `work(now)` does what is missing and returns what to log of it; `alert`
    is told once, with a sentence and since when, that it failed `ALERT_AFTER` times in a row."""

    name: str
    every: timedelta
    work: Callable[[datetime], Iterable[str]]
    alert: Callable[[str, datetime], None]
    failures: int = 0
    broken_since: datetime | None = None


@dataclass
class Terms:
    """What every tick shares: the clock, the log, the heartbeat, and whether it is time to stop."""

    clock: Clock
    log: Log
    beat: Callable[[datetime], None]
    stopping: threading.Event = field(default_factory=threading.Event)


def schedule(
    path: Path, *, every: str, fast: str, clock: Clock, log: Log, environ: Mapping[str, str]
) -> None:
    """Repeat the two passes over the configuration at `path` until SIGTERM or SIGINT. The running pass
    is finished; a second signal ends the process at once, which is as safe as a SIGKILL. `every` and
    `fast` are spans such as 5m and 60s.

    Raises ConfigError when the configuration or the two spans cannot be used.
    """
    loaded = configuration.load(path)
    often, quick = spans(loaded.config, every, fast)
    heard: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in SIGNALS:
        signal.signal(number, lambda got, _frame: _first_signal(heard, got))
    terms = Terms(clock, log, beat=lambda now: _in_journal(loaded, lambda j: j.beat("schedule", now)))
    _say(terms, "schedule", f"fast every {fast}, run every {every}")

    def wait() -> None:
        number = heard.get()
        _say(terms, "schedule", f"{signal.Signals(number).name}: stopping after the pass that is running")

    repeat(lanes(path, loaded, every=often, fast=quick, clock=clock, environ=environ), terms, wait=wait)
    _say(terms, "schedule", "stopped")


def spans(config: Config, every: str, fast: str) -> tuple[timedelta, timedelta]:
    """Both spans. Raises ConfigError: a pass must come at least twice a window, since the gate calls a
    scheduler dead that was silent for two windows; and the fast lane at least as often as the pass."""
    often, quick = _span("--every", every), _span("--fast", fast)
    if not timedelta(seconds=1) <= quick <= often:
        raise ConfigError([f"--fast is {fast}; it must be 1s at least and --every ({every}) at most"])
    if often > config.window / 2:
        minutes = int(config.window / timedelta(minutes=2))
        raise ConfigError([f"--every is {every}; it must be half a window ({minutes}m) at most"])
    return often, quick


def lanes(
    path: Path,
    loaded: Loaded,
    *,
    every: timedelta,
    fast: timedelta,
    clock: Clock,
    environ: Mapping[str, str],
) -> list[Lane]:
    """The fast lane, which comes first, and the run pass. Each reads the configuration again, as a pass
    started by cron would; `loaded` says whom to alert while it cannot be read."""

    def hurry(now: datetime) -> list[str]:
        report = jobs.fast(configuration.load(path), now=now, environ=environ)
        return _told(report) if report.account.rows_in or report.firings or report.done else []

    def measure(now: datetime) -> list[str]:
        report = jobs.run(configuration.load(path), now=now, as_of=now, dry=False, environ=environ)
        counts, *rest = _told(report)
        return [f"{report.windows} windows measured, {counts}", *rest]

    def alert(name: str) -> Callable[[str, datetime], None]:
        return lambda sentence, since: _alert(loaded, name, sentence, since, clock(), environ)

    return [Lane("fast", fast, hurry, alert("fast")), Lane("run", every, measure, alert("run"))]


def tick(lane: Lane, terms: Terms) -> None:
    """One pass of a lane; it never raises. A store held by another run is no failure."""
    if terms.stopping.is_set():
        return
    now = terms.clock()
    try:
        terms.beat(now)
        for line in lane.work(now):
            _say(terms, lane.name, line)
    except StoreHeld as error:
        _say(terms, lane.name, f"left to the next tick: {error}")
    except Exception as error:
        _failed(lane, terms, now, _sentence(error))
    else:
        if lane.failures:
            _say(terms, lane.name, f"works again after {lane.failures} failures in a row")
        lane.failures, lane.broken_since = 0, None


def repeat(lanes: Sequence[Lane], terms: Terms, *, wait: Callable[[], None]) -> None:
    """Tick every lane now and then at its own interval until `wait` returns; the pass that is running
    then is finished, and none is begun."""
    from apscheduler.executors.pool import ThreadPoolExecutor
    from apscheduler.jobstores.memory import MemoryJobStore
    from apscheduler.schedulers.background import BackgroundScheduler
    from apscheduler.triggers.interval import IntervalTrigger

    logging.getLogger("apscheduler").setLevel(logging.CRITICAL)
    scheduler = BackgroundScheduler(
        jobstores={"default": MemoryJobStore()},
        executors={"default": ThreadPoolExecutor(1)},
        job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        timezone=UTC,
    )
    begin = terms.clock()
    for n, lane in enumerate(lanes):
        trigger = IntervalTrigger(seconds=lane.every.total_seconds(), timezone=UTC)
        first = begin + n * timedelta(microseconds=1)
        scheduler.add_job(tick, trigger, args=[lane, terms], id=lane.name, next_run_time=first)
    scheduler.start()
    try:
        wait()
    finally:
        terms.stopping.set()
        scheduler.shutdown(wait=True)


def _span(option: str, given: str) -> timedelta:
    match = re.fullmatch(r"(\d+)([smhd])", given)
    if not match:
        raise ConfigError([f"{option} must be a span such as 60s or 5m, not '{given}'"])
    return timedelta(seconds=int(match[1]) * configuration.UNITS[match[2]])


def _failed(lane: Lane, terms: Terms, now: datetime, sentence: str) -> None:
    lane.failures += 1
    lane.broken_since = lane.broken_since or now
    _say(terms, lane.name, f"failed, {lane.failures} in a row: {sentence}")
    if lane.failures == ALERT_AFTER:
        try:
            lane.alert(sentence, lane.broken_since)
        except Exception as error:
            _say(terms, lane.name, f"nobody could be told of it: {_sentence(error)}")


def _alert(
    loaded: Loaded, name: str, sentence: str, since: datetime, now: datetime, environ: Mapping[str, str]
) -> None:
    told = pass_keeps_failing(name, failures=ALERT_AFTER, error=sentence, since=since, until=now)
    channels = loaded.config.alerts.channels

    def tell(journal: Journal) -> None:
        enqueue(journal, channels, told, f"schedule:{name}:{since.isoformat()}", now)
        deliver(journal, build_channels(channels, environ), now)

    _in_journal(loaded, tell)


def _in_journal(loaded: Loaded, use: Callable[[Journal], Any]) -> None:
    store = store_of(loaded)
    store.create()
    with Journal(store.journal) as journal:
        use(journal)


def _first_signal(heard: queue.SimpleQueue[int], number: int) -> None:
    """Runs between two instructions of the main thread: it may only do what cannot wait for a lock."""
    for one in SIGNALS:
        signal.signal(one, lambda got, _frame: os._exit(128 + got))
    heard.put(number)


def _told(report: jobs.RunReport) -> list[str]:
    """One line of counts, then what was done and what is wrong."""
    account = report.account
    counts = f"{account.rows_in} rows in, {account.rejected} rejected, {len(report.firings)} firings"
    wrong = [f"not read: {problem}" for problem in account.problems]
    wrong += [report.problem] if report.problem else []
    failed = report.delivered.failed if report.delivered else []
    undelivered = [f"alert not delivered to {f.channel}: {f.error}" for f in failed]
    return [counts, *report.done, *report.unmet, *wrong, *undelivered]


def _sentence(error: Exception) -> str:
    if isinstance(error, (ConfigError, StoreError, JournalError)):
        return str(error)
    return f"this should not have happened: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def _say(terms: Terms, name: str, text: str) -> None:
    terms.log(f"{terms.clock():%Y-%m-%dT%H:%M:%SZ} {name}: {text}")
