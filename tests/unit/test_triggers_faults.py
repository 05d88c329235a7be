"""Over-dispersion, the level of the Goodhart gap, collapsed recommendations, lost propensities."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from scipy import stats

from monitor.day_readings import touched
from monitor.metrics.estimate import Estimate, Reading
from monitor.triggers import entropy_collapse, goodhart, missing_propensity, overdispersion
from monitor.triggers.context import Context, Healthy
from monitor.triggers.windows import binomial_tail, by_day

START = datetime(2026, 1, 5, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def reading(metric, at, value, half=math.nan, n=600, length=HOUR, reason=None):
    estimate = Estimate(value, value - half, value + half, 0.95, n, "unit", "test", reason)
    return Reading(estimate, metric, "", "v7", "v8", START + at * length, START + (at + 1) * length)


def series(metric, values, **how):
    return {metric: [reading(metric, i, v, **how) for i, v in enumerate(values)]}


def context(**healthy):
    return Context(
        key="", policy_id="v7", season=DAY, window=HOUR, limits={}, inflation={}, features=1,
        max_rejects=0.01, longest_gap=timedelta(0), healthy=Healthy("v7", healthy), pending=frozenset(),
        excluded=frozenset,
    )  # fmt: skip


# over-dispersion


def days(values, **how):
    return series("overdispersion_units", values, **{"half": 0.03, "length": DAY, **how})


def test_units_surely_twice_as_alike_as_in_the_baseline_trip():
    usual = overdispersion.facts(context(**days([9.0, 9.0, 0.02, 0.04])))
    assert usual == {"usual": pytest.approx(0.03)}
    params = overdispersion.OverdispersionParams(**usual)
    assert overdispersion.overdispersion(days([0.0899]), params) is None
    fired = overdispersion.overdispersion(days([0.0901]), params)
    assert (fired.value, fired.limit) == (pytest.approx(0.0601), pytest.approx(0.06))
    assert "in the three days to 2026-01-06 00:00 UTC" in fired.message


def test_a_correlation_that_matters_little_is_no_news_however_small_the_baselines():
    params = overdispersion.OverdispersionParams(usual=-0.01)
    assert overdispersion.overdispersion(days([0.0799]), params) is None
    assert overdispersion.overdispersion(days([0.0801]), params).limit == 0.05


def test_over_dispersion_is_not_judged_without_a_baseline_of_three_days_or_without_an_interval():
    short = overdispersion.facts(context(**days([0.02, 0.02])))
    assert math.isnan(short["usual"])
    for usual, half, reason in ((math.nan, 0.03, None), (0.02, math.nan, None), (0.02, 0.03, "low_units")):
        params = overdispersion.OverdispersionParams(usual=usual)
        assert overdispersion.overdispersion(days([0.9], half=half, reason=reason), params) is None


def test_a_day_is_measured_again_when_an_hour_of_its_three_days_changed():
    assert touched([30], 1, 200) == [24, 48, 72]
    assert touched([30], 1, 72) == [24, 48]
    assert touched([47], 1, 47) == []
    assert touched([0], 72, 120) == [0, 24, 48, 72, 96]


def test_a_reading_of_a_whole_day_keeps_its_interval():
    day, hours = days([0.2])["overdispersion_units"], [reading("x", 0, 0.1), reading("x", 1, 0.3)]
    assert by_day(day) == day
    assert math.isnan(by_day(hours)[0].estimate.low) and by_day(hours)[0].estimate.value == pytest.approx(0.2)


# the Goodhart gap


def gaps(values, **how):
    return series("goodhart_gap", values, **{"length": DAY, **how})


def test_the_rarity_of_a_level_is_that_of_students_prediction_interval():
    t = stats.t.isf(stats.norm.sf(3), 6)
    assert goodhart.quantile(3, 7) == pytest.approx(t * math.sqrt(8 / 7), rel=1e-12)


def test_a_gap_beyond_what_the_baselines_days_show_trips_on_its_first_day():
    base = [0.3, -0.3, 0.3, -0.3, 0.3, -0.3, 0.0]
    found = goodhart.facts(context(**gaps(base)))
    assert found == {"mean": pytest.approx(0), "sd": pytest.approx(0.3), "days": 7}
    params = goodhart.GoodhartParams(**found)
    limit = goodhart.quantile(3, 7) * 0.3
    assert goodhart.goodhart_gap(gaps([limit - 1e-6]), params) is None
    fired = goodhart.goodhart_gap(gaps([limit + 1e-6]), params)
    assert (fired.trigger, fired.limit) == ("goodhart_gap", pytest.approx(limit))
    assert goodhart.goodhart_gap(gaps([9.0], n=29), params) is None
    assert goodhart.goodhart_gap(gaps([-9.0]), params) is None


def test_a_better_policy_on_a_log_of_little_noise_is_not_told_for_a_small_gap():
    params = goodhart.GoodhartParams(mean=0.0, sd=0.001, days=14)
    assert goodhart.goodhart_gap(gaps([0.5]), params) is None
    assert goodhart.goodhart_gap(gaps([0.51]), params).limit == 0.5


def test_the_level_needs_seven_days_of_baseline_and_the_trend_is_judged_without():
    assert goodhart.facts(context(**gaps([0.1] * 6))) == {}
    assert goodhart.goodhart_gap(gaps([9.0]), goodhart.GoodhartParams()) is None
    fired = goodhart.goodhart_gap(gaps([0.01 * i for i in range(14)]), goodhart.GoodhartParams())
    assert fired.value == pytest.approx(0.01) and "rises by" in fired.message


# recommendations


def recommended(before, newest, n=100, windows=24):
    return series("top_recommended_share", [before] * windows + [newest], n=n)


def test_a_candidate_that_begins_to_recommend_one_thing_only_trips():
    params = entropy_collapse.RecommendationCollapseParams()
    fired = entropy_collapse.recommendation_collapse(recommended(0.4, 0.96), params)
    assert (fired.value, fired.limit, fired.state["usual"]) == (0.96, 0.95, pytest.approx(0.4))
    assert fired.message.startswith("v8 recommended one action in 0.96 of 100 decisions of v7")
    for quiet in (
        recommended(0.4, 0.95), recommended(0.4, 0.99, n=29), recommended(0.96, 0.99),
        recommended(0.4, 0.99, windows=23), series("top_recommended_share", []),
    ):  # fmt: skip
        assert entropy_collapse.recommendation_collapse(quiet, params) is None


# propensities


def lost(share, n=100):
    return series("unlogged_propensity_share", [share], n=n)


def test_propensities_that_the_baseline_had_and_a_window_lacks_trip_beyond_chance():
    usual = missing_propensity.facts(context(**lost(0.0)))
    params = missing_propensity.MissingPropensityParams(**usual)
    assert binomial_tail(4, 100, 0.01) > 0.01
    assert missing_propensity.missing_propensity(lost(0.04), params) is None
    fired = missing_propensity.missing_propensity(lost(0.05), params)
    assert (fired.value, fired.limit) == (0.05, 0.01)


def test_a_log_that_never_had_propensities_is_no_news():
    for usual in (1.0, 0.02, math.nan):
        params = missing_propensity.MissingPropensityParams(usual=usual)
        assert missing_propensity.missing_propensity(lost(1.0), params) is None
