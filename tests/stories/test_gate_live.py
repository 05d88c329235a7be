"""A policy on a step of the ramp, and in full control: what the gate reads from a real log and journal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gates.outcome import Finding, Outcome
from gates.stages import FULL, LIMITED
from monitor import acts
from tests.stories.building import LAG, STATE, Plant, after, rows

PASS, HOLD, NO_DATA, FAIL = Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.NO_DATA, Outcome.FAIL
DAYS, ENTERED = 14, 4
DAILY = {**STATE, "window": "24h", "experiment": {"share": 0.05, "from": "2026-01-05", "days": 5}}


def decided(days: range, **fields: Any) -> list[dict[str, Any]]:
    """A twentieth of the decisions by the candidate, the previous policy's recommendation beside them."""
    hours = range(days.start * 24, days.stop * 24)
    beside = {"candidate_propensity": 1 / 3}
    made = rows(hours, "new", per_hour=2, candidate="old", **{**beside, **fields})
    return made + rows(hours, "old", per_hour=40)


def enter(plant: Plant, stage: str, day: float, step: float | None = None) -> None:
    with plant.journal() as journal:
        body = {"stage": stage, "step": step, "by": "Ada", "reason": "a good month"}
        journal.append("promote", "new", body, at=after(day * 24))


def drill(plant: Plant, kind: str, day: float) -> None:
    at = after(day * 24)
    body = {"drill": kind, "by": "Ada", "policy": "new", "safe": "old", "button_at": at, "pointer_at": at,
            "seconds": 1.5, "pointer_read_back": True, "first_safe_decision": None}  # fmt: skip
    with plant.journal() as journal:
        journal.append("drill", "new", body, at=at)


def said(found: list[Finding]) -> list[tuple[Outcome, str | None]]:
    return [(f.outcome, f.reason) for f in found]


def of(plant: Plant, item: str, day: float, stage: str = "limited") -> list[Finding]:
    return [f for f in plant.gate(after(day * 24) + LAG, stage).findings if f.item == item]


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """Ten days on the step .05, with a pass of the monitor each day."""
    plant = Plant(tmp_path, **DAILY)
    plant.write(rows(range(ENTERED * 24), "old", per_hour=40))
    enter(plant, LIMITED, ENTERED, 0.05)
    for day in range(ENTERED, DAYS):
        plant.write(decided(range(day, day + 1)))
        plant.run(after((day + 1) * 24) + LAG)
    return plant


def test_a_step_of_the_ramp_is_judged_from_the_log(plant: Plant) -> None:
    found = of(plant, "blast_radius", DAYS)
    assert said(found) == [(PASS, None)] * 3 + [(HOLD, "stage_days"), (HOLD, "ramp_step")]
    assert found[1].value == pytest.approx(2 / 42) and found[1].n == 10 * 24 * 42
    # Two days of all the traffic: what is left of twelve days says little, the newest day says it all.
    plant.write(rows(range(DAYS * 24, (DAYS + 2) * 24), "new", per_hour=40, seed=1))
    plant.run(after((DAYS + 2) * 24) + LAG)
    jumped = of(plant, "blast_radius", DAYS + 2)
    assert said(jumped)[1] == (FAIL, "ramp_exceeded") and (jumped[1].value, jumped[1].n) == (1.0, 24 * 40)
    # On the step .01 what it had in these days is surely too much.
    enter(plant, LIMITED, ENTERED + 0.01, 0.01)
    assert said(of(plant, "blast_radius", DAYS))[1] == (FAIL, "ramp_exceeded")


def test_decisions_outside_the_declared_segments_are_counted(plant: Plant) -> None:
    plant.configure(**{**DAILY, "experiment": {**DAILY["experiment"], "segments": ["north"]}})
    plant.write(decided(range(DAYS, DAYS + 1), segment="north"))
    plant.run(after((DAYS + 1) * 24) + LAG)
    found = of(plant, "blast_radius", DAYS + 1)
    assert said(found)[0] == (FAIL, "segment_outside") and found[0].value == 10 * 24 * 2


def test_drills_and_what_the_log_shows_of_them(plant: Plant) -> None:
    assert said(of(plant, "override_ready", DAYS)) == [(HOLD, "drill_missing")]
    drill(plant, "override", DAYS - 1)
    drill(plant, "rollback", DAYS - 1)
    [found] = of(plant, "override_ready", DAYS)
    assert said([found]) == [(PASS, None)] and "920 decisions of the safe policy" in found.message
    hard = of(plant, "hard_constraints", DAYS)
    assert [f.key for f in hard] == ["crash", "envelope:speed", ""]
    assert said(hard) == [(HOLD, "straddles"), (HOLD, "straddles"), (PASS, None)]


