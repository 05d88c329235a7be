"""e_detector_cost: a rise of violations that no window shows."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy.stats import beta, binom

from monitor.metrics.estimate import Estimate, Reading
from monitor.triggers.context import Context, Healthy
from monitor.triggers.e_detector import shiryaev_roberts
from monitor.triggers.e_detector_cost import (
    CostDetectorParams,
    e_detector_cost,
    facts,
    frozen_rates,
    likelihood_of_counts,
)

START = datetime(2026, 1, 5, tzinfo=UTC)
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), 168


def rates(counts, first=0, n=60, reason=None):
    return [
        Reading(
            Estimate(x / n, math.nan, math.nan, 0.95, n, "share", "test", reason), "violation_rate", "slow",
            "v7", "", START + (first + i) * HOUR, START + (first + i + 1) * HOUR,
        )
        for i, x in enumerate(counts)
    ]  # fmt: skip


def context(baseline, constraints=1, phi=1.0):
    return Context(
        key="slow", policy_id="v7", season=DAY, window=HOUR, inflation={"slow": phi}, features=1,
        limits={str(k): (0.02, 0.01) for k in range(constraints)}, longest_gap=timedelta(0), max_rejects=0.01,
        healthy=Healthy("v7", {"violation_rate": baseline}), excluded=frozenset, pending=frozenset(),
    )  # fmt: skip


def fired(counts, baseline, **how):
    params = CostDetectorParams(**facts(context(rates(baseline), **how)))
    return e_detector_cost({"violation_rate": rates(counts, WEEK)}, params)


@pytest.mark.parametrize(("m", "n"), [(0.004, 60), (0.05, 17), (0.6, 9)])
def test_the_likelihood_has_mean_one_at_the_highest_healthy_rate_and_less_below_it(m, n):
    x = np.arange(n + 1)
    assert binom.pmf(x, n, m) @ likelihood_of_counts(x, n, m) == pytest.approx(1, abs=1e-12)
    assert binom.pmf(x, n, 0.8 * m) @ likelihood_of_counts(x, n, m) < 1
    assert binom.pmf(x, n, m) @ likelihood_of_counts(x, n, m, 2.0) < 1
    assert binom.pmf(x, n, 1.5 * m) @ likelihood_of_counts(x, n, m) > 1


def test_a_phase_without_a_known_rate_gives_no_evidence():
    assert likelihood_of_counts([3, 3, 3], [5, 5, 5], [math.nan, 0.0, 1.0]).tolist() == [1, 1, 1]


def test_a_healthy_stream_runs_as_long_as_it_promises_however_rare_the_violations():
    rng = np.random.default_rng(11)
    x = rng.binomial(60, 0.01, (4000, 1500))
    alarms = shiryaev_roberts(likelihood_of_counts(x, 60, 0.01)) >= 100
    first = np.where(alarms.any(axis=0), alarms.argmax(axis=0) + 1, len(x))
    assert first.mean() > 100


def test_the_baseline_is_held_at_the_upper_end_of_each_time_of_day():
    counts = [2 if i % 24 == 3 else 1 for i in range(WEEK)]
    found = frozen_rates(rates(counts), DAY, 1.0)
    assert found.most[3] == pytest.approx(beta.ppf(0.975, 15, 420 - 14))
    assert found.most[4] == pytest.approx(beta.ppf(0.975, 8, 420 - 7))
    assert frozen_rates(rates(counts), DAY, 2.0).most[4] == pytest.approx(beta.ppf(0.975, 4.5, 210 - 3.5))
    assert frozen_rates(rates(counts[:-1]), DAY, 1.0) is None


def test_violations_that_rise_fourfold_are_told_within_two_days_and_healthy_ones_are_not():
    healthy = [1, 0, 1, 1] * (WEEK // 4)
    assert fired(healthy[:96], healthy) is None
    rises = [3, 3, 3, 4] * 24
    first = next(i for i in range(96) if fired(rises[: i + 1], healthy) is not None)
    assert 4 < first < 48
    told = fired(healthy[:48] + rises[: first + 12], healthy)
    assert told.state["since"] >= (START + (WEEK + 46) * HOUR).isoformat() and told.limit == 2160
    assert told.message.startswith("Constraint slow on v7 is violated oftener than in the baseline since")
    assert fired(rises[: first + 1], healthy, constraints=3) is None
    assert fired(rises[: first + 1], healthy, phi=3.0) is None


def test_without_a_baseline_of_a_week_of_hours_or_a_number_it_is_not_judged():
    assert fired([60] * 24, [0] * (WEEK - 1)) is None
    assert fired([60] * 24, [0] * WEEK) is not None
    params = CostDetectorParams(**facts(context(rates([0] * WEEK))))
    assert e_detector_cost({"violation_rate": []}, params) is None
    unknown = rates([60] * 24, WEEK, reason="no_data")
    assert e_detector_cost({"violation_rate": unknown}, params) is None
