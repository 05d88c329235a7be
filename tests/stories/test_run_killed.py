"""Killed at any moment, the next run has done everything exactly once, and told it at least once."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import monitor
from tests.stories.building import LAG, Plant, after, rows

FIRST, LAST, PER_HOUR = 7, 12, 130
AT = after(LAST) + LAG
ROOT = str(Path(monitor.__file__).parents[1])
ROWS = PER_HOUR * LAST
BASELINE = {"policy": "new", "from": "2026-01-01", "to": "2026-01-01T08:00"}
DIE = """
import json, os, signal, sys
from importlib import import_module
from datetime import datetime
from pathlib import Path
import alerts.channels.console
from monitor import config, jobs

def dying(function, when):
    def die(*arguments, **named):
        if when == "after":
            function(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)
    return die

def run(path, at, where, name, when):
    owner = import_module(where) if where != "journal" else import_module("monitor.journal").Journal
    setattr(owner, name, dying(getattr(owner, name), when))
    moment = datetime.fromisoformat(at)
    jobs.run(config.load(Path(path)), now=moment, as_of=moment, dry=False, environ={})

for arguments in json.loads(sys.argv[1]):
    child = os.fork()
    if not child:
        run(*arguments)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
POINTS = [
    ("monitor.jobs", "judge_breaches", "before"),
    ("monitor.acting", "opening", "before"),
    ("monitor.acting", "roll_back", "before"),
    ("alerts.rollback", "moved", "before"),
    ("alerts.rollback", "moved", "after"),
    ("monitor.acting", "roll_back", "after"),
    ("monitor.jobs", "mark_judged", "before"),
    ("monitor.jobs", "_note_baseline", "before"),
    ("monitor.measuring", "build", "before"),
    ("monitor.sums.build", "_write", "after"),
    ("monitor.readings", "_write", "before"),
    ("monitor.acting", "watch", "before"),
    ("monitor.acting", "summarise", "after"),
    ("monitor.jobs", "deliver", "before"),
    ("journal", "delivered", "before"),
]


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    """Monitored up to `FIRST`; since then its baseline closed, and the log has a hard violation, garbage
    and old news."""
    plant = Plant(tmp_path_factory.mktemp("before"), state={"numeric": ["load"]}, baseline=BASELINE)
    plant.write(rows(range(FIRST), "new", per_hour=PER_HOUR))
    plant.run(after(FIRST) + LAG)
    new = rows(range(FIRST, LAST), "new", per_hour=PER_HOUR)
    new[-1] |= {"cost_crash": 1.0}
    plant.write(new[:-1])
    plant.write(new[-1:])
    plant.lines(["{broken"])
    plant.write([new[0] | {"decision_id": "old-breach", "ts": after(5).isoformat(), "action_speed": 2.0}])
    return plant


@pytest.fixture
def plant(before: Plant, tmp_path: Path) -> Plant:
    return before.copy(tmp_path)


def all_done_once(plant: Plant, at: datetime = AT + timedelta(minutes=3)) -> None:
    """One clean run later, when what a killed one was sending may be sent again: every count as if nothing
    had happened."""
    plant.run(at)
    decided = plant.query("SELECT COUNT(*), COUNT(DISTINCT decision_id) FROM decisions")
    assert decided == [(ROWS + 1, ROWS + 1)]
    assert plant.query("SELECT COUNT(*), COUNT(judged_at) FROM breaches") == [(2, 2)]
    assert plant.query("SELECT COUNT(*) FROM rejects") == [(1,)]
    assert plant.query("SELECT SUM(n) FROM sums_reward", "sums") == [(ROWS + 1,)]
    assert plant.query("SELECT COUNT(*) FROM pending_hours", "sums") == [(0,)]
    place = 'metric, "key", policy_id, candidate_id, window_start'
    twice = f"SELECT {place} FROM readings GROUP BY {place} HAVING COUNT(*) > 1"
    assert plant.query(twice, "sums") == []
    with plant.journal() as journal:
        assert journal.verify() == [] and journal.undelivered() == []
    assert [e.body["status"] for e in plant.events("rollback")] == ["intent", "done"]
    assert len(plant.events("baseline")) == 1
    (incident,) = plant.events("incident")
    pointer = plant.pointer()
    assert pointer is not None and (pointer["policy"], pointer["incident"]) == ("old", incident.subject)
    confirmed = [(e.body["key"], e.body["did"]) for e in plant.events("firing") if e.body["confirmed"]]
    assert sorted(confirmed) == [("crash", "rolled_back"), ("speed", "historical")]
    told = plant.outbox()
    assert all(r.delivered_at is not None for r in told)
    keys = [r.key for r in told if not r.key.startswith("verdict:")]
    assert sorted(k.partition(":")[2].partition(":")[0] for k in keys) == ["new", "rolled_back"]
    assert plant.run(at).firings == [] and len(plant.outbox()) == len(told)


def test_without_a_crash_it_is_done_once(plant: Plant) -> None:
    all_done_once(plant)


def die(plants: Sequence[Plant], points: Sequence[tuple[str, str, str]]) -> None:
    """One run of each plant, in a process of its own that kills itself before or after a function."""
    told = [
        (str(p.folder / "monitor.yaml"), AT.isoformat(), *point)
        for p, point in zip(plants, points, strict=True)
    ]
    done = subprocess.run(
        [sys.executable, "-c", DIE, json.dumps(told)], env={**os.environ, "PYTHONPATH": ROOT},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["-9"] * len(points), done.stdout + done.stderr


def test_killed_at_a_chosen_moment(before: Plant, tmp_path: Path) -> None:
    plants = [before.copy(tmp_path / str(number)) for number in range(len(POINTS))]
    die(plants, POINTS)
    for plant in plants:
        all_done_once(plant)


def test_killed_between_rollback_and_message_the_next_run_tells_it(plant: Plant) -> None:
    die([plant], [("monitor.acting", "roll_back", "after")])
    pointer = plant.pointer()
    assert pointer is not None and plant.told() == []
    plant.run(AT)
    assert "new was rolled back to old" in plant.told()
    assert plant.pointer() == pointer


def test_killed_at_fifteen_random_moments(before: Plant, tmp_path: Path) -> None:
    interrupted = 0
    for number, wait in enumerate(moments(before, tmp_path)):
        plant = before.copy(tmp_path / str(number))
        child = subprocess.Popen(
            plant.command("run", "--as-of", AT.isoformat(), "--act"),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(wait)
        interrupted += child.poll() is None
        child.kill()
        child.wait()
        all_done_once(plant)
    assert interrupted >= 5


def moments(before: Plant, folder: Path) -> Iterator[float]:
    """Fifteen waits over the time that an undisturbed run takes, start of Python left out."""
    plant = before.copy(folder / "timed")
    began = time.monotonic()
    done = plant.monitor("run", "--as-of", AT.isoformat(), "--act")
    whole = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    rng = random.Random(7)
    return iter([rng.uniform(0.35 * whole, whole) for _ in range(15)])
