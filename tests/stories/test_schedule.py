"""`monitor schedule` as a process of its own: it acts within a tick, catches up, and loses nothing when it
is stopped or killed. It reads the real clock, so these logs end now."""

from __future__ import annotations

import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.readings import hour_of, moment
from monitor.store import one_at_a_time
from monitor.verdicts import store_of
from monitor.windows import judged_windows
from tests.stories.building import CONFIG, HOUR, START, Plant, Row, finding, logged, rows

FIRST = hour_of(START)
SOON = 20.0
LOG = {**logged(CONFIG), "lag": "0s"}


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path, log=LOG)


def hours_ago(first: int, last: int = 0) -> range:
    """Whole hours of the story that lie between `first` and `last` hours ago and are over."""
    now = int((datetime.now(UTC) - START) / HOUR)
    return range(now - first, now - last)


def armed(plant: Plant) -> None:
    """A first pass four hours ago, over an hour of healthy decisions: it may act on what comes after."""
    (hour,) = hours_ago(5, 4)
    plant.write(rows([hour], "new", seed=1), "first.jsonl")
    plant.run(START + (hour + 1) * HOUR)


def outside(name: str, **fields: Any) -> Row:
    """A decision of this minute that was executed outside the envelope."""
    (row,) = rows([0], "new", per_hour=1, action_speed=1.7)
    return row | {"decision_id": name, "ts": datetime.now(UTC).isoformat()} | fields


