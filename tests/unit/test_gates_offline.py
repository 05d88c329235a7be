"""Offline validation beside the candidate's value: constraints, and how the candidate was trained."""

import math
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


def run(check, facts=None, estimates=None, params=None, journal=(), stage="offline_validation"):
    evidence = Given(
        stage, "v7", AS_OF, facts={"decisions_per_day": 1000.0, **(facts or {})},
        estimates=estimates or {}, journal=journal,
    )  # fmt: skip
    numbers = {name: number.default for name, number in CHECKS[check].params.items()}
    found = CHECKS[check].function({**numbers, "item": check, **(params or {})}, evidence)
    assert all((f.outcome is PASS) == (f.reason is None) == (f.needs == "") for f in found)
    return found


def said(findings):
    return [(f.outcome, f.reason) for f in findings]


# constraint_value

RULES = {
    "slow": {"limit": 0.1, "margin": 0.05, "hard": False, "measure": "rate"},
    "crash": {"limit": 0.0, "margin": 0.0, "hard": True, "measure": "rate"},
}


def cost(slow, crash):
    return {("offpolicy_cost", "slow"): slow, ("offpolicy_cost", "crash"): crash}


@pytest.mark.parametrize(
    ("slow", "outcome", "reason"),
    [
        (around(0.08, 0.06, 0.1), PASS, None),
        (around(0.08, 0.06, 0.101), HOLD, "straddles"),  # the margin of a trigger is no licence
        (around(0.12, 0.1, 0.14), HOLD, "straddles"),
        (around(0.12, 0.101, 0.14), FAIL, "limit"),
        (around(0.01, 0.0, 0.02, reason="low_ess"), HOLD, "low_ess"),
        (missing("missing_propensity"), HOLD, "missing_propensity"),  # a sign-off could stand for them
        (around(math.nan, math.nan, math.nan), NO_DATA, "non_finite"),
    ],
)
def test_the_upper_end_of_what_the_candidate_would_cost_is_held_against_the_limit(slow, outcome, reason):
    found = run("constraint_value", {"constraints": RULES}, cost(slow, around(0, 0, 0.001)))
    assert said(found) == [(outcome, reason), (PASS, None)]
    assert [(f.key, f.limit) for f in found] == [("slow", 0.1), ("crash", 0.001)]


@pytest.mark.parametrize(
    ("crash", "limit", "outcome"),
    [
        (around(0, 0, 0.001), 0.001, PASS), (around(0, 0, 0.0011), 0.001, HOLD),
        (around(0, 0, 0.0011), 0.01, PASS), (around(0.005, 0.0011, 0.01), 0.001, FAIL),
    ],
)  # fmt: skip
def test_a_hard_constraint_is_held_against_a_number_of_the_item(crash, limit, outcome):
    facts = {"constraints": {"crash": RULES["crash"]}}
    [found] = run("constraint_value", facts, cost(None, crash), {"hard_limit": limit})
    assert (found.outcome, found.limit) == (outcome, limit)
    assert "hard constraint crash" in found.message


@pytest.mark.parametrize(
    ("wear", "outcome", "reason"),
    [
        (around(4, 3, 5), PASS, None), (around(4, 3, 5.1), HOLD, "straddles"),
        (around(6, 5.1, 7), FAIL, "limit"), (around(0, 0, 0).because("few_events"), HOLD, "few_events"),
    ],
)  # fmt: skip
def test_the_cost_of_an_episode_is_held_against_its_limit_and_costs_never_seen_pass_nothing(
    wear, outcome, reason
):
    rules = {"wear": {"limit": 5.0, "hard": False, "measure": "episode_cost"}}
    [found] = run("constraint_value", {"constraints": rules}, {("offpolicy_cost", "wear"): wear})
    assert said([found]) == [(outcome, reason)] and "mean cost of an episode" in found.message


