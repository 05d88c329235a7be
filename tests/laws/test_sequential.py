"""Off-policy values of whole episodes: equal to plain Python over the rows, and right about a known world."""

import math
import re
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pytest

from monitor.metrics import sequential
from monitor.metrics.sums import Settings, Sums
from monitor.sums.build import build
from monitor.sums.sequential import HORIZON
from tests.laws.test_episodes import (  # noqa: F401
    FROZEN,
    HOUR,
    arrive,
    config,
    everything,
    inverse,
    lower_tail,
    sheet_of,
    store,
)
from tests.tabular import CANDIDATE, DISCOUNT, LOGGED, exact_value, log_of, table_of

ESTIMATORS = ("pdis", "snpdis", "sequential_dr")
ALL = (*ESTIMATORS, "horizon", "trajectory_ess")


def trajectories(table):
    """Rows of each episode in order, with the cumulative weight after and before each."""
    found = {}
    for row in table.to_pylist():
        found.setdefault(row["episode_id"], []).append(row)
    for rows in found.values():
        rows.sort(key=lambda r: r["step"])
        weight = 1.0
        for row in rows:
            row["before"] = weight
            weight *= row["candidate_propensity"] / row["propensity"]
            row["w"], row["k"] = weight, 1 / rows[0]["keep_prob"]
    return list(found.values())


def naive(table, cut: int, discount: float = DISCOUNT) -> dict[str, float]:
    """PDIS, SNPDIS and sequential DR by the definition, one step after the other."""
    of = trajectories(table)
    n = sum(rows[0]["k"] for rows in of)
    value = dict.fromkeys(ESTIMATORS, 0.0)
    for t in range(cut):
        numerator = denominator = 0.0
        for rows in of:
            k, last = rows[0]["k"], rows[min(t, len(rows) - 1)]
            denominator += k * last["w"]
            if t < len(rows):
                r = rows[t]
                numerator += k * r["w"] * r["reward"]
                doubly = r["w"] * (r["reward"] - r["q_value"]) + r["before"] * r["candidate_value"]
                value["sequential_dr"] += discount**t * k * doubly / n
        value["pdis"] += discount**t * numerator / n
        value["snpdis"] += discount**t * numerator / denominator
    return value


def estimates(store, config, table) -> dict:  # noqa: F811
    arrive(store, table)
    build(store, config, None)
    sheet = sheet_of(store, config)
    return {metric: sheet.estimate(metric, "old", HOUR, HOUR + 200, "new") for metric in ALL}


def test_estimates_equal_plain_python_up_to_the_cut(store, config) -> None:  # noqa: F811
    log = log_of(1, 400, cut=15)
    table = table_of({**log, "q": np.where(log["q"] > 0.5, 0.9, 0.1)})
    found = estimates(store, config, table)
    cut = int(found["horizon"].value)
    assert 1 < cut < 15
    expected = naive(table, cut)
    for metric in ESTIMATORS:
        assert found[metric].value == pytest.approx(expected[metric], abs=1e-9), metric
        assert f"horizon cut at {cut} of 15 steps" in found[metric].method
    of = trajectories(table)
    size = lambda t: [rows[0]["k"] * rows[min(t, len(rows) - 1)]["w"] for rows in of]  # noqa: E731
    ess = lambda w: sum(w) ** 2 / sum(x * x for x in w)  # noqa: E731
    assert ess(size(cut - 1)) >= 100 > ess(size(cut))
    assert found["trajectory_ess"].value == pytest.approx(ess(size(99)), rel=1e-9)
    assert found["pdis"].reason == "short_horizon"


@pytest.mark.parametrize("seed", range(3))
def test_the_value_of_a_tabular_world_lies_in_the_intervals(store, config, seed) -> None:  # noqa: F811
    found = estimates(store, config, table_of(log_of(seed, 6000), seed=seed))
    truth = exact_value()
    print(f"\nexact value {truth:.6f} (logged policy {exact_value(LOGGED):.6f})")
    for metric in ESTIMATORS:
        e = found[metric]
        print(f"{metric:14} {e.value:.6f}  {e.low:.6f} to {e.high:.6f}  reason {e.reason}  {e.method}")
    for metric in ESTIMATORS:
        assert found[metric].judgeable and found[metric].low < truth < found[metric].high, metric
        assert not found[metric].low < exact_value(LOGGED) < found[metric].high, metric


