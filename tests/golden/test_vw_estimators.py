"""IPS, SNIPS, CR(−2) and Clopper–Pearson against values computed with the package vw-estimators."""

import csv
from pathlib import Path

import numpy as np
import pytest

from monitor.metrics import METRICS
from monitor.metrics.intervals import clopper_pearson
from monitor.metrics.sums import Settings
from tests.naive_sums import offpolicy_sums

with Path(__file__).with_name("vw_estimators_golden.csv").open(encoding="utf-8") as file:
    GOLDEN = list(csv.DictReader(file))


def logged(case):
    """Rewards 1, 0, 1, 0 …; the candidate takes even rows at .2 (or .8), odd ones at the rest."""
    even = np.arange(int(case["n"])) % 2 == 0
    high_on_even = case["case"].endswith(".8_.2")
    q = np.where(even == high_on_even, 0.8, 0.2)
    p = np.full(len(even), float(case["p_log"]))
    return even.astype(float), p, q


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"{case['case']}-{case['n']}")
def test_ips_snips_and_cressie_read_equal_the_golden_values(case):
    reward, p, q = logged(case)
    unit = np.arange(len(reward))
    states = {"offpolicy": offpolicy_sums(unit % 5, unit, p, q, reward)}
    for name, column in (("ips", "ips"), ("snips", "snips"), ("cressie_read", "cr")):
        found = METRICS[name].function(states, Settings(independent=True))
        assert found.value == pytest.approx(float(case[column]), abs=5.1e-11), name


@pytest.mark.parametrize("case", [c for c in GOLDEN if c["clopper_pearson_low"]], ids=lambda case: case["n"])
def test_clopper_pearson_at_weighted_counts_equals_the_golden_values(case):
    reward, p, q = logged(case)
    w = q / p
    low, high = clopper_pearson((w * reward).sum() / w.max(), len(w) / w.max())
    assert low == pytest.approx(float(case["clopper_pearson_low"]), abs=1e-7)
    assert high == pytest.approx(float(case["clopper_pearson_high"]), abs=1e-7)


@pytest.mark.parametrize("case", [c for c in GOLDEN if c["gaussian_low"]], ids=lambda case: case["n"])
def test_the_jackknife_of_ips_agrees_with_the_gaussian_interval_of_independent_rows(case):
    reward, p, q = logged(case)
    unit = np.random.default_rng(0).integers(0, 2**40, len(reward))
    found = METRICS["ips"].function({"offpolicy": offpolicy_sums(0 * unit, unit, p, q, reward)}, Settings())
    width = float(case["gaussian_high"]) - float(case["gaussian_low"])
    assert found.high - found.low == pytest.approx(width, rel=0.35)
