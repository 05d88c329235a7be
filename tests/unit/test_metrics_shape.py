"""Skewness, kurtosis, tail and quantiles: against scipy and numpy on the raw rows, and by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from monitor.metrics import METRICS
from monitor.metrics.quantiles import uniform_rows
from monitor.metrics.sums import Settings
from tests.naive_sums import reward_sums, sample_sums

WIDE = Settings(reward_low=-10, reward_high=30)


def measure(name, settings=WIDE, **states):
    return METRICS[name].function(states, settings)


def gamma_rows(n=700, seed=1):
    rng = np.random.default_rng(seed)
    return rng.integers(480_000, 480_005, n), rng.integers(0, 200, n), rng.gamma(2, 3, n)


def test_skewness_and_kurtosis_equal_scipys_bias_corrected_ones():
    hour, unit, reward = gamma_rows()
    states = {"reward": reward_sums(hour, unit, reward, centre=10.0)}
    skewness, kurtosis = stats.skew(reward, bias=False), stats.kurtosis(reward, bias=False)
    assert measure("reward_skewness", **states).value == pytest.approx(skewness, rel=1e-9)
    assert measure("reward_kurtosis", **states).value == pytest.approx(kurtosis, rel=1e-9)
    n = len(reward)
    expected = (skewness**2 + 1) / (kurtosis + 3 * (n - 1) ** 2 / ((n - 2) * (n - 3)))
    assert measure("sarle", **states).value == pytest.approx(expected, rel=1e-9)


def test_skewness_of_rows_that_stand_for_several_is_the_weighted_one():
    hour, unit, reward = gamma_rows()
    k = 1 / np.random.default_rng(2).uniform(0.2, 1, len(reward))
    found = measure("reward_skewness", reward=reward_sums(hour, unit, reward, centre=10.0, keep=1 / k))
    mean = np.average(reward, weights=k)
    m2, m3 = (np.average((reward - mean) ** j, weights=k) for j in (2, 3))
    n = len(reward)
    assert found.value == pytest.approx(m3 / m2**1.5 * math.sqrt(n * (n - 1)) / (n - 2), rel=1e-9)


def test_interval_of_the_skewness_is_the_delete_one_bucket_jackknife():
    hour, unit, reward = gamma_rows()
    found = measure("reward_skewness", reward=reward_sums(hour, unit, reward, centre=10.0))
    without = np.array([stats.skew(reward[unit % 64 != b], bias=False) for b in np.unique(unit % 64)])
    g = len(without)
    se = math.sqrt((g - 1) / g * ((without - without.mean()) ** 2).sum())
    assert found.high - found.value == pytest.approx(stats.t.ppf(0.975, g - 1) * se, rel=1e-9)


def test_five_rewards_by_hand():
    states = {"reward": reward_sums([0] * 5, range(5), [1.0, 2, 3, 4, 10], centre=10.0)}
    m2, m3, m4 = 10.0, 36.0, 278.8
    assert measure("reward_skewness", **states).value == pytest.approx(m3 / m2**1.5 * math.sqrt(20) / 3)
    assert measure("reward_kurtosis", **states).value == pytest.approx(4 / 6 * (6 * (m4 / m2**2 - 3) + 6))


@pytest.mark.parametrize("name", ["reward_skewness", "reward_kurtosis", "sarle"])
def test_equal_rewards_have_no_shape_and_rounding_does_not_give_them_one(name):
    equal = reward_sums(np.zeros(300, int), np.arange(300), np.full(300, 0.3), centre=10.0)
    assert measure(name, reward=equal).reason == "non_finite"
    assert measure(name, reward=reward_sums([0, 0], [0, 1], [1.0, 2.0])).reason == "low_n"


def test_cvar_of_twelve_returns_splits_the_one_at_the_boundary():
    sample = sample_sums(reward=[5.0, 1, 9, 2, 8, 7, 6, 4, 3, 10, 11, 12])
    found = measure("reward_cvar10", sample=sample)
    assert found.value == pytest.approx((1 * 1 / 12 + 2 * (0.1 - 1 / 12)) / 0.1)
    assert found.reason == "low_n"


def test_cvar_equals_the_formula_with_weights_and_ties():
    rng = np.random.default_rng(3)
    reward, k = rng.integers(0, 30, 4000) / 7, rng.uniform(1, 3, 4000)
    found = measure("reward_cvar10", sample=sample_sums(reward=reward, k=k))
    order = np.argsort(reward)
    g, w = reward[order], k[order] / k.sum()
    before = np.cumsum(w) - w
    assert found.value == pytest.approx((np.clip(0.1 - before, 0, w) * g).sum() / 0.1, rel=1e-9)
    assert found.judgeable


def test_interval_of_cvar_is_the_jackknife_up_to_the_second_order():
    reward = np.random.default_rng(4).gamma(2, 3, 3000)
    unit = np.arange(3000) // 3
    found = measure("reward_cvar10", sample=sample_sums(reward=reward, unit=unit))

    def cvar(g):
        g = np.sort(g)
        before = np.arange(len(g)) / len(g)
        return (np.clip(0.1 - before, 0, 1 / len(g)) * g).sum() / 0.1

    without = np.array([cvar(reward[unit % 64 != b]) for b in range(64)])
    se = math.sqrt(63 / 64 * ((without - without.mean()) ** 2).sum())
    assert found.high - found.value == pytest.approx(stats.t.ppf(0.975, 63) * se, rel=0.01)


def test_a_tail_of_under_a_hundred_effective_returns_is_not_estimable():
    reward = np.random.default_rng(5).normal(7, 1, 3000)
    assert measure("reward_cvar10", sample=sample_sums(reward=reward)).reason is None
    assert measure("reward_cvar10", sample=sample_sums(reward=reward[:900])).reason == "low_n"
    alike = np.repeat(reward[:300], 10)
    clustered = sample_sums(reward=alike, unit=np.repeat(np.arange(300), 10))
    assert measure("reward_cvar10", sample=clustered).reason == "low_n"


def test_quantiles_are_order_statistics_of_the_sample():
    reward = np.random.default_rng(3).permutation(np.arange(1.0, 101.0))
    sample = sample_sums(reward=reward)
    found = {q: measure(f"reward_q{q}", sample=sample).value for q in ("05", "25", "50", "75", "95")}
    assert found == {"05": 5.0, "25": 25.0, "50": 50.0, "75": 75.0, "95": 95.0}


def test_interval_of_a_quantile_is_at_the_ends_of_the_share_at_the_effective_size():
    rng = np.random.default_rng(6)
    unit = np.repeat(np.arange(200), 5)
    reward = rng.normal(0, 1, 200)[unit] + rng.normal(0, 0.3, 1000)
    found = measure("reward_q50", sample=sample_sums(reward=reward, unit=unit))
    below, bucket = reward <= np.sort(reward)[499], unit % 64
    without = np.array([below[bucket != b].mean() for b in range(64)])
    square = 63 / 64 * ((without - without.mean()) ** 2).sum()
    size = 0.25 / square * (1.959963984540054 / stats.t.ppf(0.975, 63)) ** 2
    low, high = stats.beta.ppf(0.025, size / 2, size / 2 + 1), stats.beta.ppf(0.975, size / 2 + 1, size / 2)
    ordered = np.sort(reward)
    ends = tuple(ordered[math.ceil(share * 1000) - 1] for share in (low, high))
    assert (found.low, found.high) == ends
    assert 150 < size < 500


def test_independent_returns_get_the_binomial_interval_where_buckets_say_no_more():
    sample = sample_sums(reward=np.arange(640.0), unit=np.arange(640))
    median = measure("reward_q50", Settings(reward_high=1000, independent=True), sample=sample)
    low, high = stats.binomtest(320, 640).proportion_ci(0.95, "exact")
    assert (median.low, median.high) == (math.ceil(low * 640) - 1, math.ceil(high * 640) - 1)


def test_a_return_that_stands_for_several_weighs_as_much_in_a_quantile():
    sample = sample_sums(reward=[1.0, 2, 3, 4], k=[1.0, 1, 1, 5])
    assert measure("reward_q50", sample=sample).value == 4.0
    assert measure("reward_q25", sample=sample).value == 2.0


def test_ends_of_an_extreme_quantile_are_those_of_the_range_when_the_sample_is_small():
    sample = sample_sums(reward=np.arange(10.0))
    assert measure("reward_q05", sample=sample).low == -10
    assert measure("reward_q95", sample=sample).high == 30


def test_the_sample_of_one_plant_has_no_interval_within_a_day():
    hours = np.repeat(np.arange(24), 50)
    sample = sample_sums(reward=hours / 24, hour=hours)
    found = measure("reward_q50", Settings(time_blocks=True), sample=sample)
    assert found.reason == "low_units" and math.isnan(found.low)


def test_a_sample_of_a_busy_and_a_quiet_hour_keeps_their_proportions():
    rng = np.random.default_rng(4)
    busy = np.sort(rng.integers(0, 2**62, 20_000))[:1000]
    quiet = rng.integers(0, 2**62, 500)
    hour = np.repeat([0, 1], [1000, 500])
    kept = uniform_rows(sample_sums(reward=np.zeros(1500), hour=hour, row_hash=np.r_[busy, quiet]))
    assert (kept.hour == 0).sum() == 1000
    assert (kept.hour == 1).sum() == (quiet <= busy.max()).sum() < 50
