"""Reward mean and sd: against numpy on the raw rows, and by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from monitor.metrics import METRICS
from monitor.metrics.sums import Settings
from tests.naive_sums import reward_sums, sums, unit_sums

WIDE = Settings(reward_low=-10, reward_high=30)


def rows(n=500, hours=5, seed=1):
    rng = np.random.default_rng(seed)
    return rng.integers(480_000, 480_000 + hours, n), rng.integers(0, 200, n), rng.normal(7, 3, n)


def measure(name, settings=WIDE, **states):
    return METRICS[name].function(states, settings)


def test_mean_and_sd_equal_numpy_on_the_raw_rows():
    hour, unit, reward = rows()
    states = {"reward": reward_sums(hour, unit, reward, centre=10.0)}
    assert measure("reward_mean", **states).value == pytest.approx(reward.mean(), rel=1e-9)
    assert measure("reward_sd", **states).value == pytest.approx(reward.std(ddof=1), rel=1e-9)


def test_rows_that_stand_for_several_weigh_as_much():
    hour, unit, reward = rows()
    keep = np.random.default_rng(2).uniform(0.2, 1, len(reward))
    found = measure("reward_mean", reward=reward_sums(hour, unit, reward, centre=10.0, keep=keep))
    assert found.value == pytest.approx(np.average(reward, weights=1 / keep), rel=1e-9)


def test_interval_of_the_mean_is_the_delete_one_bucket_jackknife_by_naive_numpy():
    hour, unit, reward = rows()
    found = measure("reward_mean", reward=reward_sums(hour, unit, reward, centre=10.0))
    bucket = unit % 64
    without = np.array([reward[bucket != b].mean() for b in np.unique(bucket)])
    g = len(without)
    se = math.sqrt((g - 1) / g * ((without - without.mean()) ** 2).sum())
    assert found.high - found.value == pytest.approx(stats.t.ppf(0.975, g - 1) * se, rel=1e-9)
    assert found.value - found.low == pytest.approx(found.high - found.value, rel=1e-9)
    assert found.judgeable


def test_four_rewards_by_hand():
    found = measure("reward_sd", reward=reward_sums([0, 0, 0, 0], [0, 1, 2, 3], [1.0, 2, 3, 4], centre=10.0))
    assert found.value == pytest.approx(math.sqrt(5 / 3))
    assert found.reason == "low_units"


def test_one_reward_has_no_sd():
    assert measure("reward_sd", reward=reward_sums([0], [0], [1.0], centre=10.0)).reason == "low_n"


def test_zero_clicks_of_independent_decisions_leave_an_upper_end_of_3_7_over_n():
    clicks = reward_sums(np.zeros(400, int), np.arange(400), np.zeros(400))
    found = measure("reward_mean", Settings(independent=True), reward=clicks)
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(stats.beta.ppf(0.975, 1, 400))
    assert found.high == pytest.approx(3.7 / 400, rel=0.01)


def test_zero_clicks_of_forty_users_are_worth_forty_decisions():
    unit = np.repeat(np.arange(40), 10)
    clicks = reward_sums(np.zeros(400, int), unit, np.zeros(400))
    found = measure("reward_mean", Settings(), reward=clicks, units=unit_sums(unit))
    assert found.high == pytest.approx(stats.beta.ppf(0.975, 1, 40))


def test_without_a_table_of_units_buckets_stand_for_them():
    clicks = reward_sums(np.zeros(400, int), np.arange(400), np.zeros(400))
    found = measure("reward_mean", Settings(), reward=clicks)
    assert found.high == pytest.approx(stats.beta.ppf(0.975, 1, 64))


def test_rewards_that_were_all_zero_but_may_be_anything_are_no_share():
    zeros = reward_sums(np.zeros(400, int), np.arange(400), np.zeros(400), centre=10.0)
    assert "Clopper" not in measure("reward_mean", reward=zeros).method


def test_immature_share_counts_decisions_without_a_reward():
    counted = sums([0, 1], [0, 1], "", n=[10, 10], n_reward=[10, 5])
    found = measure("immature_share", reward=counted)
    assert (found.value, found.low, found.high, found.n) == (0.25, 0.25, 0.25, 20)
