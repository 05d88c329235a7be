"""constraint, state_shift, rules of a single row, and the registry."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from scipy import stats

from monitor.metrics import METRICS
from monitor.metrics.estimate import Estimate, Reading
from monitor.triggers import TRIGGERS
from monitor.triggers.constraint import ConstraintParams, constraint
from monitor.triggers.single_row import Breach, single_row
from monitor.triggers.state_shift import StateShiftParams, state_shift

START = datetime(2026, 1, 1, tzinfo=UTC)


def reading(metric, at, value, n=100, reason=None, method="test", hours=1):
    estimate = Estimate(value, math.nan, math.nan, 0.95, n, "share", method, reason)
    length = timedelta(hours=hours)
    return Reading(estimate, metric, "inlet_temp", "v7", "", START + at * length, START + (at + 1) * length)


def rates(values, n=60):
    kept = [(i, value) for i, value in enumerate(values) if value is not None]
    return {"violation_rate": [reading("violation_rate", i, value, n) for i, value in kept]}


SOFT = ConstraintParams(limit=0.02, margin=0.01, n_constraints=2)


def fewest(n, params):
    """The smallest number of violations in n decisions that trips, by SciPy's binomial."""
    level = 0.01 / (4 * params.n_constraints)
    return next(
        x
        for x in range(1, n)
        if x / n > params.limit + params.margin and stats.binom.sf(x - 1, n, params.limit) < level
    )


def test_a_shifted_feature_beside_another_needs_less_by_holm():
    def fires(n_tests, beside):
        params = StateShiftParams(n_tests=n_tests, others=lambda: [beside])
        return state_shift(shifts(0.3, p=0.0009), params) is not None

    assert fires(2, 0.0004)
    assert not fires(2, 0.0006)
    assert not fires(3, 0.0001)


def test_one_window_trips_at_the_binomial_tail():
    x = fewest(60, SOFT)
    assert constraint(rates([0.0, (x - 1) / 60]), SOFT) is None
    fired = constraint(rates([0.0, x / 60]), SOFT)
    assert fired is not None and fired.limit == pytest.approx(0.03)
    assert fired.state["tail"] == pytest.approx(stats.binom.sf(x - 1, 60, 0.02))
    assert fired.state["windows"] == 1


@pytest.mark.parametrize("span", [3, 6, 24])
def test_a_creep_too_small_for_one_window_trips_on_several_pooled(span):
    x = fewest(60 * span, SOFT)
    just = x / (60 * span)
    assert constraint(rates([0.0] * 30 + [just]), SOFT) is None
    fired = constraint(rates([0.0] * 30 + [just] * span), SOFT)
    assert fired is not None
    assert fired.value > 0.03


def test_old_windows_are_not_pooled_across_hours_without_traffic():
    x = fewest(180, SOFT)
    assert constraint(rates([x / 180] * 3), SOFT) is not None
    assert constraint(rates([x / 180] * 2 + [None] * 30 + [x / 180]), SOFT) is None


def test_a_rate_far_above_the_limit_within_the_margin_does_not_trip():
    assert constraint(rates([0.0299] * 40, n=100_000), SOFT) is None


def test_spread_of_the_baseline_makes_decisions_count_for_less():
    x = fewest(60, SOFT)
    assert constraint(rates([x / 60]), ConstraintParams(0.02, 0.01, 2, inflation=3.0)) is None


def test_a_limit_of_zero_trips_at_any_violation_of_the_window_itself():
    zero = ConstraintParams(limit=0.0, margin=0.01)
    assert constraint(rates([0.0, 1 / 6000], n=6000), zero) is not None
    assert constraint(rates([1 / 60, 0.0]), zero) is None


def test_windows_without_a_number_are_never_a_trip():
    assert constraint(rates([]), SOFT) is None
    assert constraint({"violation_rate": [reading("violation_rate", 0, math.nan)]}, SOFT) is None
    assert constraint({"violation_rate": [reading("violation_rate", 0, 0.5, 0, "no_data")]}, SOFT) is None
    few_units = reading("violation_rate", 0, 0.5, 60, "low_units")
    assert constraint({"violation_rate": [few_units]}, SOFT) is not None


def test_the_message_of_a_constraint_has_both_numbers():
    assert constraint(rates([0.5]), SOFT).message == (
        "Constraint inlet_temp was violated at a rate of 0.5 in 60 decisions of v7, "
        "2026-01-01 00:00 to 01:00 UTC, above 0.03."
    )


def shifts(value, p=1e-9, limit=0.05, method="23 bins", hours=1):
    return {
        "state_js": [reading("state_js", 0, value, method=method, hours=hours)],
        "state_js_p": [reading("state_js_p", 0, p, hours=hours)],
        "state_js_limit": [reading("state_js_limit", 0, limit, method=method, hours=hours)],
    }


def test_a_shift_trips_above_a_tenth_of_a_nat_and_not_at_it():
    assert state_shift(shifts(0.1), StateShiftParams()) is None
    fired = state_shift(shifts(0.1001), StateShiftParams())
    assert (fired.value, fired.limit, fired.state["escalate_only"]) == (0.1001, 0.1, False)


def test_a_shift_must_be_significant_among_all_features():
    assert state_shift(shifts(0.3, p=0.0009), StateShiftParams()) is not None
    assert state_shift(shifts(0.3, p=0.0009), StateShiftParams(n_tests=2)) is None
    assert state_shift(shifts(0.3, p=math.nan), StateShiftParams()) is None


