"""Bandit algorithms that really choose: LinUCB, UCB1, Beta–Bernoulli Thompson sampling, uniform.

Each maps a batch of contexts to a `Choice`: the chosen actions and the whole distribution they were
drawn from, so that every logged propensity is the probability the algorithm truly used. UCB
policies are greedy and mix in uniform exploration with probability ε; what they log is the mixture.
A policy is constant within a batch and learns from the batch's logged rewards afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import betainc, betaincinv

EPSILON = 0.1


@dataclass(frozen=True)
class Choice:
    """Actions (n,) and the distributions (n, n_actions) they were drawn from, rows summing to 1."""

    actions: np.ndarray
    probabilities: np.ndarray

    def propensity_of(self, actions: np.ndarray) -> np.ndarray:
        """Probability (n,) of the given actions, one a row, under this choice's distributions."""
        return self.probabilities[np.arange(len(actions)), actions]


class Policy(Protocol):
    """What the simulators ask of an algorithm. `version` counts the batches it has learned from."""

    version: int

    def choose(self, contexts: np.ndarray, rng: np.random.Generator) -> Choice: ...

    def learn(self, contexts: np.ndarray, actions: np.ndarray, rewards: np.ndarray) -> None: ...


class Uniform:
    """Every action with probability 1/n_actions, whatever the context. Learns nothing: version 0."""

    def __init__(self, n_actions: int) -> None:
        self.n_actions, self.version = n_actions, 0

    def choose(self, contexts: np.ndarray, rng: np.random.Generator) -> Choice:
        n = len(contexts)
        return Choice(rng.integers(self.n_actions, size=n), np.full((n, self.n_actions), 1 / self.n_actions))

    def learn(self, contexts: np.ndarray, actions: np.ndarray, rewards: np.ndarray) -> None:
        pass


class UCB1:
    """argmax_a r̄_a + √(2 ln t / n_a) with probability 1 − ε, else uniform; an untried action comes first.

    Rewards in [0, 1]. Auer, Cesa-Bianchi, Fischer 2002, "Finite-time analysis of the multiarmed
    bandit problem", figure 1; ε added so that every action keeps a known positive propensity.
    """

    def __init__(self, n_actions: int, epsilon: float = EPSILON) -> None:
        self.n_actions, self.epsilon, self.version = n_actions, epsilon, 0
        self.pulls, self.reward_sum = np.zeros(n_actions), np.zeros(n_actions)

    def choose(self, contexts: np.ndarray, rng: np.random.Generator) -> Choice:
        return epsilon_greedy(np.tile(self.index(), (len(contexts), 1)), self.epsilon, rng)

    def index(self) -> np.ndarray:
        """Upper confidence index (n_actions,); infinite for an action never tried."""
        tried = np.maximum(self.pulls, 1)
        bonus = np.sqrt(2 * np.log(max(self.pulls.sum(), 1)) / tried)
        return np.where(self.pulls > 0, self.reward_sum / tried + bonus, np.inf)

    def learn(self, contexts: np.ndarray, actions: np.ndarray, rewards: np.ndarray) -> None:
        self.pulls += np.bincount(actions, minlength=self.n_actions)
        self.reward_sum += np.bincount(actions, weights=rewards, minlength=self.n_actions)
        self.version += 1


class LinUCB:
    """argmax_a θ_aᵀx + α√(xᵀA_a⁻¹x) with probability 1 − ε, else uniform; a ridge regression an arm.

    A_a = ridge·I + Σ xxᵀ, θ_a = A_a⁻¹ Σ r·x over the decisions in which a was executed. Li, Chu,
    Langford, Schapire 2010, "A contextual-bandit approach to personalized news article
    recommendation", algorithm 1 (disjoint linear models); ε as in UCB1.
    """

    def __init__(
        self,
        n_actions: int,
        n_features: int,
        alpha: float = 0.3,
        ridge: float = 1.0,
        epsilon: float = EPSILON,
    ) -> None:
        self.alpha, self.epsilon, self.version = alpha, epsilon, 0
        self.gram = np.tile(ridge * np.eye(n_features), (n_actions, 1, 1))
        self.moment = np.zeros((n_actions, n_features))
        self._solve()

    def choose(self, contexts: np.ndarray, rng: np.random.Generator) -> Choice:
        return epsilon_greedy(self.index(contexts), self.epsilon, rng)

    def index(self, contexts: np.ndarray) -> np.ndarray:
        """Upper confidence index (n, n_actions) of every action in every context."""
        spread = ((contexts @ self.inverse) * contexts).sum(axis=2).T
        return contexts @ self.theta.T + self.alpha * np.sqrt(spread)

    def learn(self, contexts: np.ndarray, actions: np.ndarray, rewards: np.ndarray) -> None:
        for action in np.unique(actions):
            x, r = contexts[actions == action], rewards[actions == action]
            self.gram[action] += x.T @ x
            self.moment[action] += r @ x
        self._solve()
        self.version += 1

    def _solve(self) -> None:
        self.inverse = np.linalg.inv(self.gram)
        self.theta = np.einsum("kde,ke->kd", self.inverse, self.moment)


