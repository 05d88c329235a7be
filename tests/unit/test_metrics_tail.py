"""Tails of weights and rewards, and values on fitted propensities: numbers worked by hand and laws."""

import numpy as np
import pytest

from monitor.metrics import METRICS
from monitor.metrics.fitted import reliability
from monitor.metrics.sums import Settings
from tests.naive_sums import offpolicy_sums, sums


def measure(name, settings=None, **states):
    return METRICS[name].function(states, settings or Settings())


def largest(weights):
    size = len(weights)
    return sums(np.zeros(size), -1, "", w=weights)


@pytest.mark.parametrize(("index", "low", "high"), [(4, 0.1, 0.45), (2, 0.3, 0.7), (0.9, 0.8, 1.4)])
def test_the_shape_of_a_pareto_tail_is_the_inverse_of_its_index(index, low, high):
    rng = np.random.default_rng(3)
    found = [measure("pareto_k", largest=largest(rng.pareto(index, 10_000) + 1)) for _ in range(20)]
    assert low < np.mean([f.value for f in found]) < high
    scaled = 7 * (np.random.default_rng(4).pareto(index, 1000) + 1)
    alone = measure("pareto_k", largest=largest(scaled / 7)).value
    assert measure("pareto_k", largest=largest(scaled)).value == pytest.approx(alone, abs=1e-9)


def test_a_few_equal_weights_have_no_tail():
    assert measure("pareto_k", largest=largest(np.repeat([1.5, 2.0, 3.0], 50))).reason == "low_n"
    assert measure("pareto_k", largest=largest(np.empty(0))).reason == "no_data"


def taken(keys, hour, bucket, n, s, sr):
    n, s, sr = (np.asarray(x, float) for x in (n, s, sr))
    found = sums(hour, bucket, "", n_rows=n, n=n, k1=n, s1=s, sr1=sr, s2=s**2 / n)
    found.key[:] = keys
    return found


def test_bounds_of_a_value_on_fitted_propensities_worked_by_hand():
    """One cell, two actions half each, so 1/p̂ − 1 = 1 and weights lie in 1.5 to 3; a earns 1, b earns 0."""
    buckets = np.arange(64) // 2
    keys = np.where(np.arange(64) % 2, "north␟a", "north␟b")
    s = np.where(np.arange(64) % 2, 8.0, 2.0)
    states = {"taken": taken(keys, 0 * buckets, buckets, np.full(64, 10.0), s, np.where(s > 2, s, 0.0))}
    assert measure("estimated_snips", **states).value == pytest.approx(0.8)
    assert measure("estimated_snips_low", **states).value == pytest.approx(1.5 * 8 / (1.5 * 8 + 3 * 2))
    assert measure("estimated_snips_high", **states).value == pytest.approx(3 * 8 / (3 * 8 + 1.5 * 2))


def test_shares_that_hold_for_other_units_are_calibrated_and_others_are_not():
    rng = np.random.default_rng(8)
    bucket = np.repeat(np.arange(32), 3)
    keys = np.tile(["x␟a", "x␟b", "x␟c"], 32)
    steady = rng.multinomial(300, [0.6, 0.3, 0.1], 32).ravel()
    moving = np.concatenate([rng.multinomial(300, rng.dirichlet([6, 3, 1])) for _ in range(32)])
    fits = []
    for counts in (steady, moving):
        states = {"taken": taken(keys, 0 * bucket, bucket, np.maximum(counts, 1), counts, counts)}
        fits.append(measure("propensity_calibration", **states).value)
        tenths = reliability(states["taken"])
        assert sum(n for _, _, n in tenths) == pytest.approx(3 * np.maximum(counts, 1).sum())
    assert fits[0] < 2 < 10 < fits[1]


def test_a_tail_of_under_a_hundred_effective_rows_is_not_judged():
    rng = np.random.default_rng(2)
    unit, half = np.arange(400), np.full(400, 0.5)
    reward = rng.normal(0, 1, 400)
    wide = Settings(reward_low=-9, reward_high=9)
    sample = sums(0 * unit, unit % 64, "", row_hash=unit, w=np.ones(400), reward=reward)
    states = {"pair_sample": sample, "offpolicy": offpolicy_sums(0 * unit, unit, half, half, reward)}
    found = measure("offpolicy_cvar10", wide, **states)
    assert found.reason == "low_ess" and found.value == pytest.approx(np.sort(reward)[:40].mean())
    assert measure("offpolicy_q50", wide, **states).reason is None
