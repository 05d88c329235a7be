"""Off-policy estimates: against naive numpy on raw rows, and what is refused."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from monitor.metrics import METRICS
from monitor.metrics.sums import Settings
from tests.naive_sums import offpolicy_sums, summed, unit_sums

WIDE = Settings(reward_low=-5, reward_high=25)


def rows(n=4000, seed=9, clicks=False):
    rng = np.random.default_rng(seed)
    actions = rng.integers(0, 2, n)
    p = np.where(actions, 0.4, 0.6) if clicks else rng.uniform(0.3, 0.7, n)
    taken = rng.random(n) < p
    p, other = np.where(taken, p, 1 - p), rng.uniform(0.2, 0.8, n)
    q = np.where(taken, other, 1 - other)
    reward = (rng.random(n) < 0.2).astype(float) if clicks else rng.normal(8, 3, n)
    return rng.integers(0, 6, n), rng.integers(0, 1500, n), p, q, reward


def measure(name, family, settings=WIDE, **states):
    return METRICS[name].function({"offpolicy": family, **states}, settings)


def test_estimates_and_diagnostics_equal_naive_numpy():
    hour, unit, p, q, r = rows()
    keep = np.random.default_rng(1).uniform(0.5, 1, len(r))
    family = offpolicy_sums(hour, unit, p, q, r, keep)
    w = q / p / keep
    expected = {
        "ips": -5 + (w * (r + 5)).sum() / (1 / keep).sum(),
        "snips": (w * r).sum() / w.sum(),
        "lift": (w * r).sum() / w.sum() - (r / keep).sum() / (1 / keep).sum(),
        "ess": w.sum() ** 2 / (w**2).sum(),
        "ess_share": w.sum() ** 2 / (w**2).sum() / len(r),
        "weight_mean": w.sum() / (1 / keep).sum(),
        "weight_max": w.max(),
        "weight_max_share": w.max() / w.sum(),
        "weight_over_10_share": (q / p > 10).mean(),
        "missing_propensity_share": 0.0,
    }
    for name, value in expected.items():
        assert measure(name, family).value == pytest.approx(value, rel=1e-9), name


def test_ips_counted_from_the_lowest_reward_equals_plain_ips_where_that_is_zero():
    hour, unit, p, q, r = rows()
    found = measure("ips", offpolicy_sums(hour, unit, p, q, r), Settings(reward_high=25))
    assert found.value == pytest.approx((q / p * r).mean(), rel=1e-9)


def test_interval_of_the_lift_is_the_jackknife_of_the_difference():
    hour, unit, p, q, r = rows()
    found = measure("lift", offpolicy_sums(hour, unit, p, q, r))
    w, bucket = q / p, unit % 64
    without = np.array(
        [np.average(r[k], weights=w[k]) - r[k].mean() for k in (bucket != b for b in range(64))]
    )
    se = math.sqrt(63 / 64 * ((without - without.mean()) ** 2).sum())
    assert found.high - found.value == pytest.approx(stats.t.ppf(0.975, 63) * se, rel=1e-7)
    assert found.judgeable


def test_the_same_policy_has_exactly_the_logged_value_and_no_lift():
    hour, unit, p, _, r = rows()
    same = offpolicy_sums(hour, unit, p, p, r)
    assert measure("snips", same).value == pytest.approx(r.mean(), rel=1e-12)
    assert measure("lift", same).value == 0.0
    assert measure("weight_mean_z", same).value == 0.0
    assert measure("lift", same).judgeable


def test_clicks_get_the_interval_of_a_share_at_most_as_narrow_as_the_effective_sample():
    hour, unit, p, q, r = rows(clicks=True)
    family = offpolicy_sums(hour, unit, p, q, r)
    found = measure("snips", family, Settings(), units=unit_sums(unit, q / p))
    size = measure("ess", family).value
    assert "Clopper-Pearson" in found.method
    assert found.high >= stats.beta.ppf(0.975, size * found.value + 1, size * (1 - found.value)) - 1e-12
    assert 0 < found.low < found.value < found.high < 1


def test_candidate_whose_effective_sample_is_small_is_refused_with_its_value_shown():
    hour, unit, p, q, r = rows()
    q = np.where(np.arange(len(q)) % 50 == 0, 50 * p, 1e-6)
    found = measure("snips", offpolicy_sums(hour, unit, p, q, r))
    assert measure("ess", offpolicy_sums(hour, unit, p, q, r)).value < 100
    assert found.reason in ("low_ess", "propensity") and math.isfinite(found.value)
    assert not found.judgeable


def test_weights_that_do_not_average_one_are_a_fault_of_the_propensities():
    hour, unit, p, q, r = rows()
    family = offpolicy_sums(hour, unit, p / 2, q, r)
    assert measure("weight_mean_z", family).value > 4
    assert {measure(name, family).reason for name in ("ips", "snips", "lift")} == {"propensity"}


def test_weights_all_equal_and_not_one_are_a_fault_too():
    hour, unit, p, _, r = rows()
    assert measure("snips", offpolicy_sums(hour, unit, p, 0.5 * p, r)).reason == "propensity"


def test_more_than_one_percent_without_a_propensity_is_refused():
    hour, unit, p, q, r = rows(1980)
    assert measure("snips", offpolicy_sums(hour, unit, p, q, r, missing_p=20)).reason is None
    assert measure("snips", offpolicy_sums(hour, unit, p, q, r, missing_p=21)).reason == "missing_propensity"
    assert measure("snips", offpolicy_sums(hour, unit, p, q, r, missing_q=21)).reason == "missing_propensity"


def test_rare_rewards_that_are_not_clicks_need_a_hundred_effective_events():
    hour, unit, p, q, r = rows()
    rare = np.where(np.arange(len(r)) % 80 == 0, r, 0.0)
    assert measure("snips", offpolicy_sums(hour, unit, p, q, rare)).reason == "few_events"
    often = np.where(np.arange(len(r)) % 10 == 0, r, 0.0)
    assert measure("snips", offpolicy_sums(hour, unit, p, q, often)).judgeable


def test_a_lift_of_nine_clicks_is_shown_and_not_judged():
    hour, unit, p, q, _ = rows()
    clicks = (np.arange(len(p)) < 9).astype(float)
    assert measure("lift", offpolicy_sums(hour, unit, p, q, clicks), Settings()).reason == "few_events"
    none = measure("lift", offpolicy_sums(hour, unit, p, q, 0 * clicks), Settings())
    assert not none.judgeable


def test_z_is_the_distance_of_the_mean_weight_from_one_in_standard_errors():
    hour, unit, p, q, r = rows()
    family = offpolicy_sums(hour, unit, p, q, r)
    mean = measure("weight_mean", family)
    se = (mean.high - mean.value) / stats.t.ppf(0.975, 63)
    assert measure("weight_mean_z", family).value == pytest.approx((mean.value - 1) / se, rel=1e-9)
    assert abs(measure("weight_mean_z", family).value) < 4


def test_a_mean_cost_of_which_hardly_any_was_seen_is_not_judged():
    hour, unit, p, q, r = rows()
    w, one = q / p, np.ones(len(r))

    def cost(costly):
        c = np.where(np.arange(len(r)) < costly, 2.0, 0.0)
        paid = {"wc1": w * c, "wv1": w * (c > 0), "n_one": c > 0, "w1": w, "w2": w**2, "k1": one, "n": one}
        absent = dict.fromkeys(("n_missing_p", "n_missing_q", "n_null"), 0 * one)
        family = summed(hour, unit, {**paid, **absent, "n_rows": one})
        states = {"offpolicy": offpolicy_sums(hour, unit, p, q, r), "offpolicy_cost": family}
        return METRICS["offpolicy_cost"].function(states, replace(WIDE, mean_cost=True))

    assert (cost(0).value, cost(0).reason) == (0, "few_events")
    assert cost(9).reason == "few_events"
    assert cost(10).judgeable and cost(10).value > 0
