"""One place compares an estimate with a limit; it fails closed."""

import math
from dataclasses import replace

import pytest

from gates.bounds import at_least, at_most
from gates.needs import REASONS, more_decisions, needed, shown, volume
from gates.outcome import NO_DATA_REASONS, Outcome
from monitor.metrics.estimate import LEVEL, Estimate, exact, missing


def around(value, low, high, n=1000.0):
    return Estimate(value, low, high, LEVEL, n, "share", "by hand")


@pytest.mark.parametrize(
    ("limit", "outcome"),
    [
        (0.41, Outcome.PASS),
        (0.40, Outcome.PASS),
        (0.39, Outcome.INCONCLUSIVE),
        (0.20, Outcome.INCONCLUSIVE),
        (0.19, Outcome.FAIL),
    ],
)
def test_at_most_passes_on_the_upper_end_and_fails_on_the_lower(limit, outcome):
    assert at_most("x", around(0.3, 0.2, 0.4), limit, metric="m").outcome is outcome


@pytest.mark.parametrize(
    ("limit", "outcome"),
    [
        (0.19, Outcome.PASS),
        (0.20, Outcome.PASS),
        (0.21, Outcome.INCONCLUSIVE),
        (0.40, Outcome.INCONCLUSIVE),
        (0.41, Outcome.FAIL),
    ],
)
def test_at_least_passes_on_the_lower_end_and_fails_on_the_upper(limit, outcome):
    assert at_least("x", around(0.3, 0.2, 0.4), limit, metric="m").outcome is outcome


def test_a_strict_bound_does_not_pass_on_the_limit_itself():
    zero = exact(0.0, 10, "reward")
    assert at_least("x", zero, 0.0, metric="m").outcome is Outcome.PASS
    assert at_least("x", zero, 0.0, metric="m", strict=True).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("end", ["value", "low", "high"])
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_an_end_that_is_not_finite_is_no_data(end, number):
    broken = replace(around(0.3, 0.2, 0.4), **{end: number})
    for judged in (at_most("x", broken, 1, metric="m"), at_least("x", broken, 0, metric="m")):
        assert (judged.outcome, judged.reason) == (Outcome.NO_DATA, "non_finite")


def test_a_limit_that_is_not_finite_is_no_data():
    assert at_most("x", around(0.3, 0.2, 0.4), math.nan, metric="m").outcome is Outcome.NO_DATA
    assert at_most("x", around(0.3, 0.2, 0.4), math.inf, metric="m").outcome is Outcome.NO_DATA


def test_an_interval_upside_down_is_no_data():
    assert at_most("x", around(0.3, 0.4, 0.2), 1, metric="m").outcome is Outcome.NO_DATA


@pytest.mark.parametrize("n", [0.0, -1.0, math.nan])
def test_nothing_is_judged_from_no_decisions(n):
    judged = at_most("x", around(0.0, 0.0, 0.0, n), 1, metric="m")
    assert (judged.outcome, judged.reason) == (Outcome.NO_DATA, "no_data")


def test_an_estimate_with_a_reason_keeps_its_numbers_and_is_not_judged():
    judged = at_most("the share", around(0.3, 0.2, 0.4).because("low_n"), 1, metric="m")
    assert (judged.outcome, judged.reason, judged.value) == (Outcome.INCONCLUSIVE, "low_n", 0.3)
    assert "0.3 (0.2 to 0.4)" in judged.message and judged.needs == "more decisions"
    assert at_most("x", missing("stale"), 1, metric="m").outcome is Outcome.NO_DATA


def test_a_message_has_both_numbers():
    assert at_most("the share", around(0.3, 0.2, 0.4), 0.1, metric="m").message == (
        "the share is 0.3 (0.2 to 0.4): not at most 0.1."
    )


def test_the_decisions_still_needed_follow_from_the_width():
    # half width 0.1 must become 0.05: four times the decisions, three times as many more
    assert more_decisions(around(0.3, 0.2, 0.4), 0.4, 0.35) == pytest.approx(3000, abs=1)
    judged = at_most("x", around(0.3, 0.2, 0.4), 0.35, metric="m", per_day=100)
    assert judged.needs == "about 3 000 more decisions, 30 days at your volume"


def test_without_an_event_the_upper_end_shrinks_as_one_over_n():
    # 3.7 / n must fall from 0.0037 to 0.001
    assert more_decisions(around(0.0, 0.0, 0.0037), 0.0037, 0.001) == pytest.approx(2700, abs=1)


def test_a_value_on_the_wrong_side_is_not_promised_to_pass():
    assert math.isnan(more_decisions(around(0.3, 0.2, 0.4), 0.4, 0.25))
    judged = at_most("x", around(0.3, 0.2, 0.4), 0.25, metric="m", per_day=100)
    assert "can only settle it" in judged.needs


def test_volume_is_said_in_round_numbers_and_in_days_where_the_volume_is_known():
    assert volume(11432, 300) == "about 11 400 more decisions, 39 days at your volume"
    assert volume(1, 300) == "about 1 more decision, 1 day at your volume"
    assert volume(11432, math.nan) == volume(11432, 0) == "about 11 400 more decisions"
    assert volume(1e9, 10) == "about 1 000 000 000 more decisions, over 10 years at your volume"
    assert volume(math.nan, 10) == ""


def test_numbers_are_shown_short_and_missing_ones_as_a_question_mark():
    assert [shown(x) for x in (0.123456, 33600, math.nan, 0)] == ["0.1235", "33 600", "?", "0"]


def test_every_reason_that_is_no_data_is_explained():
    assert set(REASONS) >= NO_DATA_REASONS
    assert all(needed(reason) for reason in [*NO_DATA_REASONS, "a_reason_of_tomorrow"])