def test_without_a_constraint_it_is_said_that_none_is_declared():
    [found] = run("constraint_value", {"constraints": {}})
    assert said([found]) == [(HOLD, "no_constraint")] and "role: off" in found.needs


def test_a_constraint_without_a_limit_is_not_compared_with_anything():
    rules = {"slow": {"hard": False, "measure": "mean_cost"}}
    found = run("constraint_value", {"constraints": rules}, cost(around(0, 0, 0), None))
    assert said(found) == [(NO_DATA, "non_finite")] and "mean cost of constraint slow" in found[0].message


# hyperparameters, data_volume, policy_age


def trained(**settings):
    return {"training": "until", "training_settings": settings}


@pytest.mark.parametrize(
    ("algorithm", "name", "inside", "outside"),
    [
        ("cql", "alpha", (0.1, 5), (0.09, 5.1)), ("cql", "random_samples", (10,), (9, 11)),
        ("iql", "tau", (0.7, 0.9), (0.69, 0.91)), ("iql", "beta", (3, 10), (2.9, 10.1)),
        ("linucb", "alpha", (0.1, 2), (0.09, 2.1)), ("thompson", "prior_alpha", (1,), (0.9, 2)),
        ("thompson", "prior_beta", (1,), (0.9, 2)), ("lagrangian", "lambda_rate", (0.001, 0.01), (0, 0.02)),
        ("lagrangian", "lambda_start", (0,), (-0.1, 0.1)), ("ppo", "clip", (0.1, 0.2), (0.09, 0.3)),
        ("ppo", "kl_target", (0.01, 0.05), (0.009, 0.06)), ("rollout", "horizon", (1, 5), (0, 6)),
    ],
)  # fmt: skip
def test_a_hyperparameter_outside_its_usual_range_fails_with_both_numbers(algorithm, name, inside, outside):
    for value in (*inside, *outside):
        found = run("hyperparameters", trained(algorithm=[algorithm], hyperparameters={name: value}))
        [one] = [f for f in found if f.key == f"{algorithm}.{name}"]
        assert one.outcome is (PASS if value in inside else FAIL), one.message
        others = [f for f in found if f is not one]
        assert all(said([f]) == [(HOLD, "hyperparameter_undeclared")] for f in others)
    assert one.message == (
        f"hyperparameter {name} of {algorithm} is {outside[-1]:g}, outside of what is usual: "
        + " to ".join(f"{v:g}" for v in inside) + "."
    )  # fmt: skip


def test_the_hyperparameters_of_several_algorithms_are_judged_together_by_ranges_that_can_be_set():
    given = {"clip": 0.3, "kl_target": 0.02, "lambda_rate": 0.005, "lambda_start": 0, "learning_rate": 1e-3}
    facts = trained(algorithm=["ppo", "lagrangian"], hyperparameters=given)
    assert [f.outcome for f in run("hyperparameters", facts)].count(FAIL) == 1
    found = run("hyperparameters", facts, params={"ppo_clip": [0.1, 0.4]})
    assert len(found) == 4 and {f.outcome for f in found} == {PASS}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, "algorithm_undeclared"),
        ({"hyperparameters": {"alpha": 1}}, "algorithm_undeclared"),
        ({"algorithm": ["other"], "hyperparameters": {"alpha": 1}}, "no_usual_range"),
        ({"algorithm": ["linucb"]}, "hyperparameter_undeclared"),
        ({"algorithm": ["linucb"], "hyperparameters": {"alpha": math.nan}}, "hyperparameter_undeclared"),
        ({"algorithm": ["linucb"], "hyperparameters": {"alpha": True}}, "hyperparameter_undeclared"),
    ],
)
def test_hyperparameters_that_are_not_declared_are_not_taken_for_usual_ones(settings, reason):
    assert said(run("hyperparameters", trained(**settings))) == [(HOLD, reason)]
    assert said(run("hyperparameters", {"training_settings": None})) == [(HOLD, "algorithm_undeclared")]