def test_a_candidate_that_is_the_logged_policy_has_its_return(store, config) -> None:  # noqa: F811
    log = log_of(2, 500)
    found = estimates(store, config, table_of({**log, "q": log["p"]}))
    mean = sheet_of(store, config).estimate("return_mean", "old", HOUR, HOUR + 200).value
    assert found["pdis"].value == pytest.approx(mean, abs=1e-9)
    assert found["snpdis"].value == pytest.approx(mean, abs=1e-9)
    assert found["trajectory_ess"].value == pytest.approx(_kish(table_of(log)), rel=1e-9)


def _kish(table) -> float:
    k = [rows[0]["k"] for rows in trajectories(table)]
    return sum(k) ** 2 / sum(x * x for x in k)


def test_the_cost_of_the_candidates_episodes_equals_plain_python(store, everything) -> None:  # noqa: F811
    table = table_of(log_of(4, 900, cut=6))
    arrive(store, table)
    build(store, everything, FROZEN)
    found = sheet_of(store, everything).estimate("offpolicy_cost", "old", HOUR, HOUR + 200, "new", "slow")
    steps = int(m[1]) if (m := re.search(r"cut at (\d+) of", found.method)) else 6
    costs = table.set_column(table.schema.get_field_index("reward"), "reward", table["cost_slow"])
    assert found.value == pytest.approx(naive(costs, steps)["snpdis"], abs=1e-9)
    assert found.value > 0 and found.unit == "cost" and found.low < found.value < found.high


def test_costs_of_episodes_that_were_never_seen_are_not_judged(store, everything) -> None:  # noqa: F811
    table = table_of(log_of(4, 900, cut=6))
    kept = pa.array(np.zeros(len(table)))
    arrive(store, table.set_column(table.schema.get_field_index("cost_slow"), "cost_slow", kept))
    build(store, everything, FROZEN)
    found = sheet_of(store, everything).estimate("offpolicy_cost", "old", HOUR, HOUR + 200, "new", "slow")
    assert (found.value, found.reason) == (0, "few_events")


def test_the_weighted_distribution_of_returns_equals_plain_python(store, config) -> None:  # noqa: F811
    table = table_of(log_of(9, 900))
    arrive(store, table)
    build(store, config, None)
    sheet = sheet_of(store, config)
    value = lambda metric: sheet.estimate(metric, "old", HOUR, HOUR + 200, "new").value  # noqa: E731
    of = trajectories(table)
    g = np.array([sum(DISCOUNT**t * r["reward"] for t, r in enumerate(rows)) for rows in of])
    k = np.array([rows[-1]["w"] * rows[0]["k"] for rows in of])
    for share in (0.05, 0.5, 0.95):
        found = value(f"candidate_return_q{100 * share:02.0f}")
        assert found == pytest.approx(inverse(g, k, share), abs=1e-9)
    assert value("candidate_return_cvar10") == pytest.approx(lower_tail(g, k), abs=1e-9)
    assert value("candidate_return_q50") != value("return_q50")


def test_the_candidates_median_return_lies_in_its_interval(store, config) -> None:  # noqa: F811
    log = log_of(10, 200_000, policy=CANDIDATE)
    returns = np.bincount(log["episode"], weights=DISCOUNT ** log["step"] * log["reward"])
    arrive(store, table_of(log_of(11, 3000)))
    build(store, config, None)
    sheet = sheet_of(store, config)
    for share in ("05", "50", "95"):
        found = sheet.estimate(f"candidate_return_q{share}", "old", HOUR, HOUR + 200, "new")
        assert found.judgeable and found.low <= np.quantile(returns, int(share) / 100) <= found.high, share


