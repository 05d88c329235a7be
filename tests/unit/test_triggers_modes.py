"""bimodal_reward: modes that the baseline does not have."""

import math
from datetime import UTC, datetime, timedelta

from monitor.metrics.estimate import Estimate, Reading
from monitor.triggers.bimodal_reward import BimodalRewardParams, bimodal_reward
from monitor.triggers.bimodal_reward import facts as bimodal_facts
from monitor.triggers.context import Context, Healthy

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


def modes(dip, p):
    return {"reward_dip": readings("reward_dip", dip), "reward_dip_p": readings("reward_dip_p", p)}


def test_a_dip_that_is_large_and_unlikely_trips():
    assert bimodal_reward(modes([0.05], [0.001]), BimodalRewardParams()) is not None
    assert bimodal_reward(modes([0.05], [0.01]), BimodalRewardParams()) is None
    assert bimodal_reward(modes([0.0049], [0.001]), BimodalRewardParams()) is None
    assert bimodal_reward(modes([math.nan], [math.nan]), BimodalRewardParams()) is None
    assert bimodal_reward(modes([0.05, 0.05], [0.001]), BimodalRewardParams()) is None


def test_modes_that_the_baseline_has_too_are_no_news():
    usual = bimodal_facts(context(**modes([0.05] * 20, [0.001] * 2 + [0.5] * 18)))
    assert usual == {"usual": 0.1}
    assert bimodal_reward(modes([0.05], [0.001]), BimodalRewardParams(**usual)) is None
    seldom = bimodal_facts(context(**modes([0.05] * 20, [0.001] + [0.5] * 19)))
    assert bimodal_reward(modes([0.05], [0.001]), BimodalRewardParams(**seldom)) is not None
    assert bimodal_facts(context()) == {}