def test_too_few_transitions_and_nothing_to_compare_with_fail_data_volume():
    found = run("data_volume", trained(transitions=9_999, behaviour_cloning=False))
    assert said(found) == [(FAIL, "limit"), (FAIL, "no_behaviour_cloning")]
    assert found[0].message == "the candidate was trained on 9 999 transitions: fewer than 10 000."
    assert said(run("data_volume", trained(transitions=10_000, behaviour_cloning=True))) == [(PASS, None)] * 2
    undeclared = [(HOLD, "transitions_undeclared"), (HOLD, "behaviour_cloning_undeclared")]
    assert said(run("data_volume")) == undeclared
    assert said(run("data_volume", trained(transitions=math.nan, behaviour_cloning=1)))[0] == undeclared[0]
    assert run("data_volume", trained(transitions=50, behaviour_cloning=1), params={"transitions": 50})[
        1
    ].outcome is FAIL


@pytest.mark.parametrize(
    ("trained_at", "outcome", "reason"),
    [
        ("2025-12-16T00:00:00Z", PASS, None),  # 90 days
        ("2025-12-15T23:00:00Z", FAIL, "limit"),
        (datetime(2026, 3, 15, tzinfo=UTC), PASS, None),
        ("2026-03-15", PASS, None),
        ("2026-03-16T01:00:00Z", HOLD, "trained_in_future"),
        (None, HOLD, "trained_at_undeclared"),
        ("last week", HOLD, "trained_at_undeclared"),
    ],
)
def test_a_policy_ages_from_the_day_it_was_trained(trained_at, outcome, reason):
    assert said(run("policy_age", trained(trained_at=trained_at))) == [(outcome, reason)]


# worst_case

GOOD = {
    ("lift", ""): around(0.1, 0.05, 0.15),
    ("offpolicy_cvar10", ""): around(0.3, 0.28, 0.32), ("reward_cvar10", ""): around(0.2, 0.18, 0.22),
    ("candidate_return_cvar10", ""): around(3, 2.8, 3.2), ("return_cvar10", ""): around(2, 1.8, 2.2),
    ("state_tail_lift", "load low"): around(0.1, 0.02, 0.2),
    ("state_tail_lift", "load high"): around(0.1, 0.01, 0.2),
    ("segment_lift", "north"): around(0.1, 0.03, 0.2), ("segment_ess", "north"): around(500, 500, 500),
    ("segment_lift", "south"): around(0.1, 0.04, 0.2), ("segment_ess", "south"): around(500, 500, 500),
    ("worst_episodes_lift", ""): around(0.1, 0.02, 0.2),
    ("recommended_outside", ""): around(0, 0, 0.001),
    ("state_tail_outside", "load low"): around(0, 0, 0.002),
    ("state_tail_outside", "load high"): around(0, 0, 0.003),
    ("worst_episodes_outside", ""): around(0, 0, 0.004),
}  # fmt: skip
STATES = {"features": ["load", "season"], "state_tails": ["load low", "load high"]}
EVERYTHING = {**STATES, "episodes": True, "envelope": ["speed"]}


def worst(changes=None, facts=EVERYTHING, **params):
    return run("worst_case", facts, {**GOOD, **(changes or {})}, params)


def test_a_candidate_that_is_better_in_every_worst_place_passes():
    found = worst()
    assert said(found) == [(PASS, None)] * 5
    assert [(f.metric, f.key) for f in found] == [
        ("candidate_return_cvar10", ""), ("state_tail_lift", "load high"), ("worst_episodes_lift", ""),
        ("worst_episodes_outside", ""), ("segment_lift", "north"),
    ]  # fmt: skip
    assert "It is the worst of 2 segments; 2 would pass." in found[-1].message


