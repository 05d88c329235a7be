"""Jackknife, intervals of shares, confidence sequence: numbers worked by hand or by SciPy."""

import math

import numpy as np
import pytest
from scipy import stats

from monitor.metrics import METRICS
from monitor.metrics.constraint import variance_inflation, violation_rate
from monitor.metrics.intervals import (
    clopper_pearson,
    effective_size,
    t_interval,
    t_quantile,
    zero_one_interval,
)
from monitor.metrics.jackknife import Jackknife, jackknife, lag_one, persistence, two_way
from monitor.metrics.ratios import divide
from monitor.metrics.sequence import multiplier, t_multiplier, tuning
from monitor.metrics.sums import Settings, Sums
from tests.naive_sums import constraint_sums, state_sums, summed, unit_sums


def mean(x):
    return divide(x[..., 0], x[..., 1])


def cells(days, units, seed=0):
    rng = np.random.default_rng(seed)
    hour = 480_000 + rng.integers(0, 24 * days, 3000)
    unit = rng.integers(0, units, 3000)
    day = (hour - 480_000) // 24
    x = rng.normal(0, 1, 3000) + rng.normal(0, 1, units)[unit] + rng.normal(0, 1, days)[day]
    return hour, unit, x, summed(hour, unit, {"x": x, "n": np.ones(3000)})


def left_out(x, group):
    return np.array([x[group != g].mean() for g in np.unique(group)])


def naive(x, group):
    without = left_out(x, group)
    return (len(without) - 1) / len(without) * ((without - without.mean()) ** 2).sum()


def naive_of_days(x, day):
    """The same of days that follow each other: times (1 + r) / (1 - r)."""
    deviation = left_out(x, day) - left_out(x, day).mean()
    n, lag_one = len(deviation), (deviation[1:] * deviation[:-1]).sum() / (deviation**2).sum()
    r = min(0.5, max(0.0, (n * lag_one + 1) / (n - 3)))
    return naive(x, day) * (1 + r) / (1 - r)


def test_clopper_pearson_equals_scipys_exact_binomial_interval():
    for x, n in ((0, 10), (1, 10), (7, 200), (200, 200)):
        low, high = stats.binomtest(x, n).proportion_ci(0.95, "exact")
        assert clopper_pearson(x, n) == pytest.approx((low, high), abs=1e-12)


def test_clopper_pearson_takes_fractions_of_events():
    expected = stats.beta.ppf(0.025, 12.5, 51), stats.beta.ppf(0.975, 13.5, 50)
    assert clopper_pearson(12.5, 62.5) == pytest.approx(expected)


@pytest.mark.parametrize("n", [0.0, math.nan, math.inf, -1.0])
def test_clopper_pearson_of_no_decisions_is_no_interval(n):
    assert all(math.isnan(end) for end in clopper_pearson(0.0, n))


def test_two_way_rule_by_hand():
    square, df = two_way(4.0, 3.0, 1.0, 41, 10)
    assert square == 6.0
    assert df == pytest.approx(36 / (16 / 40 + 9 / 9))
    assert two_way(4.0, 1.0, 2.0, 41, 10) == (4.0, 40.0)
    assert math.isnan(two_way(math.nan, 1.0, 2.0, 1, 10)[0])


def test_evidence_of_seven_days_uses_buckets_days_and_their_cells():
    hour, unit, x, sums = cells(days=12, units=150)
    found = jackknife(mean, sums, ("x", "n"), Settings())
    day = hour // 24
    bucket = unit % 64
    v_b, v_d, v_bd = naive(x, bucket), naive_of_days(x, day), naive(x, day * 64 + bucket)
    assert found.value == pytest.approx(x.mean())
    assert found.se == pytest.approx(math.sqrt(max(v_b, v_d, v_b + v_d - v_bd)), rel=1e-9)
    assert found.df < 63
    assert "two-way" in found.method


def test_evidence_under_seven_days_uses_buckets_alone():
    _, unit, x, sums = cells(days=6, units=150)
    found = jackknife(mean, sums, ("x", "n"), Settings())
    assert found.se == pytest.approx(math.sqrt(naive(x, unit % 64)), rel=1e-9)
    assert found.df == 63


