"""The button, the drills and what services report: real commands, real kills, no DuckDB in the way."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from gates.stages import dropped
from monitor import jobs
from monitor.store import one_at_a_time
from tests.stories.building import LAG, Plant, after, did, finding, rows

SAID = ("--by", "Ann", "--reason", "smoke")


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """A candidate that decides, monitored for ten hours."""
    plant = Plant(tmp_path)
    plant.write(rows(range(10), "new"))
    plant.run(after(10) + LAG)
    return plant


def pressed(plant: Plant, *more: str, code: int = 0) -> str:
    done = plant.monitor("override", *SAID, *more)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def statuses(plant: Plant, kind: str) -> list[Any]:
    return [e.body.get("status") for e in plant.events(kind)]


def test_the_button_puts_the_safe_policy_in_control_and_says_who_pressed_it(plant: Plant) -> None:
    printed = pressed(plant)
    pointer = plant.pointer()
    assert pointer is not None and (pointer["policy"], pointer["previous"]) == ("old", "new")
    assert "old was put in control in place of new" in printed and "read back" in printed
    intent, done = plant.events("override")
    assert (intent.body["status"], done.body["status"]) == ("intent", "done")
    assert (done.body["by"], done.body["reason"], done.body["safe"]) == ("Ann", "smoke", "old")
    assert plant.told()[-1] == "Ann put old in control in place of new"
    assert "overridden" in plant.monitor("status").stdout
    refused = plant.monitor("promote", "--to", "limited", *SAID)
    assert refused.returncode == 3 and "it was overridden on" in refused.stderr


def test_it_waits_neither_for_the_run_lock_nor_for_duckdb_and_does_not_load_it(plant: Plant) -> None:
    store = plant.folder / "var/monitor"
    held = [duckdb.connect(str(store / f"{name}.duckdb")) for name in ("decisions", "sums")]
    with one_at_a_time(store):
        begin = time.monotonic()
        pressed(plant)
        assert time.monotonic() - begin < 5
    for connection in held:
        connection.close()
    code = (
        "import sys; sys.argv = ['monitor', 'override', '--by', 'a', '--reason', 'b', '-c', "
        f"{str(plant.folder / 'monitor.yaml')!r}]\nfrom monitor.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    print(end.code, 'duckdb' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("0 False\n")


def test_it_works_while_the_journal_is_locked_and_says_what_is_missing(plant: Plant) -> None:
    with plant.journal() as journal, journal.transaction():
        printed = pressed(plant)
    assert (plant.pointer() or {})["policy"] == "old"
    assert "the journal does not hold this" in printed and plant.events("override") == []
    assert "IS NOT FINISHED" in plant.monitor("status").stdout
    jobs.fast(plant.loaded, now=after(10, 40), environ={})
    assert statuses(plant, "override") == ["intent", "done"]
    assert plant.events("override")[1].body["by"] == "Ann"
    assert plant.told()[-1] == "Ann put old in control in place of new"
    assert "IS NOT FINISHED" not in plant.monitor("status").stdout
    jobs.fast(plant.loaded, now=after(10, 41), environ={})
    assert len(plant.events("override")) == 2


def test_what_was_left_in_a_file_and_is_no_press_is_put_aside(plant: Plant) -> None:
    store = plant.folder / "var/monitor"
    (store / "override-20260101T000000.json").write_text('{"button": 3}')
    jobs.fast(plant.loaded, now=after(10, 40), environ={})
    assert plant.events("override") == [] and plant.pointer() is None
    assert [p.name for p in store.glob("override-*")] == ["override-20260101T000000.json.rejected"]


SLOW = """import json, pathlib, sys, time
pointer = json.loads(sys.stdin.read())
place = pathlib.Path("var/serving.json")
place.parent.mkdir(exist_ok=True)
place.write_text(json.dumps(pointer))
with open("var/moves", "a") as moves:
    moves.write("moved\\n")