@pytest.mark.parametrize(
    ("candidate", "incumbent", "margin", "outcome"),
    [
        (around(0.3, 0.28, 0.32), around(0.2, 0.18, 0.28), 0, PASS),  # the ends of both: .28 − .28
        (around(0.3, 0.28, 0.32), around(0.2, 0.18, 0.29), 0, HOLD),
        (around(0.3, 0.28, 0.32), around(0.2, 0.18, 0.29), 0.01, PASS),
        (around(0.1, 0.08, 0.12), around(0.2, 0.13, 0.22), 0, FAIL),
        (around(0.1, 0.08, 0.12), around(0.2, 0.12, 0.22), 0, HOLD),
        (around(0.1, 0.08, 0.12), around(0.2, 0.13, 0.22), 0.02, HOLD),
        (around(0.3, 0.28, 0.32, reason="low_ess"), around(0.2, 0.18, 0.22), 0, HOLD),
        (around(0.3, 0.28, 0.32), missing("non_finite"), 0, NO_DATA),
    ],
)
def test_the_tail_of_outcomes_is_compared_by_the_unfavourable_ends_of_both(
    candidate, incumbent, margin, outcome
):
    tails = {("offpolicy_cvar10", ""): candidate, ("reward_cvar10", ""): incumbent}
    found = worst(tails, STATES, margin=margin)[0]
    assert (found.outcome, found.metric) == (outcome, "offpolicy_cvar10"), found.message
    assert "the incumbent's" in found.message
    assert worst(tails, margin=margin)[0].outcome is PASS  # of returns, where episodes are logged


@pytest.mark.parametrize(
    ("place", "spoiled", "outcome", "reason"),
    [
        (("state_tail_lift", "load low"), around(0.0, -0.02, 0.02), HOLD, "straddles"),
        (("state_tail_lift", "load low"), around(-0.1, -0.2, -0.01), FAIL, "limit"),
        (("state_tail_lift", "load low"), around(0.1, 0.02, 0.2, reason="propensity"), HOLD, "propensity"),
        (("state_tail_lift", "load low"), around(0.1, 0.02, 0.2, reason="low_ess"), HOLD, "low_ess"),
        (("worst_episodes_lift", ""), around(-0.1, -0.2, -0.01), FAIL, "limit"),
        (("worst_episodes_lift", ""), missing("mixed_policies"), HOLD, "mixed_policies"),
        (("segment_lift", "south"), around(-0.1, -0.2, -0.01), FAIL, "limit"),
        (("segment_lift", "south"), around(0.1, 0.04, 0.2, reason="propensity"), HOLD, "propensity"),
        (("recommended_outside", ""), around(0.02, 0.011, 0.03), FAIL, "limit"),
        (("recommended_outside", ""), missing("unbounded_recommendations"), NO_DATA,
         "unbounded_recommendations"),
        (("state_tail_outside", "load low"), around(0.005, 0, 0.02), HOLD, "straddles"),
        (("worst_episodes_outside", ""), around(0.02, 0.011, 0.03), FAIL, "limit"),
    ],
)  # fmt: skip
def test_one_bad_place_is_found_and_named_whatever_the_others_are_like(place, spoiled, outcome, reason):
    bad = [f for f in worst({place: spoiled}) if f.outcome is not PASS]
    assert [(f.outcome, f.reason, f.metric, f.key) for f in bad] == [(outcome, reason, *place)]
    assert place[1] in bad[0].message


def test_small_segments_are_listed_and_not_judged_and_never_all_of_them():
    few = {("segment_lift", "south"): around(-0.5, -0.6, -0.4, 199)}
    found = worst(few)[-1]
    assert (found.outcome, found.key) == (PASS, "north")
    assert "Not judged: south (199 decisions, effective 500)." in found.message
    thin = {("segment_ess", "north"): around(99, 99, 99)}
    assert said(worst({**few, **thin})[-1:]) == [(HOLD, "small_segments")]
    assert worst({**few, **thin}, n=100)[-1].outcome is FAIL
    assert worst({**few, **thin}, ess=90)[-1].outcome is PASS
    rare = {("segment_lift", "south"): around(0.1, 0.04, 0.2, 5000, "few_events")}
    assert "Not judged: south" in worst(rare)[-1].message