class BetaThompson:
    """One draw from each arm's Beta(a, b) posterior per decision; the arm of the largest draw is chosen.

    The logged propensity is P(draw of the chosen arm is the largest), by `best_probabilities`.
    Chapelle, Li 2011, "An empirical evaluation of Thompson sampling", algorithm 2, prior (1, 1).
    """

    def __init__(self, n_actions: int, a: float = 1.0, b: float = 1.0) -> None:
        self.a, self.b, self.version = np.full(n_actions, a), np.full(n_actions, b), 0
        self._weigh()

    def choose(self, contexts: np.ndarray, rng: np.random.Generator) -> Choice:
        draws = rng.beta(self.a, self.b, size=(len(contexts), len(self.a)))
        return Choice(draws.argmax(axis=1), np.tile(self.probabilities, (len(contexts), 1)))

    def learn(self, contexts: np.ndarray, actions: np.ndarray, rewards: np.ndarray) -> None:
        self.a = self.a + np.bincount(actions, weights=rewards, minlength=len(self.a))
        self.b = self.b + np.bincount(actions, weights=1 - rewards, minlength=len(self.b))
        self._weigh()
        self.version += 1

    def _weigh(self) -> None:
        self.probabilities = best_probabilities(self.a, self.b)


def policy(name: str, n_actions: int, n_features: int) -> Policy:
    """A fresh policy by its name in POLICIES. Raises KeyError for any other name."""
    return POLICIES[name](n_actions, n_features)


def epsilon_greedy(index: np.ndarray, epsilon: float, rng: np.random.Generator) -> Choice:
    """Draw from ε/K + (1−ε)·1{argmax} for each row of `index` (n, K); ties go to the lowest action."""
    n, k = index.shape
    greedy = index.argmax(axis=1)
    probabilities = np.full((n, k), epsilon / k)
    probabilities[np.arange(n), greedy] += 1 - epsilon
    explored = rng.integers(k, size=n)
    return Choice(np.where(rng.random(n) < epsilon, explored, greedy), probabilities)


def best_probabilities(a: np.ndarray, b: np.ndarray, points: int = 400) -> np.ndarray:
    """P(X_i > X_j for all j ≠ i) for independent X_i ~ Beta(a_i, b_i); shape as `a`, sums to 1.

    ∫ Π_{j≠i} F_j dF_i by the trapezoidal rule in F_i over the `points` quantiles of every arm
    together: each F_i rises in small steps wherever any arm has mass (error below 1e-4).
    """
    levels = np.linspace(0, 1, points + 1)
    x = np.unique(betaincinv(a[:, None], b[:, None], levels[None, :]))
    cdf = betainc(a[:, None], b[:, None], x[None, :])
    others = np.array([np.delete(cdf, i, axis=0).prod(axis=0) for i in range(len(a))])
    raw = ((others[:, 1:] + others[:, :-1]) / 2 * np.diff(cdf, axis=1)).sum(axis=1)
    return raw / raw.sum()


def top_k_probabilities(
    a: np.ndarray, b: np.ndarray, k: int, draws: int, rng: np.random.Generator, chunk: int = 10_000
) -> np.ndarray:
    """P(arm i has the (j+1)-th largest of one draw per arm), shape (n_arms, k), by Monte Carlo.

    Thompson sampling that shows the k best of the sampled means, best first. Standard error of an
    entry: √(p(1−p)/draws).
    """
    counts = np.zeros((len(a), k))
    for start in range(0, draws, chunk):
        sampled = rng.beta(a, b, size=(min(chunk, draws - start), len(a)))
        top = np.argpartition(-sampled, k - 1, axis=1)[:, :k]
        order = np.take_along_axis(sampled, top, axis=1).argsort(axis=1)[:, ::-1]
        ranked = np.take_along_axis(top, order, axis=1)
        for position in range(k):
            counts[:, position] += np.bincount(ranked[:, position], minlength=len(a))
    return counts / draws


POLICIES: dict[str, Callable[[int, int], Policy]] = {
    "linucb": LinUCB,
    "ucb1": lambda n_actions, n_features: UCB1(n_actions),
    "thompson": lambda n_actions, n_features: BetaThompson(n_actions),
    "uniform": lambda n_actions, n_features: Uniform(n_actions),
}
