"""The life of an incident: opened, acknowledged, resolved; and what people's words change."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor import acts
from monitor.config import ConfigError
from monitor.incidents import Incident, incidents, real_windows
from tests.stories.building import LAG, Plant, after, did, rows


def known(plant: Plant) -> list[Incident]:
    return list(incidents(plant.events("incident", "firing", "rollback")).values())


def say(plant: Plant, hour: float, *, real: bool = True, accept: bool = False) -> None:
    incident = known(plant)[-1].id
    acts.acknowledge(
        plant.loaded, incident, by="Ada", reason="seen", real=real, accept=accept, at=after(hour)
    )


def crashed(folder: Path) -> Plant:
    """Rolled back at 10:20, because of a row at 10:15."""
    plant = Plant(folder)
    plant.write(rows(range(10), "new"))
    plant.run(after(10) + LAG)
    plant.write(rows([10], "new", per_hour=1, cost_crash=1.0, ts=after(10, 15).isoformat()))
    plant.run(after(10, 20))
    return plant


def test_open_then_acknowledged_then_resolved_after_three_good_and_quiet_windows(tmp_path: Path) -> None:
    plant = crashed(tmp_path)
    assert [i.status for i in known(plant)] == ["open"]
    say(plant, 10.5)
    (incident,) = known(plant)
    assert (incident.status, incident.acknowledged_by, incident.real) == ("acknowledged", "Ada", True)
    seen = []
    for hour in range(11, 16):
        plant.write(rows([hour], "old"))
        plant.run(after(hour + 1) + LAG)
        seen.append(known(plant)[0].status)
    assert seen == ["acknowledged", "acknowledged", "resolved", "resolved", "resolved"]
    first, taken, over = plant.told()
    assert (first, taken) == ("new was rolled back to old", "Ada has it")
    assert over == f"Resolved: {incident.id}"


def test_an_incident_resolves_although_nobody_acknowledged_it(tmp_path: Path) -> None:
    plant = crashed(tmp_path)
    plant.write(rows(range(11, 15), "old"))
    plant.run(after(15) + LAG)
    assert [i.status for i in known(plant)] == ["resolved"]


def test_a_policy_that_still_decides_after_its_rollback_is_paged_once_and_not_resolved(
    tmp_path: Path,
) -> None:
    plant = crashed(tmp_path)
    for hour in range(11, 18):
        plant.write(rows([hour], "new"))
        plant.run(after(hour + 1) + LAG)
    pages = [r for r in plant.outbox() if r.key.endswith("did_not_take")]
    assert len(pages) == 1 and pages[0].message["severity"] == "page"
    assert "20" in pages[0].message["what_happened"]
    assert [i.status for i in known(plant)] == ["open"]
    plant.write(rows(range(18, 22), "old"))
    statuses = []
    for hour in (19, 20, 21, 22):
        plant.run(after(hour) + LAG)
        statuses.append(known(plant)[0].status)
    assert statuses == ["open", "open", "resolved", "resolved"]


def test_a_new_breach_after_the_resolution_is_a_new_incident_and_a_new_rollback(tmp_path: Path) -> None:
    plant = crashed(tmp_path)
    plant.write(rows(range(11, 15), "old"))
    plant.run(after(15) + LAG)
    plant.write(rows([15], "new", per_hour=1, cost_crash=1.0, ts=after(15, 15).isoformat()))
    assert did(plant.run(after(15, 20)).firings) == ["rolled_back"]
    assert [i.status for i in known(plant)] == ["resolved", "open"]
    pointer = plant.pointer()
    assert pointer is not None and pointer["incident"] == known(plant)[1].id


def dropped(folder: Path, policy: str = "old", **config: object) -> Plant:
    """Two healthy days, then an incumbent whose reward is gone from hour 48 to hour 53."""
    plant = Plant(folder, **config)
    plant.write(rows(range(48), policy, per_hour=40))
    plant.run(after(48) + LAG)
    plant.write(rows(range(48, 53), policy, per_hour=40, reward=0.0))
    plant.run(after(53) + LAG)
    return plant


@pytest.mark.parametrize("words", ["real", "false alarm", "nothing"])
def test_only_windows_acknowledged_as_real_leave_the_reference(tmp_path: Path, words: str) -> None:
    plant = dropped(tmp_path)
    (incident,) = known(plant)
    assert (incident.action, incident.window_start, incident.window_end) == ("escalate", after(50), after(53))
    if words != "nothing":
        say(plant, 53.5, real=words == "real")
    real = real_windows(plant.events("incident", "firing"), "old")
    assert real == ([(after(50), after(53))] if words == "real" else [])
    plant.write(rows(range(53, 58), "old", per_hour=40))
    plant.write(rows([58], "old", per_hour=40, reward=0.0))
    found = plant.run(after(59) + LAG).firings
    # Of the five bad windows the first two were never confirmed: they stay in the reference.
    means = [e.body["state"]["reference_mean"] for e in found]
    assert means == (pytest.approx([0.5 * 22 / 24]) if words == "real" else [])


def test_an_accepted_change_is_the_new_reference(tmp_path: Path) -> None:
    plant = dropped(tmp_path)
    say(plant, 53.5, accept=True)
    plant.write(rows(range(53, 80), "old", per_hour=40, reward=0.0))
    assert plant.run(after(80) + LAG).firings == []
    worse = rows(range(80, 83), "old", per_hour=40, reward=-1.0)
    plant.configure(reward={"range": [-1, 1], "missing_after_maturity": "exclude"})
    plant.write(worse)
    found = plant.run(after(83) + LAG).firings
    assert [e.body["state"]["reference_mean"] for e in found] == [0.0, 0.0, 0.0]
    assert did(found) == ["escalated"]


def test_an_incident_of_late_rewards_waits_for_windows_that_were_judged(tmp_path: Path) -> None:
    reward = {"range": [0, 1], "missing_after_maturity": "exclude", "matures_after": "8h"}
    plant = Plant(tmp_path, reward=reward)
    plant.write(rows(range(48), "old", per_hour=40))
    plant.run(after(48) + LAG)
    plant.write(rows(range(48, 54), "old", per_hour=40, reward=0.0))
    for hour in range(54, 67):
        plant.write(rows([hour], "old", per_hour=40))
        plant.run(after(hour + 1) + LAG)
    assert [i.status for i in known(plant)] == ["resolved"]
    resolved = known(plant)[0].resolved_at
    assert resolved == after(54 + 8 + 3) + LAG
    assert plant.told() == ["reward_drop fired on old", f"Resolved: {known(plant)[0].id}"]


def test_a_window_that_trips_again_is_not_a_good_one(tmp_path: Path) -> None:
    plant = dropped(tmp_path)
    for hour in range(53, 60):
        bad = {"reward": 0.0} if hour == 55 else {}
        plant.write(rows([hour], "old", per_hour=40, **bad))
        plant.run(after(hour + 1) + LAG)
    (incident,) = known(plant)
    assert (incident.status, incident.resolved_at) == ("resolved", after(59) + LAG)


def test_only_a_known_incident_can_be_acknowledged(tmp_path: Path) -> None:
    plant = crashed(tmp_path)
    incident = known(plant)[0].id
    with pytest.raises(ConfigError, match=f"did you mean '{incident}'"):
        acts.acknowledge(
            plant.loaded, incident[:-1], by="Ada", reason="seen", real=True, accept=False, at=after(11)
        )
    done = plant.monitor("ack", incident, "--by", "Ada", "--reason", "seen")
    assert done.returncode == 0 and known(plant)[0].status == "acknowledged"
