"""reward_drop: both modes, thin windows, what is left out of the reference."""

import math
from datetime import UTC, datetime, timedelta

import pytest

from monitor.metrics.estimate import Estimate, Reading
from monitor.triggers import TRIGGERS
from monitor.triggers.reward_drop import RewardDropParams, judged, reward_drop

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SEASONAL, LETTER = RewardDropParams(), RewardDropParams(mode="letter")


def reading(metric, at, value, n, reason=None, length=HOUR):
    estimate = Estimate(value, math.nan, math.nan, 0.95, n, "reward", "test", reason)
    return Reading(estimate, metric, "", "v7", "", START + at * length, START + (at + 1) * length)


def series(means, n=100, sd=1.0, length=HOUR):
    """Windows of the given means; None leaves a window out."""
    counts = n if isinstance(n, list) else [n] * len(means)
    kept = [(i, m, c) for i, (m, c) in enumerate(zip(means, counts, strict=True)) if m is not None]
    return {
        "reward_mean": [reading("reward_mean", i, m, c, length=length) for i, m, c in kept],
        "reward_sd": [reading("reward_sd", i, sd, c, length=length) for i, m, c in kept],
    }


def days(count, low=0.9, high=1.1):
    """Hourly means that are `low` on even days and `high` on odd ones."""
    return [low if (i // 24) % 2 == 0 else high for i in range(24 * count)]


def test_letter_compares_with_two_sd_of_the_24_windows_before():
    before = [1.0, 3.0] * 12
    sd = math.sqrt(24 / 23)
    limit = 2 - 2 * sd
    fired = reward_drop(series([*before, limit - 0.001]), LETTER)
    assert fired is not None
    assert fired.limit == pytest.approx(limit)
    assert fired.state["mode"] == "letter"
    assert reward_drop(series([*before, limit + 0.001]), LETTER) is None


def test_letter_needs_all_24_windows_before():
    assert reward_drop(series([1.0, 3.0] * 11 + [3.0, -9.0]), LETTER) is None
    assert reward_drop(series([1.0, 3.0] * 12 + [-9.0]), LETTER) is not None


def test_seasonal_numbers_by_hand():
    history = days(9)
    fired = reward_drop(series([*history, 0.0]), SEASONAL)
    assert fired is not None and fired.state["mode"] == "seasonal"
    assert fired.state["reference_mean"] == pytest.approx(1.0)
    assert fired.state["reference_n"] == 800
    square = (8 * 99 * 1.0 + 8 * 100 * 0.1**2) / 799
    assert fired.state["e"] == pytest.approx(math.sqrt(square * (1 / 100 + 1 / 800)))
    others = (7 * 99 * 1.0 + 100 * (4 * 0.1**2 + 3 * 0.1**2) - 700 * (0.1 / 7) ** 2) / 699
    z = (0.1 + 0.1 / 7) / math.sqrt(others * (1 / 100 + 1 / 700))
    assert fired.state["s"] == pytest.approx(z)
    assert fired.limit == pytest.approx(1.0 - 2 * z * fired.state["e"])


def test_seasonal_takes_over_after_nine_seasons_of_history():
    for history, mode in ((days(9)[1:], "letter"), (days(9), "seasonal")):
        fired = reward_drop(series([*history, -50.0]), SEASONAL)
        assert fired is not None and fired.state["mode"] == mode


def test_a_weekly_season_is_ready_after_five_weeks():
    weekly = RewardDropParams(season=timedelta(days=7))
    for history, mode in ((days(35)[1:], "letter"), (days(35), "seasonal")):
        fired = reward_drop(series([*history, -50.0]), weekly)
        assert fired is not None and fired.state["mode"] == mode
    assert fired.state["reference_n"] == 400


def test_the_night_is_compared_with_nights():
    history = [(1.0 if i % 24 < 6 else 5.0) + (0.05 if (i // 24) % 2 else -0.05) for i in range(24 * 9)]
    assert reward_drop(series([*history, 1.0]), SEASONAL) is None
    assert reward_drop(series([*history, *[1.0] * 6, 1.0]), SEASONAL) is not None


def test_acknowledged_and_pending_windows_are_left_out_of_the_reference():
    history = days(9)
    for day in range(1, 5):
        history[24 * day] = -30.0
    bad = frozenset(START + 24 * day * HOUR for day in range(1, 5))
    tested = series([*history, -1.0])
    assert reward_drop(tested, SEASONAL) is None
    for params in (RewardDropParams(excluded=bad), RewardDropParams(pending=bad)):
        fired = reward_drop(tested, params)
        assert fired is not None and fired.state["reference_n"] == 400


def test_the_letters_reference_stays_as_it_was_while_trips_are_pending():
    before = [1.0, 3.0] * 12
    tripped = frozenset(START + i * HOUR for i in (24, 25))
    first = reward_drop(series([*before, -9.0]), LETTER)
    third = reward_drop(series([*before, -9.0, -9.0, -9.0]), RewardDropParams(mode="letter", pending=tripped))
    assert first is not None and third is not None
    assert third.limit == first.limit


def test_a_phase_with_too_few_seasons_left_is_judged_by_the_letter():
    gone = frozenset(START + 24 * day * HOUR for day in range(1, 6))
    fired = reward_drop(series([*days(9), -50.0]), RewardDropParams(excluded=gone))
    assert fired is not None and fired.state["mode"] == "letter"


def test_thin_windows_merge_with_the_next_and_only_the_closing_one_is_judged():
    means, n = [1.0, 3.0] * 12 + [0.0, -20.0, -30.0], [100] * 24 + [10, 10, 10]
    whole = series(means, n)
    for end, closes in ((25, False), (26, False), (27, True)):
        part = {name: readings[:end] for name, readings in whole.items()}
        assert judged(part, LETTER) is closes
        fired = reward_drop(part, LETTER)
        assert (fired is not None) is closes
    assert fired.value == pytest.approx(-50 / 3)
    assert fired.state["merged_from"] == (START + 24 * HOUR).isoformat()
    assert fired.window_start == START + 26 * HOUR


def test_what_is_left_over_joins_the_next_full_window():
    fired = reward_drop(series([1.0, 3.0] * 12 + [-40.0, -10.0], [100] * 24 + [20, 60]), LETTER)
    assert fired is not None
    assert fired.value == pytest.approx((20 * -40 + 60 * -10) / 80)


def test_merging_goes_on_across_hours_without_traffic():
    means = [1.0, 3.0] * 12 + [-5.0, None, None, -5.0]
    found = series(means, [100] * 24 + [20, 0, 0, 20])
    assert judged(found, LETTER)
    assert reward_drop(found, LETTER) is not None


def test_thin_traffic_throughout_is_still_judged_seasonally():
    history = days(10)[:-1]
    whole = series([*history, -30.0], 12)
    assert len(whole["reward_mean"]) % 3 == 0
    fired = reward_drop(whole, SEASONAL)
    assert fired is not None and fired.state["mode"] == "seasonal"
    assert fired.state["n"] == 36 and fired.state["reference_n"] == 3 * 8 * 12


def test_equal_rewards_never_trip_and_the_first_lower_one_does():
    assert reward_drop(series([0.3] * 24 * 9 + [0.3], sd=0.0), SEASONAL) is None
    assert reward_drop(series([0.3] * 24 * 9 + [0.2], sd=0.0), SEASONAL) is not None
    assert reward_drop(series([0.3] * 24 + [0.3], sd=0.0), LETTER) is None
    assert reward_drop(series([0.3] * 24 + [0.2], sd=0.0), LETTER) is not None


def test_a_rise_is_no_drop():
    assert reward_drop(series([*days(9), 99.0]), SEASONAL) is None


@pytest.mark.parametrize(
    "value, reason", [(math.nan, "non_finite"), (math.nan, None), (-9.0, "immature_reward")]
)
def test_a_window_without_a_number_is_not_judged(value, reason):
    found = series([1.0, 3.0] * 12 + [0.0])
    found["reward_mean"][-1] = reading("reward_mean", 24, value, 100, reason)
    assert reward_drop(found, LETTER) is None
    assert not judged(found, LETTER)


def test_windows_that_only_a_gate_may_not_use_still_count():
    found = series([1.0, 3.0] * 12 + [0.0])
    found["reward_mean"] = [
        reading("reward_mean", i, r.estimate.value, 100, "low_units")
        for i, r in enumerate(found["reward_mean"])
    ]
    found["reward_mean"][-1] = reading("reward_mean", 24, -9.0, 100, "low_units")
    assert reward_drop(found, LETTER) is not None


def test_nothing_is_no_firing():
    assert reward_drop({"reward_mean": [], "reward_sd": []}, SEASONAL) is None


def test_the_message_is_a_sentence_with_both_numbers():
    fired = reward_drop(series([1.0, 3.0] * 12 + [-9.0]), LETTER)
    assert fired.message == (
        "Reward mean -9 on v7, 2026-01-02 00:00 to 01:00 UTC, is below -0.04302: "
        "2 x 1.02 under the mean 2 of the 24 windows before."
    )


def test_confirmation_depends_on_the_mode():
    rule = TRIGGERS["reward_drop"]
    letter = reward_drop(series([1.0, 3.0] * 12 + [-9.0]), LETTER)
    seasonal = reward_drop(series([*days(9), -9.0]), SEASONAL)
    daily = reward_drop(series([1.0, 3.0] * 12 + [-9.0], length=timedelta(hours=24)), LETTER)
    assert [rule.confirmation(fired) for fired in (letter, seasonal, daily)] == [(3, 3), (3, 4), (3, 4)]
