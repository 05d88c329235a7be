"""The checks of live stages, and each outcome they can have."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gates.checks import CHECKS
from gates.given import Given, GivenEvent
from gates.outcome import Outcome
from monitor.metrics.estimate import LEVEL, Estimate, Reading, exact, missing

AS_OF = datetime(2026, 3, 16, tzinfo=UTC)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
PASS, HOLD, NO_DATA, FAIL = Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.NO_DATA, Outcome.FAIL


def around(value, low, high, n=10_000.0, reason=None):
    return Estimate(value, low, high, LEVEL, n, "", "by hand", reason)


def run(check, facts=None, journal=(), params=None, windows=None, stage="limited_deployment", **estimates):
    keyed = {tuple((name + "__").split("__")[:2]): e for name, e in estimates.items()}
    evidence = Given(
        stage, "v7", AS_OF, AS_OF - 30 * DAY, AS_OF, facts or {}, keyed, windows=windows or {},
        journal=journal,
    )  # fmt: skip
    numbers = {name: number.default for name, number in CHECKS[check].params.items()}
    return CHECKS[check].function({**numbers, "item": check, **(params or {})}, evidence)


def said(findings):
    return [(f.outcome, f.reason) for f in findings]


def drill(kind, ago=DAY, policy="v7", **body):
    told = {"drill": kind, "seconds": 2.5, "pointer_read_back": True, "pointer_at": (AS_OF - ago).isoformat()}
    return GivenEvent("drill", AS_OF - ago, policy, {**told, **body}, 7)


# override_ready

DECIDED = {"first_safe_decision": (AS_OF - DAY + MINUTE).isoformat()}


def test_a_drill_that_was_fast_and_took_passes_and_tells_its_numbers():
    [found] = run("override_ready", journal=[drill("override", **DECIDED)])
    assert said([found]) == [(PASS, None)]
    assert "after 2.5 s, within 5 s" in found.message and "decided from 2026-03-15" in found.message
    assert (found.value, found.limit, found.unit) == (2.5, 5.0, "seconds")


@pytest.mark.parametrize(
    ("event", "outcome", "reason"),
    [
        (drill("override", seconds=5.0, **DECIDED), PASS, None),
        (drill("override", seconds=5.1, **DECIDED), FAIL, "limit"),
        (drill("override", pointer_read_back=False, **DECIDED), FAIL, "drill_failed"),
        (drill("override", seconds=None, **DECIDED), NO_DATA, "non_finite"),
        (drill("override", seconds=float("nan"), **DECIDED), NO_DATA, "non_finite"),
        (drill("override", seconds=-1.0, **DECIDED), NO_DATA, "non_finite"),
        (drill("override", 31 * DAY, **DECIDED), HOLD, "drill_expired"),
        (drill("override", -HOUR, **DECIDED), HOLD, "drill_missing"),
        (drill("override", policy="v6", **DECIDED), HOLD, "drill_missing"),
        (drill("rollback", **DECIDED), HOLD, "drill_missing"),
        (drill("override"), HOLD, "no_safe_decision"),
        (drill("override", first_safe_decision=(AS_OF - 2 * DAY).isoformat()), HOLD, "no_safe_decision"),
    ],
)
def test_a_drill_of_the_override(event, outcome, reason):
    assert said(run("override_ready", journal=[event])) == [(outcome, reason)]


def test_the_newest_drill_counts_and_decisions_in_the_log_show_that_it_took():
    journal = [drill("override", 9 * DAY, **DECIDED), drill("override")]
    pointed = (AS_OF - DAY).isoformat()
    assert said(run("override_ready", journal=journal)) == [(HOLD, "no_safe_decision")]
    logged = {f"safe_decisions__{pointed}": exact(40, 40, "decisions")}
    [found] = run("override_ready", journal=journal, **logged)
    assert said([found]) == [(PASS, None)] and "40 decisions of the safe policy" in found.message
    stale = {f"safe_decisions__{pointed}": exact(40, 40, "decisions").because("stale")}
    assert said(run("override_ready", journal=journal, **stale)) == [(HOLD, "no_safe_decision")]


# hard_constraints

HARD = {"constraints": {"heat": {"hard": True}, "cost": {"hard": False}}, "envelope": ["speed"]}
KEPT = {"violation_rate__heat": around(0, 0, 1e-4), "violation_rate__envelope:speed": around(0, 0, 1e-4)}


def test_every_hard_rule_and_the_drill_are_judged():
    found = run("hard_constraints", HARD, [drill("rollback")], **KEPT)
    assert said(found) == [(PASS, None)] * 3
    assert [f.key for f in found] == ["heat", "envelope:speed", ""]
    assert "outside the envelope of speed" in found[1].message


def test_a_violation_tells_how_long_it_took_to_the_safe_policy():
    opened = {"status": "open", "policy": "v7", "trigger": "constraint", "key": "heat",
              "window_start": (AS_OF - DAY).isoformat()}  # fmt: skip
    journal = [
        drill("rollback"),
        GivenEvent("incident", AS_OF - DAY + MINUTE, "i1", opened, 1),
        GivenEvent("rollback", AS_OF - DAY + 2 * MINUTE, "i1", {"status": "intent"}, 2),
        GivenEvent("rollback", AS_OF - DAY + 3 * MINUTE, "i1", {"status": "done"}, 3),
    ]
    found = run("hard_constraints", HARD, journal, **{**KEPT, "violation_rate__heat": around(1e-5, 0, 1e-4)})
    assert said(found) == [(FAIL, "violation"), (PASS, None), (PASS, None)]
    assert "From the decision to the safe policy it took 180 s" in found[0].message


@pytest.mark.parametrize(
    ("rate", "outcome", "reason"),
    [
        (around(0, 0, 0.002), HOLD, "straddles"),
        (missing("missing_cost"), NO_DATA, "missing_cost"),
        (around(0, 0, 1e-4, reason="stale"), NO_DATA, "stale"),
        (around(0, 0, float("nan")), NO_DATA, "non_finite"),
        (around(1e-5, 0, 1e-4, reason="stale"), FAIL, "violation"),
    ],
)
def test_a_hard_rule_whose_rate(rate, outcome, reason):
    found = run("hard_constraints", HARD, [drill("rollback")], **{**KEPT, "violation_rate__heat": rate})
    assert said(found)[0] == (outcome, reason)


def test_a_rollback_that_was_drilled_and_did_not_take_fails():
    found = run("hard_constraints", HARD, [drill("rollback", pointer_read_back=False)], **KEPT)
    assert said(found)[-1] == (FAIL, "drill_failed")


# blast_radius

ENTERED = {"step": 0.05, "step_since": AS_OF - 8 * DAY, "since": AS_OF - 40 * DAY}
REACH = {"decisions_outside": exact(0, 10_000, ""), "controlled_share": around(0.05, 0.048, 0.052),
         "controlled_share__newest day": around(0.06, 0.02, 0.15)}  # fmt: skip


def test_a_good_step_says_that_the_next_may_be_taken():
    found = run("blast_radius", {"limited": ENTERED}, **REACH)
    assert said(found) == [(PASS, None)] * 4 + [(HOLD, "ramp_step")]
    assert "--step 0.2" in found[-1].needs


def test_the_last_step_passes_when_it_is_old_enough():
    last = {"limited": {**ENTERED, "step": 0.5}}
    at_half = {**REACH, "controlled_share": around(0.5, 0.49, 0.51)}
    assert said(run("blast_radius", last, **at_half)) == [(PASS, None)] * 4
    young = {"limited": {"step": 0.5, "step_since": AS_OF - 3 * DAY, "since": AS_OF - 20 * DAY}}
    found = run("blast_radius", young, **at_half)
    assert said(found)[2:] == [(HOLD, "step_days"), (HOLD, "stage_days")]
    assert found[2].needs == "4 more days on this step" and found[3].needs == "8 more days on this stage"


@pytest.mark.parametrize(
    ("share", "outcome", "reason"),
    [
        (around(0.05, 0.02, 0.0625), PASS, None),
        (around(0.05, 0.02, 0.063), HOLD, "straddles"),
        (around(0.06, 0.051, 0.069), FAIL, "ramp_exceeded"),
        (around(0.2, 0.19, 0.21), FAIL, "ramp_exceeded"),
        (missing("no_data"), NO_DATA, "no_data"),
        (around(0.05, 0.048, 0.052, reason="stale"), NO_DATA, "stale"),
    ],
)
def test_the_share_of_traffic_against_the_step(share, outcome, reason):
    found = run("blast_radius", {"limited": ENTERED}, **{**REACH, "controlled_share": share})
    assert said(found)[1] == (outcome, reason)
    assert (found[-1].reason == "ramp_step") is (outcome is PASS)


@pytest.mark.parametrize(
    ("day", "outcome", "reason"),
    [
        (around(0.09, 0.0625, 0.15), PASS, None),
        (around(0.09, 0.063, 0.15), FAIL, "ramp_exceeded"),
        (around(1.0, 0.98, 1.0), FAIL, "ramp_exceeded"),
        (missing("no_data"), NO_DATA, "no_data"),
        (around(float("nan"), 0.0, 1.0), NO_DATA, "non_finite"),
    ],
)
def test_a_jump_of_the_newest_day_is_not_hidden_by_the_days_before(day, outcome, reason):
    found = run("blast_radius", {"limited": ENTERED}, **{**REACH, "controlled_share__newest day": day})
    assert said(found)[1] == (outcome, reason)
    assert found[1].key == ("" if outcome is PASS else "newest day")


@pytest.mark.parametrize(
    ("unseen", "outcome", "reason"),
    [
        (exact(0, 12, "conditions"), PASS, None),
        (exact(2, 12, "conditions", "load 1/10 (met 3 times)"), HOLD, "condition_unseen"),
        (missing("no_recommendations"), HOLD, "no_recommendations"),
        (exact(0, 12, "conditions").because("stale"), NO_DATA, "stale"),
        (exact(float("nan"), 12, "conditions"), NO_DATA, "non_finite"),
    ],
)
def test_where_the_checklist_says_so_it_decides_only_in_what_it_has_seen(unseen, outcome, reason):
    told = {**REACH, "unseen_conditions__100": unseen}
    found = run("blast_radius", {"limited": ENTERED}, params={"seen": 100.0}, **told)
    assert said(found)[2] == (outcome, reason)
    assert (found[-1].reason == "ramp_step") is (outcome is PASS)
    if reason == "condition_unseen":
        assert "2 conditions" in found[2].message and "load 1/10 (met 3 times)" in found[2].message


def test_one_decision_outside_its_segments_fails_it():
    facts = {"limited": ENTERED, "experiment_segments": ["north"]}
    found = run("blast_radius", facts, **{**REACH, "decisions_outside": exact(1, 10_000, "")})
    assert said(found)[0] == (FAIL, "segment_outside") and "outside of north" in found[0].message
    assert "only in north" in run("blast_radius", facts, **REACH)[0].message


@pytest.mark.parametrize("step", [None, 0.9, True, float("nan"), -1])
def test_without_a_step_that_may_be_it_is_held_to_the_first(step):
    found = run("blast_radius", {"limited": {**ENTERED, "step": step}}, **REACH)
    assert said(found)[1] == (FAIL, "ramp_exceeded") and "step 0.01" in found[1].message


def test_a_policy_that_never_entered_the_stage_is_held():
    assert said(run("blast_radius", **REACH))[2:] == [(HOLD, "not_entered")] * 2


# dashboard_fresh

SEEN = {"constraints": {"heat": {"hard": True}}, "features": ["load"], "window_hours": 1.0, "lag_hours": 0.2,
        "matures_hours": 6.0, "rows_judged_at": AS_OF - 4 * MINUTE}  # fmt: skip


def reading(metric, key, ago):
    return [Reading(around(0, 0, 1), metric, key, "v7", "", AS_OF - ago - HOUR, AS_OF - ago)]


FRESH = {
    ("reward_mean", ""): reading("reward_mean", "", 7 * HOUR),
    ("violation_rate", "heat"): reading("violation_rate", "heat", HOUR),
    ("state_js", "load"): reading("state_js", "load", HOUR),
}
FAILED = {"status": "failed", "url": None, "detail": "502"}
ANSWERS = GivenEvent("dashboard", AS_OF - HOUR, "v7", {"status": "ok", "url": "https://d.example"})


def test_fresh_readings_judged_rows_and_a_dashboard_that_answers_pass():
    found = run("dashboard_fresh", SEEN, [ANSWERS], windows=FRESH)
    assert said(found) == [(PASS, None)] * 3
    assert "3 safety metrics" in found[0].message


@pytest.mark.parametrize(
    ("where", "ago", "expected"),
    [
        (("violation_rate", "heat"), 3.1 * HOUR, (PASS, None)),
        (("violation_rate", "heat"), 3.3 * HOUR, (NO_DATA, "stale")),
        (("reward_mean", ""), 9.1 * HOUR, (PASS, None)),
        (("reward_mean", ""), 9.3 * HOUR, (NO_DATA, "stale")),
    ],
)
def test_a_reading_is_fresh_for_two_windows_after_it_could_be_made(where, ago, expected):
    found = run("dashboard_fresh", SEEN, [ANSWERS], windows={**FRESH, where: reading(*where, ago)})
    assert said(found)[0] == expected


def test_a_reading_that_is_not_there_is_named():
    found = run("dashboard_fresh", SEEN, [ANSWERS], windows={**FRESH, ("state_js", "load"): []})
    assert said(found)[0] == (NO_DATA, "no_data") and "state_js load" in found[0].message
    unknown = {**SEEN, "window_hours": None}
    assert said(run("dashboard_fresh", unknown, [ANSWERS], windows=FRESH))[0][0] is NO_DATA


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (AS_OF - 5 * MINUTE, (PASS, None)), (AS_OF - 6 * MINUTE, (NO_DATA, "stale")),
        (None, (NO_DATA, "no_data")), (AS_OF + MINUTE, (NO_DATA, "stale")),
    ],
)  # fmt: skip
def test_rows_are_judged_every_five_minutes_where_there_is_a_hard_rule(at, expected):
    hard = {**SEEN, "rows_judged_at": at}
    assert said(run("dashboard_fresh", hard, [ANSWERS], windows=FRESH))[1] == expected
    soft = {**SEEN, "constraints": {"heat": {"hard": False}}, "rows_judged_at": at}
    assert said(run("dashboard_fresh", soft, [ANSWERS], windows=FRESH))[1] == (PASS, None)


@pytest.mark.parametrize(
    ("journal", "expected"),
    [
        ([], (HOLD, "dashboard_missing")),
        ([replace(ANSWERS, at=AS_OF - 3 * HOUR)], (NO_DATA, "stale")),
        ([replace(ANSWERS, at=AS_OF + HOUR)], (HOLD, "dashboard_missing")),
        ([ANSWERS, replace(ANSWERS, at=AS_OF - MINUTE, body=FAILED)], (FAIL, "dashboard_failed")),
        ([replace(ANSWERS, body={})], (FAIL, "dashboard_failed")),
    ],
)
def test_a_dashboard(journal, expected):
    assert said(run("dashboard_fresh", SEEN, journal, windows=FRESH))[2] == expected


# continuous_monitoring


@pytest.mark.parametrize(
    ("late", "watched", "outcome", "reason"),
    [
        (exact(0, 168, ""), exact(7, 300, ""), PASS, None),
        (exact(1, 168, "", "the first began 2026-03-10 04:00 UTC"), exact(7, 300, ""), FAIL, "late_windows"),
        (exact(0, 48, ""), exact(2, 90, ""), HOLD, "low_days"),
        (exact(3, 48, ""), exact(2, 90, ""), FAIL, "late_windows"),
        (missing("no_data"), missing("no_data"), NO_DATA, "no_data"),
        (exact(0, 168, "").because("stale"), exact(7, 300, ""), NO_DATA, "stale"),
    ],
)
def test_every_window_of_a_week_was_judged_in_time(late, watched, outcome, reason):
    [found] = run("continuous_monitoring", late_windows__7=late, monitored_days__7=watched)
    assert said([found]) == [(outcome, reason)]
    if outcome is FAIL and late.n == 168:
        assert "1 of 168 windows" in found.message and "2026-03-10 04:00" in found.message
    if outcome is HOLD:
        assert found.needs == "5 more days of `monitor run`"


# offline_reevaluation and support

SCORED = {
    "reevaluated_value__old": around(0.4, 0.38, 0.42), "reevaluated_lift__old": around(-0.05, -0.08, 0.01),
    "reevaluated_days__old": exact(1, 10_000, ""), "reevaluated_ess__old": exact(900, 10_000, ""),
}  # fmt: skip
BEFORE = {"previous": "old"}


def test_the_previous_policy_scored_on_the_live_log_passes():
    [found] = run("offline_reevaluation", BEFORE, **SCORED)
    assert said([found]) == [(PASS, None)]
    assert "0.4 (0.38 to 0.42), a lift of -0.05 (-0.08 to 0.01) over v7" in found.message


@pytest.mark.parametrize(
    ("change", "outcome", "reason"),
    [
        ({"reevaluated_lift__old": around(0.05, 0.01, 0.08)}, FAIL, "previous_better"),
        ({"reevaluated_value__old": missing("missing_propensity")}, NO_DATA, "missing_propensity"),
        ({"reevaluated_lift__old": around(float("nan"), 0, 1)}, NO_DATA, "non_finite"),
        ({"reevaluated_value__old": around(0.4, 0.3, 0.5, reason="low_ess")}, HOLD, "low_ess"),
        ({"reevaluated_days__old": exact(31, 10_000, "")}, NO_DATA, "stale"),
        ({"reevaluated_days__old": missing("no_data")}, NO_DATA, "no_data"),
    ],
)
def test_a_previous_policy_that_is_better_or_cannot_be_told(change, outcome, reason):
    assert said(run("offline_reevaluation", BEFORE, **{**SCORED, **change})) == [(outcome, reason)]


def test_the_next_candidate_is_scored_too_and_may_be_better():
    next_one = {name.replace("__old", "__v8"): e for name, e in SCORED.items()}
    next_one["reevaluated_lift__v8"] = around(0.05, 0.01, 0.08)
    found = run("offline_reevaluation", BEFORE, **SCORED, **next_one)
    assert said(found) == [(PASS, None)] * 2 and "next candidate v8" in found[1].message
    next_one["reevaluated_value__v8"] = missing("missing_propensity")
    found = run("offline_reevaluation", BEFORE, **SCORED, **next_one)
    assert said(found)[1] == (NO_DATA, "missing_propensity")


def test_without_a_policy_from_before_there_is_nothing_to_score():
    assert said(run("offline_reevaluation", **SCORED)) == [(HOLD, "no_previous")]


def test_support_is_that_of_the_worst_policy_beside_the_live_one():
    assert said(run("support", **SCORED)) == [(PASS, None)]
    other = {"reevaluated_ess__v8": exact(20, 10_000, ""), "reevaluated_value__v8": around(0.4, 0.3, 0.5)}
    [found] = run("support", **SCORED, **other)
    assert said([found]) == [(FAIL, "limit")] and found.key == "v8"
    assert said(run("support")) == [(NO_DATA, "no_data")]
    blind = {**SCORED, "reevaluated_value__old": around(0.4, 0.3, 0.5, reason="propensity")}
    assert said(run("support", **blind)) == [(HOLD, "propensity")]


# rollback_armed

GUARDS = ["constraint", "irreversible", "reward_deviation", "reward_drop", "stale", "state_shift"]
ARMED = {"triggers": GUARDS, "acting": "rollback", "safe": "old"}
PASSED = {"stage": "full_deployment", "outcome": "PASS", "exit_code": 0}
HELD = GivenEvent("verdict", AS_OF - 90 * DAY, "old", PASSED)
TRUSTED = GivenEvent(
    "attest", AS_OF - DAY, "old",
    {"item": "trusted", "policy": "old", "by": "ana", "reason": "years of it", "evidence": "https://e.example",
     "evidence_digest": "address:1", "verdict": "approved", "expires": (AS_OF + 30 * DAY).isoformat()},
)  # fmt: skip
WINDOWS = {"baseline_windows": exact(168, 10_000, "")}


def test_an_armed_rollback_to_a_policy_that_held_a_pass_passes():
    found = run("rollback_armed", ARMED, [HELD, drill("rollback")], **WINDOWS)
    assert said(found) == [(PASS, None)] * 3
    assert "Acting is rollback" in found[0].message
    assert "old takes over; it held a PASS of full_deployment" in found[1].message


def test_operators_who_never_held_a_pass_are_signed_off_as_trusted():
    assert said(run("rollback_armed", ARMED, [TRUSTED, drill("rollback")], **WINDOWS))[1] == (PASS, None)
    assert said(run("rollback_armed", ARMED, [drill("rollback")], **WINDOWS))[1] == (HOLD, "signoff_missing")
    other = replace(TRUSTED, body={**TRUSTED.body, "policy": "v7"})
    assert said(run("rollback_armed", ARMED, [other], **WINDOWS))[1] == (HOLD, "signoff_missing")
    refused = replace(TRUSTED, body={**TRUSTED.body, "verdict": "refused"})
    assert said(run("rollback_armed", ARMED, [refused], **WINDOWS))[1] == (FAIL, "signoff_refused")


@pytest.mark.parametrize(
    "body",
    [
        {"stage": "offline_validation", "outcome": "PASS", "exit_code": 0},
        {"stage": "full_deployment", "outcome": "PASS", "exit_code": 5},
        {"stage": "full_deployment", "outcome": "INCONCLUSIVE", "exit_code": 3},
        {"stage": "full_deployment", "outcome": "PASS", "exit_code": 0, "dry": True},
        {"stage": "full_deployment", "outcome": "PASS", "exit_code": 0, "scope": "files"},
    ],
)
def test_a_verdict_that_opened_nothing_makes_no_target(body):
    found = run("rollback_armed", ARMED, [replace(HELD, body=body)], **WINDOWS)
    assert said(found)[1] == (HOLD, "signoff_missing")


@pytest.mark.parametrize("kind", ["rollback", "override"])
def test_a_target_that_was_taken_out_of_control_since_its_pass_is_trusted_only_by_a_person(kind):
    fell = GivenEvent(kind, HELD.at + DAY, "i", {"policy": "old", "status": "done"})
    assert said(run("rollback_armed", ARMED, [HELD, fell], **WINDOWS))[1] == (HOLD, "signoff_missing")
    assert said(run("rollback_armed", ARMED, [HELD, fell, TRUSTED], **WINDOWS))[1] == (PASS, None)
    again = replace(HELD, at=fell.at + DAY)
    assert said(run("rollback_armed", ARMED, [HELD, fell, again], **WINDOWS))[1] == (PASS, None)
    other = replace(fell, body={**fell.body, "policy": "v7"})
    assert said(run("rollback_armed", ARMED, [HELD, other], **WINDOWS))[1] == (PASS, None)


@pytest.mark.parametrize(
    ("facts", "place", "expected"),
    [
        ({**ARMED, "triggers": ["constraint"]}, 0, (FAIL, "trigger_off")),
        ({**ARMED, "triggers": None}, 0, (NO_DATA, "no_data")),
        ({**ARMED, "acting": "observe"}, 0, (FAIL, "not_armed")),
        ({**ARMED, "acting": None}, 0, (NO_DATA, "no_data")),
        ({**ARMED, "safe": "v7"}, 1, (FAIL, "no_target")),
        ({**ARMED, "safe": ""}, 1, (FAIL, "no_target")),
    ],
)
def test_what_disarms_a_rollback(facts, place, expected):
    assert said(run("rollback_armed", facts, [HELD, drill("rollback")], **WINDOWS))[place] == expected


def test_a_baseline_too_short_for_the_three_sigma_rule_holds_unless_the_checklist_takes_it():
    short = {"baseline_windows": exact(14, 10_000, "")}
    assert said(run("rollback_armed", ARMED, [HELD], **short))[0] == (HOLD, "baseline_short")
    taken = run("rollback_armed", ARMED, [HELD], {"baseline_windows": 0}, **short)
    assert said(taken)[0] == (PASS, None) and "14 windows" in taken[0].message
    assert said(run("rollback_armed", ARMED, [HELD]))[0] == (NO_DATA, "no_data")


# on_call_path


def page(name, ago, answered=None, by="ben"):
    events = [GivenEvent("test_page", AS_OF - ago, "v7", {"page": name, "status": "sent", "by": ""}, 1)]
    if answered is not None:
        body = {"page": name, "status": "acknowledged", "by": by}
        events.append(GivenEvent("test_page", AS_OF - ago + answered, "v7", body, 2))
    return events


@pytest.mark.parametrize(
    ("journal", "outcome", "reason"),
    [
        (page("a", DAY, 15 * MINUTE), PASS, None),
        (page("a", DAY, 16 * MINUTE), FAIL, "limit"),
        (page("a", DAY), FAIL, "limit"),
        (page("a", 10 * MINUTE), HOLD, "page_waits"),
        (page("a", 31 * DAY, MINUTE), HOLD, "page_expired"),
        ([], HOLD, "page_missing"),
        (page("a", DAY, MINUTE, by=" "), FAIL, "limit"),
        (page("a", DAY)[:1] + page("b", DAY, MINUTE)[1:], FAIL, "limit"),
        (page("a", 2 * DAY) + page("b", DAY, MINUTE), PASS, None),
        (page("a", 2 * DAY, MINUTE) + page("b", DAY), FAIL, "limit"),
        (page("a", 2 * DAY, MINUTE) + page("b", 5 * MINUTE), PASS, None),
        (page("a", -HOUR, MINUTE), HOLD, "page_missing"),
    ],
)
def test_a_test_page(journal, outcome, reason):
    assert said(run("on_call_path", journal=journal)) == [(outcome, reason)]


def test_pagerduty_takes_an_attested_test_in_place_of_a_page():
    facts = {"escalation": "pagerduty"}
    assert said(run("on_call_path", facts, page("a", DAY, MINUTE))) == [(HOLD, "signoff_missing")]
    body = {**TRUSTED.body, "item": "on_call_path", "policy": "v7"}
    signed = replace(TRUSTED, subject="v7", body=body)
    assert said(run("on_call_path", facts, [signed])) == [(PASS, None)]
    far = {**body, "expires": (AS_OF + 900 * DAY).isoformat()}
    old = replace(signed, at=AS_OF - 30 * DAY, body=far)
    assert said(run("on_call_path", facts, [old])) == [(HOLD, "signoff_expired")]


def test_an_attested_test_of_pagerduty_needs_two_persons_where_the_checklist_says_so():
    facts, two = {"escalation": "pagerduty"}, {"two_person": True}
    body = {**TRUSTED.body, "item": "on_call_path", "policy": "v7"}
    for proposer, reason in (("", "proposer_unknown"), (body["by"], "signoff_one_person"), ("Bo", None)):
        signed = replace(TRUSTED, subject="v7", body={**body, "proposer": proposer})
        assert [f.reason for f in run("on_call_path", facts, [signed], two)] == [reason]


# exploration and safety_layer


def test_exploration_is_judged_with_its_cost_beside_it():
    cost = around(0.1, 0, 0.2)
    [found] = run("exploration", exploration_rate=around(0.004, 0.003, 0.005), exploration_cost=cost)
    assert said([found]) == [(PASS, None)] and "costs 0.1 (0 to 0.2) of reward" in found.message
    assert said(run("exploration", exploration_rate=around(0.01, 0.005, 0.02))) == [(HOLD, "straddles")]
    assert said(run("exploration", exploration_rate=around(0.17, 0.16, 0.18))) == [(FAIL, "limit")]
    [found] = run("exploration")
    assert (found.outcome, found.reason, "action_probs" in found.needs) == (NO_DATA, "no_data", True)


def test_the_dimension_that_the_safety_layer_changes_most_is_named():
    rates = {"clip_rate": around(0.01, 0.0, 0.02), "clip_rate__fan": around(0.2, 0.1, 0.3)}
    [found] = run("safety_layer", **rates)
    assert said([found]) == [(FAIL, "limit")] and found.key == "fan" and "in fan" in found.message
    assert said(run("safety_layer", clip_rate=around(0.01, 0.0, 0.02))) == [(PASS, None)]
    assert said(run("safety_layer", clip_rate=around(0.05, 0.0, 0.09))) == [(HOLD, "straddles")]
    assert said(run("safety_layer")) == [(NO_DATA, "no_data")]
