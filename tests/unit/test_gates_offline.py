"""Offline validation beside the candidate's value: constraints, and how the candidate was trained."""

import math
from datetime import UTC, datetime

import pytest

from gates.checks import CHECKS
from gates.given import Given
from gates.outcome import Outcome
from monitor.metrics.estimate import LEVEL, Estimate, exact, missing

AS_OF = datetime(2026, 3, 16, tzinfo=UTC)
PASS, HOLD, NO_DATA, FAIL = Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.NO_DATA, Outcome.FAIL


def around(value, low, high, n=10_000.0, reason=None):
    return Estimate(value, low, high, LEVEL, n, "", "by hand", reason)


def run(check, facts=None, estimates=None, params=None, journal=()):
    evidence = Given(
        "offline_validation", "v7", AS_OF, facts={"decisions_per_day": 1000.0, **(facts or {})},
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
        (missing("missing_propensity"), NO_DATA, "missing_propensity"),
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


def test_a_constraint_nobody_can_estimate_off_policy_is_never_passed():
    rules = {"wear": {"limit": 5.0, "hard": False, "measure": "episode_cost"}}
    [found] = run("constraint_value", {"constraints": rules}, {("offpolicy_cost", "wear"): around(0, 0, 0)})
    assert said([found]) == [(HOLD, "episode_cost_not_estimated")]
    assert found.key == "wear" and "role: off" in found.needs


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
    assert found.message.endswith("Not judged: south (199 decisions, effective 500).")
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
        (missing("missing_propensity"), NO_DATA, "missing_propensity"),
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