def test_a_weight_of_zero_ends_an_episodes_say_and_nothing_else(store, config) -> None:  # noqa: F811
    log = log_of(3, 800, cut=4)
    log["q"] = np.where((log["state"] == 2) & (log["action"] == 0), 0.0, log["q"])
    table = table_of(log)
    found = estimates(store, config, table)
    cut = int(found["horizon"].value)
    expected = naive(table, cut)
    for metric in ESTIMATORS:
        assert found[metric].value == pytest.approx(expected[metric], abs=1e-9)


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("propensity", None, "missing_propensity"),
        ("candidate_propensity", None, "missing_propensity"),
        ("reward", None, "missing_reward"),
        ("policy_id", "other", "mixed_policies"),
        ("candidate_id", "newer", "mixed_policies"),
    ],
)
def test_episodes_that_cannot_be_used_are_left_out_and_told(store, config, column, value, reason) -> None:  # noqa: F811
    import pyarrow as pa

    table = table_of(log_of(4, 300, cut=3))
    spoiled = [e in {f"e{n}" for n in range(7, 60, 5)} for e in table["episode_id"].to_pylist()]
    second = [s == 1 for s in table["step"].to_pylist()]
    values = [
        value if bad and step else old
        for bad, step, old in zip(spoiled, second, table[column].to_pylist(), strict=True)
    ]
    hit = {e for e, bad, s in zip(table["episode_id"].to_pylist(), spoiled, second, strict=True) if bad and s}
    assert len(hit) > 3
    at = table.schema.get_field_index(column)
    spoiled_column = pa.array(values, table.schema.field(at).type)
    found = estimates(store, config, table.set_column(at, column, spoiled_column))
    assert found["pdis"].reason == reason and found["pdis"].n == 300 - len(hit)
    kept = table.filter(pa.array([e not in hit for e in table["episode_id"].to_pylist()]))
    expected = naive(kept, int(found["horizon"].value))["pdis"]
    assert found["pdis"].value == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("flag", "value"), [("overridden", True), ("activated", False)])
def test_episodes_that_a_person_took_over_are_left_out_and_told(store, config, flag, value) -> None:  # noqa: F811
    table = table_of(log_of(4, 300, cut=3))
    away = [e.endswith("3") for e in table["episode_id"].to_pylist()]
    found = estimates(store, config, table.append_column(flag, [[a == value for a in away]]))["pdis"]
    assert (found.n, found.reason) == (270, "overridden_episodes")


def test_too_few_episodes_are_not_estimable(store, config) -> None:  # noqa: F811
    found = estimates(store, config, table_of(log_of(5, 60)))
    assert all(found[m].reason == "low_ess" and math.isnan(found[m].value) for m in ESTIMATORS)


def test_wrong_propensities_are_found_by_the_mean_weight(store, config) -> None:  # noqa: F811
    log = log_of(6, 3000, cut=3)
    found = estimates(store, config, table_of({**log, "p": log["p"] * 0.8}))
    assert found["snpdis"].reason == "propensity"


def test_a_critic_that_was_not_logged_is_told(store, config) -> None:  # noqa: F811
    table = table_of(log_of(7, 500, cut=3)).drop_columns(["q_value"])
    found = estimates(store, config, table)
    assert found["pdis"].judgeable and not found["sequential_dr"].judgeable


def test_reward_beyond_the_cut_keeps_a_value_from_being_judged() -> None:
    """200 episodes of 2 steps: full weight at the first, one has all the weight at the second."""
    weights = MappingProxyType({
        name: np.array(column, dtype=float) for name, column in {
            "n_episodes": [200, 0], "n_mixed": [0, 0], "n_away": [0, 0], "n_no_w": [0, 0], "n_no_r": [0, 0],
            "n": [0, 200], "n_q": [0, 0], "w1": [200, 200], "w2": [200, 40000], "wr1": [100, 50],
            "ra": [100, 100], "dr1": [0, 0], "e1": [0, 200], "e2": [0, 40000], "k0": [0, 200], "kq": [0, 0],
        }.items()
    })
    keys = np.array([0, 1], dtype=object)
    sums = Sums(np.zeros(2, dtype=np.int64), np.zeros(2, dtype=np.int64), keys, weights)
    found = sequential.pdis({"sequential": sums}, Settings())
    assert (found.value, found.reason) == (0.5, "short_horizon")
    assert sequential.LONGEST == HORIZON


def test_the_exact_value_is_the_mean_return_of_many_simulated_episodes() -> None:
    log = log_of(8, 40_000, policy=CANDIDATE)
    total = np.bincount(log["episode"], weights=DISCOUNT ** log["step"] * log["reward"])
    assert abs(total.mean() - exact_value()) < 4 * total.std() / math.sqrt(len(total))
