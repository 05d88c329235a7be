"""Each built check and the outcomes it can have."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gates.checks import CHECKS
from gates.given import Given, GivenEvent
from gates.outcome import Outcome
from monitor.metrics.estimate import LEVEL, Estimate, exact, missing

AS_OF = datetime(2026, 3, 16, tzinfo=UTC)
PASS, HOLD, NO_DATA, FAIL = Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.NO_DATA, Outcome.FAIL


def around(value, low, high, n=10_000.0, reason=None):
    return Estimate(value, low, high, LEVEL, n, "", "by hand", reason)


def run(check, facts=None, stage="shadow_mode", journal=(), params=None, **estimates):
    keyed = {tuple((name + "__").split("__")[:2]): e for name, e in estimates.items()}
    evidence = Given(
        stage,
        "v7",
        AS_OF,
        facts={"decisions_per_day": 1000.0, **(facts or {})},
        estimates=keyed,
        journal=journal,
    )
    numbers = {name: number.default for name, number in CHECKS[check].params.items()}
    return CHECKS[check].function({**numbers, "item": check, **(params or {})}, evidence)


def said(findings):
    return [(f.outcome, f.reason) for f in findings]


# held_out_value

VALUE = {
    "snips": around(0.5, 0.4, 0.6), "ips": around(0.52, 0.3, 0.7), "dr": around(0.51, 0.45, 0.57),
    "snips_dr_difference": around(-0.01, -0.03, 0.01), "lift": around(0.1, 0.05, 0.15),
    "reward_mean": around(0.4, 0.39, 0.41), "reward_q99": around(1.0, 1.0, 1.0),
    "leaked_decisions": exact(0, 100, ""),
}  # fmt: skip
DECLARED = {"training": "until", "held_out": True}


def test_two_estimators_that_agree_pass_held_out_value():
    [found] = run("held_out_value", DECLARED, **VALUE)
    assert said([found]) == [(PASS, None)]
    assert (found.value, found.low, found.high, found.n) == (0.5, 0.4, 0.6, 10_000)
    assert "DR 0.51 (0.45 to 0.57), IPS 0.52 (0.3 to 0.7)" in found.message


@pytest.mark.parametrize(
    ("low", "high", "outcome", "reason"),
    [
        (0.0, 0.02, PASS, None), (-0.02, 0.0, PASS, None),
        (0.001, 0.02, HOLD, "estimators_disagree"), (-0.02, -0.001, HOLD, "estimators_disagree"),
    ],
)  # fmt: skip
def test_estimators_agree_where_zero_lies_in_the_interval_of_their_difference(low, high, outcome, reason):
    apart = {**VALUE, "snips_dr_difference": around((low + high) / 2, low, high)}
    assert said(run("held_out_value", DECLARED, **apart)) == [(outcome, reason)]


def test_one_estimator_alone_never_passes_held_out_value():
    alone = {**VALUE, "snips_dr_difference": missing("no_candidate_distribution")}
    [found] = run("held_out_value", DECLARED, **alone)
    assert said([found]) == [(HOLD, "no_candidate_distribution")]
    assert "(SNIPS) is 0.5" in found.message and "candidate_probs" in found.needs


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"lift": around(0.15, 0.1, 0.2)}, None),  # 43 % of the logged .35
        ({"lift": around(0.17, 0.1, 0.2)}, "too_good"),  # 52 % of .33
        ({"reward_q99": around(0.45, 0.44, 0.46)}, "too_good"),
        ({"reward_q99": around(0.0, 0.0, 0.0)}, None),  # rewards so rare that the percentile tells nothing
    ],
)
def test_a_value_too_good_for_its_data_is_held(change, reason):
    [found] = run("held_out_value", DECLARED, **{**VALUE, **change})
    assert found.reason == reason and found.value == 0.5


def test_held_out_value_needs_training_and_held_out_to_be_declared():
    [found] = run("held_out_value", {"training": None, "held_out": True}, **VALUE)
    assert (found.reason, found.value) == ("training_undeclared", 0.5)
    assert "0.5 (0.4 to 0.6)" in found.message
    assert said(run("held_out_value", {"training": "until"}, **VALUE)) == [(HOLD, "held_out_undeclared")]


def test_one_leaked_decision_fails_held_out_value_whatever_else_is_missing():
    leaked = {**VALUE, "leaked_decisions": exact(1, 100, "")}
    assert said(run("held_out_value", DECLARED, **leaked)) == [(FAIL, "leakage")]
    leaked["snips"] = missing("missing_propensity")
    assert said(run("held_out_value", DECLARED, **leaked)) == [(FAIL, "leakage")]


def test_leakage_that_cannot_be_told_is_no_data():
    unknown = {**VALUE, "leaked_decisions": missing("no_data")}
    assert said(run("held_out_value", DECLARED, **unknown)) == [(NO_DATA, "no_data")]
    untrained = {"training": "none", "held_out": True}
    assert said(run("held_out_value", untrained, **unknown)) == [(PASS, None)]


def test_the_reason_why_a_value_is_not_estimable_comes_first():
    thin = {**VALUE, "snips": around(0.5, 0.0, 1.0, reason="low_ess"), "ess": exact(20, 10_000, "")}
    [found] = run("held_out_value", {"training": None}, **thin)
    assert said([found]) == [(HOLD, "low_ess")]
    assert found.needs.startswith("about 40 000 more decisions, 40 days at your volume")
    blind = {**VALUE, "snips": missing("missing_propensity")}
    assert said(run("held_out_value", {"training": None}, **blind)) == [(NO_DATA, "missing_propensity")]


# beats_baseline


@pytest.mark.parametrize(
    ("lift", "margin", "outcome"),
    [
        (around(0.02, 0.001, 0.04), 0.0, PASS),
        (around(0.02, 0.0, 0.04), 0.0, HOLD),
        (around(0.0, -0.009, 0.01), 0.01, PASS),
        (around(0.02, 0.001, 0.04), -0.05, FAIL),
        (around(-0.02, -0.04, -0.001), 0.0, FAIL),
        (around(-0.02, -0.04, 0.001), 0.0, HOLD),
    ],
)
def test_the_lift_must_lie_above_minus_margin_with_its_whole_interval(lift, margin, outcome):
    assert run("beats_baseline", lift=lift, params={"margin": margin})[0].outcome is outcome


def test_a_lift_that_is_not_settled_says_how_many_more_decisions_it_takes():
    # the lower end comes from 0.03 below the value to 0.01 below it: nine times the decisions
    [found] = run("beats_baseline", lift=around(0.01, -0.02, 0.04))
    assert found.needs == "about 80 000 more decisions, 80 days at your volume"
    [found] = run("beats_baseline", lift=around(-0.01, -0.03, 0.01))
    assert "can only settle it" in found.needs


def test_a_lift_that_is_not_estimable_is_not_judged():
    found = run("beats_baseline", lift=around(0.3, 0.2, 0.4, reason="few_events"))
    assert said(found) == [(HOLD, "few_events")]
    assert said(run("beats_baseline")) == [(NO_DATA, "no_data")]


# shadow mode


@pytest.mark.parametrize(
    ("share", "outcome"),
    [
        (around(1, 0.9995, 1), PASS),
        (around(0.9992, 0.9985, 0.9997), HOLD),
        (around(0.9, 0.89, 0.91), FAIL),
        (missing("rejects"), NO_DATA),
    ],
)
def test_recommendations_must_be_logged_with_almost_every_decision(share, outcome):
    assert run("recommendations_logged", recommended_share=share)[0].outcome is outcome


LEVEL_NOW = {"disagreement": around(0.6, 0.5, 0.7), "self_disagreement": around(0.8, 0.79, 0.81)}


@pytest.mark.parametrize(
    ("slope", "outcome"),
    [
        (around(0, -0.003, 0.003, 20), PASS),
        (around(0.001, -0.004, 0.006, 20), HOLD),
        (around(0.01, 0.005, 0.015, 20), FAIL),
        (missing("stale"), NO_DATA),
    ],
)
def test_disagreement_must_not_grow(slope, outcome):
    found = run("disagreement", disagreement_slope=slope, **LEVEL_NOW)
    assert [f.outcome for f in found] == [outcome]
    assert "0.6 (0.5 to 0.7); the incumbent with itself: 0.8" in found[0].message


def test_growth_is_told_over_fourteen_days_and_needs_are_told_in_days():
    [found] = run("disagreement", disagreement_slope=around(0.001, -0.004, 0.006, 20), **LEVEL_NOW)
    assert (found.value, found.high) == pytest.approx((0.014, 0.084))
    # the width must shrink from .005 to .05/14 − .001 a day, as n^(−3/2)
    more = 20 * ((0.005 / (0.05 / 14 - 0.001)) ** (2 / 3) - 1)
    assert found.needs == f"about {int(more) + 1} more days of shadow mode"
    young = around(0.001, -0.1, 0.1, 5, "low_n")
    assert run("disagreement", disagreement_slope=young, **LEVEL_NOW)[0].needs.startswith("about 9 more days")


def test_the_level_of_disagreement_counts_only_where_a_limit_is_set():
    slope = {"disagreement_slope": around(0, -0.003, 0.003, 20)}
    found = run("disagreement", params={"limit": 0.65}, **slope, **LEVEL_NOW)
    assert said(found) == [(PASS, None), (HOLD, "straddles")]
    assert found[1].metric == "disagreement" and found[1].limit == 0.65
    unknown = {**LEVEL_NOW, "disagreement": missing("no_data")}
    assert said(run("disagreement", **slope, **unknown)) == [(PASS, None), (NO_DATA, "no_data")]


def test_a_level_of_disagreement_that_nobody_knows_is_not_told_as_question_marks():
    [found, *_] = run("disagreement")
    assert found.message.endswith("The level is not known; the incumbent with itself: not known.")


def test_an_incumbent_whose_own_disagreement_is_unknown_does_not_stop_the_candidate():
    alone = {**LEVEL_NOW, "self_disagreement": missing("missing_propensity")}
    assert said(run("disagreement", disagreement_slope=around(0, -0.003, 0.003, 20), **alone)) == [
        (PASS, None)
    ]


@pytest.mark.parametrize(
    ("share", "outcome"),
    [
        (around(0.005, 0.003, 0.008), PASS),
        (around(0.005, 0.003, 0.012), HOLD),
        (around(0.05, 0.03, 0.08), FAIL),
        (missing("baseline_missing"), NO_DATA),
    ],
)
def test_large_disagreements_must_be_rare(share, outcome):
    assert run("large_disagreement", large_disagreement=share)[0].outcome is outcome


LONG = {
    "evidence_days": exact(15, 1000, "days"),
    "longest_gap_hours": exact(1.4, 1000, "hours"),
    "baseline_longest_gap_hours": exact(1, 1000, "hours"),
    "condition_count__day": exact(600, 1000, ""),
    "condition_count__night": exact(100, 1000, ""),
}


def test_long_evidence_without_gaps_in_all_conditions_passes():
    assert [f.outcome for f in run("duration_and_coverage", **LONG)] == [PASS, PASS, PASS]


def test_evidence_that_is_too_short_waits_and_does_not_fail():
    days, *_ = run("duration_and_coverage", **{**LONG, "evidence_days": exact(13.2, 1000, "days")})
    assert (days.outcome, days.reason, days.needs) == (HOLD, "low_days", "1 more day of evidence")
    days, *_ = run("duration_and_coverage", **{**LONG, "evidence_days": missing("no_data")})
    assert (days.outcome, days.reason) == (NO_DATA, "no_data")


def test_a_gap_longer_than_the_baseline_knows_fails():
    gap = run("duration_and_coverage", **{**LONG, "longest_gap_hours": exact(1.6, 1000, "hours")})[1]
    assert (gap.outcome, gap.limit) == (FAIL, 1.5)
    gap = run("duration_and_coverage", **{**LONG, "baseline_longest_gap_hours": missing("baseline_missing")})[
        1
    ]
    assert (gap.outcome, gap.reason) == (NO_DATA, "baseline_missing")


def test_a_condition_seldom_seen_is_named_and_waited_for():
    seldom = {**LONG, "condition_count__night": exact(99, 1000, "")}
    found = run("duration_and_coverage", **seldom)[2]
    assert (found.outcome, found.reason, found.value) == (HOLD, "low_coverage", 0.5)
    assert "night (99)" in found.message and "night (99)" in found.needs
    never = {**LONG, "condition_count__night": exact(0, 0, "")}
    assert run("duration_and_coverage", **never)[2].reason == "low_coverage"
    unknown = {**LONG, "condition_count__night": missing("stale")}
    assert run("duration_and_coverage", **unknown)[2].outcome is NO_DATA


def test_conditions_that_nobody_can_name_are_no_data():
    none = {name: e for name, e in LONG.items() if not name.startswith("condition")}
    assert run("duration_and_coverage", **none)[2].outcome is NO_DATA


# data_contract

CLEAN = {
    "rejected_share": exact(0.001, 1000, "share"),
    "fault_share__reward": exact(0.002, 1000, "share"),
    "expectations_met": exact(1, 380, "share"),
    "newest_decision_age_hours": exact(0.5, 1000, "hours"),
}


def test_a_clean_fresh_log_keeps_its_contract():
    assert {f.outcome for f in run("data_contract", {"max_rejects": 0.01}, **CLEAN)} == {PASS}


def test_rejects_and_the_worst_column_are_judged_against_max_rejects():
    bad = {**CLEAN, "rejected_share": exact(0.02, 1000, ""), "fault_share__p": exact(0.5, 1000, "")}
    rejects, faults, *_ = run("data_contract", {"max_rejects": 0.01}, **bad)
    assert (rejects.outcome, rejects.limit) == (FAIL, 0.01)
    assert (faults.outcome, faults.key) == (FAIL, "p")


def test_a_log_without_faults_passes_only_where_rows_were_read():
    clean = {name: e for name, e in CLEAN.items() if not name.startswith("fault")}
    assert run("data_contract", {"max_rejects": 0.01}, **clean)[1].outcome is PASS
    assert run("data_contract", {"max_rejects": 0.01})[1].outcome is NO_DATA


def test_a_stale_log_is_no_data_but_offline_evidence_may_be_old():
    old = {**CLEAN, "newest_decision_age_hours": exact(900, 1000, "hours").because("stale")}
    assert said(run("data_contract", {"max_rejects": 0.01}, **old))[3] == (NO_DATA, "stale")
    assert len(run("data_contract", {"max_rejects": 0.01}, stage="offline_validation", **old)) == 3


def test_an_unmet_expectation_fails_with_its_column_its_rule_and_its_value():
    unmet = {**CLEAN, "expectations_met": exact(0.99, 380, "share")}
    unmet["expectation_failed__state_load: mean at most 0.9"] = exact(42.0, 2400, "", "critical")
    found = run("data_contract", {"max_rejects": 0.01}, **unmet)[2]
    assert (found.outcome, found.key, found.value) == (FAIL, "state_load: mean at most 0.9", 42.0)
    assert "state_load: mean at most 0.9, but it was 42" in found.message


def test_an_unmet_warning_is_told_and_fails_nothing():
    warned = {**CLEAN, "expectation_failed__batch: late_share at most 0.05": exact(0.3, 9, "", "warning")}
    found = run("data_contract", {"max_rejects": 0.01}, **warned)[2]
    assert found.outcome is PASS and "late_share at most 0.05, but it was 0.3" in found.message


def test_no_validation_is_no_data_unless_expectations_are_off_for_a_reason():
    none = {name: e for name, e in CLEAN.items() if name != "expectations_met"}
    assert run("data_contract", {"max_rejects": 0.01}, **none)[2].outcome is NO_DATA
    partly = {**none, "expectations_met": exact(0.9, 380, "share")}
    assert said(run("data_contract", {"max_rejects": 0.01}, **partly))[2] == (NO_DATA, "not_validated")
    off = {"max_rejects": 0.01, "expectations_off": "checked upstream"}
    found = run("data_contract", off, **none)[2]
    assert found.outcome is PASS and "are off: checked upstream" in found.message


def test_a_limit_that_is_not_known_is_no_data():
    assert run("data_contract", **CLEAN)[0].outcome is NO_DATA


# hard_constraints and state_shift

HARD = {"constraints": {"pressure": {"hard": True}, "heat": {"hard": False}}}


def test_one_hard_violation_fails_even_where_the_rate_cannot_be_judged():
    found = run("hard_constraints", HARD, violation_rate__pressure=around(1e-4, 0, 1, 50, "low_n"))
    assert said(found) == [(FAIL, "violation"), (HOLD, "drill_missing")]


def test_no_violation_does_not_pass_before_the_rollback_was_drilled():
    found = run("hard_constraints", HARD, violation_rate__pressure=around(0, 0, 0.0004))
    assert said(found) == [(PASS, None), (HOLD, "drill_missing")]
    assert "0 (0 to 0.0004)" in found[0].message and found[0].key == "pressure"
    assert said(run("hard_constraints")) == [(HOLD, "no_hard_constraint"), (HOLD, "drill_missing")]


def test_a_wide_bound_on_violations_says_how_many_more_decisions_it_takes():
    found, _drill = run("hard_constraints", HARD, violation_rate__pressure=around(0, 0, 0.0037, 1000))
    assert (found.reason, found.needs) == ("straddles", "about 2 700 more decisions, 3 days at your volume")
    assert said(run("hard_constraints", HARD)) == [(NO_DATA, "no_data"), (HOLD, "drill_missing")]


FEATURES = {"features": ["load", "heat"]}


@pytest.mark.parametrize(
    ("heat", "outcome"),
    [
        (around(0.02, 0.01, 0.1), PASS),
        (around(0.09, 0.05, 0.13), HOLD),
        (around(0.3, 0.2, 0.4), FAIL),
        (missing("baseline_missing"), NO_DATA),
    ],
)
def test_the_state_is_judged_by_its_worst_feature(heat, outcome):
    [found] = run("state_shift", FEATURES, state_js__load=around(0.01, 0, 0.02), state_js__heat=heat)
    assert (found.outcome, found.key) == (outcome, "heat")


def test_a_state_without_features_does_not_pass():
    assert said(run("state_shift")) == [(HOLD, "no_state")]
    assert said(run("state_shift", FEATURES, state_js__load=around(0, 0, 0.01))) == [(NO_DATA, "no_data")]


def test_a_shift_of_less_than_seven_days_has_no_interval_and_asks_for_days():
    bare = around(0.0, float("nan"), float("nan"))
    [found] = run("state_shift", {"features": ["load"]}, state_js__load=bare)
    assert (found.outcome, found.reason, found.needs) == (HOLD, "low_days", "more days of evidence")


# sign-offs

WORD = {
    "item": "review",
    "policy": "v7",
    "by": "ana",
    "reason": "sensible",
    "evidence": "labels.csv",
    "evidence_digest": "ab12",
    "verdict": "approved",
    "expires": (AS_OF + timedelta(days=30)).isoformat(),
    "reward_hash": "rr",
}


def word(days_ago=1.0, seq=1, **body):
    return GivenEvent("attest", AS_OF - timedelta(days=days_ago), "v7", {**WORD, **body}, seq)


def test_an_approval_with_who_why_and_evidence_passes():
    [found] = run("review", journal=[word()])
    assert found.outcome is PASS and "ana" in found.message and "sensible" in found.message


@pytest.mark.parametrize("other", [{"item": "red_team"}, {"policy": "v6"}, {"policy": None}])
def test_the_word_on_another_item_or_policy_does_not_count(other):
    [found] = run("review", journal=[word(**other)])
    assert said([found]) == [(HOLD, "signoff_missing")] and "monitor attest --item review" in found.needs


def test_a_word_given_after_as_of_does_not_count_yet():
    assert run("review", journal=[word(days_ago=-1)])[0].reason == "signoff_missing"


@pytest.mark.parametrize("field", ["by", "reason", "evidence", "evidence_digest", "expires", "verdict"])
def test_an_approval_that_leaves_something_out_does_not_pass(field):
    assert said(run("review", journal=[word(**{field: " "})])) == [(HOLD, "signoff_incomplete")]


def test_an_approval_expires():
    expired = word(expires=AS_OF.isoformat())
    assert said(run("review", journal=[expired])) == [(HOLD, "signoff_expired")]


def test_the_newest_word_counts():
    refused = word(days_ago=0.5, seq=2, verdict="refused")
    assert said(run("review", journal=[word(), refused])) == [(FAIL, "signoff_refused")]
    assert said(run("review", journal=[refused, word(days_ago=0.1, seq=3)])) == [(PASS, None)]


def test_a_red_team_report_is_void_after_a_quarter_whatever_it_says():
    far = (AS_OF + timedelta(days=900)).isoformat()
    fresh = run("red_team", {"reward_hash": "rr"}, journal=[word(91, item="red_team", expires=far)])
    assert said(fresh) == [(PASS, None)]
    old = run("red_team", journal=[word(92, item="red_team", expires=far)])
    assert said(old) == [(HOLD, "signoff_expired")]


def test_a_sign_off_of_ones_own_goes_by_the_name_of_its_item():
    event = replace(word(), body={**WORD, "item": "legal"})
    assert said(run("sign_off", params={"item": "legal"}, journal=[event])) == [(PASS, None)]
    assert said(run("sign_off", params={"item": "finance"}, journal=[event])) == [(HOLD, "signoff_missing")]
