"""The A/B comparison and the gap between what was promised offline and what came."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gates.checks import CHECKS
from gates.given import Given, GivenEvent
from gates.outcome import Outcome
from monitor.metrics.estimate import LEVEL, Estimate, exact, missing

AS_OF = datetime(2026, 3, 16, tzinfo=UTC)
PASS, HOLD, FAIL = Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL
FACTS = {"experiment": {"days": 14.0}, "features": ["age", "load"], "decisions_per_day": 1000.0,
         "units_return": True}  # fmt: skip


def around(value: float, low: float, high: float, reason: str | None = None) -> Estimate:
    return Estimate(value, low, high, LEVEL, 10_000, "reward", "by hand", reason)


SOUND = {
    "sample_ratio_e": exact(0.2, 9000, "e-value"),
    "traffic_p/age": exact(0.4, 9000, "probability"),
    "traffic_p/load": exact(0.001, 9000, "probability"),
    "units_in_both": exact(0.001, 9000, "share"),
    "experiment_days": exact(20.0, 9000, "days"),
    "ab_lift": around(0.02, 0.01, 0.03),
    "novelty": around(0.0, -0.01, 0.01),
    "control_moved": around(0.0, -0.01, 0.01),
}


def run(check: str, journal=(), facts=None, **changes):
    estimates = {**SOUND, **{k.replace("__", "/"): v for k, v in changes.items()}}
    keyed = {(k.split("/")[0], k.partition("/")[2]): v for k, v in estimates.items()}
    params = {name: number.default for name, number in CHECKS[check].params.items()}
    given = Given("limited_deployment", "v7", AS_OF, AS_OF, AS_OF, {**FACTS, **(facts or {})}, keyed,
                  journal=journal)  # fmt: skip
    return CHECKS[check].function({**params, "item": check}, given)


def not_passed(findings):
    return [(f.metric, f.outcome, f.reason) for f in findings if f.outcome is not PASS]


def test_a_sound_comparison_of_a_better_candidate_passes() -> None:
    found = run("ab_test")
    assert [f.outcome for f in found] == [PASS] * 6
    assert "of 2 features at first exposure load differs most" in found[1].message


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sample_ratio_e": exact(1000.0, 9000, "e-value")}, ("sample_ratio_e", FAIL, "sample_ratio")),
        ({"traffic_p__load": exact(0.0004, 9000, "probability")}, ("traffic_p", FAIL, "traffic")),
        ({"traffic_p__age": missing("low_n")}, ("traffic_p", HOLD, "low_n")),
        ({"units_in_both": exact(0.02, 9000, "share")}, ("units_in_both", FAIL, "limit")),
        ({"experiment_days": exact(13.5, 9000, "days")}, ("experiment_days", HOLD, "low_days")),
        ({"ab_lift": around(0.0, -0.01, 0.01)}, ("ab_lift", HOLD, "straddles")),
        ({"ab_lift": around(-0.02, -0.03, -0.01)}, ("ab_lift", FAIL, "limit")),
        ({"ab_lift": around(0.02, 0.01, 0.03, "first_look")}, ("ab_lift", HOLD, "first_look")),
    ],
)
def test_each_flaw_is_a_finding_of_its_own(changes, expected) -> None:
    found = run("ab_test", **changes)
    assert not_passed(found) == [expected]
    assert all(f.needs for f in found if f.outcome is not PASS)


def test_the_lift_is_told_week_by_week_since_first_exposure() -> None:
    weeks = {"ab_lift_week__1": around(0.03, 0.02, 0.04), "ab_lift_week__3": around(0.025, 0.01, 0.04)}
    assert run("ab_test", **weeks)[-1].message.endswith("the lift was 0.03 in week 1, 0.025 in week 3.")


def test_an_effect_that_wears_off_must_still_be_there_a_week_later() -> None:
    fading = around(-0.02, -0.03, -0.01)
    kept = run("ab_test", novelty=fading, ab_lift_later=around(0.01, 0.002, 0.02))
    assert not_passed(kept) == [] and "wears off" in kept[-1].message
    gone = run("ab_test", novelty=fading, ab_lift_later=around(0.0, -0.01, 0.01))
    assert not_passed(gone) == [("ab_lift_later", HOLD, "straddles")]
    assert not_passed(run("ab_test", novelty=fading)) == [("ab_lift_later", Outcome.NO_DATA, "no_data")]


def test_novelty_is_not_asked_where_every_decision_is_a_unit() -> None:
    found = run("ab_test", facts={"units_return": False}, novelty=missing("no_data"))
    assert not_passed(found) == [] and len(found) == 5


def test_a_control_that_moved_is_told() -> None:
    found = run("ab_test", control_moved=around(0.05, 0.04, 0.06))
    assert "the arms may touch each other, or the world changed" in found[2].message


def test_an_experiment_that_is_not_declared_holds() -> None:
    [found] = run("ab_test", facts={"experiment": None})
    assert (found.outcome, found.reason) == (HOLD, "experiment_undeclared")


@pytest.mark.parametrize(("design", "said"), [("before_after", "14 days before"), ("switchback", "turns")])
def test_one_plant_is_compared_in_matched_hours_and_nothing_is_asked_of_units(design, said) -> None:
    facts = {"experiment": {"days": 14.0, "design": design}}
    units = {m: missing("no_data") for m in ("sample_ratio_e", "units_in_both", "ab_lift", "novelty")}
    better = around(0.02, 0.01, 0.03)
    found = run("ab_test", facts=facts, **units, matched_lift=better)
    assert not_passed(found) == [] and [f.metric for f in found] == ["experiment_days", "matched_lift"]
    assert said in found[1].message
    assert ("What else changed" in found[1].message) == (design == "before_after")
    worse = run("ab_test", facts=facts, matched_lift=around(-0.02, -0.03, -0.01))
    assert not_passed(worse) == [("matched_lift", FAIL, "limit")]
    assert not_passed(run("ab_test", facts=facts)) == [("matched_lift", Outcome.NO_DATA, "no_data")]


def offline(low, high, *, days=5, subject="v7", stage="offline_validation", outcome="PASS"):
    said = {"check": "held_out_value", "metric": "snips", "outcome": outcome, "low": low, "high": high}
    return GivenEvent("verdict", AS_OF - timedelta(days=days), subject, {"stage": stage, "findings": [said]})


@pytest.mark.parametrize(
    ("live", "outcome"),
    [
        (around(0.5, 0.4, 0.6), PASS),
        (around(0.43, 0.40, 0.46), HOLD),
        (around(0.40, 0.38, 0.42), FAIL),
        (around(0.60, 0.58, 0.62), FAIL),
        (around(0.5, 0.4, 0.6, "low_units"), HOLD),
    ],
)
def test_the_live_mean_must_lie_in_what_was_promised(live, outcome) -> None:
    [found] = run("offline_online_gap", [offline(0.45, 0.55)], reward_mean=live)
    assert found.outcome is outcome


@pytest.mark.parametrize("outcome", ["FAIL", "NO_DATA", "INCONCLUSIVE", "ERROR"])
def test_a_value_that_did_not_pass_promises_nothing_and_no_older_one_stands_for_it(outcome) -> None:
    journal = [offline(0.45, 0.55, days=9), offline(0, 1, outcome=outcome)]
    [found] = run("offline_online_gap", journal, reward_mean=around(0.5, 0.49, 0.51))
    assert (found.outcome, found.reason) == (HOLD, "no_promise")


def test_the_newest_promise_on_this_policy_counts() -> None:
    live = around(0.5, 0.49, 0.51)
    newest = [offline(0.45, 0.55, days=9), offline(0.6, 0.7, days=5)]
    assert run("offline_online_gap", newest, reward_mean=live)[0].outcome is FAIL
    shadow = offline(0.45, 0.55, stage="shadow_mode")
    for other in (offline(0.45, 0.55, subject="v6"), shadow, offline(None, None)):
        [found] = run("offline_online_gap", [other], reward_mean=live)
        assert (found.outcome, found.reason) == (HOLD, "no_promise")