def test_a_log_without_numeric_states_episodes_or_envelope_has_fewer_places_and_none_without_states():
    plain = {k: v for k, v in GOOD.items() if not k[0].startswith(("state_tail", "worst", "recommended"))}
    found = run("worst_case", {"features": ["season"]}, plain)
    assert [f.metric for f in found] == ["offpolicy_cvar10", "segment_lift"]
    unmeasured = said(run("worst_case", EVERYTHING, plain))
    assert unmeasured == [(PASS, None), (NO_DATA, "no_data"), (NO_DATA, "no_data"), (NO_DATA, "no_data"),
                          (PASS, None)]
    found = run("worst_case", {}, plain)
    assert said(found) == [(PASS, None), (HOLD, "no_state"), (PASS, None)]
    unsegmented = {k: v for k, v in plain.items() if not k[0].startswith("segment")}
    found = run("worst_case", {"features": ["season"]}, unsegmented)
    assert said(found) == [(PASS, None), (NO_DATA, "no_data")]


@pytest.mark.parametrize(
    ("lift", "outcome", "reason"),
    [
        (missing("missing_propensity"), HOLD, "missing_propensity"),
        (missing("no_data"), NO_DATA, "no_data"),
        (around(0.1, 0.05, 0.15, reason="stale"), NO_DATA, "stale"),
        (around(0.1, 0.05, 0.15, reason="low_ess"), HOLD, "low_ess"),
    ],
)
def test_where_not_even_the_lift_can_be_told_one_finding_says_why(lift, outcome, reason):
    found = worst({("lift", ""): lift})
    assert said(found) == [(outcome, reason)] and "worst case" in found[0].message


# reward_hacking

RANKED = [{"id": f"s{i}", "acceptable": True} for i in range(25)]
LABELLED = {"fault": "", "reward": "abc", "ranked": RANKED}
RANKS = {("scenario_rank", ""): exact(0.5, 25, ""), ("goodhart_rank", ""): around(0.5, 0.4, 0.6)}


def hacked(changes=None, ranks=None, **params):
    facts = {"scenarios": {**LABELLED, **(changes or {})}, "reward_hash": "abc"}
    return run("reward_hacking", facts, {**RANKS, **(ranks or {})}, params)


def with_label(place, label):
    return {"ranked": [{**s, "acceptable": label} if i == place else s for i, s in enumerate(RANKED)]}


def test_acceptable_scenarios_with_the_decisions_own_correlation_pass():
    assert said(hacked()) == [(PASS, None), (PASS, None)]
    assert hacked()[0].n == 25


def test_an_unacceptable_scenario_among_the_highest_fails_by_name():
    found = hacked(with_label(19, False))
    assert said(found) == [(FAIL, "unacceptable"), (PASS, None)] and "s19." in found[0].message
    assert said(hacked(with_label(20, False)))[0] == (PASS, None)
    assert said(hacked(with_label(20, False), top=21))[0] == (FAIL, "unacceptable")
    few = {"ranked": [{"id": "s0", "acceptable": False}]}
    assert said(hacked(few))[0] == (FAIL, "unacceptable")
    many = {"ranked": [{"id": f"s{i}", "acceptable": False} for i in range(25)]}
    assert "s0, s1, s2, s3, s4 and 15 more" in hacked(many)[0].message


def test_too_few_labels_and_labels_missing_among_the_highest_hold():
    assert said(hacked({"ranked": RANKED[:19]}))[0] == (HOLD, "few_scenarios")
    found = hacked(with_label(3, None))
    assert said(found)[0] == (HOLD, "unlabelled_scenarios") and "s3" in found[0].message
    assert said(hacked(with_label(20, None)))[0] == (PASS, None)