def test_the_dashboard_and_the_readings_behind_it(plant: Plant) -> None:
    assert said(of(plant, "dashboard_fresh", DAYS)) == [(PASS, None)] * 2 + [(HOLD, "dashboard_missing")]
    with plant.journal() as journal:
        journal.append("dashboard", "new", {"status": "ok", "url": None, "detail": ""}, at=after(DAYS * 24))
    assert said(of(plant, "dashboard_fresh", DAYS))[2] == (PASS, None)
    later = of(plant, "dashboard_fresh", DAYS + 0.01)
    assert said(later)[1] == (NO_DATA, "stale"), "14 minutes after the last run"


def test_conditions_that_were_never_recommended_in_are_not_for_it_to_decide_in(tmp_path: Path) -> None:
    plant = Plant(tmp_path, **DAILY)
    checklist = plant.folder / "checklists" / "limited_deployment.yaml"
    text = checklist.read_text("utf-8").replace("    slack: 0.25\n", "    seen: 100\n")
    checklist.write_text(text, "utf-8")
    plant.write(rows(range(ENTERED * 24), "old", per_hour=40))
    enter(plant, LIMITED, ENTERED, 0.05)
    plant.write(decided(range(ENTERED, DAYS)))
    plant.run(after(DAYS * 24) + LAG)
    assert said(of(plant, "blast_radius", DAYS))[2] == (HOLD, "no_recommendations")
    low = rows(range(DAYS * 24, (DAYS + 1) * 24), "old", candidate="new", seed=2, state_season="low")
    plant.write(low)
    plant.run(after((DAYS + 1) * 24) + LAG)
    found = of(plant, "blast_radius", DAYS + 1)[2]
    assert said([found]) == [(HOLD, "condition_unseen")]
    assert found.value == 1 and "season=high (met 0 times)" in found.message
    plant.write(rows(range((DAYS + 1) * 24, (DAYS + 2) * 24), "old", candidate="new", seed=3))
    plant.run(after((DAYS + 2) * 24) + LAG)
    assert said(of(plant, "blast_radius", DAYS + 2))[2] == (PASS, None)


def with_slow_rewards(folder: Path) -> Plant:
    """All but the last day on the step .05, not read yet; rewards take three days."""
    slow = Plant(folder, **DAILY, reward={"range": [0, 1], "missing_after_maturity": "exclude",
                                            "matures_after": "3d"})  # fmt: skip
    slow.write(rows(range(ENTERED * 24), "old", per_hour=40))
    enter(slow, LIMITED, ENTERED, 0.05)
    slow.write(decided(range(ENTERED, DAYS - 1)))
    return slow


def test_rewards_that_take_days_hide_neither_who_decides_nor_the_readings(tmp_path: Path) -> None:
    slow = with_slow_rewards(tmp_path)
    slow.write(rows(range((DAYS - 1) * 24, DAYS * 24), "new", per_hour=40, seed=1))
    slow.run(after(DAYS * 24) + LAG)
    assert said(of(slow, "blast_radius", DAYS))[1] == (FAIL, "ramp_exceeded")
    assert said(of(slow, "dashboard_fresh", DAYS))[0] == (PASS, None)
    [scored] = of(slow, "offline_reevaluation", DAYS, "full")
    assert said([scored]) == [(PASS, None)]


def test_a_hard_violation_is_a_fact_before_its_reward_is_mature(tmp_path: Path) -> None:
    slow = with_slow_rewards(tmp_path)
    slow.write(decided(range(DAYS - 1, DAYS), cost_crash=1.0))
    slow.run(after(DAYS * 24) + LAG)
    crash, speed, _ = of(slow, "hard_constraints", DAYS)
    assert said([crash, speed]) == [(FAIL, "violation"), (HOLD, "straddles")]
    assert crash.n == 10 * 24 * 2 and speed.n == 7 * 24 * 2


