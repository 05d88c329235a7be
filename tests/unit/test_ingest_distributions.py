"""What ingest works out of logged distributions."""

import duckdb
import numpy as np
import pytest
from scipy import stats

from monitor.log.derived import greedy, kl, unsupported


def of(expression, p, q):
    lists = "(SELECT ?::DOUBLE[] AS p, ?::DOUBLE[] AS q)"
    return duckdb.execute(f"SELECT {expression} FROM {lists}", [p, q]).fetchall()[0][0]


def test_divergence_of_two_distributions_is_scipys():
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(6)).tolist(), rng.dirichlet(np.ones(6)).tolist()
    assert of(kl("q", "p"), p, q) == pytest.approx(stats.entropy(q, p), rel=1e-12)
    assert of(unsupported("q", "p"), p, q) == 0


def test_actions_that_the_other_never_takes_are_counted_apart():
    p, q = [0.5, 0.5, 0.0], [0.5, 0.25, 0.25]
    assert of(unsupported("q", "p"), p, q) == 0.25
    assert of(kl("q", "p"), p, q) == pytest.approx(0.25 * np.log(0.5))
    assert of(kl("q", "p"), [0.5, 0.5], q) is None
    assert of(unsupported("q", "p"), [0.5, 0.5], q) is None


def test_ties_and_the_last_digit_count_as_most_probable():
    told = lambda propensity, p: of(greedy(str(propensity), "p"), p, [])  # noqa: E731
    assert told(0.4, [0.4, 0.4, 0.2]) is True
    assert told(0.39999999999, [0.4, 0.4, 0.2]) is True
    assert told(0.2, [0.4, 0.4, 0.2]) is False