@pytest.mark.parametrize(
    ("ours", "baseline", "outcome", "reason"),
    [
        (exact(0.3, 25, ""), around(0.4, 0.35, 0.5), PASS, None),  # .3 − .5
        (exact(0.29, 25, ""), around(0.4, 0.35, 0.5), HOLD, "straddles"),
        (exact(0.1, 25, ""), around(0.4, 0.31, 0.5), FAIL, "limit"),
        (exact(0.9, 25, ""), around(0.6, 0.5, 0.7), HOLD, "unlike_baseline"),
        (exact(0.7, 25, ""), around(0.6, 0.5, 0.7), PASS, None),
        (missing("no_outcomes"), around(0.6, 0.5, 0.7), HOLD, "no_outcomes"),
        (exact(0.7, 25, ""), missing("no_data"), NO_DATA, "no_data"),
        (exact(0.7, 25, ""), around(0.6, 0.5, 0.7, reason="stale"), NO_DATA, "stale"),
    ],
)
def test_the_proxy_must_rank_scenarios_as_it_ranks_decisions(ours, baseline, outcome, reason):
    found = hacked(ranks={("scenario_rank", ""): ours, ("goodhart_rank", ""): baseline})
    assert said(found) == [(PASS, None), (outcome, reason)], found[1].message
    assert "in the decisions" in found[1].message


@pytest.mark.parametrize(
    ("changes", "outcome", "reason"),
    [
        ({"fault": "s.csv:3: acceptable is not true or false"}, NO_DATA, "scenarios_refused"),
        ({"reward": None}, HOLD, "reward_unbound"),
        ({"reward": "abd"}, HOLD, "reward_definition_changed"),
        ({"reward": "abd", **with_label(0, False)}, HOLD, "reward_definition_changed"),
    ],
)
def test_labels_count_only_where_they_can_be_read_and_were_given_for_this_reward(changes, outcome, reason):
    assert said(hacked(changes)) == [(outcome, reason)]


def test_without_scenarios_it_is_said_how_to_get_some():
    [found] = run("reward_hacking", {"scenarios": None}, RANKS)
    assert said([found]) == [(HOLD, "no_scenarios")] and "monitor scenarios mine" in found.needs


# evidence grades: what holds without logged propensities

DECLARED = {"training": "until", "held_out": True, "constraints": RULES}
BLIND = {
    ("snips", ""): missing("missing_propensity"), ("lift", ""): missing("missing_propensity"),
    ("ips", ""): missing("missing_propensity"), ("dr", ""): missing("missing_propensity"),
    ("leaked_decisions", ""): exact(0, 10_000, ""), ("reward_mean", ""): around(0.4, 0.39, 0.41),
    ("reward_q99", ""): exact(1, 10_000, ""), **cost(*[missing("missing_propensity")] * 2),
}  # fmt: skip
ESTIMATED = {
    ("estimated_snips", ""): around(0.5, 0.47, 0.53), ("estimated_snips_low", ""): exact(0.45, 10_000, ""),
    ("estimated_snips_high", ""): exact(0.55, 10_000, ""), ("propensity_calibration", ""): exact(1.1, 9, ""),
}  # fmt: skip
GRADED = ("held_out_value", "beats_baseline", "constraint_value", "worst_case")
WORD = {
    "by": "ana", "reason": "replayed in the simulator", "evidence": "https://reports/7",
    "evidence_digest": "address:0", "verdict": "approved", "expires": "2026-06-01", "policy": "v7",
}  # fmt: skip


def by_word(check, changes=None, estimates=None, facts=None, stage="offline_validation", **params):
    """The findings of a check without propensities, with a sign-off of its item."""
    event = GivenEvent("attest", AS_OF - timedelta(days=1), "v7", {"item": check, **WORD, **(changes or {})})
    return run(
        check, {**DECLARED, **(facts or {})}, {**BLIND, **(estimates or {})}, params, [event], stage
    )  # fmt: skip


