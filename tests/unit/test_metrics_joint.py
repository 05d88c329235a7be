"""The classifier bound of a joint shift, and where a change of the reward comes from."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from monitor.metrics.attribution import attribution
from monitor.metrics.joint import RIDGE, held_out_losses, state_joint_js, terms
from monitor.metrics.sums import Settings
from tests.naive_sums import sums

BINS = Settings(joint_bins=(10, 10))


def sample(seed, n, rho=0.0, shift=0.0):
    """Two normal features in ten tenths each, correlated; units of ten rows."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    x[:, 1] = rho * x[:, 0] + math.sqrt(1 - rho**2) * x[:, 1]
    edges = [-1.2816, -0.8416, -0.5244, -0.2533, 0, 0.2533, 0.5244, 0.8416, 1.2816]
    bins = 1 + np.searchsorted(edges, x + np.array([shift, 0]))
    keys = np.array([f"{a},{b}" for a, b in bins], dtype=object)
    return sums(np.sort(rng.integers(0, 24, n)), rng.integers(0, 300, n) % 64, keys, row_hash=np.arange(n))


def bound(window, base, settings=BINS):
    return state_joint_js({"state_sample": window, "baseline_sample": base}, settings)


def test_features_that_go_together_otherwise_are_seen_although_each_is_as_it_was():
    found = bound(sample(1, 1000, rho=0.9), sample(2, 2000))
    assert found.low > 0.1
    assert found.high == math.log(2)
    # of the normal distributions: mean of log(p/m), by simulation
    rng = np.random.default_rng(3)
    z = rng.normal(size=(200_000, 2))
    x = np.c_[z[:, 0], 0.9 * z[:, 0] + math.sqrt(0.19) * z[:, 1]]
    ratio = lambda v: np.exp(-(v[:, 0] ** 2 - 1.8 * v[:, 0] * v[:, 1] + v[:, 1] ** 2) / 0.38  # noqa: E731
                             + (v**2).sum(axis=1) / 2) / math.sqrt(0.19)
    truth = np.mean(np.log(2 * ratio(x) / (1 + ratio(x)))) / 2 + np.mean(np.log(2 / (1 + ratio(z)))) / 2
    assert found.value < truth < math.log(2)


def test_nothing_that_changed_is_bounded_by_nothing():
    found = [bound(sample(10 + i, 1000), sample(2, 2000)) for i in range(5)]
    assert all(f.low == 0 and f.value < 0.02 for f in found)
    assert all(f.judgeable for f in found)


def test_the_value_is_that_of_a_plain_fit_of_the_same_loss():
    window, base = sample(4, 400, shift=0.8), sample(5, 600)
    codes = np.array([[int(c) for c in key.split(",")] for key in [*window.key, *base.key]])
    x, y = terms(codes, (10, 10)), np.repeat([1.0, 0.0], [400, 600])
    bucket = np.r_[window.bucket, base.bucket]
    losses = np.zeros(1000)
    for fold in range(4):
        out = bucket % 4 == fold
        a, b = np.c_[x[~out], np.ones((~out).sum())], y[~out]
        w = np.where(b == 1, len(b) / 2 / b.sum(), len(b) / 2 / (1 - b).sum())
        loss = lambda beta, a=a, b=b, w=w: (  # noqa: E731
            w @ np.logaddexp(0, np.where(b == 1, -1, 1) * (a @ beta)) + RIDGE / 2 * (beta[:-1] ** 2).sum()
        )
        slope = lambda beta, a=a, b=b, w=w: (  # noqa: E731
            a.T @ (w * (expit(a @ beta) - b)) + np.r_[RIDGE * beta[:-1], 0]
        )
        beta = minimize(loss, np.zeros(x.shape[1] + 1), jac=slope, method="BFGS", options={"gtol": 1e-9}).x
        p = expit(np.c_[x[out], np.ones(out.sum())] @ beta)
        losses[out] = -np.log(np.where(y[out] == 1, p, 1 - p))
    np.testing.assert_allclose(held_out_losses(x, y, bucket), losses, atol=1e-6)
    expected = math.log(2) - losses[y == 1].mean() / 2 - losses[y == 0].mean() / 2
    assert bound(window, base).value == pytest.approx(expected, abs=1e-6)


def test_few_rows_and_one_unit_are_not_judged():
    assert bound(sample(1, 99), sample(2, 2000)).reason == "low_n"
    alone = sample(1, 200)
    alone.bucket[:] = 4
    assert not bound(alone, sample(2, 2000)).judgeable
    assert bound(sample(1, 0), sample(2, 2000)).reason == "no_data"


def test_a_category_and_an_empty_value_are_terms_of_their_own():
    x = terms(np.array([[1, 0], [12, 1], [5, 0], [10, 2]]), (10, 0))
    assert x.shape == (4, 1 + 1 + 1 + 3)
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-12)


def test_a_change_of_the_reward_is_split_by_hand():
    # bin 0 pays 1 for action 0, bin 1 pays 0 and .5; the bins were even and one action of each was usual
    base = [[[50, 50.0], [0, 0.0]], [[25, 0.0], [25, 12.5]]]
    now = [[[20, 18.0], [0, 0.0]], [[80, 0.0], [0, 0.0]]]
    found = attribution(now, base)
    assert found.change == pytest.approx(0.18 - 0.625)
    assert found.context == pytest.approx((0.2 * 1 + 0.8 * 0.25) - 0.625)
    assert found.action == pytest.approx(0.2 * 1 + 0.8 * 0 - (0.2 * 1 + 0.8 * 0.25))
    assert found.outcome == pytest.approx(0.18 - 0.2)
    assert found.context + found.action + found.outcome == pytest.approx(found.change)
    assert found.known == 1.0


def test_what_the_baseline_never_saw_is_an_outcome():
    found = attribution([[[0, 0.0]], [[10, 5.0]]], [[[10, 10.0]], [[0, 0.0]]])
    assert (found.context, found.action, found.outcome, found.known) == (0.0, 0.0, -0.5, 0.0)
    assert attribution(np.zeros((1, 1, 2)), [[[1, 1.0]]]) is None
