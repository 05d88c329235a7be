"""What may be done: observe, alert or rollback; and what the gate says whatever was done."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor import acts
from tests.stories.building import LAG, Plant, after, did, rows

CRASH = rows([10], "new", per_hour=1, cost_crash=1.0, ts=after(10, 15).isoformat())


def live(folder: Path, **config: str) -> Plant:
    plant = Plant(folder, **config)
    plant.write(rows(range(10), "new"))
    plant.run(after(10) + LAG)
    return plant


@pytest.mark.parametrize(
    ("level", "expected", "says"),
    [
        ("observe", "observed", "acting is set to observe"),
        ("alert", "alerted", "acting is set to alert"),
        ("rollback", "rolled_back", "old was put in control"),
    ],
)
def test_only_rollback_moves_the_pointer_and_every_level_tells(
    tmp_path: Path, level: str, expected: str, says: str
) -> None:
    plant = live(tmp_path, acting=level)
    plant.write(CRASH)
    assert did(plant.run(after(10, 30)).firings) == [expected]
    assert (plant.pointer() is not None) == (level == "rollback")
    assert bool(plant.events("rollback")) == (level == "rollback")
    (message,) = [r.message for r in plant.outbox() if not r.key.startswith("verdict:")]
    assert says in message["what_was_done"]
    verdict = plant.gate(after(10, 31), "full")
    assert (verdict.exit_code, [f.action for f in verdict.firings]) == (5, ["rollback"])
    assert plant.run(after(10, 40)).firings == [] and len(plant.told()) == 1


def test_the_command_line_exits_5_although_nothing_was_moved(tmp_path: Path) -> None:
    plant = live(tmp_path, acting="observe")
    plant.write(CRASH)
    plant.run(after(10, 30))
    done = plant.monitor("gate", "--stage", "full", "--as-of", after(10, 31).isoformat())
    assert done.returncode == 5 and "constraint" in done.stdout


def test_raising_the_level_does_not_act_on_what_was_before(tmp_path: Path) -> None:
    plant = live(tmp_path, acting="observe")
    plant.write(CRASH)
    plant.run(after(10, 30))
    acts.arm(plant.loaded, "rollback", by="Ada", reason="watched for a week", at=after(11))
    plant.run(after(11, 5))
    assert plant.pointer() is None
    plant.write(rows([11], "new", per_hour=1, action_speed=7.0, ts=after(11, 10).isoformat()))
    assert did(plant.run(after(11, 20)).firings) == ["rolled_back"]
    assert plant.pointer() is not None


def test_the_gate_itself_sends_and_moves_nothing(tmp_path: Path) -> None:
    plant = live(tmp_path)
    plant.write(CRASH)
    before = len(plant.outbox())
    plant.gate(after(10, 31), "full")
    assert (plant.pointer(), len(plant.outbox())) == (None, before)
    assert plant.events("firing", "incident", "rollback") == []