@pytest.mark.parametrize("check", GRADED)
def test_without_propensities_nothing_passes_before_a_sign_off_and_it_is_said_what_could(check):
    assert CHECKS[check].attestable
    for found in run(check, DECLARED, BLIND):
        assert (found.outcome, found.reason) == (HOLD, "missing_propensity")
        assert "Grade C is possible: an external evaluation" in found.message
        assert f"Nobody has signed off {check} for v7." in found.message
        assert f"`monitor attest --item {check}`" in found.needs and "shadow mode only" in found.needs


@pytest.mark.parametrize("check", GRADED)
def test_an_external_evaluation_with_a_sign_off_passes_as_grade_c(check):
    for found in by_word(check):
        assert found.outcome is PASS, found.message
        assert "Evidence grade C: an external evaluation. " in found.message
        assert "approved by ana" in found.message and "opens shadow mode only" in found.message


@pytest.mark.parametrize("check", GRADED)
@pytest.mark.parametrize(
    ("changes", "outcome", "reason"),
    [
        ({"expires": "2026-03-16"}, HOLD, "signoff_expired"),
        ({"evidence": ""}, HOLD, "signoff_incomplete"),
        ({"evidence_digest": "file:1"}, HOLD, "signoff_void"),
        ({"verdict": "refused"}, FAIL, "signoff_refused"),
        ({"policy": "v6"}, HOLD, "missing_propensity"),
        ({"item": "review"}, HOLD, "missing_propensity"),
    ],
)
def test_a_sign_off_that_does_not_hold_lets_nothing_pass(check, changes, outcome, reason):
    assert set(said(by_word(check, changes))) == {(outcome, reason)}


@pytest.mark.parametrize("check", GRADED)
def test_two_persons_are_asked_for_where_the_checklist_says_so(check):
    assert set(said(by_word(check, two_person=True))) == {(HOLD, "proposer_unknown")}
    assert set(said(by_word(check, {"proposer": "ana"}, two_person=True))) == {(HOLD, "signoff_one_person")}
    assert set(said(by_word(check, {"proposer": "bo"}, two_person=True))) == {(PASS, None)}


@pytest.mark.parametrize("check", GRADED)
@pytest.mark.parametrize("stage", ["shadow_mode", "limited_deployment", "full_deployment"])
def test_a_word_in_place_of_propensities_opens_nothing_but_shadow_mode(check, stage):
    assert set(said(by_word(check, stage=stage))) == {(NO_DATA, "missing_propensity")}


@pytest.mark.parametrize("check", GRADED)
@pytest.mark.parametrize("reason", ["no_data", "stale", "low_ess", "rejects", "propensity", "non_finite"])
def test_a_sign_off_stands_for_missing_propensities_and_for_nothing_else(check, reason):
    blind = {key: missing(reason) for key in BLIND if key[0] in ("snips", "lift", "offpolicy_cost")}
    assert PASS not in {f.outcome for f in by_word(check, estimates=blind)}


def test_estimated_propensities_that_carry_the_item_make_it_grade_b():
    [held] = run("held_out_value", DECLARED, {**BLIND, **ESTIMATED})
    assert said([held]) == [(HOLD, "missing_propensity")] and "Grade B is possible" in held.message
    for check in ("held_out_value", "beats_baseline"):
        [found] = by_word(check, estimates=ESTIMATED)
        assert found.outcome is PASS and "Evidence grade B: with estimated propensities" in found.message
        assert "0.5 (0.47 to 0.53), 0.45 to 0.55 were the odds" in found.message
        assert "off by a factor of 2, calibration 1.1" in found.message
    [found] = by_word("held_out_value", estimates=ESTIMATED)
    assert (found.metric, found.value, found.low) == ("estimated_snips", 0.5, 0.47)
    for check in ("constraint_value", "worst_case"):
        assert all("Evidence grade C" in f.message for f in by_word(check, estimates=ESTIMATED))