@contextmanager
def scheduled(plant: Plant, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """The real command, killed at the end if it still runs. Its log is `schedule.log`."""
    with (plant.folder / "schedule.log").open("ab") as log:
        process = subprocess.Popen(plant.command("schedule", *options), stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def said(plant: Plant) -> str:
    return (plant.folder / "schedule.log").read_text("utf-8")


def until(true: Callable[[], Any], plant: Plant) -> None:
    deadline = time.monotonic() + SOON
    while not true():
        assert time.monotonic() < deadline, said(plant)
        time.sleep(0.01)


def stop(process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGTERM) -> int:
    process.send_signal(number)
    return process.wait(SOON)


def beats(plant: Plant) -> dict[str, datetime | None]:
    if not store_of(plant.loaded).journal.exists():
        return dict.fromkeys(("schedule", "fast", "run"))
    with plant.journal() as journal:
        return {name: journal.heartbeat(name) for name in ("schedule", "fast", "run")}


def measuring(plant: Plant) -> bool:
    """Whether the fast lane is done and the run pass has begun: its tick beat after that of the lane."""
    at = beats(plant)
    return bool(at["fast"] and at["schedule"] and at["schedule"] > at["fast"])


def once_each(plant: Plant, hours: range) -> list[int]:
    """Event numbers of the runs that judged these hours, checked to be one for each."""
    ledger = {w.start: w for w in judged_windows(plant.events("run"))}
    runs = [ledger[FIRST + hour] for hour in hours]
    assert [(len(w.plain), len(w.matured)) for w in runs] == [(1, 1)] * len(hours)
    return [w.plain[0].seq for w in runs]


def whole(plant: Plant) -> None:
    """Every logged line is one decision, the chain holds, and at most one rollback was made."""
    lines = sum(len(f.read_text("utf-8").splitlines()) for f in (plant.folder / "logs").iterdir())
    assert plant.query("SELECT COUNT(*), COUNT(DISTINCT decision_id) FROM decisions") == [(lines, lines)]
    (summed,) = plant.query("SELECT SUM(n) FROM sums_reward", "sums")
    assert summed == (lines,)
    with plant.journal() as journal:
        assert journal.verify() == []
    keys = [e.key for e in plant.events("firing", "incident", "rollback")]
    assert max(Counter(keys).values(), default=1) == 1
    steps = Counter(e.body["status"] for e in plant.events("rollback"))
    assert steps["done"] <= 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_an_action_outside_the_envelope_moves_the_pointer_within_a_tick_and_measures_nothing(
    plant: Plant, number: signal.Signals
) -> None:
    plant.write(rows(hours_ago(5), "new"))
    with scheduled(plant, "--fast", "1s", "--every", "30m") as process:
        until(lambda: beats(plant)["run"], plant)
        runs, verdicts = len(plant.events("run")), len(plant.events("verdict"))
        begun = time.monotonic()
        plant.write([outside("out-1")])
        until(plant.pointer, plant)
        assert time.monotonic() - begun < 5
        assert stop(process, number) == 0
    pointer = plant.pointer()
    assert pointer is not None and (pointer["policy"], pointer["previous"]) == ("old", "new")
    assert (len(plant.events("run")), len(plant.events("verdict"))) == (runs, verdicts)
    assert plant.query("SELECT COUNT(*) FROM dirty_hours")[0][0] > 0, "left for the next run pass"
    assert "new was rolled back to old" in said(plant) and "stopped" in said(plant)


def test_stopped_for_three_windows_and_started_again_computes_all_three_once_and_in_order(
    plant: Plant,
) -> None:
    before, missed = hours_ago(9, 3), hours_ago(3)
    plant.write(rows(before, "new"))
    plant.run(START + before[-1] * HOUR + HOUR)
    assert [hour - FIRST for hour in (w.start for w in judged_windows(plant.events("run")))] == list(before)
    plant.write(rows(missed, "new", per_hour=60, cost_slow=1.0))
    for _ in range(2):
        with scheduled(plant, "--fast", "1s", "--every", "2s") as process:
            done = len(plant.events("run"))
            until(lambda done=done: len(plant.events("run")) >= done + 2, plant)
            assert stop(process) == 0
    assert set(once_each(plant, before)) != set(once_each(plant, missed))
    assert len(set(once_each(plant, missed))) == 1, "one pass caught up with all of them"
    tripped = [
        e.body["window_start"] for e in plant.events("firing")
        if (e.body["trigger"], e.body["key"]) == ("constraint", "slow")
    ]  # fmt: skip
    assert tripped == [(moment(FIRST + hour)).isoformat(timespec="microseconds") for hour in missed]
    shown = plant.monitor("status", "--windows", "6").stdout.splitlines()
    windows = [line for line in shown if line.startswith("window ")]
    assert len(windows) == 6 and all(line.count("judged once") == 2 for line in windows)
    whole(plant)


def test_a_pass_in_the_middle_ends_cleanly_at_the_first_signal(plant: Plant) -> None:
    armed(plant)
    plant.write([*rows(hours_ago(400, 5), "new", per_hour=10), outside("out-1")])
    with scheduled(plant) as process:
        until(lambda: measuring(plant), plant)
        assert len(plant.events("run")) == 1, "the pass had ended before it could be interrupted"
        assert stop(process) == 0
    assert len(plant.events("run")) == 2
    once_each(plant, hours_ago(5, 1))
    assert [e.body["status"] for e in plant.events("rollback")] == ["intent", "done"]
    whole(plant)


def test_a_second_signal_stops_at_once_and_the_next_start_makes_up_for_it(plant: Plant) -> None:
    plant.write(rows(hours_ago(400), "new", per_hour=10))
    with scheduled(plant) as process:
        until(lambda: measuring(plant), plant)
        process.send_signal(signal.SIGTERM)
        until(lambda: "stopping after the pass" in said(plant), plant)
        assert stop(process) == 128 + signal.SIGTERM
    assert beats(plant)["run"] is None and plant.events("run") == []
    with scheduled(plant) as process:
        until(lambda: beats(plant)["run"], plant)
        assert stop(process) == 0
    once_each(plant, hours_ago(399, 1))
    whole(plant)


def test_killed_again_and_again_in_the_middle_nothing_is_lost_or_done_twice(plant: Plant) -> None:
    armed(plant)
    for part in range(4):
        share = rows(hours_ago(100, 5), "new", per_hour=10)[part::4]
        plant.write([*share, outside(f"out-{part}")], f"part-{part}.jsonl")
    lock = store_of(plant.loaded).folder / "run.lock"
    for delay in (0.0, 0.1, 0.25, 0.5):
        with scheduled(plant, "--fast", "1s", "--every", "2s") as process:
            until(lambda: lock.exists() and lock.read_text() == str(process.pid), plant)
            time.sleep(delay)
            assert process.poll() is None
            assert stop(process, signal.SIGKILL) == -signal.SIGKILL
    with scheduled(plant, "--fast", "1s", "--every", "2s") as process:
        until(lambda: "windows measured" in said(plant), plant)
        assert stop(process) == 0
    once_each(plant, hours_ago(5, 1))
    assert [e.body["status"] for e in plant.events("rollback")].count("done") == 1
    assert len(plant.events("incident")) == 1
    whole(plant)


def test_a_store_held_by_another_run_is_waited_for_without_a_failure(plant: Plant) -> None:
    plant.write(rows(hours_ago(3), "new"))
    store = store_of(plant.loaded)
    store.create()
    with one_at_a_time(store.folder), scheduled(plant, "--fast", "1s", "--every", "1s") as process:
        until(lambda: "run: left to the next tick: another run holds this store" in said(plant), plant)
        assert plant.events("run") == []
        assert stop(process) == 0
    assert "failed" not in said(plant)


def test_spans_that_cannot_work_are_a_usage_error(plant: Plant) -> None:
    refused = plant.monitor("schedule", "--every", "2h")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "--every is 2h; it must be half a window (30m) at most\n"


def test_passes_with_nothing_new_do_not_repeat_the_verdict_in_the_journal(plant: Plant) -> None:
    plant.write(rows(range(5), "new"))
    plant.run(START + 5 * HOUR)
    plant.run(START + 5 * HOUR + timedelta(minutes=5))
    told = len(plant.events("verdict"))
    for minute in range(10, 60, 5):
        assert plant.run(START + 5 * HOUR + timedelta(minutes=minute)).verdict is not None
    assert len(plant.events("verdict")) == told
    plant.write(rows([5], "new"))
    plant.run(START + 6 * HOUR)
    assert len(plant.events("verdict")) == told + 1
    plant.configure(log=LOG, reward={"range": [0, 2], "missing_after_maturity": "exclude"})
    plant.run(START + 6 * HOUR + timedelta(minutes=5))
    assert len(plant.events("verdict")) == told + 2, "another configuration is another verdict"


@pytest.mark.parametrize(("silent_for", "named"), [(119, False), (121, True)], ids=["alive", "dead"])
def test_the_gate_names_a_scheduler_that_was_silent_for_two_windows(
    plant: Plant, silent_for: int, named: bool
) -> None:
    plant.write(rows(range(30), "new"))
    plant.run(START + 30 * HOUR)
    at = START + 33 * HOUR
    with plant.journal() as journal:
        journal.beat("schedule", at - timedelta(minutes=silent_for))
    stale = finding(plant.gate(at, "full"), "data_contract", "newest_decision_age_hours")
    assert (stale.outcome.name, stale.reason) == ("NO_DATA", "stale")
    assert ("`monitor schedule` was last alive at 2026-01-02 06:59 UTC." in stale.message) == named
    assert stale.needs.startswith("`monitor schedule` started again") == named
