"""Intra-class correlation of 0/1 rewards: against a naive one, by hand, and on known beta-binomials."""

import numpy as np
import pytest
from scipy import stats

from monitor.metrics import METRICS
from monitor.metrics.sums import Settings
from tests.naive_sums import reward_sums, sums


def unit_rewards(unit, reward):
    """The family `unit_rewards`, by numpy: one cell a unit."""
    units, code, m = np.unique(unit, return_inverse=True, return_counts=True)
    x = np.bincount(code, reward)
    return sums(np.zeros(len(units), int), units % 64, "",
                g=np.ones(len(units)), m1=m, m2=m**2, x1=x, x2m=x**2 / m)


def measure(name, hour, unit, reward, key="", settings=None):
    segments = sums(hour, -1, key, n_reward=np.ones(len(reward)), n_one=np.asarray(reward))
    states = {
        "reward": reward_sums(hour, unit, reward), "unit_rewards": unit_rewards(unit, reward),
        "segment_rewards": segments,
    }
    return METRICS[name].function(states, settings or Settings())


def naive(group, x):
    """One-way analysis of variance, from the rows."""
    groups = [x[group == g] for g in np.unique(group)]
    between = sum(len(g) * (g.mean() - x.mean()) ** 2 for g in groups) / (len(groups) - 1)
    within = sum(((g - g.mean()) ** 2).sum() for g in groups) / (len(x) - len(groups))
    size = (len(x) - sum(len(g) ** 2 for g in groups) / len(x)) / (len(groups) - 1)
    return (between - within) / (between + (size - 1) * within)


def clustered(rho, n=6000, units=1500, v=0.3, seed=1):
    """Rewards of units whose probabilities follow a beta distribution with this correlation."""
    rng = np.random.default_rng(seed)
    p = rng.beta(v * (1 - rho) / rho, (1 - v) * (1 - rho) / rho, units) if rho else np.full(units, v)
    unit = rng.integers(0, units, n)
    return rng.integers(0, 240, n), unit, (rng.random(n) < p[unit]).astype(float)


def test_correlation_equals_the_naive_analysis_of_variance():
    hour, unit, reward = clustered(0.2)
    segment = np.array([f"s{u % 12}" for u in unit], dtype=object)
    assert measure("overdispersion_units", hour, unit, reward).value == pytest.approx(
        naive(unit, reward), abs=1e-9)
    assert measure("overdispersion_hours", hour, unit, reward).value == pytest.approx(
        naive(hour, reward), abs=1e-9)
    assert measure("overdispersion_segments", hour, unit, reward, segment).value == pytest.approx(
        naive(segment, reward), abs=1e-9)


def test_four_rewards_of_two_units_by_hand():
    # unit 0: 1 1, unit 1: 0 1; B = 1/4, W = 1/4, m0 = 2: nothing between them
    found = measure("overdispersion_units", [0] * 4, [0, 0, 1, 1], [1.0, 1, 0, 1])
    assert found.value == pytest.approx(0.0, abs=1e-12)
    assert "variance 1 times the binomial's" in found.method


def test_intervals_hold_the_correlation_that_was_planted():
    held = {}
    for rho in (0.0, 0.1, 0.3):
        found = [measure("overdispersion_units", *clustered(rho, seed=s)) for s in range(60)]
        held[rho] = sum(f.low <= rho <= f.high for f in found)
    assert all(count >= stats.binom.ppf(0.001, 60, 0.95) for count in held.values()), held


def test_clicks_of_readers_who_differ_are_told_from_those_who_do_not():
    rng = np.random.default_rng(7)
    unit = rng.integers(0, 1000, 8000)
    alike = (rng.random(8000) < 0.15).astype(float)
    apart = (rng.random(8000) < np.where(unit < 500, 0.285, 0.015)).astype(float)
    hour = np.zeros(8000, int)
    assert measure("overdispersion_units", hour, unit, alike).low < 0
    found = measure("overdispersion_units", hour, unit, apart)
    assert found.judgeable and found.low > 0.1


def test_what_cannot_be_told_has_a_reason():
    hour, unit, reward = clustered(0.2)
    assert measure("overdispersion_units", hour, unit, reward * 0.5).reason == "not_zero_one"
    assert measure("overdispersion_units", [0] * 9, range(9), np.ones(9)).reason == "low_n"
    assert measure("overdispersion_segments", hour, unit, reward).reason == "low_n"
    assert measure("overdispersion_units", hour, unit, 0 * reward).reason == "non_finite"
    assert measure("overdispersion_hours", hour % 100, unit, reward).reason == "low_units"
    three = np.array(["a", "b", "c"], dtype=object)[unit % 3]
    assert measure("overdispersion_segments", hour, unit, reward, three).reason == "low_units"


def test_a_few_units_with_two_rewards_that_agree_do_not_make_a_correlation_of_one():
    # 1 % of the traffic: 600 readers seen once and five seen twice, whose rewards happen to be equal
    unit = np.r_[np.arange(600), np.arange(5)]
    reward = np.r_[np.zeros(5), np.arange(595) % 12 == 0, np.zeros(5)].astype(float)
    found = measure("overdispersion_units", np.zeros(605, int), unit, reward)
    assert found.reason == "low_n"
    many = np.r_[np.arange(600), np.arange(600)]
    same = np.r_[np.arange(600) % 12 == 0, np.arange(600) % 12 == 0].astype(float)
    found = measure("overdispersion_units", np.zeros(1200, int), many, same)
    assert found.judgeable and found.low > 0.9
