"""Triggers that compare with the baseline's own windows: gaps, overrides."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from monitor.metrics.estimate import Estimate, Reading
from monitor.triggers.context import Context, Healthy
from monitor.triggers.gaps import GapParams, critic_facts, critic_gap, model_facts, model_gap, rarity
from monitor.triggers.overrides import OverridesParams, overrides
from monitor.triggers.overrides import facts as override_facts

START, HOUR = datetime(2026, 1, 5, tzinfo=UTC), timedelta(hours=1)


def readings(metric, values, n=100, reason=None):
    return [
        Reading(
            Estimate(v, math.nan, math.nan, 0.95, n, "sd", "test", reason), metric, "load", "v7", "",
            START + i * HOUR, START + (i + 1) * HOUR,
        )
        for i, v in enumerate(values)
    ]  # fmt: skip


def context(**series):
    return Context(
        key="load", policy_id="v7", season=24 * HOUR, window=HOUR, limits={}, inflation={}, features=1,
        max_rejects=0.01, longest_gap=timedelta(0), healthy=Healthy("v7", series), pending=frozenset(),
        excluded=frozenset,
    )  # fmt: skip


def test_a_gap_trips_three_sd_above_the_baselines_windows():
    found = critic_facts(context(critic_gap=readings("critic_gap", [0.1, 0.3] * 12)))
    sd = 0.1 * math.sqrt(24 / 23)
    assert found == {"mean": pytest.approx(0.2), "sd": pytest.approx(sd)}
    params = GapParams(**found)
    assert critic_gap({"critic_gap": readings("critic_gap", [0.2 + 3 * sd - 1e-6])}, params) is None
    fired = critic_gap({"critic_gap": readings("critic_gap", [0.2 + 3 * sd + 1e-6])}, params)
    assert fired.limit == pytest.approx(0.2 + 3 * sd) and fired.trigger == "critic_gap"
    assert critic_gap({"critic_gap": readings("critic_gap", [-9.0])}, params) is None


def test_a_gap_is_not_judged_without_a_baseline_or_on_few_decisions():
    assert critic_facts(context(critic_gap=readings("critic_gap", [0.1, 0.3] * 11))) == {}
    assert critic_facts(context()) == {}
    assert model_gap({"model_gap": readings("model_gap", [9.0])}, GapParams()) is None
    few = readings("model_gap", [9.0], n=29)
    assert model_gap({"model_gap": few}, GapParams(mean=0.1, sd=0.1)) is None
    fired = model_gap({"model_gap": readings("model_gap", [9.0])}, GapParams(3, 0.1, 0.1))
    assert "error on load of v7" in fired.message and fired.limit == pytest.approx(0.4)


def test_one_of_many_features_must_be_rarer_and_needs_less_beside_another():
    many = GapParams(3, 0.0, 1.0, n_tests=20)
    assert model_gap({"model_gap": readings("model_gap", [3.5])}, many) is None
    assert model_gap({"model_gap": readings("model_gap", [3.9])}, many) is not None
    beside = GapParams(3, 0.0, 1.0, n_tests=2, others=lambda: [rarity(3.01)])
    assert model_gap({"model_gap": readings("model_gap", [3.01])}, beside) is not None
    assert model_gap({"model_gap": readings("model_gap", [3.01])}, GapParams(3, 0.0, 1.0, n_tests=2)) is None


def test_the_other_features_of_a_window_are_judged_by_their_own_baselines():
    def of(value, usual):
        return {"model_gap": readings("model_gap", [value])}, Healthy("v7", {"model_gap": usual})

    usual = readings("model_gap", [0.1, 0.3] * 12)
    two_sd = 0.2 + 2 * 0.1 * math.sqrt(24 / 23)
    family = {"load": of(0.2, usual), "flow": of(two_sd, usual), "new": of(9.0, [])}
    found = model_facts(replace(context(model_gap=usual), beside=lambda: family))
    assert found["n_tests"] == 3 and found["others"]() == [pytest.approx(rarity(2.0)), 1.0]


def test_overrides_above_three_times_the_baselines_and_beyond_chance_trip():
    params = OverridesParams(**override_facts(context(override_rate=readings("override_rate", [0.0, 0.04]))))
    assert (params.rate, params.decisions) == (pytest.approx(0.02), 200)
    assert overrides({"override_rate": readings("override_rate", [0.11])}, params) is None
    fired = overrides({"override_rate": readings("override_rate", [0.14])}, params)
    assert (fired.value, fired.limit) == (0.14, pytest.approx(0.06))


def test_one_override_where_there_was_none_is_not_yet_news():
    params = OverridesParams(rate=0.0, decisions=1000)
    assert overrides({"override_rate": readings("override_rate", [0.01])}, params) is None
    assert overrides({"override_rate": readings("override_rate", [0.03])}, params) is not None
    assert overrides({"override_rate": readings("override_rate", [0.9])}, OverridesParams()) is None
