"""Entropy and disagreement: against SciPy and numpy on raw rows."""

import math

import numpy as np
import pytest
from scipy import stats

from monitor.metrics import METRICS
from monitor.metrics.sums import Settings, Sums
from tests.naive_sums import summed, sums


def action_sums(hour, unit, action, p=None, probs=None):
    """The family `action`: counts by action in bucket −1, the rest by bucket under ''."""
    one, none = np.ones(len(hour)), np.zeros(len(hour))
    entropy = stats.entropy(probs, axis=1) if probs is not None else none
    rows = summed(hour, unit, {
        "n": one, "n_p": one if p is not None else none, "kp": one if p is not None else none,
        "h1": -np.log(p) if p is not None else none, "n_h": one if probs is not None else none,
        "kh": one if probs is not None else none, "hp": entropy,
    })
    taken = [(h, a) for h in np.unique(hour) for a in np.unique(action)]
    count = [float(((hour == h) & (action == a)).sum()) for h, a in taken]
    keys = np.empty(len(rows) + len(taken), dtype=object)
    keys[:] = list(rows.key) + [str(a) for _, a in taken]
    columns = {
        name: np.r_[column, count if name == "n" else np.zeros(len(taken))]
        for name, column in rows.columns.items()
    }
    hours, bucket = np.r_[rows.hour, [h for h, _ in taken]], np.r_[rows.bucket, np.full(len(taken), -1)]
    return Sums(hours, bucket, keys, columns)


def rows(n=800, hours=3):
    rng = np.random.default_rng(6)
    probs = rng.dirichlet(np.ones(5), n)
    action = np.array([rng.choice(5, p=row) for row in probs])
    return rng.integers(0, hours, n), rng.integers(0, 300, n), action, probs


def measure(name, settings=None, **states):
    return METRICS[name].function(states, settings or Settings())


def test_entropy_of_logged_distributions_is_their_mean_entropy():
    hour, unit, action, probs = rows()
    p = probs[np.arange(len(action)), action]
    found = measure("action_entropy", action=action_sums(hour, unit, action, p, probs))
    assert found.value == pytest.approx(stats.entropy(probs, axis=1).mean(), rel=1e-9)
    assert "distributions" in found.method and found.unit == "nat"


def test_entropy_of_propensities_is_the_mean_of_minus_log_p():
    hour, unit, action, probs = rows()
    p = probs[np.arange(len(action)), action]
    found = measure("action_entropy", action=action_sums(hour, unit, action, p))
    assert found.value == pytest.approx(-np.log(p).mean(), rel=1e-9)
    assert "propensities" in found.method


def test_entropy_without_propensities_is_marginal_and_named_so():
    hour, unit, action, _ = rows()
    found = measure("action_entropy", action=action_sums(hour, unit, action))
    counts = np.bincount(action)
    expected = stats.entropy(counts) + (len(counts) - 1) / (2 * len(action))
    assert found.value == pytest.approx(expected, rel=1e-9)
    assert "marginal" in found.method
    assert math.isnan(found.low) and found.reason == "low_units"


def test_marginal_entropy_of_a_week_has_the_interval_of_its_days():
    rng = np.random.default_rng(7)
    hour, action = rng.integers(0, 24 * 9, 3000), rng.integers(0, 4, 3000)
    found = measure("action_entropy", action=action_sums(hour, hour, action))
    assert found.judgeable
    assert found.low < found.value < found.high


def test_entropy_from_half_the_propensities_is_not_judged():
    hour, unit, action, probs = rows()
    states = action_sums(hour, unit, action, probs[np.arange(len(action)), action])
    half = {**states.columns, "n_p": states.columns["n_p"] / 2}
    found = measure("action_entropy", action=Sums(states.hour, states.bucket, states.key, half))
    assert found.reason == "missing_propensity"


def test_entropy_ratio_is_one_for_a_uniform_policy():
    n = 500
    uniform = action_sums(np.zeros(n, int), np.arange(n), np.arange(n) % 4, np.full(n, 0.25))
    assert measure("action_entropy_ratio", Settings(n_actions=4), action=uniform).value == pytest.approx(1.0)
    assert not measure("action_entropy_ratio", action=uniform).judgeable
    assert not measure("action_entropy_ratio", Settings(n_actions=1), action=uniform).judgeable


def test_top_action_is_named_with_its_share():
    hour, unit = np.zeros(10, int), np.arange(10)
    found = measure("top_action_share", action=action_sums(hour, unit, np.array([2] * 7 + [1] * 3)))
    assert found.value == pytest.approx(0.7)
    assert "'2'" in found.method


