"""reward_deviation, e_detector and entropy_collapse: windows against the frozen baseline."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from monitor.metrics.estimate import Estimate, Reading
from monitor.triggers.context import Context, Healthy
from monitor.triggers.e_detector import (
    EDetectorParams,
    e_detector,
    likelihood_of_decisions,
    shiryaev_roberts,
    window_scores,
)
from monitor.triggers.entropy_collapse import EntropyCollapseParams, entropy_collapse
from monitor.triggers.entropy_collapse import facts as entropy_facts
from monitor.triggers.frozen import frozen_rewards
from monitor.triggers.reward_deviation import RewardDeviationParams, reward_deviation
from monitor.triggers.reward_deviation import facts as deviation_facts

START = datetime(2026, 1, 5, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WEEK = 168


def reading(metric, at, value, n=100, high=math.nan, policy="v7", reason=None):
    estimate = Estimate(value, math.nan, high, 0.95, n, "unit", "test", reason)
    return Reading(estimate, metric, "", policy, "", START + at * HOUR, START + (at + 1) * HOUR)


def rewards(means, first=0, n=100, sd=1.0):
    return {
        "reward_mean": [reading("reward_mean", first + i, m, n) for i, m in enumerate(means)],
        "reward_sd": [reading("reward_sd", first + i, sd, n) for i, m in enumerate(means)],
    }


def week(low=0.9, high=1.1):
    """Means of 7 days: `low` on even days, `high` on odd ones, one higher by day than by night."""
    return [(i % 24 >= 12) + (low if (i // 24) % 2 == 0 else high) for i in range(WEEK)]


def healthy(means=None, policy="v7", **more):
    series = rewards(week() if means is None else means)
    return Healthy(policy, {**series, **more})


def context(of, policy="v7"):
    return Context(
        key="", policy_id=policy, season=DAY, window=HOUR, limits={}, inflation={}, features=1,
        max_rejects=0.01, longest_gap=timedelta(0), healthy=of, pending=frozenset(), excluded=frozenset,
    )  # fmt: skip


def deviation(means, of=None, first=WEEK, policy="v7", n=100):
    params = RewardDeviationParams(**deviation_facts(context(of or healthy(), policy)))
    return reward_deviation(rewards(means, first, n), params)


def by_hand():
    """m, e and s₀ at midnight of the week above: 4 nights of .9 and 3 of 1.1, 100 rows of sd 1 each."""
    m = (4 * 0.9 + 3 * 1.1) / 7
    square = (7 * 99 + 100 * (4 * 0.9**2 + 3 * 1.1**2) - 700 * m**2) / 699
    e = math.sqrt(square * (1 / 100 + 1 / 700))

    def z(own, others):
        mean = sum(others) / 6
        rest = (6 * 99 + 100 * sum(o**2 for o in others) - 600 * mean**2) / 599
        return (own - mean) / math.sqrt(rest * (1 / 100 + 1 / 600))

    low, high = z(0.9, [0.9] * 3 + [1.1] * 3), z(1.1, [0.9] * 4 + [1.1] * 2)
    return m, e, math.sqrt((4 * low**2 + 3 * high**2) / 7)


def test_a_window_three_of_the_baselines_own_spreads_below_it_trips():
    m, e, s0 = by_hand()
    limit = m - 3 * s0 * e
    fired = deviation([limit - 0.001])
    assert fired.limit == pytest.approx(limit)
    assert (fired.state["s"], fired.state["e"]) == (pytest.approx(s0), pytest.approx(e))
    assert fired.state["escalate_only"] is False
    assert deviation([limit + 0.001]) is None


def test_too_good_is_told_and_never_rolls_back():
    m, e, s0 = by_hand()
    fired = deviation([m + 3 * s0 * e + 0.001])
    assert fired.state["escalate_only"] is True
    assert "is above" in fired.message


def test_above_the_baseline_of_another_policy_is_what_a_candidate_is_for():
    assert deviation([5.0], policy="v8") is None
    assert deviation([-5.0], policy="v8").state["escalate_only"] is False


def test_noon_is_compared_with_noons():
    assert deviation([2.0], first=WEEK + 12) is None
    assert deviation([1.0], first=WEEK + 12) is not None
    assert deviation([2.0], first=WEEK) is not None


def test_a_baseline_of_fewer_than_168_windows_judges_nothing():
    assert frozen_rewards(healthy(week()[:-1]), DAY) is None
    assert deviation([-50.0], healthy(week()[:-1])) is None
    assert deviation([-50.0], Healthy()) is None
    assert e_detector(rewards([-50.0], WEEK), EDetectorParams()) is None


def test_a_baseline_whose_windows_never_differ_gives_no_scale_and_nothing_is_judged():
    never = frozen_rewards(healthy([1.0] * WEEK), DAY)
    assert never.scale == 0
    assert e_detector(rewards([0.0] * 48, WEEK), EDetectorParams(reference=never)) is None
    assert window_scores([0.0, -3.0], 0.0, 168).tolist() == [-2 / math.sqrt(168)] * 2


def test_thin_windows_are_merged_before_they_are_compared():
    assert deviation([-50.0, -50.0], n=14) is None
    fired = deviation([-50.0, -50.0, -50.0], n=14)
    assert fired is not None and fired.window_start == START + (WEEK + 2) * HOUR
    assert fired.state["merged_from"] == (START + WEEK * HOUR).isoformat()


def test_a_baseline_that_never_varied_trips_at_the_first_other_value():
    constant = Healthy("v7", rewards([0.3] * WEEK, sd=0.0))
    assert deviation([0.3], constant) is None
    assert deviation([0.2], constant) is not None


def test_the_message_of_a_deviation_has_both_numbers():
    text = deviation([-1.0]).message
    assert text.startswith("Reward mean -1 on v7, 2026-01-12 00:00 to 01:00 UTC, is below 0.6")
    assert "baseline's mean 0.9857 at this time" in text


# e-detector


def test_shiryaev_roberts_by_hand():
    assert shiryaev_roberts([2, 0.5, 3]).tolist() == [2, 1.5, 7.5]
    assert shiryaev_roberts([[2, 1], [0.5, 1]]).tolist() == [[2, 1], [1.5, 2]]


def test_a_bet_on_single_decisions_by_hand():
    assert likelihood_of_decisions([1, 0, 0.5], mean=0.5, bet=0.2).tolist() == pytest.approx([1.2, 0.8, 1])


def test_scores_take_both_errors_of_the_baseline_at_their_unfavourable_end():
    z = window_scores([-3.0, math.nan], scale=1.5, windows=201)
    assert z == pytest.approx([3 / (1.5 * 1.1) - 2 / math.sqrt(201), -2 / math.sqrt(201)])


def detector(means, first=WEEK):
    params = EDetectorParams(reference=frozen_rewards(healthy(), DAY))
    return e_detector(rewards(means, first), params)


def usual(hours):
    return [m for _ in range(-(-hours // WEEK)) for m in week(0.98, 1.0)][:hours]


def test_a_drop_too_small_for_one_window_is_seen_by_many_and_health_is_not():
    _, e, s0 = by_hand()
    assert detector(usual(24 * 10)) is None
    small = [x - 1.5 * s0 * e for x in usual(24)]
    assert deviation(small[:1]) is None
    found = [detector(usual(48) + small[: k + 1]) for k in range(24)]
    assert found[3] is None and found[-1] is not None
    assert found[-1].value >= 2160 == found[-1].limit
    assert found[-1].state["since"] >= (START + (WEEK + 48 - 2) * HOUR).isoformat()


def test_the_evidence_is_that_of_the_likelihoods_multiplied_out():
    reference = frozen_rewards(healthy(), DAY)
    means = [-1.0, -1.5, -0.5]
    fired = detector(means)
    m, e, s0 = by_hand()
    total = 0.0
    for mean in means:
        z = -(mean - m) / e / (s0 * (1 + math.sqrt(2 / 167))) - 2 / math.sqrt(168)
        total = (1 + total) * math.exp(z - 0.5)
    assert fired.value == pytest.approx(min(total, 1e12))
    assert reference.windows == 168


def test_where_the_history_was_cut_changes_nothing_after_eleven_days():
    rng = np.random.default_rng(0)
    _, e, s0 = by_hand()
    means = [x - 1.2 * s0 * e + 0.05 * rng.normal() for x in usual(24 * 20)]
    whole = detector(means)
    late = e_detector(
        rewards(means[24 * 8 :], WEEK + 24 * 8), EDetectorParams(reference=frozen_rewards(healthy(), DAY))
    )
    assert whole.value == late.value


# entropy


def actions(entropy, high, top=0.3, n=100):
    return {
        "action_entropy": [reading("action_entropy", 0, entropy, n, high)],
        "top_action_share": [reading("top_action_share", 0, top, n, reason="low_units")],
    }


def test_entropy_surely_below_half_the_baselines_trips():
    params = EntropyCollapseParams(entropy=2.0)
    assert entropy_collapse(actions(0.8, 0.999), params).limit == 1.0
    assert entropy_collapse(actions(0.8, 1.0), params) is None
    assert entropy_collapse(actions(0.8, math.nan), params) is None


def test_one_action_in_nearly_every_decision_trips_unless_that_is_usual():
    assert entropy_collapse(actions(0.0, 0.0, top=0.96), EntropyCollapseParams()).value == 0.96
    assert entropy_collapse(actions(0.0, 0.0, top=0.95), EntropyCollapseParams()) is None
    assert entropy_collapse(actions(0.0, 0.0, top=1.0, n=29), EntropyCollapseParams()) is None
    assert entropy_collapse(actions(0.0, 0.0, top=0.99), EntropyCollapseParams(usual_top=0.97)) is None


def test_the_entropy_of_another_policy_says_nothing():
    own = Healthy("v7", {"action_entropy": [reading("action_entropy", 0, 2.0)], "top_action_share": []})
    assert entropy_facts(context(own))["entropy"] == 2.0
    assert entropy_facts(context(own, policy="v8")) == {}
