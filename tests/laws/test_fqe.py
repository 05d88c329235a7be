"""Q fitted on whole episodes: the exact Q of the empirical model where features tell states apart."""

from dataclasses import replace

import numpy as np
import pytest

from monitor import config as configuration
from monitor.metrics.fqe import moments, solve
from monitor.metrics.sums import Settings
from monitor.sheet import Sheet
from monitor.sums import FAMILIES
from monitor.sums.baseline import Baseline
from monitor.sums.build import build
from monitor.sums.family import Frozen
from monitor.sums.read import read
from tests.laws.test_episodes import EPISODIC, HOUR, arrive, store  # noqa: F401
from tests.tabular import ACTIONS, CANDIDATE, DISCOUNT, LOGGED, STATES, exact_q, exact_value, log_of, table_of

SEASON = {"season": {"categories": list(STATES), "seen": []}}
LOAD = {"load": {"edges": [-1.0, 0.0, 0.5, 1.0, 2.0], "sd": 1.3}}
FROZEN = Frozen("f" * 16, SEASON)
END = HOUR + 240


@pytest.fixture
def config(tmp_path):
    text = EPISODIC.replace("numeric: [load], ", "")
    (tmp_path / "monitor.yaml").write_text(text + "actions: [hold, push]\n", "utf-8")
    return configuration.load(tmp_path / "monitor.yaml").config


def rows(log, seed: int = 0, **more):
    return table_of(log, seed=seed, **more).drop_columns(["state_load"])


def sheet_of(store, config, frozen=FROZEN) -> Sheet:  # noqa: F811
    import duckdb

    connection = duckdb.connect(str(store.sums))
    body = {"features": dict(frozen.bins), "usual": {}, "action_sd": {}, "rows": 1, "n_actions": 2}
    return Sheet(
        lambda family: read(connection, family, HOUR, END, END - HOUR), config, Baseline(frozen.hash, body)
    )


def estimate(sheet: Sheet, metric: str):
    return sheet.estimate(metric, "old", HOUR, END, "new")


def fitted(sheet: Sheet) -> np.ndarray:
    """Q by state and action from θ: the last state is the one without a column of its own."""
    found = moments(sheet.cells("fqe", "old", "new", "", HOUR, END))
    theta = solve(found.a.sum(axis=0), found.b.sum(axis=0)).reshape(2, 3)
    x = np.array([[1, 1, 0], [1, 0, 1], [1, 0, 0]])
    return x @ theta.T


def empirical(log, cut: int | None):
    """Transition shares and mean rewards of the logged steps, weighted as the log is; steps that were cut
    off have no next state and count nowhere."""
    k = np.where(log["episode"] % 7 == 0, 2.0, 1.0)
    known = np.ones(len(k), bool) if cut is None else log["terminal"] | (log["step"] + 1 < cut)
    count, reward, following = np.zeros((3, 2)), np.zeros((3, 2)), np.zeros((3, 2, 4))
    at = (log["state"][known], log["action"][known])
    np.add.at(count, at, k[known])
    np.add.at(reward, at, (k * log["reward"])[known])
    np.add.at(following, (*at, log["next"][known]), k[known])
    return following[:, :, :3] / count[:, :, None], reward / count


@pytest.mark.parametrize("cut", [None, 4])
def test_lstd_q_is_the_exact_q_of_the_empirical_model(store, config, cut) -> None:  # noqa: F811
    log = log_of(1, 1500, cut=cut)
    arrive(store, rows(log))
    build(store, config, FROZEN)
    following, reward = empirical(log, cut)
    expected = exact_q(CANDIDATE, following, reward)
    sheet = sheet_of(store, config)
    found = fitted(sheet)
    print(f"\ndifference from the exact Q of the empirical model: {np.abs(found - expected).max():.1e}")
    np.testing.assert_allclose(found, expected, atol=1e-6)
    first = log["step"] == 0
    k = np.where(log["episode"][first] % 7 == 0, 2.0, 1.0)
    value = np.average((CANDIDATE * expected).sum(axis=1)[log["state"][first]], weights=k)
    assert estimate(sheet, "fqe").value == pytest.approx(value, abs=1e-6)
    assert estimate(sheet, "fqe").n == 1500


def test_the_value_of_a_tabular_world_lies_in_the_intervals(store, config) -> None:  # noqa: F811
    arrive(store, rows(log_of(2, 4000)))
    build(store, config, FROZEN)
    sheet = sheet_of(store, config)
    truth = exact_value()
    for metric in ("fqe", "sequential_dr_model"):
        found = estimate(sheet, metric)
        print(f"\n{metric:20} {found.value:.6f}  {found.low:.6f} to {found.high:.6f}  {found.method}")
        assert found.judgeable and found.low < truth < found.high
        assert not found.low < exact_value(LOGGED) < found.high


def test_a_model_that_is_wrong_keeps_the_doubly_robust_value_right(store, config) -> None:  # noqa: F811
    text = config.model_copy(update={"state": configuration.State()})
    arrive(store, rows(log_of(3, 4000)))
    build(store, text, Frozen("f" * 16, {}))
    sheet = sheet_of(store, text, Frozen("f" * 16, {}))
    found = estimate(sheet, "sequential_dr_model")
    assert found.judgeable and found.low < exact_value() < found.high


