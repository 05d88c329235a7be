"""Laws: coverage under clusters, false alarms, and that nothing is made of nothing."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from monitor.metrics import METRICS
from monitor.metrics.bernstein import reward_bounded
from monitor.metrics.constraint import violation_rate
from monitor.metrics.estimate import Estimate, Reading
from monitor.metrics.intervals import t_quantile
from monitor.metrics.jackknife import jackknife
from monitor.metrics.ratios import divide
from monitor.metrics.sequence import multiplier, tuning
from monitor.metrics.sums import Settings
from monitor.metrics.trend import slope
from monitor.sums import FAMILIES
from monitor.triggers.e_detector import likelihood_of_decisions, shiryaev_roberts
from monitor.triggers.firing import confirmed
from monitor.triggers.reward_drop import RewardDropParams, reward_drop
from tests.naive_sums import constraint_sums, reward_sums, state_sums, summed, sums, unit_sums

START = datetime(2026, 1, 1, tzinfo=UTC)


def mean(x):
    return divide(x[..., 0], x[..., 1])


def covers(found, truth=0.0):
    margin = t_quantile(found.df) * found.se
    return abs(found.value - truth) <= margin


def test_two_way_interval_covers_where_users_and_days_both_matter():
    rng = np.random.default_rng(0)
    two_way = days_ignored = 0
    for _ in range(300):
        unit, day = rng.integers(0, 400, 2000), rng.integers(0, 28, 2000)
        x = rng.normal(0, 1, 400)[unit] + rng.normal(0, 0.5, 28)[day] + rng.normal(0, 1, 2000)
        n = np.ones(2000)
        two_way += covers(jackknife(mean, summed(24 * day, unit, {"x": x, "n": n}), ("x", "n"), Settings()))
        flat = summed(0 * day, unit, {"x": x, "n": n})
        days_ignored += covers(jackknife(mean, flat, ("x", "n"), Settings()))
    assert two_way / 300 > 0.92
    assert days_ignored / 300 < 0.85


def test_time_blocks_cover_where_buckets_would_not():
    rng = np.random.default_rng(1)
    blocks = 0
    for _ in range(300):
        hour = np.repeat(np.arange(24 * 14), 5)
        x = rng.normal(0, 1, 14)[hour // 24] + rng.normal(0, 1, len(hour))
        rows = {"x": x, "n": np.ones(len(hour))}
        plant = jackknife(mean, summed(hour, hour // 24, rows), ("x", "n"), Settings(time_blocks=True))
        blocks += covers(plant)
    assert 0.92 < blocks / 300 < 0.98


def test_rare_violations_of_clustered_users_are_covered_at_both_ends():
    rng = np.random.default_rng(2)
    below = above = 0
    for _ in range(400):
        risk = rng.beta(0.5, 49.5, 300)
        unit = rng.integers(0, 300, 1500)
        violated = rng.random(1500) < risk[unit]
        states = {"constraint": constraint_sums(0 * unit, unit, violated), "units": unit_sums(unit)}
        found = violation_rate(states, Settings())
        below += found.high < 0.01
        above += found.low > 0.01
    assert below / 400 < 0.04
    assert above / 400 < 0.04


def test_a_confidence_sequence_misses_at_most_as_often_as_it_says_however_often_one_looks():
    rng = np.random.default_rng(3)
    n = np.arange(1, 10_001)
    looks = slice(99, None)
    m = np.array([multiplier(k, 1000, 0.1) for k in n[looks]])
    ever = fixed = 0
    for _ in range(1000):
        at = np.cumsum(rng.random(10_000) < 0.5) / n
        se = np.sqrt(np.maximum(at * (1 - at), 1e-9) / n)[looks]
        off = np.abs(at[looks] - 0.5)
        ever += (off > m * se).any()
        fixed += (off > 1.645 * se).any()
    assert ever / 1000 <= 0.1
    assert 0.65 < fixed / 1000 < 0.8


def test_rare_events_are_held_from_the_twentieth_row_where_standard_errors_are_not():
    from scipy.special import betaincinv, ndtr

    rng = np.random.default_rng(9)
    n = np.arange(1, 5_001)
    m = np.array([multiplier(k, 1000) for k in n[19:]])
    alpha = 2 * ndtr(-np.minimum(m, 37))
    events = np.cumsum(rng.random((400, 5000)) < 0.005, axis=1)[:, 19:]
    most = int(events.max())
    x, size = np.arange(most + 1)[:, None], n[19:]
    low = np.where(x > 0, betaincinv(np.maximum(x, 1), size - x + 1, alpha / 2), 0.0)
    high = betaincinv(x + 1, np.maximum(size - x, 1), 1 - alpha / 2)
    place = np.arange(len(size))
    missed = (low[events, place] > 0.005) | (high[events, place] < 0.005)
    v = events / size
    normal = np.abs(v - 0.005) > m * np.sqrt(v * (1 - v) / size)
    assert missed.any(axis=1).mean() <= 0.05
    assert normal.any(axis=1).mean() > 0.8
    states = {"constraint": constraint_sums(np.zeros(40, int), np.arange(40), np.zeros(40))}
    ours = violation_rate(states, Settings(n_star=1000, independent=True))
    assert ours.high == pytest.approx(high[0, 20])


def test_the_tuning_of_the_sequence_has_the_values_of_its_definition():
    assert tuning(1000, 1000) == pytest.approx(8.2119681, abs=1e-7)
    found = [multiplier(k * 1000, 1000) for k in (0.1, 1, 10)]
    assert found == pytest.approx([3.823218, 3.035122, 3.246311], abs=1e-6)


def test_a_slope_that_is_looked_at_every_day_is_held_by_its_sequence_and_not_by_sens_interval():
    rng = np.random.default_rng(10)
    ever = once = 0
    for _ in range(120):
        x, t = rng.normal(size=42), np.arange(42.0)
        kinds = [[slope(t[:k], x[:k], tightest_at=at) for k in range(14, 43, 4)] for at in (14, None)]
        missed = [any(not s.low <= 0 <= s.high for s in found) for found in kinds]
        ever, once = ever + missed[0], once + missed[1]
    assert ever / 120 <= 0.05 < 0.08 < once / 120


def test_the_bounded_mean_is_held_at_every_look():
    rng = np.random.default_rng(11)
    hour = np.repeat(np.arange(25), 40)
    ever = 0
    for _ in range(150):
        states = reward_sums(hour, np.arange(1000), rng.beta(0.2, 0.8, 1000))
        for k in range(1, 26, 2):
            found = reward_bounded({"reward": states.where(states.hour < k)}, Settings(independent=True))
            if not found.low <= 0.2 <= found.high:
                ever += 1
                break
    assert ever / 150 <= 0.05
    assert found.high - found.low < 0.2


def test_p_of_an_unchanged_feature_is_uniform():
    rng = np.random.default_rng(4)
    chance = np.full(23, 1 / 23)
    baseline = state_sums([0], [rng.multinomial(20_000, chance)])
    p = [
        METRICS["state_js_p"].function(
            {"state": state_sums([0], [rng.multinomial(800, chance)]), "baseline": baseline},
            Settings(interior_bins=20),
        ).value
        for _ in range(400)
    ]
    assert stats.kstest(p, "uniform").pvalue > 0.001


def test_the_corrected_divergence_of_an_unchanged_feature_is_about_nothing():
    rng = np.random.default_rng(5)
    chance = np.full(23, 1 / 23)
    baseline = state_sums([0], [rng.multinomial(20_000, chance)])
    values = {"state_js": [], "state_js_raw": []}
    for _ in range(200):
        states = {"state": state_sums([0], [rng.multinomial(200, chance)]), "baseline": baseline}
        for name, found in values.items():
            found.append(METRICS[name].function(states, Settings(interior_bins=20)).value)
    assert np.mean(values["state_js_raw"]) > 0.012
    assert np.median(values["state_js"]) < 0.003


def readings(means, n=100, sd=1.0):
    def series(metric, values):
        return [
            Reading(
                Estimate(float(v), math.nan, math.nan, 0.95, n, "reward", "test"), metric, "", "v7", "",
                START + timedelta(hours=i), START + timedelta(hours=i + 1),
            )
            for i, v in enumerate(values)
        ]

    return {"reward_mean": series("reward_mean", means), "reward_sd": series("reward_sd", [sd] * len(means))}


def trips(means, params, first):
    whole = readings(means)
    return [
        reward_drop({name: found[: i + 1] for name, found in whole.items()}, params) is not None
        for i in range(first, len(means))
    ]


def test_the_letter_of_the_rule_fires_in_one_stable_window_of_32():
    means = np.random.default_rng(6).normal(1, 0.1, 6000)
    rate = np.mean(trips(means, RewardDropParams(mode="letter"), 24))
    assert rate == pytest.approx(1 / 32, rel=0.25)


def seasonal_means(hours, seed):
    hour = np.arange(hours)
    return 1 + 0.5 * np.sin(hour * 2 * np.pi / 24) + np.random.default_rng(seed).normal(0, 0.1, hours)


def test_the_seasonal_rule_trips_as_often_as_two_sd_say_and_is_seldom_confirmed():
    found = trips(seasonal_means(24 * 100, 7), RewardDropParams(), 24 * 9)
    assert np.mean(found) == pytest.approx(stats.norm.sf(2), rel=0.4)
    twice = [confirmed(found[: i + 1], 2, 4) for i in range(len(found))]
    thrice = [confirmed(found[: i + 1], 3, 4) for i in range(len(found))]
    assert sum(thrice) <= 2 < sum(twice)


def test_a_drop_of_four_sd_is_mostly_confirmed_two_windows_after_its_first():
    found = 0
    for seed in range(60):
        means = seasonal_means(24 * 10, 100 + seed)
        means[-3:] -= 0.4
        found += confirmed(trips(means, RewardDropParams(), len(means) - 4), 3, 4)
    assert found / 60 > 0.75


COLUMNS = {name: family.sums for name, family in FAMILIES.items()}
COLUMNS |= {"baseline": ("n",), "baseline_sample": ("n",)}
KEYS = {"exposure": "candidate:0"}


def places(family, cells):
    """Columns that say which cell of a matrix a row is: never anything but whole numbers."""
    return {name: [0] * cells for name in (FAMILIES[family].places if family in FAMILIES else ())}


@settings(max_examples=60, deadline=None)
@given(
    cells=st.integers(0, 4),
    value=st.sampled_from([0.0, math.nan, math.inf, -math.inf]),
    days=st.sampled_from([1, 24]),
    plant=st.booleans(),
)
def test_nothing_is_ever_judged_from_nothing(cells, value, days, plant):
    hour, bucket = 480_000 + days * np.arange(cells), np.where(np.arange(cells) % 2, -1, 3)
    states = {
        family: sums(
            hour, bucket, KEYS.get(family, 0), **{name: [value] * cells for name in names},
            **places(family, cells),
        )
        for family, names in COLUMNS.items()
    }
    for name, metric in METRICS.items():
        found = metric.function(states, Settings(time_blocks=plant, n_actions=4, interior_bins=5))
        assert not found.judgeable and found.reason, name


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 63), st.integers(1, 30), st.integers(0, 30)), min_size=1, max_size=80),
    st.booleans(),
)
def test_the_interval_of_a_share_holds_it_and_stays_between_zero_and_one(cells, plant):
    unit = np.array([u for u, _, _ in cells])
    n = np.array([n for _, n, _ in cells], dtype=float)
    x = np.minimum(n, [x for _, _, x in cells])
    hour = np.arange(len(cells)) * 6
    rows = {"n": n, "n_null": 0 * n, "x": x, "k1": n, "k2": n, "v1": x, "c1": x}
    found = violation_rate({"constraint": summed(hour, unit, rows)}, Settings(time_blocks=plant))
    if math.isfinite(found.low):
        assert 0 <= found.low <= found.value + 1e-12
        assert found.value - 1e-12 <= found.high <= 1


def test_the_e_detector_runs_at_least_as_long_as_it_promises_and_little_longer():
    x = np.random.default_rng(8).random((1400, 4000)) < 0.5
    evidence = shiryaev_roberts(likelihood_of_decisions(x, 0.5, 0.2))
    crossed = evidence >= 100
    assert crossed.any(axis=0).all()
    assert 98 <= (crossed.argmax(axis=0) + 1).mean() <= 112