def pair_sums(n=600, dist=False, seed=8):
    rng = np.random.default_rng(seed)
    raw = {"diff": rng.random(n) < 0.4, "p": rng.uniform(0.2, 1, n), "self": rng.uniform(0, 0.8, n)}
    raw["large"] = rng.random(n) < 0.05
    one, none = np.ones(n), np.zeros(n)
    return raw, summed(rng.integers(0, 4, n), rng.integers(0, 250, n), {
        "n_rec": one, "n_beside": one, "n_pair": one, "n_diff": raw["diff"], "n_p": one, "s1": 1 - raw["p"],
        "n_dist": one if dist else none, "d1": none, "d0": raw["self"] if dist else none, "tv": none,
        "n_known": one, "n_large": raw["large"],
    })


def test_disagreements_equal_numpy_on_raw_rows():
    raw, sampled = pair_sums()
    _, logged = pair_sums(dist=True)
    assert measure("disagreement", pair=sampled).value == pytest.approx(raw["diff"].mean(), rel=1e-9)
    assert measure("large_disagreement", pair=sampled).value == pytest.approx(raw["large"].mean(), rel=1e-9)
    assert measure("self_disagreement", pair=sampled).value == pytest.approx((1 - raw["p"]).mean(), rel=1e-9)
    assert measure("self_disagreement", pair=logged).value == pytest.approx(raw["self"].mean(), rel=1e-9)


def test_disagreement_has_the_interval_of_a_share():
    found = measure("disagreement", pair=pair_sums()[1])
    assert 0 < found.low < found.value < found.high < 1
    assert "Clopper-Pearson" in found.method


def test_self_disagreement_needs_propensities():
    bare = summed([0], [0], {"n_dist": [0.0], "d0": [0.0], "n_p": [0.0], "s1": [0.0]})
    assert measure("self_disagreement", pair=bare).reason == "missing_propensity"


def test_recommended_share_is_counted_over_all_decisions():
    pair, reward = sums([0], [0], "", n_rec=[1000.0], n_beside=[999.0]), sums([0], [0], "", n=[1000.0])
    found = measure("recommended_share", pair=pair, reward=reward)
    assert (found.value, found.low, found.high) == (0.999, 0.999, 0.999)


def test_densities_have_a_differential_entropy_and_no_number_of_actions():
    n = 300
    wide = action_sums(np.zeros(n, int), np.arange(n), np.arange(n) % 3, np.full(n, 4.0))
    found = measure("action_entropy", Settings(density=True), action=wide)
    assert found.value == pytest.approx(-math.log(4))
    assert "differential" in found.method
    for name in ("action_entropy_ratio", "effective_actions", "never_taken_actions"):
        assert measure(name, Settings(density=True, n_actions=3), action=wide).reason == "n_actions_unknown"


def test_effective_actions_of_a_uniform_policy_are_all_of_them():
    n = 400
    uniform = action_sums(np.zeros(n, int), np.arange(n), np.arange(n) % 4, np.full(n, 0.25))
    found = measure("effective_actions", action=uniform)
    assert (found.value, found.low, found.high) == (pytest.approx(4), pytest.approx(4), pytest.approx(4))
    assert measure("never_taken_actions", Settings(n_actions=6), action=uniform).value == 2


def explored_sums(explored, unit, size=4):
    one, x = np.ones(len(unit)), np.asarray(explored, float)
    none = 0 * one
    return summed(np.zeros(len(unit), int), unit, {
        "n": one, "n_x": x, "k1": one, "k2": one, "kx": x, "e1": x * size / (size - 1),
        "a1": one * size / (size - 1), "n_greedy": none, "n_explored": none, "kg": none, "ke": none,
        "rg": none, "re": none,
    })


def test_exploration_of_an_epsilon_greedy_policy_is_its_epsilon():
    rng = np.random.default_rng(9)
    n, epsilon = 40_000, 0.2
    explored = (rng.random(n) < epsilon) & (rng.integers(0, 4, n) != 0)
    found = measure("exploration_rate", exploration=explored_sums(explored, np.arange(n)))
    assert found.low < epsilon < found.high
    assert found.value == pytest.approx(explored.mean() * 4 / 3)


def test_a_policy_that_never_explores_has_an_upper_end():
    found = measure("exploration_rate", exploration=explored_sums(np.zeros(640), np.arange(640)))
    assert (found.value, found.low) == (0.0, 0.0)
    assert 0 < found.high < 0.1
    never = explored_sums(np.zeros(9), np.arange(9))
    assert measure("exploration_cost", exploration=never).reason == "no_data"
