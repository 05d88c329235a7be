"""The first run on old logs disturbs nobody; what happens afterwards is acted on."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from tests.stories.building import HOUR, LAG, Plant, after, did, rows

DAY = 24
SIX_MONTHS = 182 * DAY


def old_logs(folder: Path) -> Plant:
    """Six months of a candidate in control, with a reward collapse in the second month, complaints in
    the third, a hard violation in the fourth and an irreversible action in the fifth."""
    plant = Plant(folder, window="12h")
    slow = [r | {"cost_slow": 1.0} for r in rows(range(70 * DAY, 71 * DAY), "new", per_hour=3)]
    low = rows(range(40 * DAY, 42 * DAY), "new", per_hour=3, reward=0.0)
    crash = rows([100 * DAY], "new", per_hour=3, cost_crash=1.0)
    final = rows([130 * DAY], "new", per_hour=3, irreversible=True)
    odd = {int(r["decision_id"].split("-")[1]) for r in [*slow, *low, *crash, *final]}
    healthy = rows((h for h in range(SIX_MONTHS) if h not in odd), "new", per_hour=3)
    plant.write(sorted([*healthy, *slow, *low, *crash, *final], key=lambda r: r["ts"]))
    return plant


def test_six_months_of_old_logs_are_one_summary_and_later_breaches_still_act(tmp_path: Path) -> None:
    plant = old_logs(tmp_path)
    at = after(SIX_MONTHS) + LAG
    report = plant.run(at)
    found = {e.body["trigger"] for e in report.firings if e.body["confirmed"]}
    assert found == {"reward_drop", "constraint", "irreversible"}
    assert {e.body["did"] for e in report.firings} == {"historical"}
    assert all(e.body["historical"] for e in report.firings)
    assert plant.pointer() is None
    assert plant.events("incident", "rollback") == []
    assert len(plant.told()) == 1
    verdict = plant.gate(at, "full")
    assert verdict.exit_code == 5 and all(f.historical for f in verdict.firings)

    assert plant.run(at + timedelta(minutes=5)).firings == []
    assert len(plant.told()) == 1

    plant.write(rows([SIX_MONTHS], "new", per_hour=3, seed=1))
    plant.write(rows([SIX_MONTHS + 1], "new", per_hour=3, cost_crash=1.0))
    report = plant.run(at + 2 * HOUR)
    assert did(report.firings) == ["rolled_back"]
    pointer = plant.pointer()
    assert pointer is not None and pointer["policy"] == "old"
    assert len(plant.told()) == 2


def test_a_confirmed_window_firing_in_new_data_rolls_back(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    plant.write(rows(range(48), "new", per_hour=40))
    plant.run(after(48) + LAG)
    plant.write(rows(range(48, 50), "new", per_hour=40, cost_slow=1.0))
    report = plant.run(after(50) + LAG)
    assert did(report.firings) == ["rolled_back", "rolled_back"]
    (incident,) = plant.events("incident")
    state = incident.body["trigger_state"]
    assert incident.body["trigger"] == "constraint" and incident.body["key"] == "slow"
    assert len(state["decisions"]) == 40 and state["sums"]["x"] == 40
    assert {"readings", "config_hash", "rules_hash", "versions", "false_alarms_on_baseline"} <= set(state)
    assert [e.body["status"] for e in plant.events("rollback")] == ["intent", "done"]
    assert plant.told() == ["new was rolled back to old"]


def test_a_reward_collapse_rolls_back_only_when_it_is_confirmed(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    plant.write(rows(range(48), "new", per_hour=40))
    plant.run(after(48) + LAG)
    done = []
    for hour in range(48, 52):
        plant.write(rows([hour], "new", per_hour=40, reward=0.0))
        done.append([e.body["did"] for e in plant.run(after(hour + 1) + LAG).firings])
    assert done == [["watched"], ["watched"], ["rolled_back"], ["rolled_back"]]
    assert plant.told() == ["new was rolled back to old"]


def test_the_shift_of_a_state_rolls_back_when_the_baseline_knows_how_it_varies(tmp_path: Path) -> None:
    baseline = {"policy": "new", "from": "2026-01-01", "to": "2026-01-04"}
    plant = Plant(tmp_path, state={"numeric": ["load"]}, baseline=baseline)
    plant.write(rows(range(72), "new", per_hour=30))
    report = plant.run(after(72) + LAG)
    assert report.baseline_frozen and report.firings == []
    done = []
    for hour in range(72, 75):
        moved = [r | {"state_load": r["state_load"] + 3} for r in rows([hour], "new", per_hour=30)]
        plant.write(moved)
        done.append(did(plant.run(after(hour + 1) + LAG).firings))
    assert done == [[], ["rolled_back"], ["rolled_back"]]
