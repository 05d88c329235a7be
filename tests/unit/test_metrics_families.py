"""Holm and Benjamini–Hochberg, and where rules ask them."""

import math

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from monitor.metrics.families import benjamini_hochberg, holm
from monitor.triggers.family import among_guardrails, among_signals


def by_steps(p, level):
    """Holm as it is written down: the smallest at level/m, the next at level/(m − 1) … until one is not."""
    told, left = set(), sorted(range(len(p)), key=lambda i: p[i])
    while left and p[left[0]] < level / len(left):
        told.add(left.pop(0))
    return [i in told for i in range(len(p))]


def test_both_equal_what_scipy_and_the_steps_by_hand_say():
    rng = np.random.default_rng(7)
    seen = set()
    for _ in range(500):
        p = rng.beta(0.3, 1, rng.integers(1, 12))
        assert benjamini_hochberg(p, 0.1).tolist() == (false_discovery_control(p) < 0.1).tolist()
        assert holm(p, 0.1).tolist() == by_steps(p, 0.1)
        seen.add((int(holm(p, 0.1).sum()), int(benjamini_hochberg(p, 0.1).sum())))
    assert len(seen) > 20 and any(a < b for a, b in seen)


def test_by_hand():
    p = [0.04, 0.011, 0.02, 0.9]
    assert holm(p, 0.05).tolist() == [False, True, False, False]
    assert benjamini_hochberg(p, 0.05).tolist() == [False, True, True, False]
    assert benjamini_hochberg([0.04, 0.04], 0.05).tolist() == [True, True]
    assert holm([0.04, 0.04], 0.05).tolist() == [False, False]


def test_what_is_not_a_number_is_never_told_and_an_empty_family_is_empty():
    assert holm([math.nan, 0.001], 0.05).tolist() == [False, True]
    assert benjamini_hochberg([math.nan, 0.001], 0.05).tolist() == [False, True]
    assert holm([], 0.05).tolist() == benjamini_hochberg([], 0.05).tolist() == []


@pytest.mark.parametrize(("rule", "beside"), [(among_guardrails, 0.0001), (among_signals, 0.0006)])
def test_a_test_whose_neighbour_is_told_too_needs_less_and_unknown_ones_count_as_1(rule, beside):
    assert not rule(0.0007, tuple, 2, 0.001)
    assert rule(0.0007, lambda: [beside], 2, 0.001)
    assert not rule(0.0007, lambda: [beside], 3, 0.001)
    assert rule(0.0007, tuple, 1, 0.001)
    assert not rule(0.0011, lambda: [0.0001], 2, 0.001)