@pytest.mark.parametrize(
    ("low", "high", "margin", "says", "outcome", "reason"),
    [
        (0.42, 0.55, 0.0, "Evidence grade B", PASS, None),
        (0.41, 0.55, 0.0, "Evidence grade C", PASS, None),  # the logged mean may be .41
        (0.41, 0.55, 0.01, "Evidence grade B", PASS, None),
        (0.2, 0.38, 0.0, "0.2 to 0.38 were the odds", HOLD, "grade_b_disagrees"),  # and is at least .39
        (0.2, 0.38, 0.02, "Evidence grade C", PASS, None),
        (math.nan, 0.55, 0.0, "Evidence grade C", PASS, None),
    ],
)
def test_the_sensitivity_bound_must_carry_the_lift_and_one_against_it_stops_the_sign_off(
    low, high, margin, says, outcome, reason
):
    bounds = {
        ("estimated_snips_low", ""): around(low, low, low),
        ("estimated_snips_high", ""): around(high, high, high),
    }  # fmt: skip
    [found] = by_word("beats_baseline", estimates={**ESTIMATED, **bounds}, margin=margin)
    assert said([found]) == [(outcome, reason)] and says in found.message


def test_declarations_leakage_and_believable_values_are_asked_for_by_word_too():
    [found] = by_word("held_out_value", facts={"training": None})
    assert said([found]) == [(HOLD, "training_undeclared")]
    assert said(by_word("held_out_value", facts={"held_out": False})) == [(HOLD, "held_out_undeclared")]
    leaked = {("leaked_decisions", ""): exact(3, 100, "")}
    assert said(by_word("held_out_value", estimates=leaked)) == [(FAIL, "leakage")]
    unknown = {("leaked_decisions", ""): missing("no_data")}
    assert said(by_word("held_out_value", estimates=unknown)) == [(NO_DATA, "no_data")]
    wild = {**ESTIMATED, ("estimated_snips", ""): around(0.8, 0.7, 0.9)}  # twice the logged .4
    assert said(by_word("held_out_value", estimates=wild)) == [(HOLD, "too_good")]
    nothing = {**ESTIMATED, ("reward_mean", ""): missing("no_data")}
    assert said(by_word("held_out_value", estimates=nothing)) == [(HOLD, "too_good")]


def test_what_is_not_estimated_at_all_is_not_signed_away():
    rules = {"wear": {"limit": 5.0, "hard": False, "measure": "episode_cost"}}
    unseen = {("offpolicy_cost", "wear"): around(0, 0, 0).because("few_events")}
    found = by_word("constraint_value", facts={"constraints": rules}, estimates=unseen)
    assert said(found) == [(HOLD, "few_events")]
    assert said(by_word("constraint_value", facts={"constraints": {}})) == [(HOLD, "no_constraint")]


def test_a_pass_on_logged_propensities_is_grade_a_and_densities_are_grade_b_with_a_sign_off():
    good = cost(around(0.08, 0.06, 0.09), around(0, 0, 0.0005))
    facts = {"constraints": RULES}
    assert all("Evidence grade A: propensities were logged." in f.message
               for f in run("constraint_value", facts, good))  # fmt: skip
    dense = {**facts, "densities": True}
    assert set(said(run("constraint_value", dense, good))) == {(HOLD, "grade_b_unsigned")}
    signed = by_word("constraint_value", estimates=good, facts=dense)
    assert all(f.outcome is PASS and "Evidence grade B: propensities are densities" in f.message
               for f in signed)  # fmt: skip
    refused = by_word("constraint_value", {"verdict": "refused"}, good, dense)
    assert set(said(refused)) == {(FAIL, "signoff_refused")}
    live = by_word("constraint_value", estimates=good, facts=dense, stage="limited_deployment")
    assert set(said(live)) == {(HOLD, "grade_b_unsigned")}
    bad = cost(around(0.2, 0.15, 0.3), around(0, 0, 0.0005))
    assert said(by_word("constraint_value", estimates=bad, facts=dense))[0] == (FAIL, "limit")
