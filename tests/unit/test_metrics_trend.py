"""Mann–Kendall and Theil–Sen: against SciPy and by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from monitor.metrics.trend import hamed_rao, mann_kendall, score, slope


def test_mann_kendall_by_hand():
    found = score(np.arange(5), [1.0, 2, 3, 4, 5])
    assert found.s == 10
    assert found.variance == pytest.approx(5 * 4 * 15 / 18)
    assert found.z == pytest.approx(9 / math.sqrt(50 / 3))
    trend = mann_kendall(np.arange(5), [1.0, 2, 3, 4, 5])
    assert trend.p_up == pytest.approx(stats.norm.sf(found.z))
    assert trend.p_down == pytest.approx(stats.norm.cdf(found.z))
    assert (trend.slope, trend.n) == (1.0, 5)
    assert math.isnan(trend.low) and math.isnan(trend.high)


def test_a_trend_has_the_slope_and_the_interval_that_a_gate_reads():
    rng = np.random.default_rng(2)
    days, values = np.arange(100.0, 128.0), np.arange(28) / 40 + rng.normal(0, 0.2, 28)
    trend, gate = mann_kendall(days, values), slope(days, values)
    assert (trend.slope, trend.low, trend.high, trend.n) == (gate.value, gate.low, gate.high, 28)
    assert trend.p_up < 0.001
    shuffled = rng.permutation(28)
    assert mann_kendall(days[shuffled], values[shuffled]) == trend


def test_p_equals_scipys_kendall_tau_without_continuity_correction():
    rng = np.random.default_rng(3)
    days, values = np.arange(20.0), rng.integers(0, 6, 20).astype(float)
    found = score(days, values)
    assert hamed_rao(values, days) <= 1
    expected = stats.kendalltau(days, values, method="asymptotic", alternative="greater").pvalue
    assert stats.norm.sf(found.s / math.sqrt(found.variance)) == pytest.approx(expected, rel=1e-9)


def test_ties_take_away_variance():
    found = score(np.arange(5), [1.0, 1, 2, 2, 2])
    assert found.s == 6
    assert found.variance == pytest.approx((5 * 4 * 15 - 2 * 1 * 9 - 3 * 2 * 11) / 18)


def test_nothing_that_varies_is_no_trend():
    found = mann_kendall(np.arange(20), [3.0] * 20)
    assert (found.p_up, found.p_down, found.slope) == (1.0, 1.0, 0.0)
    assert mann_kendall([], []).p_up == mann_kendall([1], [2.0]).p_up == 1.0


def test_a_falling_series_is_no_upward_trend():
    found = mann_kendall(np.arange(20), -np.arange(20.0))
    assert found.p_up > 0.999
    assert found.p_down < 0.001


def test_serial_correlation_makes_the_test_slower_to_reject():
    rng = np.random.default_rng(0)
    walk = np.zeros(60)
    for t in range(1, 60):
        walk[t] = 0.8 * walk[t - 1] + rng.normal()
    assert hamed_rao(walk, np.arange(60)) > 1.5
    plain = (60 * 59 * 125) / 18
    assert score(np.arange(60), walk).variance == pytest.approx(plain * hamed_rao(walk, np.arange(60)))


def test_slope_equals_scipys_theil_sen_estimate_with_ranks_rounded_outwards():
    rng = np.random.default_rng(1)
    days, values = np.arange(20.0), 0.05 * np.arange(20) + rng.normal(0, 0.3, 20)
    found = slope(days, values, "share")
    expected = stats.theilslopes(values, days, 0.95)
    assert found.value == pytest.approx(expected.slope)
    assert hamed_rao(values, days) <= 1
    i, j = np.triu_indices(20, 1)
    slopes = np.sort((values[j] - values[i]) / (days[j] - days[i]))
    scipys = np.searchsorted(slopes, [expected.low_slope - 1e-9, expected.high_slope - 1e-9])
    ours = np.searchsorted(slopes, [found.low - 1e-9, found.high - 1e-9])
    assert scipys[0] - 1 <= ours[0] <= scipys[0]
    assert scipys[1] <= ours[1] <= scipys[1] + 1
    assert found.unit == "share per day"


def test_missing_days_are_gaps_and_not_steps():
    days = np.array([0.0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 20, 21, 22, 23])
    assert slope(days, 2 * days).value == pytest.approx(2.0)


def test_thirteen_days_are_too_few():
    assert slope(np.arange(13.0), np.arange(13.0)).reason == "low_n"
    assert slope(np.arange(14.0), np.arange(14.0)).judgeable


def test_a_value_that_is_not_finite_is_never_judged():
    values = np.arange(20.0)
    values[3] = math.nan
    assert slope(np.arange(20.0), values).reason == "non_finite"
    with pytest.raises(ValueError, match="finite"):
        mann_kendall(np.arange(20), values)
    assert slope([], []).reason == "no_data"
