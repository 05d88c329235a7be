"""The dip against diptest on the same returns, the modes it names, and what is not called bimodal."""

import diptest
import numpy as np
import pytest

from monitor.metrics import METRICS
from monitor.metrics.modes import dip, jittered, one_a_unit
from monitor.metrics.sums import Settings
from tests.naive_sums import sample_sums

WIDE = Settings(reward_low=-100, reward_high=100)


def two_modes(n=1000, seed=1):
    rng = np.random.default_rng(seed)
    segment = np.array(["a", "b", "c", "d"], dtype=object)[np.arange(n) % 4]
    return np.where(np.arange(n) % 4 == 3, rng.normal(6, 1, n), rng.normal(0, 1, n)), segment


def test_dip_and_p_are_diptests_of_the_jittered_returns():
    reward, segment = two_modes()
    sample = sample_sums(reward=reward, key=segment)
    value, p = diptest.diptest(jittered(reward, sample.columns["row_hash"]))
    assert METRICS["reward_dip"].function({"sample": sample}, WIDE).value == pytest.approx(value, abs=1e-9)
    assert METRICS["reward_dip_p"].function({"sample": sample}, WIDE).value == pytest.approx(p, abs=1e-9)


def test_two_modes_are_named_with_their_shares_and_segments():
    reward, segment = two_modes()
    found = dip(sample_sums(reward=reward, key=segment), WIDE)
    assert found.bimodal
    low, high = found.modes
    assert (low.location, high.location) == (pytest.approx(0, abs=0.5), pytest.approx(6, abs=0.5))
    assert (low.share, high.share) == (pytest.approx(0.75, abs=0.01), pytest.approx(0.25, abs=0.01))
    assert (set(low.segments), set(high.segments)) == ({"a", "b", "c"}, {"d"})
    assert found.method.startswith("bimodal: ") and "more from d" in found.method


def test_segments_that_are_alike_in_every_mode_are_not_named():
    reward, _ = two_modes()
    found = dip(sample_sums(reward=reward, key=np.repeat(np.array(["x", "y"], dtype=object), 500)), WIDE)
    assert found.bimodal and all(mode.segments == () for mode in found.modes)


def test_a_far_away_handful_is_no_mode():
    reward, _ = two_modes()
    found = dip(sample_sums(reward=np.r_[reward, np.full(10, 90.0)]), WIDE)
    assert [round(mode.location / 6) for mode in found.modes] == [0, 1]


@pytest.mark.parametrize("shape", ["normal", "skewed", "rounded", "uniform"])
def test_one_mode_is_called_bimodal_in_under_one_sample_of_a_hundred(shape):
    draw = {
        "normal": lambda rng: rng.normal(size=400), "skewed": lambda rng: rng.lognormal(size=400),
        "rounded": lambda rng: rng.normal(size=400).round(1), "uniform": lambda rng: rng.random(400),
    }[shape]
    rng = np.random.default_rng(2)
    false = sum(dip(sample_sums(reward=draw(rng)), WIDE).bimodal for _ in range(300))
    assert false <= 8  # 3 expected of uniform returns; more than 8 once in 250 such tests


def test_ties_alone_make_the_dip_reject_where_jitter_does_not():
    reward = np.random.default_rng(3).normal(size=1000).round(1)
    assert diptest.diptest(reward)[1] < 0.01
    assert not dip(sample_sums(reward=reward), WIDE).bimodal


def test_jitter_is_at_most_half_the_median_gap_and_spreads_evenly():
    reward = np.repeat([0.0, 1.0, 2.0, 10.0], 500)
    moved = jittered(reward, np.arange(2000)) - reward
    assert -0.5 <= moved.min() < -0.49 and 0.49 < moved.max() <= 0.5
    assert abs(moved.mean()) < 0.01


def test_each_unit_gives_its_return_of_smallest_hash():
    sample = sample_sums(reward=np.arange(6.0), unit=[7, 7, 7, 9, 9, 8], row_hash=[5, 1, 3, 2, 4, 9])
    assert one_a_unit(sample, time_blocks=False).tolist() == [1, 3, 5]


def test_one_busy_unit_does_not_make_a_mode():
    rng = np.random.default_rng(4)
    unit = np.r_[np.arange(300), np.full(300, 1000)]
    reward = np.r_[rng.normal(0, 1, 300), rng.normal(9, 1, 300)]
    assert not dip(sample_sums(reward=reward, unit=unit), WIDE).bimodal
    assert dip(sample_sums(reward=reward), WIDE).bimodal


def test_one_plant_gives_one_return_an_hour():
    rng = np.random.default_rng(5)
    hour = np.repeat(np.arange(30), 20)
    sample = sample_sums(reward=rng.normal(size=600), hour=hour, unit=np.zeros(600, int))
    plant = Settings(reward_low=-100, reward_high=100, time_blocks=True)
    assert dip(sample, plant).n == 30
    assert "one of each hour" in dip(sample, plant).method
    assert dip(sample, WIDE).reason == "low_n"


def test_a_few_values_are_discrete_with_their_shares():
    sample = sample_sums(reward=[0.0] * 75 + [1.0] * 25)
    found = METRICS["reward_dip"].function({"sample": sample}, Settings())
    assert found.reason == "discrete" and not found.judgeable
    assert found.method == "discrete: 0 (0.750), 1 (0.250)"


def test_under_twenty_returns_there_is_nothing_to_say():
    assert dip(sample_sums(reward=np.arange(19.0)), WIDE).reason == "low_n"
    assert dip(sample_sums(reward=[]), WIDE).reason == "no_data"
    assert dip(sample_sums(reward=[np.nan] * 30), WIDE).reason == "non_finite"