def test_an_experiment_is_no_longer_than_the_candidate_was_in_its_stage(plant: Plant) -> None:
    def days() -> float:
        return next(f.value for f in of(plant, "ab_test", DAYS) if f.metric == "experiment_days")

    assert days() == DAYS - ENTERED
    enter(plant, "shadow_mode", DAYS - 3)
    enter(plant, LIMITED, DAYS - 2, 0.05)
    assert days() == 2


def test_in_full_deployment_every_window_must_have_been_judged_in_time(plant: Plant) -> None:
    enter(plant, FULL, ENTERED)
    assert said(of(plant, "continuous_monitoring", DAYS, "full")) == [(PASS, None)]
    for day in (DAYS, DAYS + 1, DAYS + 2):
        plant.write(decided(range(day, day + 1)))
    plant.run(after((DAYS + 3) * 24) + LAG)
    [found] = of(plant, "continuous_monitoring", DAYS + 3, "full")
    assert said([found]) == [(FAIL, "late_windows")]
    # Of three windows judged on the 18th at 00:11 the last was in time, and the one before a minute late.
    assert found.value == 2 and "2026-01-15 00:00" in found.message
    assert said(of(plant, "continuous_monitoring", DAYS + 5, "full"))[0][0] is NO_DATA, "nothing ran since"


def test_a_monitor_that_ran_for_two_days_says_that_it_takes_a_week(tmp_path: Path) -> None:
    plant = Plant(tmp_path, **DAILY)
    plant.write(rows(range(72), "old") + rows(range(72, 24 * 8), "new"))
    for day in (6, 7, 8):
        plant.run(after(day * 24) + LAG)
    [found] = of(plant, "continuous_monitoring", 8, "full")
    assert said([found]) == [(HOLD, "low_days")] and found.needs == "5 more days of `monitor run`"


def test_the_previous_policy_is_scored_on_the_live_log(plant: Plant) -> None:
    [found] = of(plant, "offline_reevaluation", DAYS, "full")
    assert said([found]) == [(PASS, None)] and found.key == "old"
    assert "the previous policy old on the live log is 0.5" in found.message
    [support] = of(plant, "support", DAYS, "full")
    assert said([support]) == [(PASS, None)] and support.value == 10 * 24 * 2
    # Without its probabilities nothing can be told, and nothing passes.
    blind = {"candidate_propensity": None}
    plant.write(decided(range(DAYS, DAYS + 2), **blind))
    plant.run(after((DAYS + 2) * 24) + LAG)
    assert said(of(plant, "offline_reevaluation", DAYS + 2, "full")) == [(NO_DATA, "missing_propensity")]


def test_a_rollback_is_armed_by_the_journal_and_the_rules(plant: Plant) -> None:
    found = of(plant, "rollback_armed", DAYS, "full")
    assert said(found) == [
        (HOLD, "baseline_short"), (HOLD, "signoff_missing"), (HOLD, "drill_missing"),
    ]  # fmt: skip
    assert found[0].value == 3
    drill(plant, "rollback", DAYS - 1)
    (plant.folder / "trust.md").write_text("years of it", "utf-8")
    acts.attest(
        plant.loaded, "trusted", by="Ada", reason="ran for years", evidence=str(plant.folder / "trust.md"),
        expires="92d", approved=True, at=after(DAYS * 24),
    )  # fmt: skip
    assert said(of(plant, "rollback_armed", DAYS, "full"))[1:] == [(PASS, None), (PASS, None)]
    acts.arm(plant.loaded, "observe", by="Ada", reason="a holiday", at=after(DAYS * 24, 1))
    assert said(of(plant, "rollback_armed", DAYS, "full"))[0] == (FAIL, "not_armed")
    (plant.folder / "trust.md").write_text("or so", "utf-8")
    assert said(of(plant, "rollback_armed", DAYS, "full"))[1] == (HOLD, "signoff_void")


def test_a_declared_escalation_takes_an_attested_test(plant: Plant) -> None:
    assert said(of(plant, "on_call_path", DAYS, "full")) == [(HOLD, "page_missing")]
    plant.configure(**DAILY, alerts={"escalation": "pagerduty", "channels": [{"kind": "console"}]})
    assert said(of(plant, "on_call_path", DAYS, "full")) == [(HOLD, "signoff_missing")]
    acts.attest(
        plant.loaded, "on_call_path", by="Ben", reason="was paged and answered", evidence="https://e.example",
        expires="30d", approved=True, at=after(DAYS * 24),
    )  # fmt: skip
    assert said(of(plant, "on_call_path", DAYS, "full")) == [(PASS, None)]