def naive(table):
    """θ, the value and the cross-fitted doubly robust value by plain loops over the rows."""
    middle, sd = 0.5, 1.3
    of = {}
    for row in table.to_pylist():
        of.setdefault(row["episode_id"], []).append(row)

    def x(row):
        season = [float(row["state_season"] == s) for s in STATES[:-1]]
        return np.array([1.0, (row["state_load"] - middle) / sd, *season])

    def phi(row, probs):
        return np.concatenate([p * x(row) for p in probs])

    d, folds = 8, {}
    starts, total = np.zeros(d), 0.0
    for episode in of.values():
        episode.sort(key=lambda r: r["step"])
        k, fold = 1 / episode[0]["keep_prob"], episode[0]["unit_hash"] % 16
        a, b, y, z, size = folds.setdefault(fold, [np.zeros((d, d)), np.zeros(d), [0.0], np.zeros(d), [0.0]])
        weight = 1.0
        for t, row in enumerate(episode):
            mine = phi(row, [float(row["action"] == name) for name in ACTIONS])
            wanted = phi(row, row["candidate_probs"])
            before, weight = weight, weight * row["candidate_propensity"] / row["propensity"]
            z += k * DISCOUNT**t * (before * wanted - weight * mine)
            y[0] += k * DISCOUNT**t * weight * row["reward"]
            following = None if t + 1 == len(episode) else episode[t + 1]
            if following is None and not row["terminal"]:
                continue
            coming = np.zeros(d) if following is None else phi(following, following["candidate_probs"])
            a += k * np.outer(mine, mine - DISCOUNT * coming)
            b += k * row["reward"] * mine
        size[0] += k
        starts += k * phi(episode[0], episode[0]["candidate_probs"])
        total += k
    add = lambda part, without=None: sum(f[part] for n, f in folds.items() if n != without)  # noqa: E731
    theta = np.linalg.solve(add(0), add(1))
    crossed = sum(
        f[2][0] + f[3] @ np.linalg.solve(add(0, fold), add(1, fold)) for fold, f in folds.items()
    )
    return theta, starts @ theta / total, crossed / total


def test_fits_equal_plain_loops_over_the_rows(store, config) -> None:  # noqa: F811
    both = config.model_copy(update={"state": configuration.State(numeric=["load"], categorical=["season"])})
    frozen = replace(FROZEN, bins={**LOAD, **SEASON})
    table = table_of(log_of(4, 400, cut=5))
    import duckdb

    with duckdb.connect(str(store.decisions)) as connection:
        connection.execute("ALTER TABLE decisions ADD COLUMN state_load DOUBLE")
    arrive(store, table)
    build(store, both, frozen)
    sheet = sheet_of(store, both, frozen)
    found = moments(sheet.cells("fqe", "old", "new", "", HOUR, END))
    theta, value, crossed = naive(table)
    np.testing.assert_allclose(solve(found.a.sum(axis=0), found.b.sum(axis=0)), theta, atol=1e-9)
    assert estimate(sheet, "fqe").value == pytest.approx(value, abs=1e-9)
    assert estimate(sheet, "sequential_dr_model").value == pytest.approx(crossed, abs=1e-9)


def test_without_discount_and_without_an_end_there_is_no_q(store, config) -> None:  # noqa: F811
    endless = config.model_copy(update={"reward": config.reward.model_copy(update={"discount": 1.0})})
    log = log_of(5, 300, cut=3)
    arrive(store, rows({**log, "terminal": np.zeros(len(log["step"]), bool)}))
    build(store, endless, FROZEN)
    assert estimate(sheet_of(store, endless), "fqe").reason == "no_termination"


def test_an_action_that_was_never_logged_cannot_be_valued(store, config) -> None:  # noqa: F811
    log = log_of(6, 600)
    log["action"] = np.where(log["state"] == 2, 0, log["action"])
    arrive(store, rows(log))
    build(store, config, FROZEN)
    found = estimate(sheet_of(store, config), "fqe")
    assert found.reason == "ill_conditioned" and not found.judgeable


def test_steps_that_are_not_known_are_told(store, config) -> None:  # noqa: F811
    import pyarrow as pa

    table = rows(log_of(7, 600))
    names = [None if i % 20 == 0 else a for i, a in enumerate(table["action"].to_pylist())]
    table = table.set_column(table.schema.get_field_index("action"), "action", pa.array(names))
    arrive(store, table)
    build(store, config, FROZEN)
    found = estimate(sheet_of(store, config), "fqe")
    assert found.reason == "missing_features" and np.isfinite(found.value)


@pytest.mark.parametrize(
    "change",
    [{"actions": []}, {"pii": ["state_season"]}, {"actions": [f"a{n}" for n in range(20)]}],
)
def test_what_cannot_be_fitted_is_not_summed(config, change) -> None:
    changed = config.model_copy(update=change)
    assert FAMILIES["fqe"].select(changed, FROZEN) is None
    assert FAMILIES["fqe"].select(config, None) is None
    assert FAMILIES["fqe"].select(config, FROZEN) is not None


def test_refining_takes_the_ridge_out_and_keeps_it_where_nothing_is_known() -> None:
    a = np.array([[[2.0, 0.5], [0.1, 1.0]], [[3.0, 0.0], [0.0, 0.0]]])
    b = np.array([[1.0, 2.0], [6.0, 0.0]])
    found = solve(a, b)
    np.testing.assert_allclose(found[0], np.linalg.solve(a[0], b[0]), atol=1e-14)
    np.testing.assert_allclose(found[1], [2.0, 0.0], atol=1e-14)
    assert Settings().discount == 1.0
