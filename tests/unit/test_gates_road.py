"""The road of a policy as folds of the journal: drops, steps, what allows the next one, who was good last."""

from datetime import UTC, datetime, timedelta

import pytest

from gates.given import GivenEvent
from gates.passes import last_good, step_taken
from gates.stages import FULL, LIMITED, OFFLINE, SHADOW, Standing, dropped, entry, standing, step_since

NOW = datetime(2026, 3, 16, tzinfo=UTC)
DAY = timedelta(days=1)
HASHES = {"checklist_hash": "aa", "config_hash": "bb"}


def enter(days_ago, stage, policy="v7", kind="promote", seq=0, **body):
    return GivenEvent(kind, NOW - days_ago * DAY, policy, {"stage": stage, **body}, seq)


def rollback(days_ago, policy="v7", status="done", seq=0):
    body = {"incident": "x", "policy": policy, "safe": "v1", "status": status}
    return GivenEvent("rollback", NOW - days_ago * DAY, "x", body, seq)


def override(days_ago, policy="v7"):
    body = {"policy": policy, "safe": "v1", "by": "Ada", "reason": "why"}
    return GivenEvent("override", NOW - days_ago * DAY, policy, body)


@pytest.mark.parametrize("stage", [LIMITED, FULL])
@pytest.mark.parametrize("drop", [rollback, override])
def test_a_drop_takes_a_live_policy_back_to_shadow_mode_from_then_on(stage, drop):
    events = [enter(40, SHADOW), enter(20, stage), drop(5)]
    assert standing(events, "v7", NOW) == Standing(SHADOW, NOW - 5 * DAY)
    assert standing(events, "v7", NOW - 6 * DAY) == Standing(stage, NOW - 20 * DAY)
    assert entry(events, "v7", NOW) is None


@pytest.mark.parametrize(
    "other", [rollback(5, policy="v6"), rollback(5, status="intent"), rollback(5, status="failed")]
)
def test_what_did_not_take_control_from_this_policy_ends_nothing(other):
    assert standing([enter(20, LIMITED), other], "v7", NOW) == Standing(LIMITED, NOW - 20 * DAY)
    assert dropped([other], "v7", NOW) is None


def test_a_policy_that_nobody_entered_and_that_was_rolled_back_is_in_shadow_mode():
    assert standing([rollback(5)], "v7", NOW) == Standing(SHADOW, NOW - 5 * DAY)


def test_a_rolled_back_policy_that_is_still_in_offline_validation_stays_there():
    assert standing([enter(20, OFFLINE), rollback(5)], "v7", NOW) == Standing(OFFLINE, NOW - 5 * DAY)


def test_evidence_from_before_a_drop_is_not_brought_back_by_adopting():
    events = [enter(20, LIMITED), rollback(5), enter(3, SHADOW, kind="adopt", since="2026-01-01")]
    assert standing(events, "v7", NOW) == Standing(SHADOW, NOW - 5 * DAY)


def test_what_was_earned_again_after_a_drop_stands():
    events = [enter(40, LIMITED), rollback(30), enter(10, LIMITED, step=0.01), enter(2, LIMITED, step=0.05)]
    assert standing(events, "v7", NOW) == Standing(LIMITED, NOW - 10 * DAY)
    assert entry(events, "v7", NOW).body["step"] == 0.05


def test_rules_that_are_frozen_anew_begin_no_new_step():
    events = [enter(9, LIMITED, step=0.01), enter(5, LIMITED, step=0.05), enter(2, LIMITED, step=0.05)]
    assert step_since(events, "v7", NOW) == NOW - 5 * DAY
    assert step_since(events, "v7", NOW - 6 * DAY) == NOW - 9 * DAY
    assert step_since([*events, rollback(1)], "v7", NOW) is None
    again = [enter(30, LIMITED, step=0.05), rollback(20), enter(2, LIMITED, step=0.05)]
    assert step_since(again, "v7", NOW) == NOW - 2 * DAY
    assert step_since([enter(9, SHADOW)], "v7", NOW) is None


def test_a_step_of_the_ramp_is_no_new_entry_but_adopting_is():
    events = [enter(9, LIMITED, step=0.01), enter(2, LIMITED, step=0.05)]
    assert standing(events, "v7", NOW).since == NOW - 9 * DAY
    again = enter(1, LIMITED, kind="adopt", since=(NOW - 4 * DAY).isoformat())
    assert standing([*events, again], "v7", NOW).since == NOW - 4 * DAY


def verdict(days_ago, reasons=(), outcome="INCONCLUSIVE", exit_code=3, policy="v7", stage=LIMITED, **more):
    findings = [
        {"item": r, "role": "guardrail", "outcome": "INCONCLUSIVE", "reason": r} for r in reasons
    ] + [{"item": "fine", "role": "guardrail", "outcome": "PASS", "reason": None}]
    body = {
        "policy": policy, "stage": stage, **HASHES, "outcome": outcome, "exit_code": exit_code,
        "findings": findings, "as_of": (NOW - days_ago * DAY).isoformat(), **more,
    }  # fmt: skip
    return GivenEvent("verdict", NOW - days_ago * DAY, policy, body)


def taken(*events, since=None):
    asked = {"policy": "v7", **HASHES, "as_of": NOW, "expires_after": 7 * DAY, "since": since}
    return step_taken(events, **asked)


@pytest.mark.parametrize("reasons", [["ramp_step"], ["ramp_step", "stage_days"]])
def test_a_step_may_follow_a_verdict_that_leaves_only_the_ramp_open(reasons):
    event = verdict(1, reasons)
    assert taken(event) is event


@pytest.mark.parametrize(
    "event",
    [
        verdict(1, ["stage_days"]),
        verdict(1, ["ramp_step", "step_days"]),
        verdict(1, ["ramp_step", "straddles"]),
        verdict(1, ["ramp_step"], outcome="FAIL", exit_code=1),
        verdict(1, ["ramp_step"], exit_code=5),
        verdict(7, ["ramp_step"]),
        verdict(1, ["ramp_step"], config_hash="xx"),
        verdict(1, ["ramp_step"], checklist_hash="xx"),
        verdict(1, ["ramp_step"], stage=SHADOW),
        verdict(1, ["ramp_step"], scope="files"),
        verdict(1, ["ramp_step"], dry=True),
        verdict(1, []),
    ],
)
def test_a_step_follows_no_other_verdict(event):
    assert taken(event) is None


def test_a_step_needs_a_verdict_on_the_step_it_leaves():
    assert taken(verdict(3, ["ramp_step"]), since=NOW - 2 * DAY) is None


def passed(days_ago, policy, stage=FULL):
    return verdict(days_ago, outcome="PASS", exit_code=0, policy=policy, stage=stage)


def test_the_last_good_policy_is_the_newest_other_one_that_passed_a_live_stage():
    events = [passed(30, "v5"), passed(20, "v6", LIMITED), passed(9, "v4", SHADOW), passed(2, "v7")]
    assert last_good(events, "v7", NOW) == "v6"
    assert last_good(events, "v7", NOW - 25 * DAY) == "v5"
    assert last_good(events, "v6", NOW) == "v7"
    assert last_good([verdict(2, policy="v6")], "v7", NOW) is None


def test_a_policy_that_was_rolled_back_after_its_pass_is_not_the_last_good_one():
    events = [passed(30, "v5"), passed(20, "v6")]
    assert last_good([*events, rollback(10, "v6")], "v7", NOW) == "v5"
    assert last_good([*events, rollback(25, "v6")], "v7", NOW) == "v6"
