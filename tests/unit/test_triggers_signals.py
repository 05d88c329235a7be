"""Triggers that only tell people: trends, support, the log itself; and days in place of windows."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from monitor.metrics.estimate import Estimate, Reading, missing
from monitor.metrics.quality import unusable_share
from monitor.metrics.sums import Settings
from monitor.metrics.trend import mann_kendall
from monitor.triggers import TRIGGERS
from monitor.triggers.log import RejectsParams, StaleParams, rejects, stale
from monitor.triggers.support import SupportParams, support
from monitor.triggers.trend import TrendParams, constraint_trend, disagreement
from monitor.triggers.windows import binomial_tail, by_day
from tests.naive_sums import sums

START = datetime(2026, 1, 5, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def reading(metric, at, value, n=100, half=math.nan, length=HOUR, reason=None):
    estimate = Estimate(value, value - half, value + half, 0.95, n, "unit", "test", reason)
    return Reading(estimate, metric, "", "v7", "v8", START + at * length, START + (at + 1) * length)


def days(metric, values):
    return {metric: [reading(metric, i, v, length=DAY) for i, v in enumerate(values)]}


def test_only_three_triggers_of_windows_may_roll_back_beside_the_deviation():
    acting = {name for name, row in TRIGGERS.items() if not row.escalates}
    assert acting == {"reward_drop", "constraint", "state_shift", "reward_deviation"}


# trends


def test_a_steady_rise_of_fourteen_days_trips_and_thirteen_are_too_few():
    rising = [0.3 + 0.001 * i for i in range(14)]
    fired = disagreement(days("disagreement", rising), TrendParams())
    assert fired.value == pytest.approx(0.001)
    assert fired.message == (
        "Disagreement of v7 with v8 rises by 0.001 a day over the last 14 days (to 0.313): p 4.2e-07, "
        "below 0.001."
    )
    assert disagreement(days("disagreement", rising[:13]), TrendParams()) is None
    assert disagreement(days("disagreement", rising[::-1]), TrendParams()) is None
    assert disagreement(days("disagreement", [0.3] * 20), TrendParams()) is None


def test_a_trend_must_be_significant_among_all_constraints():
    values = 0.01 + 0.0004 * np.arange(20) + 0.0035 * np.random.default_rng(3).random(20)
    p = mann_kendall(np.arange(20), values).p_up
    series = days("violation_rate", values)
    assert constraint_trend(series, TrendParams(p=2.1 * p, n_tests=2)).state["p"] == pytest.approx(p)
    assert constraint_trend(series, TrendParams(p=2.1 * p, n_tests=3)) is None


def test_only_the_last_28_days_count():
    values = [5.0 - 0.1 * i for i in range(30)] + [0.3 + 0.001 * i for i in range(28)]
    assert disagreement(days("disagreement", values), TrendParams()).state["days"] == 28


def test_days_without_a_number_are_left_out_of_a_trend():
    series = days("disagreement", [0.3 + 0.001 * i for i in range(16)])
    empty = replace(series["disagreement"][4], estimate=missing("no_data"))
    series["disagreement"][4] = empty
    assert disagreement(series, TrendParams()).state["days"] == 15
    series["disagreement"][-1] = replace(series["disagreement"][-1], estimate=missing("no_data"))
    assert disagreement(series, TrendParams()) is None


def test_a_day_is_the_mean_of_its_windows_weighted_by_their_decisions():
    windows = [reading("disagreement", i, v, n) for i, v, n in ((22, 0.2, 10), (23, 0.5, 30), (24, 0.9, 7))]
    windows.append(replace(reading("disagreement", 25, 0.0), estimate=missing("no_data")))
    first, second = by_day(windows)
    assert (first.estimate.value, first.estimate.n) == (pytest.approx((2 + 15) / 40), 40)
    assert (first.window_start, first.window_end) == (START, START + DAY)
    assert (second.estimate.value, second.estimate.n) == (pytest.approx(0.9), 7)
    assert by_day(windows[-1:])[0].estimate.reason == "no_data"


# support


def pairs(missing_share=0.0, weight=1.0, half=0.1, ess=40.0, windows=168, n=100):
    def series(metric, value, h=math.nan):
        return [reading(metric, i, value, n, h) for i in range(windows)]

    return {
        "missing_propensity_share": series("missing_propensity_share", missing_share),
        "weight_mean": series("weight_mean", weight, half),
        "ess": series("ess", ess),
    }


def test_a_value_that_can_be_estimated_is_no_firing():
    assert support(pairs(), SupportParams()) is None


def test_propensities_missing_beyond_chance_trip_at_once():
    few = pairs(windows=1, missing_share=0.04)
    assert binomial_tail(4, 100, 0.01) > 0.01 and support(few, SupportParams()) is None
    fired = support(pairs(windows=1, missing_share=0.05), SupportParams())
    assert (fired.state["reason"], fired.value, fired.limit) == ("missing_propensity", 0.05, 0.01)


def test_a_log_that_never_had_a_propensity_is_no_news_and_one_that_lost_them_all_is():
    assert support(pairs(missing_share=1.0), SupportParams()) is None
    lost = pairs(missing_share=1.0)
    lost["missing_propensity_share"][0] = reading("missing_propensity_share", 0, 0.0)
    assert support(lost, SupportParams()).value == 1


def test_a_mean_weight_off_one_trips_beyond_four_standard_errors_of_a_day():
    error = 0.1 / 1.96 / math.sqrt(24)
    assert support(pairs(weight=1 + 4 * error - 0.001), SupportParams()) is None
    fired = support(pairs(weight=1 + 4 * error + 0.001), SupportParams())
    assert fired.state["reason"] == "propensity" and "1 is right" in fired.message
    assert support(pairs(weight=1.019, half=0.001), SupportParams()) is None
    assert support(pairs(weight=0.979, half=0.001), SupportParams()) is not None
    assert support(pairs(weight=0.5, half=0.001, windows=23), SupportParams()) is None


def test_a_week_of_many_decisions_worth_few_trips():
    fired = support(pairs(ess=0.5), SupportParams())
    assert (fired.state["reason"], fired.value) == ("low_ess", 84)
    assert support(pairs(ess=0.6), SupportParams()) is None
    assert support(pairs(ess=0.5, n=5), SupportParams()) is None


# the log itself


def log(counts, share=0.0):
    return {
        "unusable_share": [
            replace(reading("unusable_share", i, share, n), estimate=missing("no_data"))
            if n == 0
            else reading("unusable_share", i, share, n)
            for i, n in enumerate(counts)
        ]
    }


def test_two_silent_windows_trip_and_one_does_not():
    assert stale(log([60, 60, 0]), StaleParams()) is None
    fired = stale(log([60, 60, 0, 0]), StaleParams())
    assert (fired.value, fired.limit) == (2, 2)
    assert fired.message == (
        "No decision was logged for 2 hours, since 2026-01-05 02:00 UTC; 2 hours are told."
    )
    assert stale(log([60, 0, 0, 60]), StaleParams()) is None


def test_a_log_that_sleeps_at_night_is_told_only_after_a_longer_silence():
    nights = StaleParams(longest_gap=timedelta(hours=8))
    assert stale(log([60] + [0] * 8), nights) is None
    assert stale(log([60] + [0] * 9), nights) is not None


def test_a_log_that_never_began_is_not_stale():
    assert stale(log([0, 0, 0, 0]), StaleParams()) is None


def test_rejects_above_what_is_allowed_and_not_by_chance_trip():
    assert rejects(log([100], 0.04), RejectsParams()) is None
    assert rejects(log([100], 0.05), RejectsParams()).limit == 0.01
    assert rejects(log([100], 0.05), RejectsParams(share=0.05)) is None
    assert rejects(log([0]), RejectsParams()) is None


def quality(**counts):
    keys = [k.replace("__", ":") for k in counts]
    return {"quality": sums([0] * len(keys), [-1] * len(keys), keys, n=[float(v) for v in counts.values()])}


def test_the_unusable_share_is_that_of_rejects_or_of_the_worst_column():
    rows = quality(rows=95, rejects__future=3, rejects__no_id=2, faults__reward=4)
    found = unusable_share(rows, Settings())
    assert (found.value, found.n, found.method) == (0.05, 100, "rejected, most for future")
    found = unusable_share(quality(rows=98, rejects__future=2, faults__reward=4, faults__x=3), Settings())
    assert (found.value, found.method) == (0.04, "column reward")
    assert unusable_share(quality(rows=10), Settings()).value == 0
    assert unusable_share(quality(), Settings()).reason == "no_data"
