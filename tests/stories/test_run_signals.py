"""Triggers that only tell people: whatever `acting` says, nothing is moved."""

from __future__ import annotations

from pathlib import Path

from tests.stories.building import LAG, Plant, after, rows


def firings(plant: Plant, trigger: str) -> list[dict]:
    return [e.body for e in plant.events("firing") if e.body["trigger"] == trigger]


def test_a_candidate_in_control_that_collapsed_is_told_with_its_state_and_stays(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    plant.write(rows(range(10), "new", per_hour=40))
    plant.run(after(10) + LAG)
    plant.write(rows([10, 11], "new", per_hour=40, action="a", propensity=1.0))
    plant.run(after(12) + LAG)
    found = firings(plant, "entropy_collapse")
    assert [(b["confirmed"], b["action"], b["did"]) for b in found] == [
        (False, "watch", "watched"), (True, "escalate", "escalated"),
    ]  # fmt: skip
    assert plant.pointer() is None
    (opened,) = [e.body for e in plant.events("incident") if e.body["trigger"] == "entropy_collapse"]
    shares = [r["value"] for r in opened["trigger_state"]["readings"] if r["metric"] == "top_action_share"]
    assert shares[-2:] == [1.0, 1.0] and max(shares[:-2]) < 0.95
    assert len(opened["trigger_state"]["decisions"]) == 40


def test_propensities_lost_in_shadow_are_told_for_the_candidate(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    plant.write(rows(range(10), "old", per_hour=40, candidate="new"))
    plant.run(after(10) + LAG)
    assert firings(plant, "support") == []
    plant.write(rows([10, 11], "old", per_hour=40, candidate="new", propensity=None))
    plant.run(after(12) + LAG)
    found = firings(plant, "support")
    assert [(b["policy"], b["key"], b["did"]) for b in found] == [
        ("old", "new", "watched"), ("old", "new", "escalated"),
    ]  # fmt: skip
    (opened,) = [e.body for e in plant.events("incident") if e.body["trigger"] == "support"]
    assert {r["metric"] for r in opened["trigger_state"]["readings"]} == {
        "missing_propensity_share", "weight_mean", "ess",
    }  # fmt: skip


def test_a_log_that_stopped_is_told_and_a_batch_of_rejects_too(tmp_path: Path) -> None:
    plant = Plant(tmp_path, checklists=None)
    plant.write(rows(range(5), "old", per_hour=40))
    plant.run(after(5) + LAG)
    plant.run(after(8) + LAG)
    assert [b["did"] for b in firings(plant, "stale")] == ["watched", "escalated"]
    bad = [row | {"reward": "many"} for row in rows([8, 9], "old", per_hour=40)]
    plant.write(bad)
    plant.run(after(10) + LAG)
    assert [b["did"] for b in firings(plant, "rejects")] == ["watched", "escalated"]
    assert plant.pointer() is None


def test_a_slow_rise_of_a_constraint_is_told_once_a_day_from_the_day_it_shows(tmp_path: Path) -> None:
    plant = Plant(tmp_path, window="6h")
    for day in range(16):
        hours = range(24 * day, 24 * day + 24, 6)
        kept = rows(hours, "old", per_hour=100)
        plant.write(row | {"cost_slow": float(i % 100 < day // 2)} for i, row in enumerate(kept))
    plant.run(after(24 * 16) + LAG)
    found = firings(plant, "constraint_trend")
    assert [b["window_start"][:10] for b in found] == ["2026-01-14", "2026-01-15", "2026-01-16"]
    assert {(b["key"], b["confirmed"], b["action"]) for b in found} == {("slow", True, "escalate")}
    assert found[0]["value"] > 0
    plant.run(after(24 * 16 + 5) + LAG)
    assert len(firings(plant, "constraint_trend")) == 3