def test_time_blocks_have_no_interval_under_seven_days_and_the_days_one_from_then_on():
    plant = Settings(time_blocks=True)
    short = jackknife(mean, cells(days=6, units=6)[3], ("x", "n"), plant)
    assert math.isnan(short.se) and short.reason == "low_units"
    hour, _, x, sums = cells(days=8, units=8)
    long = jackknife(mean, sums, ("x", "n"), plant)
    assert long.se == pytest.approx(math.sqrt(naive_of_days(x, hour // 24)), rel=1e-9)
    assert (long.df, long.reason) == (7, None)


def test_nine_units_are_too_few_for_a_gate_and_shown():
    found = jackknife(mean, cells(days=10, units=9)[3], ("x", "n"), Settings())
    assert found.reason == "low_units"
    assert math.isfinite(found.value) and math.isfinite(found.se)


def test_days_that_follow_each_other_are_named():
    hour = np.repeat(np.arange(20) * 24, 30)
    unit = np.tile(np.arange(30), 20)
    rising = summed(hour, unit, {"x": hour / 24.0, "n": np.ones(600)})
    assert "lag-1 correlation" in jackknife(mean, rising, ("x", "n"), Settings()).method
    level = summed(hour, unit, {"x": (-1.0) ** (hour // 24), "n": np.ones(600)})
    assert "lag-1" not in jackknife(mean, level, ("x", "n"), Settings()).method


def test_persistence_takes_out_what_a_fitted_mean_or_line_puts_in():
    values = np.array([1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0, 2.0, 1.0])
    assert lag_one(values) == pytest.approx(0.25 / 2.5)
    assert persistence(values) == pytest.approx(2 / 7)
    assert persistence(values, fitted=2) == pytest.approx(3 / 6)
    assert persistence(np.array([1.0, -1.0] * 10)) == 0.0
    assert persistence(np.arange(40.0), fitted=2) == 0.5


def jack(value, se, df):
    return Jackknife(value, se, df, np.empty((0, 2)), "jackknife", None)


def test_effective_size_by_hand():
    expected = 0.2 * 0.8 / 0.02**2 * (1.959963985 / stats.t.ppf(0.975, 30)) ** 2
    assert effective_size(0.2, jack(0.2, 0.02, 30), 1e6) == pytest.approx(expected)
    assert effective_size(0.2, jack(0.2, 0.02, 30), 50) == 50
    assert effective_size(0.0, jack(0.0, 0.0, 30), 50) == 50
    assert math.isnan(effective_size(0.0, jack(0.0, math.nan, 0), 50))


def test_kish_number_of_units_binds_only_where_few_groups_hold_events():
    def interval(events):
        total = np.full(64, 10.0)
        one = jack(0.1, 1e-9, 63)
        return zero_one_interval(one, events, total - events, 640, 30, 640, "share", Settings())

    few, many = np.zeros(64), np.zeros(64)
    few[:19] = 1
    many[:20] = 1
    assert interval(few).high == pytest.approx(stats.beta.ppf(0.975, 3 + 1, 27))
    assert interval(many).high == pytest.approx(stats.beta.ppf(0.975, 64 + 1, 576))


def test_a_share_of_one_is_bounded_as_carefully_as_a_share_of_zero():
    hour, unit = np.zeros(600, int), np.repeat(np.arange(60), 10)
    never = violation_rate(
        {"constraint": constraint_sums(hour, unit, np.zeros(600)), "units": unit_sums(unit)}, Settings()
    )
    always = violation_rate(
        {"constraint": constraint_sums(hour, unit, np.ones(600)), "units": unit_sums(unit)}, Settings()
    )
    assert never.high == pytest.approx(stats.beta.ppf(0.975, 1, 60))
    assert always.low == pytest.approx(1 - never.high)


def test_hours_stand_for_units_on_a_plant_without_violations():
    hour = np.repeat(np.arange(24 * 8), 5)
    sums = constraint_sums(hour, hour // 24, np.zeros(len(hour)))
    found = violation_rate({"constraint": sums}, Settings(time_blocks=True))
    assert found.high == pytest.approx(stats.beta.ppf(0.975, 1, 24 * 8))


def test_violation_rate_equals_numpy():
    rng = np.random.default_rng(5)
    violated = rng.random(2000) < 0.03
    sums = constraint_sums(rng.integers(0, 50, 2000), rng.integers(0, 300, 2000), violated)
    assert violation_rate({"constraint": sums}, Settings()).value == pytest.approx(violated.mean(), rel=1e-12)


def test_variance_inflation_is_the_variance_of_rates_over_its_binomial_value():
    rates = np.array([0.0, 0.2, 0.1, 0.3, 0.4])
    binomial = 0.2 * 0.8 / 50
    assert variance_inflation(rates, [50] * 5) == pytest.approx(rates.var(ddof=1) / binomial)
    assert variance_inflation([0.2, 0.2], [50, 50]) == 1.0
    assert variance_inflation([0.0, 0.0], [50, 50]) == 1.0
    assert variance_inflation([], []) == 1.0


def test_confidence_sequence_has_the_published_check_values():
    assert tuning(1000, 1000) == pytest.approx(8.2119681, abs=1e-7)
    at = [multiplier(ratio * 1000, 1000) for ratio in (0.1, 1, 10)]
    assert at == pytest.approx([3.823218, 3.035122, 3.246311], abs=1e-6)


def test_estimated_standard_errors_need_more_of_them():
    m = multiplier(1000, 1000)
    assert t_multiplier(m, 1e9) == pytest.approx(m, abs=1e-6)
    assert t_multiplier(m, 20) == pytest.approx(stats.t.isf(stats.norm.sf(m), 20))
    assert math.isfinite(t_multiplier(9.0, 20))


def test_t_quantile_equals_scipys_and_is_missing_without_degrees_of_freedom():
    assert t_quantile(7.5) == pytest.approx(stats.t.ppf(0.975, 7.5))
    assert math.isnan(t_quantile(0))
    assert math.isnan(t_quantile(math.nan))


LOOKED_AT = Settings(n_star=1000)


def grouped(groups, value=0.2, se=0.02, reason=None):
    return Jackknife(value, se, groups - 1, np.ones((groups, 2)), "jackknife", reason)


def test_an_interval_that_is_looked_at_again_is_the_sequence_in_place_of_t():
    found = t_interval(grouped(30), 1000, "reward", LOOKED_AT)
    m = 3.035122
    assert found.high - 0.2 == pytest.approx(0.02 * stats.t.isf(stats.norm.sf(m), 29), rel=1e-5)
    assert found.high - 0.2 == pytest.approx(0.2 - found.low)
    assert (found.level, found.reason) == (0.95, None)
    assert found.method.startswith("confidence sequence tightest at 1000 decisions")
    once = t_interval(grouped(30), 1000, "reward", Settings())
    assert once.high - 0.2 == pytest.approx(0.02 * stats.t.ppf(0.975, 29))
    assert "sequence" not in once.method


@pytest.mark.parametrize(
    ("groups", "n", "settings", "reason"),
    [
        (30, 199, LOOKED_AT, "first_look"),
        (19, 1000, LOOKED_AT, "first_look"),
        (20, 200, LOOKED_AT, None),
        (20, 200, Settings(n_star=1e9), "first_look"),
        (7, 1000, Settings(n_star=1000, time_blocks=True), None),
        (19, 150, Settings(), None),
    ],
)
def test_the_first_look_is_at_200_decisions_and_20_buckets(groups, n, settings, reason):
    assert t_interval(grouped(groups), n, "reward", settings).reason == reason
    assert t_interval(grouped(groups, reason="low_units"), n, "reward", settings).reason == "low_units"


def test_a_share_that_is_looked_at_again_is_clopper_pearson_at_a_smaller_level():
    events = np.full(64, 2.0)

    def share(n, settings, se=1e-9):
        found = Jackknife(0.2, se, 63, np.empty((0, 2)), "jackknife", None)
        return zero_one_interval(found, events, 4 * events, 640, 64, n, "share", settings)

    found, alpha = share(1000, LOOKED_AT), 2 * stats.norm.sf(3.035122)
    assert found.low == pytest.approx(stats.beta.ppf(alpha / 2, 128, 513), rel=1e-5)
    assert found.high == pytest.approx(stats.beta.isf(alpha / 2, 129, 512), rel=1e-5)
    assert (found.level, found.reason) == (0.95, None)
    assert "sequence" in found.method
    size = 0.16 / 0.05**2 * (3.035122 / stats.t.isf(stats.norm.sf(3.035122), 63)) ** 2
    clustered = share(1000, LOOKED_AT, se=0.05)
    assert clustered.high == pytest.approx(stats.beta.isf(alpha / 2, size * 0.2 + 1, size * 0.8), rel=1e-5)
    first = share(1, LOOKED_AT, se=0.05)
    assert (first.low, first.high, first.reason) == (pytest.approx(0), pytest.approx(1), None)


def test_the_divergence_and_the_entropy_of_a_gate_take_the_sequence_too():
    counts = np.random.default_rng(3).multinomial(400, np.full(5, 0.2), 10)
    days = 24 * np.arange(10)
    states = {"state": state_sums(days, counts), "baseline": state_sums(days, counts[::-1] + 40)}
    none = np.zeros(50)
    states["action"] = Sums(
        np.repeat(days, 5), np.full(50, -1), np.tile(np.arange(5).astype(object), 10),
        {"n": counts.ravel().astype(float), "n_p": none, "n_h": none},
    )
    for name, n in (("state_js", 4000), ("action_entropy", 4000)):
        once, again = (METRICS[name].function(states, s) for s in (Settings(), LOOKED_AT))
        wider = (again.high - again.value) / (once.high - once.value)
        expected = stats.t.isf(stats.norm.sf(multiplier(n, 1000)), 9) / stats.t.ppf(0.975, 9)
        assert wider == pytest.approx(expected, rel=1e-9), name
        assert "sequence" in again.method