def test_a_shift_must_exceed_what_the_baselines_own_blocks_do():
    assert state_shift(shifts(0.3, limit=0.3), StateShiftParams()) is None
    assert state_shift(shifts(0.31, limit=0.3), StateShiftParams()).limit == 0.3


def test_an_uncalibrated_shift_and_a_daily_one_only_escalate():
    rare = state_shift(shifts(0.3, limit=0.0, method="uncalibrated: 3 of 72 blocks"), StateShiftParams())
    daily = state_shift(shifts(0.3, hours=24), StateShiftParams())
    assert rare.state["escalate_only"] and daily.state["escalate_only"]
    without = {**shifts(0.3), "state_js_limit": []}
    assert state_shift(without, StateShiftParams()).state["escalate_only"]


def test_a_shift_of_too_few_rows_is_not_judged():
    found = shifts(0.3)
    found["state_js"] = [reading("state_js", 0, 0.3, 20, "low_n")]
    assert state_shift(found, StateShiftParams()) is None
    assert state_shift({"state_js": [], "state_js_p": [], "state_js_limit": []}, StateShiftParams()) is None


def breach(rule, key="", value=None):
    return Breach("d-1", datetime(2026, 1, 1, 12), "v7", rule, key, value, "logs/a.jsonl", 7, False)


def test_one_row_fires_with_its_decision_rule_and_value():
    hard = single_row(breach("hard", "coolant_pressure", 3.25))
    assert hard.message == (
        "Decision d-1 of v7 broke the hard constraint coolant_pressure with a cost of 3.25, above 0."
    )
    assert (hard.trigger, hard.value, hard.limit) == ("constraint", 3.25, 0.0)
    assert hard.window_start == datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert hard.state["line"] == 7
    envelope = single_row(breach("envelope", "pump_speed", 1.7))
    assert envelope.trigger == "constraint" and "pump_speed at 1.7" in envelope.message
    irreversible = single_row(breach("irreversible"))
    assert irreversible.trigger == "irreversible" and math.isnan(irreversible.value)


def test_an_unknown_rule_is_an_error():
    with pytest.raises(KeyError):
        single_row(breach("soft"))


def test_triggers_read_metrics_that_exist_for_the_same_kind_of_subject():
    for name, trigger in TRIGGERS.items():
        kinds = {METRICS[metric].per for metric in trigger.metrics}
        one = {"constraint" if kind in ("cost", "episode") else kind for kind in kinds}
        assert one == {trigger.per}, name
        assert trigger.matures == any(METRICS[metric].matures for metric in trigger.metrics), name
        assert trigger.function({metric: [] for metric in trigger.metrics}, trigger.params()) is None


COSTLY = ConstraintParams(0.5, 0.2, 2, measure="mean_cost", spread=0.1, spread_windows=168)


def costs(values, n=60):
    kept = [(i, value) for i, value in enumerate(values) if value is not None]
    return {"mean_cost": [reading("mean_cost", i, value, n) for i, value in kept]}


def test_a_mean_cost_trips_beyond_its_margin_and_students_tail():
    t = stats.t.isf(0.01 / (4 * 2), 167)
    wide = ConstraintParams(0.5, 0.2, 2, measure="mean_cost", spread=0.3, spread_windows=168)
    assert constraint(costs([0.5, 0.5 + 0.3 * t * 0.999]), wide) is None
    fired = constraint(costs([0.5, 0.5 + 0.3 * t * 1.001]), wide)
    assert fired is not None and fired.limit == pytest.approx(0.7)
    assert fired.state["tail"] == pytest.approx(0.01 / 8, rel=0.02)
    assert "mean cost" in fired.message
    assert constraint(costs([0.6999]), COSTLY) is None
    assert constraint(costs([0.7001]), COSTLY) is None
    assert constraint(costs([0.9]), COSTLY) is not None


def test_costs_too_small_for_one_window_trip_on_several_pooled():
    t = stats.t.isf(0.01 / (4 * 2), 167)
    wide = ConstraintParams(0.5, 0.2, 2, measure="mean_cost", spread=0.3, spread_windows=168)
    just = 0.5 + 0.3 * t / 3**0.5 * 1.001
    assert constraint(costs([0.2, 0.2, just]), wide) is None
    fired = constraint(costs([just, just, just]), wide)
    assert fired is not None and fired.state["windows"] == 3
    assert constraint(costs([just, None, just]), wide) is None


def test_the_cost_of_episodes_trips_by_the_rule_of_mean_costs():
    episodes = replace(COSTLY, measure="episode_cost")
    series = costs([0.5, 0.5, 0.9])["mean_cost"]
    of_decisions = constraint({"mean_cost": series}, COSTLY)
    found = constraint({"episode_cost": series}, episodes)
    assert found.state == of_decisions.state and found.value == of_decisions.value
    assert "a mean cost of 0.9 an episode in 60 episodes of" in found.message


def test_a_mean_cost_without_a_baseline_is_not_judged_but_for_a_limit_of_zero():
    unknown = ConstraintParams(0.5, 0.2, measure="mean_cost")
    assert constraint(costs([100.0] * 30), unknown) is None
    assert constraint(costs([0.001]), ConstraintParams(0.0, measure="mean_cost")) is not None
    still = ConstraintParams(0.5, 0.2, measure="mean_cost", spread=0.0, spread_windows=72)
    assert constraint(costs([0.71]), still) is not None