time.sleep(float(pathlib.Path("var/slow").read_text()))
"""


@pytest.mark.parametrize("since", ["nothing", "a second press", "a promotion"])
def test_a_button_killed_after_the_pointer_moved_is_finished_by_the_next_pass(
    plant: Plant, since: str
) -> None:
    (plant.folder / "slow.py").write_text(SLOW)
    (plant.folder / "var/slow").write_text("2")
    show = "import pathlib; print(pathlib.Path('var/serving.json').read_text())"
    plant.configure(
        rollback={
            "kind": "command", "command": [sys.executable, "slow.py"], "read": [sys.executable, "-c", show],
        }
    )  # fmt: skip
    quiet = subprocess.DEVNULL
    command = plant.command("override", *SAID)
    process = subprocess.Popen(command, cwd=plant.folder, stdout=quiet, stderr=quiet)
    deadline = time.monotonic() + 30
    while not (plant.folder / "var/moves").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.wait(30)
    (plant.folder / "var/slow").write_text("0")
    assert statuses(plant, "override") == ["intent"] and plant.told() == []
    assert "IS NOT FINISHED" in plant.monitor("status").stdout
    later = plant.events("override")[0].at + timedelta(minutes=1)
    if since == "a second press":
        pressed(plant)
    elif since == "a promotion":
        with plant.journal() as journal:
            journal.append("promote", "new", {"stage": "limited_deployment"}, at=later)
    told = jobs.fast(plant.loaded, now=later + timedelta(minutes=1), environ={}).done
    moves = (plant.folder / "var/moves").read_text().split()
    assert "was cut short" in told[0]
    if since == "nothing":
        assert statuses(plant, "override") == ["intent", "done"] and moves == ["moved"]
        assert plant.told() == ["Ann put old in control in place of new"]
        assert dropped(plant.events("override"), "new", after(10_000_000)) is not None
    elif since == "a second press":
        assert statuses(plant, "override") == ["intent", "intent", "done", "superseded"]
        assert len(moves) == 2
    else:
        assert statuses(plant, "override") == ["intent", "superseded"] and moves == ["moved"]
    assert jobs.fast(plant.loaded, now=later + timedelta(minutes=2), environ={}).done == []


def test_the_button_takes_less_than_a_second_beside_a_processor_that_is_busy(plant: Plant) -> None:
    busy = [sys.executable, "-c", "import os\nos.nice(19)\nwhile True: pass"]
    others = [subprocess.Popen(busy) for _ in range(4)]
    try:
        pressed(plant)
    finally:
        for other in others:
            other.kill()
            other.wait()
    done = plant.events("override")[-1]
    assert done.body["seconds"] < 1


def test_it_works_while_other_parts_of_monitor_yaml_are_wrong(plant: Plant) -> None:
    path = plant.folder / "monitor.yaml"
    body = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**body, "window": "7 bananas", "nonsense": 1}), "utf-8")
    printed = pressed(plant)
    assert "nonsense" in printed and "(not needed now)" in printed
    assert (plant.pointer() or {})["policy"] == "old"
    path.write_text(json.dumps({**body, "policies": {}}), "utf-8")
    assert "policies.candidate" in pressed(plant, code=2)


def test_a_button_that_does_not_take_says_so_pages_and_counts_for_nothing(plant: Plant) -> None:
    plant.configure(rollback={"kind": "command", "command": ["false"], "read": ["true"]})
    printed = pressed(plant, code=4)
    assert "old is NOT in control" in printed and "exit code 1" in printed
    assert statuses(plant, "override") == ["intent", "failed"]
    assert "Nothing moved" not in str(plant.outbox()[-1].message)
    assert "cannot be read back" in plant.outbox()[-1].message["what_was_done"]
    assert dropped(plant.events("override"), "new", after(10_000)) is None
    assert plant.outbox()[-1].message["severity"] == "page"


def test_a_run_after_the_button_moves_nothing_back_and_tells_who_still_decides(plant: Plant) -> None:
    from monitor.button import Hand, override

    override(plant.loaded.config.reach, plant.folder, Hand("Ann", "smoke", after(10, 30), {}))
    plant.write(rows([11], "new"))
    plant.run(after(12) + LAG)
    assert (plant.pointer() or {})["policy"] == "old"
    assert "Rollback did not take: new still decides" in plant.told()


def test_a_drill_is_real_takes_the_policy_back_and_is_no_drop(plant: Plant) -> None:
    before = plant.pointer()
    printed = pressed(plant, "--drill")
    assert before is None and "drill of the override: old was put in control" in printed
    pointer = plant.pointer()
    assert pointer is not None and pointer["policy"] == "old"  # the incumbent's, in no live stage
    done = plant.monitor("rollback", "--drill", *SAID)
    assert done.returncode == 0, done.stderr
    drills = [e for e in plant.events("drill") if "drill" in e.body]
    assert [e.body["drill"] for e in drills] == ["override", "rollback"]
    assert dropped(plant.events("override", "rollback"), "new", after(10_000)) is None
    assert plant.events("incident") == []
    assert drills[1].subject == "new" and drills[1].body["pointer_read_back"] is True
    assert 0 <= drills[1].body["seconds"] < 5
    assert plant.monitor("rollback", *SAID).returncode == 2


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_drill_that_is_stopped_puts_back_what_stood_before(plant: Plant, how: signal.Signals) -> None:
    pointer = plant.folder / "var/active_policy.json"
    pointer.write_text(json.dumps({"schema": 1, "policy": "new", "incident": "", "at": "", "stage": ""}))
    command = plant.command("override", "--drill", "--hold", "60", *SAID)
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=plant.folder, stdout=quiet, stderr=quiet)
    deadline = time.monotonic() + 30
    while (plant.pointer() or {})["policy"] != "old":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(how)
    process.wait(30)
    if how == signal.SIGKILL:
        assert (plant.pointer() or {})["policy"] == "old"
        assert "WAS CUT SHORT" in plant.monitor("status").stdout
        jobs.fast(plant.loaded, now=after(10, 40), environ={})
        assert "WAS CUT SHORT" not in plant.monitor("status").stdout
    else:
        assert plant.told() == ["Drill of the override: failed"]
        assert "stopped before it was over" in plant.outbox()[-1].message["what_happened"]
        assert [e for e in plant.events("drill") if "drill" in e.body] == []
    assert (plant.pointer() or {})["policy"] == "new"


def test_a_drill_does_not_put_a_policy_back_that_was_rolled_back_meanwhile(plant: Plant) -> None:
    from monitor.button import Hand
    from monitor.drills import drill

    def meanwhile(_: float) -> None:
        plant.write(rows([10], "new", per_hour=1, cost_crash=1.0, ts=after(10, 15).isoformat()))
        jobs.fast(plant.loaded, now=after(10, 16), environ={})

    pointer = plant.folder / "var/active_policy.json"
    pointer.write_text(json.dumps({"schema": 1, "policy": "new", "incident": "", "at": "", "stage": ""}))
    hand = Hand("Ann", "d", after(10, 15), {})
    drill(plant.loaded.config.reach, plant.folder, hand, "override", 120, meanwhile)
    found = plant.pointer()
    assert found is not None and found["policy"] == "old" and found["incident"].startswith("new-constraint")


def test_a_pass_in_between_does_not_end_a_drill_that_still_runs(plant: Plant) -> None:
    from monitor.button import Hand
    from monitor.drills import drill

    seen = []

    def meanwhile(_: float) -> None:
        jobs.fast(plant.loaded, now=after(10, 16), environ={})
        seen.append((plant.pointer() or {})["policy"])

    pointer = plant.folder / "var/active_policy.json"
    pointer.write_text(json.dumps({"schema": 1, "policy": "new", "incident": "", "at": "", "stage": ""}))
    hand = Hand("Ann", "d", after(10, 15), {})
    drill(plant.loaded.config.reach, plant.folder, hand, "override", 300, meanwhile)
    assert seen == ["old"] and (plant.pointer() or {})["policy"] == "new"


def test_drills_open_the_items_that_ask_for_them(plant: Plant) -> None:
    plant.write(rows([10], "old"))
    plant.run(after(11) + LAG)
    verdict = plant.gate(after(11, 20), "limited")
    assert finding(verdict, "override_ready").reason == "drill_missing"
    from monitor.button import Hand
    from monitor.drills import drill

    reach, folder = plant.loaded.config.reach, plant.folder
    drill(reach, folder, Hand("Ann", "d", after(11, 21), {}), "override", 0)
    plant.write(rows(range(11, 14), "old") + rows(range(11, 14), "new"))
    plant.run(after(14) + LAG)
    verdict = plant.gate(after(14, 20), "limited")
    assert finding(verdict, "override_ready").outcome.name == "PASS"


def report(plant: Plant, *more: str) -> subprocess.CompletedProcess[str]:
    return plant.monitor("report-irreversible", "--decision", "new-10-0", *SAID, *more)


def test_an_irreversible_action_that_is_reported_rolls_back_before_any_log_holds_it(plant: Plant) -> None:
    store = plant.folder / "var/monitor"
    held = duckdb.connect(str(store / "decisions.duckdb"))
    with one_at_a_time(store):
        done = report(plant)
    held.close()
    assert done.returncode == 0 and "rolled back" in done.stdout, done.stderr
    assert (plant.pointer() or {})["policy"] == "old"
    (incident,) = plant.events("incident")
    assert incident.body["trigger"] == "irreversible" and "reported by Ann: smoke" in incident.body["message"]
    assert "was reported before" in report(plant).stdout


def test_the_log_that_brings_a_reported_action_later_says_nothing_new(plant: Plant) -> None:
    report(plant)
    plant.write(rows([10], "new", per_hour=1, irreversible=True))
    plant.run(after(11) + LAG)
    assert len(plant.events("incident")) == 1 and len(did(plant.events("firing"))) == 1


def test_a_level_that_only_observes_moves_nothing_for_a_report(plant: Plant) -> None:
    plant.configure(acting="observe")
    done = report(plant)
    assert done.returncode == 0 and "observed" in done.stdout
    assert plant.pointer() is None


def test_reports_of_services_are_taken_once_each_and_bad_ones_keep_their_reason(plant: Plant) -> None:
    plant.configure(reports="reports")
    folder = plant.folder / "reports"
    folder.mkdir()
    (folder / "a.json").write_text(json.dumps({"decision_id": "d1", "reason": "valve", "policy": "new"}))
    (folder / "b.json").write_text("{broken")
    (folder / "c.json").write_text(json.dumps({"decision_id": "d3", "reason": "x", "colour": "red"}))
    (folder / "d.json").symlink_to("/etc/hostname")
    (folder / "e.tmp").write_text("still being written")
    assert "4 reports of irreversible actions wait" in plant.monitor("status").stdout
    jobs.fast(plant.loaded, now=after(10, 20), environ={})
    assert did(plant.events("firing")) == ["rolled_back"]
    assert sorted(p.name for p in folder.iterdir()) == ["done", "e.tmp", "rejected"]
    reasons = {p.name: p.read_text() for p in (folder / "rejected").glob("*.reason")}
    assert "is not JSON" in reasons["b.json.reason"] and "'colour' is not known" in reasons["c.json.reason"]
    assert "not a plain file" in reasons["d.json.reason"]
    assert "3 reports were not understood" in plant.monitor("status").stdout
    (folder / "done/a.json").rename(folder / "a.json")  # as after a kill before it was moved
    jobs.fast(plant.loaded, now=after(10, 21), environ={})
    assert did(plant.events("firing")) == ["rolled_back"] and len(plant.events("incident")) == 1
    (folder / "a.json").write_text(json.dumps({"decision_id": "d9", "reason": "pump", "policy": "new"}))
    (folder / "b.json").write_text("[]")
    jobs.fast(plant.loaded, now=after(10, 22), environ={})
    kept = {p.name: p.read_text() for p in (folder / "done").iterdir()}
    assert "d1" in kept["a.json"] and "d9" in kept["a.2.json"]
    assert "not a JSON object" in (folder / "rejected/b.2.json.reason").read_text()
