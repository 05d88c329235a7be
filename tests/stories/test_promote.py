"""`monitor promote`: what opens the next stage, what does not, and what is written down."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gates.checklist import load as load_checklist
from gates.evaluate import to_json
from gates.outcome import Outcome
from gates.stages import FULL, LIMITED, OFFLINE, SHADOW
from monitor import acts, promotion, verdicts
from monitor.config import ConfigError
from monitor.journal import Event
from monitor.promotion import Refused
from tests.stories.building import STATE, Plant, after, finding

DAY = timedelta(days=1)
NOW = after(24 * 60)
SAID = {"by": "Ada", "reason": "a good week"}


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path, **STATE)


def judged(
    plant: Plant, stage: str, at: Any = NOW, open_: tuple[str, ...] = (), /, **changed: Any
) -> Event:
    """A verdict of the gate as it stands in the journal."""
    findings = [
        {"item": reason, "role": "guardrail", "outcome": "INCONCLUSIVE", "reason": reason} for reason in open_
    ]
    body = {
        "policy": plant.loaded.config.policies.candidate, "stage": stage, "as_of": at.isoformat(),
        "checklist_hash": load_checklist(stage, plant.folder / "checklists").hash,
        "config_hash": plant.loaded.config.config_hash, "findings": findings,
        "outcome": "INCONCLUSIVE" if open_ else "PASS", "exit_code": 3 if open_ else 0,
    }  # fmt: skip
    with plant.journal() as journal:
        event = journal.append("verdict", body["policy"], body | changed, at=at)
    assert event is not None
    return event


def promote(plant: Plant, to: str, at: Any = NOW, step: float | None = None) -> list[str]:
    return promotion.promote(plant.loaded, to=to, step=step, at=at, **SAID)


def refused(plant: Plant, words: str, to: str, at: Any = NOW, step: float | None = None) -> None:
    before = plant.events()
    with pytest.raises(Refused, match=words) as error:
        promote(plant, to, at, step)
    assert str(error.value).startswith("hold: new was not promoted: ") and "\n" not in str(error.value)
    assert plant.events() == before


def lower(plant: Plant, kind: str, at: Any, policy: str = "new") -> None:
    with plant.journal() as journal:
        body = {"incident": "i", "policy": policy, "safe": "old", "status": "done", **SAID}
        journal.append(kind, "i" if kind == "rollback" else policy, body, at=at)


def in_limited(plant: Plant) -> None:
    """In limited deployment on the first step, two weeks before now."""
    judged(plant, SHADOW, NOW - 14 * DAY)
    promote(plant, "limited", NOW - 14 * DAY)


def test_a_stage_is_entered_on_a_pass_of_the_one_before_and_the_event_keeps_on_which(plant: Plant) -> None:
    verdict = judged(plant, SHADOW, NOW - DAY)
    lines = promote(plant, "limited")
    (event,) = plant.events("promote")
    assert (event.subject, event.at) == ("new", NOW)
    assert re.fullmatch("[0-9a-f]{16}", event.body.pop("triggers_hash"))
    assert event.body == {
        "stage": LIMITED, "from": SHADOW, **SAID, "verdict": verdict.seq, "step": 0.01, "acting": "rollback",
        "checklist_hash": verdict.body["checklist_hash"], "config_hash": verdict.body["config_hash"],
    }  # fmt: skip
    assert "step 0.01 of the ramp" in lines[0] and f"event {verdict.seq}" in lines[0]


def test_without_a_verdict_there_is_no_way_on(plant: Plant) -> None:
    refused(plant, "it needs a PASS of offline_validation, and it has none: `monitor gate", "shadow")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"checklist_hash": "other"}, "the checklist or monitor.yaml changed since its last verdict"),
        ({"config_hash": "other"}, "the checklist or monitor.yaml changed since its last verdict"),
        ({"policy": "older"}, "it has none"),
        ({"stage": SHADOW}, "it has none"),
        ({"outcome": "PASS", "exit_code": 5}, "a rollback was called for in the evidence"),
        ({"open_": ("straddles",)}, "is INCONCLUSIVE as of .* it hangs on straddles"),
        ({"at": NOW - 7 * DAY}, "has expired"),
    ],
)
def test_another_verdict_is_no_pass(plant: Plant, changed: dict[str, Any], said: str) -> None:
    judged(plant, OFFLINE, changed.pop("at", NOW - DAY), changed.pop("open_", ()), **changed)
    refused(plant, said, "shadow")


def test_a_dry_verdict_neither_opens_a_stage_nor_shuts_one(plant: Plant) -> None:
    judged(plant, OFFLINE, NOW - DAY, dry=True)
    refused(plant, "it needs a PASS of offline_validation, and it has none", "shadow")
    judged(plant, OFFLINE, NOW - DAY)
    judged(plant, OFFLINE, NOW, ("straddles",), dry=True)
    promote(plant, "shadow")


def test_a_dry_verdict_is_stored_as_such_and_is_otherwise_the_same(plant: Plant) -> None:
    wet = verdicts.gate(plant.loaded, stage="shadow", as_of=NOW)
    dry = verdicts.gate(plant.loaded, stage="shadow", as_of=NOW, dry=True)
    assert to_json(dry) == to_json(wet) | {"dry": True}
    stored = [e.body for e in plant.events("verdict")]
    assert stored[1] == stored[0] | {"dry": True} and "dry" not in stored[0]


def test_a_pass_from_before_the_stage_was_entered_does_not_count(plant: Plant) -> None:
    judged(plant, OFFLINE, NOW - 3 * DAY)
    judged(plant, SHADOW, NOW - 3 * DAY)
    promote(plant, "shadow", NOW - 2 * DAY)
    refused(plant, "the last verdict of shadow_mode is from before", "limited")
    judged(plant, SHADOW, NOW - DAY)
    promote(plant, "limited")


def test_no_stage_is_skipped_and_none_is_gone_back(plant: Plant) -> None:
    judged(plant, OFFLINE, NOW - DAY)
    promote(plant, "shadow", NOW - DAY)
    judged(plant, LIMITED)
    refused(plant, "it is in shadow_mode, and limited_deployment comes first", "full")
    judged(plant, SHADOW)
    promote(plant, "limited")
    refused(plant, "it is in limited_deployment, and a promotion only goes on", "shadow")


def test_promoting_to_where_it_is_says_so_and_writes_nothing(plant: Plant) -> None:
    in_limited(plant)
    before = plant.events()
    for step in (None, 0.01):
        (line,) = promote(plant, "limited", step=step)
        assert line == (
            "new is in limited_deployment, step 0.01 of the ramp, already since 2026-02-16 00:00 UTC; "
            "nothing was changed"
        )
    assert plant.events() == before


def test_the_ramp_is_taken_step_by_step_and_each_needs_a_verdict_on_the_last(plant: Plant) -> None:
    in_limited(plant)
    refused(plant, "it needs a PASS of limited_deployment, and it has none", "limited", step=0.05)
    judged(plant, LIMITED, NOW - DAY, ("ramp_step", "stage_days"))
    refused(plant, "the step after 0.01 is 0.05: `--step 0.05`", "limited", step=0.2)
    promote(plant, "limited", NOW, 0.05)
    refused(plant, "is from before", "limited", step=0.2)
    judged(plant, LIMITED, NOW + DAY, ("step_days", "stage_days"))
    refused(plant, "it hangs on step_days", "limited", NOW + DAY, 0.2)
    judged(plant, LIMITED, NOW + 2 * DAY, ("ramp_step",))
    promote(plant, "limited", NOW + 2 * DAY, 0.2)
    assert [e.body["step"] for e in plant.events("promote")] == [0.01, 0.05, 0.2]
    assert [e.body["from"] for e in plant.events("promote")] == [SHADOW, LIMITED, LIMITED]


def test_the_ramp_begins_with_its_first_step_and_ends_with_its_last(plant: Plant) -> None:
    judged(plant, SHADOW)
    refused(plant, "the ramp begins with 0.01", "limited", step=0.05)
    promote(plant, "limited", step=0.01)
    for days, step in ((1, 0.05), (2, 0.2), (3, 0.5)):
        judged(plant, LIMITED, NOW + days * DAY, ("ramp_step",))
        promote(plant, "limited", NOW + days * DAY, step)
    judged(plant, LIMITED, NOW + 4 * DAY, ("stage_days",))
    refused(plant, "the last step of the ramp, 0.5: `--to full` comes next", "limited", NOW + 4 * DAY, 0.9)


def test_full_deployment_needs_a_pass_on_the_last_step_of_the_ramp(plant: Plant) -> None:
    in_limited(plant)
    for days, step in ((8, 0.05), (7, 0.2)):
        judged(plant, LIMITED, NOW - days * DAY, ("ramp_step",))
        promote(plant, "limited", NOW - days * DAY, step)
    judged(plant, LIMITED, NOW - 6 * DAY)
    comes_next = "it is on step 0.2 of the ramp: `--to limited --step 0.5` comes next"
    refused(plant, comes_next, "full", NOW - 6 * DAY)
    promote(plant, "limited", NOW - 5 * DAY, 0.5)
    refused(plant, "is from before", "full")
    judged(plant, LIMITED, NOW - DAY)
    promote(plant, "full")


@pytest.mark.parametrize("adopted", [False, True])
def test_no_pass_leads_to_full_deployment_past_the_ramp(plant: Plant, adopted: bool) -> None:
    if adopted:
        acts.adopt(plant.loaded, stage="limited", since="2026-01-20", at=NOW - 2 * DAY, **SAID)
    judged(plant, LIMITED, NOW - DAY)
    comes_next = "it is on no step of the ramp: `--to limited --step 0.01` comes next"
    refused(plant, comes_next, "full")


def test_a_promotion_without_a_name_or_a_reason_is_refused(plant: Plant) -> None:
    judged(plant, OFFLINE)
    for said in ({"by": " ", "reason": "why"}, {"by": "Ada", "reason": ""}):
        with pytest.raises(ConfigError, match="is empty: a promotion says who and why"):
            promotion.promote(plant.loaded, to="shadow", step=None, at=NOW, **said)
    assert plant.events("promote") == []


def test_full_deployment_needs_the_rollback_armed_and_limited_says_so(plant: Plant) -> None:
    acts.arm(plant.loaded, "observe", at=NOW - 20 * DAY, **SAID)
    judged(plant, SHADOW, NOW - 14 * DAY)
    assert "note: acting is observe" in promote(plant, "limited", NOW - 14 * DAY)[-1]
    judged(plant, LIMITED)
    refused(plant, "acting is observe and must be rollback: `monitor arm rollback`", "full")


@pytest.mark.parametrize(("kind", "word"), [("rollback", "rolled back"), ("override", "overridden")])
def test_after_a_drop_it_cools_down_and_earns_the_stage_again(plant: Plant, kind: str, word: str) -> None:
    in_limited(plant)
    lower(plant, kind, NOW - 6 * DAY)
    judged(plant, SHADOW, NOW - DAY)
    refused(plant, f"it was {word} on 2026-02-24 .* it cools down until 2026-03-03", "limited")
    refused(plant, "cools down", "limited", step=0.05)
    later = NOW + 2 * DAY
    refused(plant, "it is in shadow_mode, and limited_deployment comes first", "full", later)
    promote(plant, "limited", later)
    assert plant.events("promote")[-1].body["from"] == SHADOW


def test_a_pass_from_before_the_rollback_does_not_count(plant: Plant) -> None:
    plant.configure(**STATE, cooldown="1d")
    judged(plant, SHADOW, NOW - 4 * DAY)
    promote(plant, "limited", NOW - 4 * DAY)
    lower(plant, "rollback", NOW - 3 * DAY)
    refused(plant, "the last verdict of shadow_mode is from before 2026-02-27", "limited")


def test_the_rollback_of_another_policy_stops_nobody(plant: Plant) -> None:
    judged(plant, SHADOW, NOW - DAY)
    lower(plant, "rollback", NOW - DAY, policy="older")
    promote(plant, "limited")


def test_an_open_incident_that_called_for_a_rollback_holds(plant: Plant) -> None:
    judged(plant, SHADOW, NOW - DAY)
    body = {
        "status": "open", "policy": "new", "trigger": "constraint", "key": "", "action": "rollback",
        "window_start": NOW - DAY, "window_end": NOW - DAY,
    }  # fmt: skip
    with plant.journal() as journal:
        journal.append("incident", "new-constraint", body, at=NOW - DAY)
    refused(plant, "incident new-constraint called for a rollback and is open", "limited")
    with plant.journal() as journal:
        journal.append("incident", "new-constraint", {"status": "resolved"}, at=NOW - DAY)
    promote(plant, "limited")


def test_what_came_later_is_not_passed_over_with_as_of(plant: Plant) -> None:
    judged(plant, SHADOW, NOW - 2 * DAY)
    judged(plant, SHADOW, NOW, outcome="FAIL", exit_code=1)
    refused(plant, r"--as-of lies before event 2 \(verdict\)", "limited", NOW - DAY)


def test_an_incident_that_came_later_is_not_passed_over_with_as_of(plant: Plant) -> None:
    judged(plant, SHADOW, NOW - 2 * DAY)
    body = {
        "status": "open", "policy": "new", "trigger": "constraint", "key": "", "action": "rollback",
        "did": "observed", "window_start": NOW - DAY, "window_end": NOW - DAY,
    }  # fmt: skip
    with plant.journal() as journal:
        journal.append("incident", "new-constraint", body, at=NOW)
    refused(plant, r"--as-of lies before event 2 \(incident\)", "limited", NOW - DAY)


@pytest.mark.parametrize(
    ("to", "step", "said"),
    [
        ("limitd", None, "did you mean 'limited'"),
        ("offline", None, "nothing is promoted there"),
        ("full", 0.5, "--step belongs to --to limited"),
    ],
)

def test_what_does_not_exist_is_a_mistake_of_the_command(
    plant: Plant, to: str, step: float | None, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        promote(plant, to, step=step)


def test_a_live_stage_is_not_adopted_after_a_rollback(plant: Plant) -> None:
    lower(plant, "rollback", NOW - 30 * DAY)
    with pytest.raises(ConfigError, match="it enters a live stage again by `monitor promote`"):
        acts.adopt(plant.loaded, stage="limited", since="2026-01-20", at=NOW, **SAID)
    acts.adopt(plant.loaded, stage="shadow", since="2026-02-20", at=NOW, **SAID)


def test_a_promotion_to_shadow_mode_does_not_earn_a_live_stage_again(plant: Plant) -> None:
    acts.adopt(plant.loaded, stage="offline", since="2026-01-02", at=NOW - 31 * DAY, **SAID)
    lower(plant, "rollback", NOW - 30 * DAY)
    judged(plant, OFFLINE, NOW - 2 * DAY)
    promote(plant, "shadow", NOW - DAY)
    with pytest.raises(ConfigError, match="it enters a live stage again by `monitor promote`"):
        acts.adopt(plant.loaded, stage="limited", since="2026-02-20", at=NOW, **SAID)


def frozen(plant: Plant, at: Any = NOW) -> tuple[Outcome, str | None]:
    found = finding(plant.gate(at, "limited"), "frozen_rules")
    return found.outcome, found.reason


def test_rules_that_change_in_a_live_stage_hold_its_gate_until_it_is_promoted_again(plant: Plant) -> None:
    assert frozen(plant) == (Outcome.INCONCLUSIVE, "rules_not_frozen")
    in_limited(plant)
    assert frozen(plant) == (Outcome.PASS, None)
    file = plant.folder / "checklists" / "triggers.yaml"
    file.write_text(file.read_text("utf-8").replace("sigmas: 2\n", "sigmas: 4\n"), "utf-8")
    assert frozen(plant) == (Outcome.INCONCLUSIVE, "rules_changed")
    lines = promote(plant, "limited")
    assert "step 0.01" in lines[0]
    again = plant.events("promote")[-1].body
    assert (again["from"], again["step"], again["verdict"]) == (LIMITED, 0.01, None)
    assert frozen(plant) == (Outcome.PASS, None)
    acts.arm(plant.loaded, "alert", at=NOW + DAY, **SAID)
    assert frozen(plant, NOW + 2 * DAY) == (Outcome.INCONCLUSIVE, "rules_changed")


def test_an_adopted_policy_has_its_rules_frozen_too(plant: Plant) -> None:
    acts.adopt(plant.loaded, stage="limited", since="2026-01-20", at=NOW, **SAID)
    assert frozen(plant) == (Outcome.PASS, None)
    assert finding(plant.gate(NOW, "full"), "frozen_rules").reason == "rules_not_frozen"


def test_the_command_refuses_with_exit_code_3_and_one_sentence(plant: Plant) -> None:
    asked = ["promote", "--to", "limited", "--by", "Ada", "--reason", "two weeks", "--as-of", NOW.isoformat()]
    done = plant.monitor(*asked)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        "hold: new was not promoted: it needs a PASS of shadow_mode, and it has none: "
        "`monitor gate --stage shadow`\n"
    )
    judged(plant, SHADOW, NOW - DAY)
    done = plant.monitor(*asked)
    assert done.returncode == 0 and done.stdout.startswith("new is in limited_deployment, step 0.01 of the")
    assert plant.monitor("promote", "--to", "ful", "--by", "Ada", "--reason", "x").returncode == 2
    assert [e.body["stage"] for e in plant.events("promote")] == [LIMITED]
    assert FULL not in done.stdout
