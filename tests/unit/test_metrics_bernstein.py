"""Empirical Bernstein sequences: the closed form worked row by row, and what it does not hold for."""

import math
from dataclasses import replace

import numpy as np
import pytest

from monitor.metrics import METRICS
from monitor.metrics.bernstein import lower_end
from monitor.metrics.sums import Settings
from tests.naive_sums import offpolicy_sums, reward_sums

ALONE = Settings(independent=True)


def naive(hour, xi, alpha, kappa=0.0):
    """The end of arXiv 2210.10768 row by row, λ and ξ̂ as they stood when the hour began."""
    above = below = t = total = spread = 0.0
    for h in sorted(set(hour)):
        rows = xi[hour == h]
        sigma2 = (0.25 + spread) / (t + 1)
        bet = min(math.sqrt(2 * math.log(1 / alpha) / (sigma2 * (t + 1) * math.log(2 + t))), 0.5)
        guess = min((0.5 + total) / (t + 1), 1 / (kappa + 1))
        for x in rows:
            above += bet * x - (x - guess) ** 2 * (-math.log(1 - bet) - bet)
            below += bet / (kappa + 1)
        t, total = t + len(rows), total + rows.sum()
        spread += ((rows - (0.5 + total) / (1 + t)) ** 2).sum()
    return max(0.0, (above - math.log(1 / alpha)) / below)


@pytest.fixture
def log():
    rng = np.random.default_rng(8)
    hour = np.sort(rng.integers(0, 9, 700))
    p, q = rng.uniform(0.1, 0.9, 700), rng.uniform(0.1, 0.9, 700)
    return hour, rng.integers(0, 999, 700), p, q, rng.uniform(-1, 3, 700)


@pytest.mark.parametrize("kappa", [0.0, 1.5])
def test_the_end_over_hours_is_the_papers_row_by_row(kappa, log):
    hour, _, p, q, r = log
    xi = (q / p * (r + 1) / 4) / (kappa + 1)
    sums = [np.bincount(hour, weights=x) for x in (np.ones(700), xi, xi**2)]
    assert lower_end(*sums, 0.025, kappa) == pytest.approx(naive(hour, xi, 0.025, kappa), rel=1e-12)
    assert lower_end(*sums, 0.025, kappa) > 0


def test_the_bounded_mean_reward_and_its_ends_equal_rows_scaled_to_one(log):
    hour, unit, _, _, r = log
    settings = replace(ALONE, reward_low=-1.0, reward_high=3.0)
    found = METRICS["reward_bounded"].function({"reward": reward_sums(hour, unit, r, 1.0)}, settings)
    scaled = (r + 1) / 4
    assert found.value == pytest.approx(r.mean())
    assert found.low == pytest.approx(-1 + 4 * naive(hour, scaled, 0.025))
    assert found.high == pytest.approx(-1 + 4 * (1 - naive(hour, 1 - scaled, 0.025)))
    assert found.reason is None and "Bernstein" in found.method


def test_the_bounded_off_policy_value_is_ips_with_ends_from_w_r_and_w_minus_w_r(log):
    hour, unit, p, q, r = log
    q = q / (q / p).mean()
    settings = replace(ALONE, reward_low=-1.0, reward_high=3.0)
    found = METRICS["ips_bounded"].function({"offpolicy": offpolicy_sums(hour, unit, p, q, r)}, settings)
    w, scaled = q / p, (r + 1) / 4
    assert found.value == pytest.approx(-1 + 4 * (w * scaled).mean())
    assert found.low == pytest.approx(-1 + 4 * naive(hour, w * scaled, 0.025))
    assert found.high == pytest.approx(-1 + 4 * (1 - naive(hour, w * (1 - scaled), 0.025)))
    assert found.reason is None


@pytest.mark.parametrize(
    ("change", "keep", "reason"),
    [
        ({"independent": False}, 1.0, "not_independent"),
        ({"versioned": True}, 1.0, "policy_changes"),
        ({}, 0.5, "dropped_rows"),
        ({}, 1.0, None),
    ],
)
def test_dependent_rows_a_policy_that_learns_and_dropped_rows_are_refused(change, keep, reason, log):
    hour, unit, p, q, r = log
    settings = replace(ALONE, reward_low=-1.0, reward_high=3.0, **change)
    kept = np.full(700, keep)
    states = {
        "reward": reward_sums(hour, unit, r, 1.0, kept),
        "offpolicy": offpolicy_sums(hour, unit, p, q / (q / p).mean(), r, kept),
    }
    for name in ("reward_bounded", "ips_bounded"):
        found = METRICS[name].function(states, settings)
        assert found.reason == reason, name
        assert math.isfinite(found.value)


def test_wrong_weights_spoil_the_bounded_value_and_a_small_sample_does_not(log):
    hour, unit, p, q, r = log
    settings = replace(ALONE, reward_low=-1.0, reward_high=3.0)

    def reason(*of, **missing):
        return METRICS["ips_bounded"].function({"offpolicy": offpolicy_sums(*of, **missing)}, settings).reason

    assert reason(hour, unit, p, q * 3, r) == "propensity"
    assert reason(hour, unit, p, q / (q / p).mean(), r, missing_p=20) == "missing_propensity"
    few = slice(0, 40)
    assert reason(hour[few], unit[few], p[few], p[few], r[few]) is None


def test_the_end_of_no_gain_is_zero_and_of_no_rows_there_is_none():
    assert lower_end(np.array([5.0]), np.array([0.0]), np.array([0.0]), 0.025) == 0.0
    assert METRICS["reward_bounded"].function({"reward": reward_sums([], [], [])}, ALONE).reason == "no_data"
