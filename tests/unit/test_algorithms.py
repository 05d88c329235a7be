"""The bandit algorithms choose what they say they choose, with the probability they log."""

import numpy as np
import pytest

from sample_logs.algorithms import (
    POLICIES,
    UCB1,
    BetaThompson,
    LinUCB,
    Uniform,
    best_probabilities,
    epsilon_greedy,
    policy,
    top_k_probabilities,
)

N_ACTIONS, N_FEATURES = 4, 3


def _contexts(n, rng):
    return np.column_stack([np.ones(n), rng.normal(size=(n, N_FEATURES - 1))])


def _taught(name, rng, n=400):
    learner = policy(name, N_ACTIONS, N_FEATURES)
    actions = rng.integers(N_ACTIONS, size=n)
    clicks = (rng.random(n) < np.array([0.2, 0.25, 0.3, 0.1])[actions]).astype(float)
    learner.learn(_contexts(n, rng), actions, clicks)
    return learner


@pytest.mark.parametrize("name", POLICIES)
def test_actions_are_chosen_as_often_as_their_propensities_say(name):
    rng = np.random.default_rng(7)
    n = 20_000
    choice = _taught(name, rng).choose(_contexts(n, rng), rng)
    np.testing.assert_allclose(choice.probabilities.sum(axis=1), 1, rtol=1e-9)
    taken = np.bincount(choice.actions, minlength=N_ACTIONS)
    expected = choice.probabilities.sum(axis=0)
    spread = np.sqrt((choice.probabilities * (1 - choice.probabilities)).sum(axis=0))
    assert (np.abs(taken - expected) <= 4.5 * spread + 1e-9).all()


@pytest.mark.parametrize("name", POLICIES)
def test_the_propensity_of_an_action_is_its_entry_in_its_own_row(name):
    rng = np.random.default_rng(8)
    choice = _taught(name, rng).choose(_contexts(50, rng), rng)
    asked = rng.integers(N_ACTIONS, size=50)
    expected = [choice.probabilities[row, action] for row, action in enumerate(asked)]
    np.testing.assert_array_equal(choice.propensity_of(asked), expected)


def test_epsilon_greedy_logs_the_mixture_and_not_the_branch():
    choice = epsilon_greedy(np.array([[1.0, 3.0, 2.0, 0.0]] * 5000), 0.1, np.random.default_rng(1))
    np.testing.assert_allclose(choice.probabilities[0], [0.025, 0.925, 0.025, 0.025])
    assert 0.91 < (choice.actions == 1).mean() < 0.94


def test_the_ucb1_index_equals_the_value_worked_by_hand():
    learner = UCB1(2)
    learner.learn(np.zeros((6, 1)), np.array([0, 0, 0, 0, 1, 1]), np.array([1.0, 0, 0, 0, 1, 0]))
    expected = [0.25 + np.sqrt(2 * np.log(6) / 4), 0.5 + np.sqrt(2 * np.log(6) / 2)]
    np.testing.assert_allclose(learner.index(), expected, rtol=1e-12)


def test_ucb1_tries_an_untried_action_first():
    learner = UCB1(3, epsilon=0.0)
    learner.learn(np.zeros((2, 1)), np.array([0, 2]), np.array([1.0, 1.0]))
    assert set(learner.choose(np.zeros((9, 1)), np.random.default_rng(0)).actions) == {1}


def test_linucb_equals_a_ridge_regression_per_arm_solved_row_by_row():
    rng = np.random.default_rng(3)
    x, actions, rewards = _contexts(200, rng), rng.integers(N_ACTIONS, size=200), rng.random(200)
    learner = LinUCB(N_ACTIONS, N_FEATURES, alpha=0.7, ridge=2.0)
    for batch in np.array_split(np.arange(200), 5):
        learner.learn(x[batch], actions[batch], rewards[batch])
    seen = _contexts(6, rng)
    index = learner.index(seen)
    for action in range(N_ACTIONS):
        own = x[actions == action]
        stacked = np.vstack([own, np.sqrt(2.0) * np.eye(N_FEATURES)])
        target = np.concatenate([rewards[actions == action], np.zeros(N_FEATURES)])
        theta = np.linalg.lstsq(stacked, target)[0]
        for row, context in enumerate(seen):
            bonus = np.sqrt(context @ np.linalg.solve(stacked.T @ stacked, context))
            assert index[row, action] == pytest.approx(context @ theta + 0.7 * bonus, rel=1e-9)


def test_thompson_counts_successes_and_failures_on_its_prior():
    learner = BetaThompson(2, a=1.0, b=2.0)
    learner.learn(np.zeros((4, 1)), np.array([0, 0, 0, 1]), np.array([1.0, 1, 0, 0]))
    np.testing.assert_array_equal(learner.a, [3, 1])
    np.testing.assert_array_equal(learner.b, [3, 3])


def test_the_best_of_two_betas_equals_the_integral_worked_by_hand():
    # P(X > Y), X ~ Beta(2, 1), Y uniform: the mean of X, 2/3
    best = best_probabilities(np.array([2.0, 1.0]), np.ones(2))
    np.testing.assert_allclose(best, [2 / 3, 1 / 3], atol=1e-6)


def test_equal_arms_are_the_best_equally_often():
    best = best_probabilities(np.full(5, 30.0), np.full(5, 200.0))
    np.testing.assert_allclose(best, np.full(5, 0.2), atol=1e-9)


def test_the_best_probabilities_agree_with_counting_largest_draws():
    a, b = np.array([3.0, 40, 200, 210]), np.array([20.0, 280, 1400, 1420])
    rng = np.random.default_rng(11)
    counted = np.bincount(rng.beta(a, b, size=(200_000, 4)).argmax(axis=1), minlength=4) / 200_000
    np.testing.assert_allclose(best_probabilities(a, b), counted, atol=0.005)


def test_the_top_k_probabilities_of_three_uniform_arms_are_a_third_at_every_position():
    table = top_k_probabilities(np.ones(3), np.ones(3), 2, 30_000, np.random.default_rng(5))
    np.testing.assert_allclose(table, np.full((3, 2), 1 / 3), atol=0.012)


def test_the_first_of_the_top_k_is_the_best_arm():
    a, b = np.array([5.0, 9, 12, 2]), np.array([40.0, 60, 70, 30])
    table = top_k_probabilities(a, b, 3, 45_000, np.random.default_rng(6))
    np.testing.assert_allclose(table[:, 0], best_probabilities(a, b), atol=0.01)
    np.testing.assert_allclose(table.sum(axis=0), 1, rtol=1e-9)
    assert (table.sum(axis=1) <= 1 + 1e-9).all()


@pytest.mark.parametrize("name", ["linucb", "ucb1", "thompson"])
def test_a_learning_policy_comes_to_prefer_the_best_action(name):
    rng = np.random.default_rng(12)
    learner = policy(name, N_ACTIONS, N_FEATURES)
    for _ in range(60):
        x = _contexts(100, rng)
        actions = learner.choose(x, rng).actions
        learner.learn(x, actions, (rng.random(100) < np.array([0.1, 0.1, 0.5, 0.1])[actions]).astype(float))
    assert learner.choose(_contexts(500, rng), rng).probabilities[:, 2].mean() > 0.8
    assert learner.version == 60


def test_the_uniform_policy_never_learns():
    learner = Uniform(N_ACTIONS)
    learner.learn(np.zeros((9, 1)), np.full(9, 2), np.ones(9))
    assert learner.version == 0
    assert (learner.choose(np.zeros((3, 1)), np.random.default_rng(0)).probabilities == 0.25).all()
