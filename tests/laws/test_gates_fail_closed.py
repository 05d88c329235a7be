"""No check passes when an estimate it rests on is missing, not a number, empty or stale."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gates.bounds import at_least, at_most
from gates.checklist import load
from gates.checks import CHECKS
from gates.evaluate import evaluate, judge, to_json
from gates.given import Given, GivenEvent
from gates.outcome import NO_DATA_REASONS, Outcome
from gates.stages import STAGES
from monitor.metrics.estimate import LEVEL, Estimate, Reading, exact, missing

AS_OF = datetime(2026, 3, 16, tzinfo=UTC)
FACTS = {
    "training": "until",
    "held_out": True,
    "max_rejects": 0.01,
    "decisions_per_day": 1000.0,
    "features": ["load"],
    "constraints": {"heat": {"hard": True}},
    "state_tails": ["load low", "load high"],
    "scenarios": {
        "fault": "", "reward": "5eed", "ranked": [{"id": str(i), "acceptable": True} for i in range(20)],
    },
    "envelope": ["speed"],
    "reward_hash": "5eed",
    "episodes": False,
    "training_settings": {
        "algorithm": ["linucb"],
        "hyperparameters": {"alpha": 1.0},
        "transitions": 50_000,
        "trained_at": "2026-03-01T00:00:00Z",
        "behaviour_cloning": True,
    },
    "experiment": {"days": 14.0},
    "limited": {"step": 0.5, "step_since": AS_OF - timedelta(days=8), "since": AS_OF - timedelta(days=40)},
    "triggers": ["constraint", "irreversible", "reward_deviation", "reward_drop", "state_shift"],
    "acting": "rollback",
    "safe": "old",
    "previous": "old",
    "window_hours": 1.0,
    "lag_hours": 0.2,
    "matures_hours": 0.0,
    "rows_judged_at": AS_OF - timedelta(minutes=1),
    "frozen": dict.fromkeys(("triggers_hash", "acting", "triggers_hash_now", "acting_now"), "rollback"),
}
PROMISE = {
    "stage": "offline_validation",
    "findings": [
        {"check": "held_out_value", "outcome": "PASS", "metric": "snips", "low": 0.35, "high": 0.45}
    ],
}


def near(value, half):
    return Estimate(value, value - half, value + half, LEVEL, 50_000, "", "by hand")


def drill(kind):
    body = {"drill": kind, "seconds": 2.0, "pointer_read_back": True, "pointer_at": "2026-03-10T00:00:00Z"}
    return GivenEvent("drill", AS_OF - timedelta(days=6), "v7", body)


PAGE = {"page": "p1", "by": "ana"}
PROMISED = (
    GivenEvent("verdict", AS_OF - timedelta(days=9), "v7", PROMISE),
    GivenEvent("verdict", AS_OF - timedelta(days=99), "old",
               {"stage": "full_deployment", "outcome": "PASS", "exit_code": 0}),
    drill("override"), drill("rollback"),
    GivenEvent("test_page", AS_OF - timedelta(days=3), "v7", {**PAGE, "status": "sent"}),
    GivenEvent("test_page", AS_OF - timedelta(days=3), "v7", {**PAGE, "status": "acknowledged"}, 1),
    GivenEvent("dashboard", AS_OF - timedelta(hours=1), "v7", {"status": "ok", "url": None}),
)  # fmt: skip
HEALTHY = {
    ("snips", ""): near(0.5, 0.01),
    ("ips", ""): near(0.5, 0.1),
    ("dr", ""): near(0.5, 0.02),
    ("snips_dr_difference", ""): near(0.0, 0.02),
    ("reward_mean", ""): near(0.4, 0.01),
    ("reward_q99", ""): near(1.0, 0.0),
    ("ess", ""): exact(9000, 50_000, ""),
    ("lift", ""): near(0.1, 0.01),
    ("leaked_decisions", ""): exact(0, 50_000, ""),
    ("recommended_share", ""): exact(1, 50_000, ""),
    ("disagreement", ""): near(0.3, 0.01),
    ("self_disagreement", ""): near(0.3, 0.01),
    ("disagreement_slope", ""): near(0.0, 0.001),
    ("large_disagreement", ""): near(0.002, 0.001),
    ("evidence_days", ""): exact(20, 50_000, ""),
    ("longest_gap_hours", ""): exact(1, 50_000, ""),
    ("baseline_longest_gap_hours", ""): exact(1, 50_000, ""),
    ("condition_count", "day"): exact(40_000, 50_000, ""),
    ("rejected_share", ""): exact(0, 50_000, ""),
    ("fault_share", "reward"): exact(0, 50_000, ""),
    ("expectations_met", ""): exact(1, 380, ""),
    ("newest_decision_age_hours", ""): exact(0.5, 50_000, ""),
    ("offpolicy_cost", "heat"): Estimate(0, 0, 1e-4, LEVEL, 50_000, "", "by hand"),
    ("offpolicy_cvar10", ""): near(0.3, 0.01),
    ("reward_cvar10", ""): near(0.2, 0.01),
    ("candidate_return_cvar10", ""): near(3.0, 0.1),
    ("return_cvar10", ""): near(2.0, 0.1),
    ("state_tail_lift", "load low"): near(0.1, 0.01),
    ("state_tail_lift", "load high"): near(0.1, 0.01),
    ("state_tail_outside", "load low"): near(0.002, 0.001),
    ("state_tail_outside", "load high"): near(0.002, 0.001),
    ("recommended_outside", ""): near(0.002, 0.001),
    ("worst_episodes_lift", ""): near(0.1, 0.01),
    ("worst_episodes_outside", ""): near(0.002, 0.001),
    ("segment_lift", "north"): near(0.1, 0.01),
    ("segment_lift", "south"): near(0.1, 0.01),
    ("segment_ess", "north"): exact(900, 5000, ""),
    ("segment_ess", "south"): exact(900, 5000, ""),
    ("scenario_rank", ""): exact(0.4, 30, ""),
    ("goodhart_rank", ""): near(0.4, 0.1),
    ("violation_rate", "heat"): Estimate(0, 0, 1e-4, LEVEL, 50_000, "", "by hand"),
    ("state_js", "load"): near(0.02, 0.01),
    ("sample_ratio_e", ""): exact(0.1, 50_000, ""),
    ("traffic_p", "load"): near(0.5, 0.0),
    ("units_in_both", ""): exact(0, 50_000, ""),
    ("experiment_days", ""): exact(20, 50_000, ""),
    ("ab_lift", ""): near(0.1, 0.01),
    ("novelty", ""): near(0.0, 0.01),
    ("matched_lift", ""): near(0.1, 0.01),
    ("controlled_share", ""): near(0.5, 0.001),
    ("controlled_share", "newest day"): near(0.5, 0.05),
    ("decisions_outside", ""): exact(0, 50_000, ""),
    ("safe_decisions", "2026-03-10T00:00:00+00:00"): exact(900, 900, ""),
    ("exploration_rate", ""): near(0.005, 0.001),
    ("clip_rate", ""): near(0.005, 0.001),
    **{("violation_rate", f"envelope:{d}"): Estimate(0, 0, 1e-4, LEVEL, 50_000, "", "by hand")
       for d in FACTS["envelope"]},
    ("late_windows", "7"): exact(0, 168, ""),
    ("monitored_days", "7"): exact(7, 168, ""),
    ("baseline_windows", ""): exact(200, 50_000, ""),
    ("reevaluated_value", "old"): near(0.4, 0.01),
    ("reevaluated_lift", "old"): near(-0.05, 0.01),
    ("reevaluated_ess", "old"): exact(9000, 50_000, ""),
    ("reevaluated_days", "old"): exact(1, 50_000, ""),
}
WATCHED = [("reward_mean", ""), ("violation_rate", "heat"), ("state_js", "load")]
WATCHED += [("violation_rate", f"envelope:{dimension}") for dimension in FACTS["envelope"]]
READINGS = {
    (metric, key): [Reading(near(0.0, 0.01), metric, key, "v7", "", AS_OF - timedelta(hours=2),
                            AS_OF - timedelta(hours=1))]
    for metric, key in WATCHED
}  # fmt: skip
RESTS_ON = [(name, metric) for name in CHECKS for metric in CHECKS[name].metrics]
NO_NUMBERS, NO_NUMBER = (None, {}, []), (None, math.nan, math.inf, -math.inf, "", "many")
TOLD_BY_FACTS = [
    ("hyperparameters", "algorithm", NO_NUMBERS),
    ("hyperparameters", "hyperparameters", NO_NUMBERS),
    ("data_volume", "transitions", NO_NUMBER),
    ("data_volume", "behaviour_cloning", NO_NUMBER),
    ("policy_age", "trained_at", NO_NUMBER),
]
# Read in place of the metrics of single decisions where the log has episodes.
OF_EPISODES = (
    "candidate_return_cvar10", "return_cvar10", "worst_episodes_lift", "worst_episodes_outside",
)  # fmt: skip
reasons = st.sampled_from(
    [*sorted(NO_DATA_REASONS), "low_n", "low_units", "low_ess", "immature_reward", "new"]
)
not_finite = st.sampled_from([math.nan, math.inf, -math.inf])
broken = st.one_of(
    st.builds(lambda reason: lambda e: e.because(reason), reasons),
    st.builds(lambda reason: lambda e: missing(reason), reasons),
    st.builds(
        lambda end, number: lambda e: replace(e, **{end: number}),
        st.sampled_from(["value", "low", "high"]),
        not_finite,
    ),
    st.builds(lambda n: lambda e: replace(e, n=n), st.sampled_from([0.0, -1.0, math.nan])),
)


def evidence(estimates, journal=PROMISED, facts=FACTS):
    return Given(
        "shadow_mode", "v7", AS_OF, AS_OF, AS_OF, facts, estimates, windows=READINGS, journal=journal
    )


def run(name, estimates, facts=FACTS, journal=PROMISED):
    params = {key: number.default for key, number in CHECKS[name].params.items()}
    return CHECKS[name].function({**params, "item": name}, evidence(estimates, journal, facts))


@pytest.mark.parametrize("name", [n for n in CHECKS if not CHECKS[n].sign_off])
def test_healthy_evidence_passes_so_that_the_law_below_can_fail(name):
    outcomes = {f.outcome for episodes in (False, True)
                for f in run(name, HEALTHY, {**FACTS, "episodes": episodes})}  # fmt: skip
    assert outcomes == {Outcome.PASS}


@pytest.mark.parametrize(("name", "metric"), RESTS_ON)
@given(spoil=broken)
def test_no_check_passes_on_a_broken_estimate(name, metric, spoil):
    spoiled = {k: spoil(e) if k[0] == metric else e for k, e in HEALTHY.items()}
    facts = {**FACTS, "episodes": metric in OF_EPISODES}
    if metric == "matched_lift":
        facts["experiment"] = {"days": 14.0, "design": "before_after"}
    found = run(name, spoiled, facts)
    assert found and any(f.outcome is not Outcome.PASS for f in found)
    assert all(f.needs and f.reason for f in found if f.outcome is not Outcome.PASS)


@pytest.mark.parametrize(("name", "metric"), RESTS_ON)
def test_no_check_passes_when_all_its_evidence_is_gone(name, metric):
    facts = {} if CHECKS[name].events else {**FACTS, "scenarios": None}
    assert all(f.outcome is not Outcome.PASS for f in run(name, {}, facts, ()))


IMPOSSIBLE = [(name, outcome) for name, check in CHECKS.items() for outcome in check.impossible]
SIGNED = [
    GivenEvent("attest", AS_OF - timedelta(days=1), "v7", {"item": item, "policy": "v7", "verdict": said})
    for said in ("approved", "refused")
    for item in ("review", "red_team", "sign_off", "on_call_path")
]
oddities = st.sampled_from([None, "", 0, 1.5, math.nan, {}, [], True, "approved", "refused", "2026-03-01"])


@pytest.mark.parametrize(("name", "outcome"), IMPOSSIBLE)
@given(data=st.data())
def test_an_outcome_that_is_declared_impossible_never_comes(name, outcome, data):
    estimates = {k: data.draw(broken)(e) for k, e in HEALTHY.items() if data.draw(st.booleans())}
    facts = {k: f for k, f in FACTS.items() if data.draw(st.booleans())}
    for fact in ("training_settings", "frozen"):
        told = dict(FACTS[fact])
        told[data.draw(st.sampled_from(sorted(told)))] = data.draw(oddities)
        facts = {**facts, fact: told} if fact in facts else facts
    journal = [
        replace(e, at=e.at + timedelta(days=data.draw(st.integers(-99, 9))),
                body={**e.body, data.draw(st.sampled_from(sorted(e.body))): data.draw(oddities)})
        for e in (*PROMISED, *SIGNED) if data.draw(st.booleans())
    ]  # fmt: skip
    try:
        found = run(name, estimates, facts, journal)
    except (TypeError, ValueError, AttributeError):
        return  # the gate makes one ERROR finding of it
    assert all(f.outcome is not outcome for f in found)


EVENTS = ("drill", "test_page", "dashboard")
TOLD_BY_EVENTS = [(name, kind) for name in CHECKS for kind in CHECKS[name].events if kind in EVENTS]


@pytest.mark.parametrize(("name", "kind"), TOLD_BY_EVENTS)
@pytest.mark.parametrize("later", [None, timedelta(hours=1), timedelta(days=-400)])
def test_no_check_passes_where_its_events_are_missing_of_the_future_or_long_ago(name, kind, later):
    other = [e for e in PROMISED if e.kind != kind]
    moved = [replace(e, at=AS_OF + later) for e in PROMISED if e.kind == kind] if later else []
    assert any(f.outcome is not Outcome.PASS for f in run(name, HEALTHY, journal=(*other, *moved)))


@pytest.mark.parametrize("where", WATCHED)
@pytest.mark.parametrize("spoiled", ["gone", "old", "not a number"])
def test_the_dashboard_is_not_fresh_without_a_fresh_finite_reading_of_every_safety_metric(where, spoiled):
    [reading] = READINGS[where]
    worse = {
        "gone": [],
        "old": [replace(reading, window_end=AS_OF - timedelta(hours=4))],
        "not a number": [replace(reading, estimate=replace(reading.estimate, value=math.nan))],
    }[spoiled]
    params = {key: number.default for key, number in CHECKS["dashboard_fresh"].params.items()}
    given_ = replace(evidence(HEALTHY), windows={**READINGS, where: worse})
    found = CHECKS["dashboard_fresh"].function({**params, "item": "dashboard_fresh"}, given_)
    assert any(f.outcome is Outcome.NO_DATA for f in found)


@pytest.mark.parametrize(("name", "fact", "spoiled"), TOLD_BY_FACTS)
def test_no_check_passes_on_a_fact_that_is_not_there_or_not_a_number(name, fact, spoiled):
    settings = FACTS["training_settings"]
    for told in ({}, *({**settings, fact: value} for value in spoiled)):
        found = run(name, HEALTHY, {**FACTS, "training_settings": told})
        assert found and any(f.outcome is not Outcome.PASS for f in found)


@pytest.mark.parametrize(
    "change",
    [
        {"fault": "a.csv:3: acceptable is not true or false"}, {"reward": None}, {"reward": "0ther"},
        {"ranked": []}, {"ranked": None}, {"ranked": [{"id": "1", "acceptable": True}] * 19},
        {"ranked": [{"id": "1", "acceptable": None}] * 20}, {"ranked": [{"id": "1", "acceptable": 1.0}] * 20},
    ],
)  # fmt: skip
def test_reward_hacking_never_passes_on_scenarios_that_were_not_all_labelled_for_this_reward(change):
    for told in (None, {}, {**FACTS["scenarios"], **change}):
        found = run("reward_hacking", HEALTHY, {**FACTS, "scenarios": told})
        assert found and any(f.outcome is not Outcome.PASS for f in found)


@pytest.mark.parametrize("stage", STAGES)
@given(data=st.data())
def test_no_stage_passes_on_evidence_of_which_every_number_is_broken(stage, data):
    spoiled = {key: data.draw(broken)(e) for key, e in HEALTHY.items()}
    signed = [
        GivenEvent(
            "attest",
            AS_OF - timedelta(days=1),
            "v7",
            {
                "item": item,
                "policy": "v7",
                "by": "ana",
                "reason": "fine",
                "evidence": "f",
                "evidence_digest": "d",
                "verdict": "approved",
                "expires": "2027-01-01",
            },
        )
        for item in ("review", "red_team", *(n for n, check in CHECKS.items() if check.attestable))
    ]
    verdict = judge(load(stage), replace(evidence(spoiled, signed), stage=stage))
    assert verdict.outcome is not Outcome.PASS and verdict.exit_code not in (0, 5)
    assert to_json(verdict)["outcome"] == verdict.outcome.name


@given(
    st.floats(),
    st.floats(),
    st.floats(),
    st.floats(),
    st.floats(),
    st.one_of(st.none(), reasons),
    st.booleans(),
)
def test_a_bound_passes_only_where_the_unfavourable_end_is_on_the_right_side(
    value, low, high, n, limit, reason, strict
):
    estimate = Estimate(value, low, high, LEVEL, n, "", "by hand", reason)
    above = at_most("x", estimate, limit, metric="m", strict=strict)
    below = at_least("x", estimate, limit, metric="m", strict=strict)
    sound = reason is None and n > 0 and low <= high and all(map(math.isfinite, (value, low, high, limit)))
    assert (above.outcome is Outcome.PASS) == (sound and (high < limit if strict else high <= limit))
    assert (below.outcome is Outcome.PASS) == (sound and (low > limit if strict else low >= limit))
    assert (above.outcome is Outcome.FAIL) == (sound and low > limit)
    assert (below.outcome is Outcome.FAIL) == (sound and high < limit)
    for found in (above, below):
        assert (found.outcome is Outcome.PASS) == (found.needs == "") == (found.reason is None)


def test_every_stage_that_ships_is_judged_item_by_item_without_an_error():
    for stage in STAGES:
        found = evaluate(load(stage), replace(evidence(HEALTHY), stage=stage))
        assert {f.item for f in found} == {i.item for i in load(stage).items}
        assert all(f.outcome is not Outcome.ERROR for f in found)
