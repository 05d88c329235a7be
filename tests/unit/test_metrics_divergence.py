"""State shift: against SciPy's Jensen–Shannon distance, with bins merged by hand."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from monitor.metrics import METRICS
from monitor.metrics.divergence import block_maxima, jensen_shannon, merge_levels, merged, variance_of
from monitor.metrics.sums import Settings
from tests.naive_sums import state_sums

NUMERIC = Settings(interior_bins=20, n_blocks=168, block_maxima={20: 0.08, 10: 0.04, 5: 0.02})


def measure(state, baseline, settings=NUMERIC):
    states = {"state": state, "baseline": baseline}
    names = ("state_js", "state_js_raw", "state_js_p", "state_js_limit")
    return {name: METRICS[name].function(states, settings) for name in names}


def counts(rows, seed, shift=0.0):
    """`rows` normal values in 20 reference-quantile bins, underflow, overflow, NULL."""
    edges = stats.norm.ppf(np.linspace(0.001, 0.999, 21))
    values = np.random.default_rng(seed).normal(shift, 1, rows)
    return np.bincount(np.digitize(values, edges), minlength=23).astype(float)


@pytest.mark.parametrize("seed", range(5))
def test_divergence_equals_the_square_of_scipys_distance(seed):
    p, q = counts(900, seed), counts(5000, seed + 100, 0.7)
    found = measure(state_sums([0], [p]), state_sums([0], [q]))
    seen = int(((p + q) > 0).sum())
    raw = jensenshannon(p, q) ** 2
    assert found["state_js_raw"].value == pytest.approx(raw, rel=1e-9)
    assert found["state_js"].value == pytest.approx(raw - (seen - 1) / 8 * (1 / 900 + 1 / 5000), rel=1e-9)
    expected = stats.chi2.sf(8 * raw / (1 / 900 + 1 / 5000), seen - 1)
    assert found["state_js_p"].value == pytest.approx(expected, rel=1e-9)


def test_equal_and_disjoint_histograms_are_the_two_ends():
    p = np.array([10.0, 20, 0, 0])
    assert jensen_shannon(p, 3 * p) == 0.0
    assert jensen_shannon(p, p[::-1]) == pytest.approx(math.log(2))
    assert math.isnan(jensen_shannon(p, 0 * p))


def test_merging_halves_the_interior_and_leaves_the_edges_alone():
    assert merge_levels(20) == {20: 1, 10: 2, 5: 4}
    assert merge_levels(13) == {13: 1, 7: 2, 4: 4}
    assert merge_levels(5) == {5: 1}
    assert merge_levels(0) == {0: 1}
    bins = np.array([100.0, 1, 2, 3, 4, 5, 6, 7, 200, 300])
    assert merged(bins, 7, 2).tolist() == [100, 3, 7, 11, 7, 200, 300]


def test_neighbours_are_merged_until_the_rows_suffice():
    base = np.r_[50.0, np.full(20, 1000.0), 50, 50]
    base_sums = state_sums([0], [base])
    for rows, interior in ((66, 20), (65, 10), (36, 10), (35, 5)):
        p = np.zeros(23)
        p[1:21] = np.random.default_rng(0).multinomial(rows, np.full(20, 0.05))
        found = measure(state_sums([0], [p]), base_sums)
        expected = jensenshannon(merged(p, 20, 20 // interior), merged(base, 20, 20 // interior)) ** 2
        assert found["state_js_raw"].value == pytest.approx(expected, rel=1e-9)
        assert found["state_js_limit"].value == pytest.approx(1.25 * NUMERIC.block_maxima[interior])
        assert found["state_js"].judgeable


def test_under_thirty_rows_is_shown_and_not_judged():
    found = measure(state_sums([0], [counts(29, 0)]), state_sums([0], [counts(5000, 1)]))["state_js"]
    assert found.reason == "low_n"
    assert math.isfinite(found.value)


def test_a_baseline_of_under_72_blocks_is_called_uncalibrated():
    state, base = state_sums([0], [counts(900, 0)]), state_sums([0], [counts(5000, 1)])
    few = Settings(interior_bins=20, n_blocks=71, block_maxima=NUMERIC.block_maxima)
    assert "uncalibrated" in measure(state, base, few)["state_js"].method
    assert "uncalibrated" in measure(state, base, few)["state_js_limit"].method
    assert "uncalibrated" not in measure(state, base)["state_js_limit"].method
    levelless = Settings(interior_bins=20, n_blocks=168, block_maxima={})
    limit = measure(state, base, levelless)["state_js_limit"]
    assert "uncalibrated" in limit.method and limit.value == 0.0


def test_a_missing_baseline_is_said():
    state = state_sums([0], [counts(900, 0)])
    found = METRICS["state_js"].function({"state": state}, NUMERIC)
    assert found.reason == "baseline_missing"
    empty = state_sums([0], np.zeros((1, 23)))
    assert measure(state, empty)["state_js"].reason == "baseline_missing"
    assert measure(empty, state)["state_js"].reason == "no_data"


def test_a_category_only_the_window_has_seen_counts():
    named, base = np.array([50.0, 50, 0, 40, 0]), np.array([500.0, 500, 0, 0, 0])
    found = measure(state_sums([0], [named]), state_sums([0], [base]), Settings(n_blocks=100))
    assert found["state_js_raw"].value == pytest.approx(jensenshannon(named, base) ** 2)


def test_a_week_gets_bias_and_interval_by_jackknife_over_days_of_both_sides():
    window = np.array([counts(200, s) for s in range(8)])
    base = np.array([counts(400, 50 + s, 0.3) for s in range(10)])
    found = measure(state_sums(np.arange(8) * 24, window), state_sums(np.arange(10) * 24, base))["state_js"]
    p, q = window.sum(0), base.sum(0)
    raw = jensenshannon(p, q) ** 2
    left = np.array([jensenshannon(p - day, q) ** 2 for day in window])
    right = np.array([jensenshannon(p, q - day) ** 2 for day in base])
    value = raw - 7 * (left.mean() - raw) - 9 * (right.mean() - raw)
    margin = stats.t.ppf(0.975, 7) * math.sqrt(variance_of(left) + variance_of(right))
    assert found.value == pytest.approx(value, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((max(0, value - margin), value + margin), rel=1e-9)


def test_a_short_window_has_no_interval():
    found = measure(state_sums([0], [counts(900, 0)]), state_sums([0], [counts(5000, 1)]))["state_js"]
    assert math.isnan(found.low) and math.isnan(found.high)


def test_block_maxima_equal_a_loop_over_blocks():
    blocks = np.array([counts(80, s) for s in range(100)])
    found = block_maxima(blocks, 20)
    for level, step in ((20, 1), (10, 2), (5, 4)):
        total = merged(blocks, 20, step).sum(0)
        bins = int((total > 0).sum())
        expected = 0.0
        for block in merged(blocks, 20, step):
            rest = total - block
            bias = (bins - 1) / 8 * (1 / block.sum() + 1 / rest.sum())
            expected = max(expected, jensenshannon(block, rest) ** 2 - bias)
        assert found[level] == pytest.approx(expected, rel=1e-9)


def test_blocks_too_small_for_fine_bins_count_on_coarse_ones_only():
    blocks = np.array([counts(40, s) for s in range(100)])
    assert set(block_maxima(blocks, 20)) == {10, 5}
    assert block_maxima(blocks[:, :0], 0) == {}


def test_the_four_metrics_of_a_window_share_one_computation_and_a_new_window_is_a_new_one():
    base = state_sums([0], [counts(5000, 1)])
    first, second = state_sums([0], [counts(900, 0)]), state_sums([0], [counts(900, 0, 2.0)])
    assert measure(first, base)["state_js"].value < 0.05 < measure(second, base)["state_js"].value
    other = state_sums([0], [counts(5000, 2, 2.0)])
    assert measure(first, other)["state_js"].value > 0.05
