"""Whole episodes: counted once, in the hour when they are over, in whatever order rows come."""

from collections import defaultdict
from datetime import datetime, timedelta

import duckdb
import numpy as np
import pytest
import sqlglot

from monitor import config as configuration
from monitor.log import schema
from monitor.metrics import METRICS
from monitor.sheet import Sheet
from monitor.store import Store
from monitor.sums import FAMILIES
from monitor.sums.build import build
from monitor.sums.family import Frozen
from monitor.sums.moments import cost_spreads
from monitor.sums.read import read
from tests.conftest import CONFIG
from tests.laws.test_portable import NOT_PORTABLE
from tests.tabular import ACTIONS, DISCOUNT, EPOCH, STATES, log_of, table_of

HOUR = int((EPOCH - datetime(1970, 1, 1)) / timedelta(hours=1))
WHOLE = [name for name, family in FAMILIES.items() if family.whole_episodes]
FROZEN = Frozen(
    "f" * 16,
    {
        "load": {"edges": [-1.0, 0.0, 0.5, 1.0], "sd": 1.3},
        "season": {"categories": list(STATES), "seen": []},
    },
)
EPISODIC = CONFIG.replace("range: [0, 2],", "range: [0, 1], discount: 0.9,").replace(
    "baseline:", "episode_timeout: 2h\nbaseline:"
)


@pytest.fixture
def config(tmp_path):
    (tmp_path / "monitor.yaml").write_text(EPISODIC, "utf-8")
    return configuration.load(tmp_path / "monitor.yaml").config


@pytest.fixture
def everything(config):
    """The same with a known order of actions and a constraint on whole episodes."""
    slow = config.constraints["slow"].model_copy(update={"measure": "episode_cost"})
    return config.model_copy(update={"actions": list(ACTIONS), "constraints": {"slow": slow}})


@pytest.fixture
def store(tmp_path, config) -> Store:
    store = Store(tmp_path / "var")
    store.create()
    with duckdb.connect(str(store.decisions)) as connection:
        schema.create(connection, config)
    return store


def arrive(store: Store, table) -> None:
    """Rows come: they are stored and their hours are dirty, as ingest does it."""
    with duckdb.connect(str(store.decisions)) as connection:
        connection.register("came", table)
        connection.execute("INSERT INTO decisions BY NAME SELECT * FROM came")
        connection.execute("INSERT INTO dirty_hours SELECT DISTINCT hour FROM came")


def cells(store: Store, name: str):
    """The rows of a table of sums, in one order, rounded where addition is not exact."""
    with duckdb.connect(str(store.sums)) as connection:
        found = connection.execute(f'SELECT * FROM "sums_{name}"').fetchall()
    return sorted(tuple(round(x, 9) if isinstance(x, float) else x for x in row) for row in found)


def naive(table, timeout: float = 7200, discount: float = DISCOUNT):
    """Episodes by plain Python: (hour counted in, return, length, weight, terminated) of each."""
    rows = defaultdict(list)
    for row in table.to_pylist():
        rows[row["episode_id"]].append(row)
    found = []
    for of_id in rows.values():
        of_id.sort(key=lambda r: (r["ts"], r["step"]))
        parts = [[]]
        for row in of_id:
            before = parts[-1][-1] if parts[-1] else None
            if before and (before["terminal"] or (row["ts"] - before["ts"]).total_seconds() > timeout):
                parts.append([])
            parts[-1].append(row)
        for part in parts:
            part.sort(key=lambda r: r["step"])
            over = any(r["terminal"] for r in part)
            rewards = [r["reward"] for r in part]
            known = None if None in rewards else sum(discount**t * r for t, r in enumerate(rewards))
            home = max(r["hour"] for r in part) + (0 if over else 2)
            found.append((home, known, len(part), 1 / part[0]["keep_prob"], over))
    return found


def sheet_of(store: Store, config, start: int = HOUR, end: int = HOUR + 200) -> Sheet:
    connection = duckdb.connect(str(store.sums))
    return Sheet(lambda family: read(connection, family, start, end, end - start), config, None)


def holes(table, share: float, seed: int = 1):
    import pyarrow as pa

    missing = np.random.default_rng(seed).random(len(table)) < share
    rewards = pa.array(np.asarray(table["reward"]), mask=missing)
    return table.set_column(table.schema.get_field_index("reward"), "reward", rewards)


def test_returns_and_lengths_equal_plain_python(store, config) -> None:
    table = holes(table_of(log_of(1, 400, cut=6)), 0.01)
    arrive(store, table)
    build(store, config, None)
    found = naive(table)
    sheet = sheet_of(store, config)
    value = lambda metric: sheet.estimate(metric, "old", HOUR, HOUR + 200)  # noqa: E731
    known = [(g, k) for _, g, _, k, _ in found if g is not None]
    assert len(known) < len(found) == 400
    g, k = np.array(known).T
    mean = np.average(g, weights=k)
    spread = np.average((g - mean) ** 2, weights=k) * len(g) / (len(g) - 1)
    assert value("return_mean").value == pytest.approx(mean, abs=1e-9)
    assert value("return_mean").n == len(g)
    assert value("return_sd").value == pytest.approx(np.sqrt(spread), abs=1e-9)
    length = np.average([n for _, _, n, _, _ in found], weights=[k for *_, k, _ in found])
    assert value("episode_length").value == pytest.approx(length, abs=1e-9)
    assert value("truncated_share").value == np.mean([not over for *_, over in found])


def lower_tail(g, k, share: float = 0.1) -> float:
    """Mean of the worst share of weighted returns, the boundary split."""
    order = np.argsort(g)
    g, k = g[order], k[order] / k.sum()
    return float((np.clip(share - (np.cumsum(k) - k), 0, k) * g).sum() / share)


def inverse(g, k, share: float) -> float:
    """The smallest return with at least this share of the weight at or below it."""
    order = np.argsort(g)
    return float(g[order][np.searchsorted(np.cumsum(k[order]) / k.sum(), share)])


def test_the_distribution_of_returns_equals_plain_python(store, config) -> None:
    table = table_of(log_of(9, 700, cut=6))
    arrive(store, table)
    build(store, config, None)
    sheet = sheet_of(store, config)
    value = lambda metric: sheet.estimate(metric, "old", HOUR, HOUR + 200).value  # noqa: E731
    g, k = np.array([(g, k) for _, g, _, k, _ in naive(table)]).T
    for share in (0.05, 0.25, 0.5, 0.75, 0.95):
        assert value(f"return_q{100 * share:02.0f}") == pytest.approx(inverse(g, k, share), abs=1e-9)
    assert value("return_cvar10") == pytest.approx(lower_tail(g, k), abs=1e-9)
    assert sheet.estimate("return_q50", "old", HOUR, HOUR + 200).high > config.reward.range[1]


def test_the_shape_of_returns_equals_scipys(store, config) -> None:
    from scipy import stats

    table = table_of(log_of(9, 500, cut=6))
    at = table.schema.get_field_index("keep_prob")
    arrive(store, table.set_column(at, "keep_prob", [[1.0] * len(table)]))
    build(store, config, None)
    sheet = sheet_of(store, config)
    value = lambda metric: sheet.estimate(metric, "old", HOUR, HOUR + 200).value  # noqa: E731
    g = [g for _, g, *_ in naive(table)]
    assert value("return_skewness") == pytest.approx(stats.skew(g, bias=False), abs=1e-9)
    assert value("return_kurtosis") == pytest.approx(stats.kurtosis(g, bias=False), abs=1e-9)


def test_the_cost_of_episodes_equals_plain_python(store, everything) -> None:
    table = table_of(log_of(12, 300, cut=5))
    arrive(store, table)
    build(store, everything, FROZEN)
    costs = table.set_column(table.schema.get_field_index("reward"), "reward", table["cost_slow"])
    c, k = np.array([(c, k) for _, c, _, k, _ in naive(costs)]).T
    sheet = sheet_of(store, everything)
    found = sheet.estimate("episode_cost", "old", HOUR, HOUR + 200, key="slow")
    assert found.value == pytest.approx(np.average(c, weights=k), abs=1e-9)
    assert (found.n, found.judgeable, sheet.keys("episode_cost")) == (300, True, ["slow"])


def test_the_pressure_of_a_constraint_on_episodes_folds_the_costs_of_episodes(store, everything) -> None:
    table = table_of(log_of(12, 300, cut=5))
    arrive(store, table)
    build(store, everything, FROZEN)
    costs = table.set_column(table.schema.get_field_index("reward"), "reward", table["cost_slow"])
    hours = defaultdict(list)
    for home, c, _, k, _ in naive(costs):
        hours[home].append((c, k))
    pressure, limit = 0.0, everything.constraints["slow"].limit
    for home in sorted(hours):
        c, k = np.array(hours[home]).T
        pressure = max(0.0, pressure + 0.01 * (np.average(c, weights=k) - limit))
    found = sheet_of(store, everything).estimate("constraint_pressure", "old", HOUR, HOUR + 200, key="slow")
    assert pressure > 0 and found.value == pytest.approx(pressure, abs=1e-9)


def test_the_baseline_keeps_how_much_the_episode_costs_of_its_windows_vary(store, everything) -> None:
    table = table_of(log_of(13, 400, cut=5))
    arrive(store, table)
    costs = table.set_column(table.schema.get_field_index("reward"), "reward", table["cost_slow"])
    windows = defaultdict(list)
    for home, c, _, k, _ in naive(costs):
        windows[home].append((c, k))
    values = [np.average(*np.array(rows).T[:1], weights=np.array(rows).T[1]) for rows in windows.values()]
    with duckdb.connect(str(store.decisions)) as connection:
        found = cost_spreads(connection, everything, "TRUE", 1)["slow"]
    assert found == {"sd": pytest.approx(np.std(values, ddof=1), abs=1e-9), "windows": len(values)}


def test_an_episode_is_counted_in_the_hour_in_which_it_is_known_to_be_over(store, config) -> None:
    table = table_of(log_of(2, 60, cut=9))
    arrive(store, table)
    build(store, config, None)
    expected = defaultdict(int)
    for home, *_ in naive(table):
        expected[home] += 1
    counts = defaultdict(int)
    for row in cells(store, "episode"):
        counts[row[2]] += row[5]
    assert dict(counts) == dict(expected)


@pytest.mark.parametrize("seed", range(2))
def test_sums_do_not_depend_on_the_order_and_the_parts_in_which_rows_come(tmp_path, everything, seed) -> None:
    table = table_of(log_of(seed, 80, cut=12, hours=30))
    order = np.random.default_rng(seed).permutation(len(table))
    stores = []
    for at, parts in enumerate([[np.arange(len(table))], np.array_split(order, 3)]):
        store = Store(tmp_path / f"var{at}")
        store.create()
        with duckdb.connect(str(store.decisions)) as connection:
            schema.create(connection, everything)
        for part in parts:
            arrive(store, table.take(part))
            build(store, everything, FROZEN)
        stores.append(store)
    for name in WHOLE:
        assert cells(stores[0], name) == cells(stores[1], name) != [], name


def one(hours, terminal=(), rewards=None, name="x", policy="old"):
    """Rows of one episode at the given hours."""
    import pyarrow as pa

    size = len(hours)
    return pa.table({
        "decision_id": [f"{name}{h}" for h in hours], "episode_id": [name] * size,
        "ts": [EPOCH + timedelta(hours=h) for h in hours], "hour": [HOUR + int(h) for h in hours],
        "policy_id": [policy] * size, "candidate_id": [""] * size, "segment": [""] * size,
        "unit_hash": [5] * size, "row_hash": [hash((name, h)) % 2**40 for h in hours],
        "terminal": [h in terminal for h in hours], "keep_prob": [1.0] * size,
        "reward": pa.array(rewards if rewards is not None else [1.0] * size, pa.float64()),
    })


def counted(store: Store) -> dict[int, tuple[int, float]]:
    """Episodes and the sum of their returns by hour, from the start of the log."""
    found = [row for row in cells(store, "episode") if row[5]]
    return {row[2] - HOUR: (row[5], round(row[15] + 0.5 * row[13], 9)) for row in found}


def test_an_open_episode_waits_in_a_later_hour_and_moves_when_it_goes_on(store, config) -> None:
    arrive(store, one([3.5]))
    build(store, config, None)
    assert counted(store) == {5: (1, 1.0)}
    arrive(store, one([4.5, 6.2]))
    build(store, config, None)
    assert counted(store) == {8: (1, 1 + 0.9 + 0.81)}
    arrive(store, one([7.1], terminal=[7.1]))
    build(store, config, None)
    assert counted(store) == {7: (1, round(1 + 0.9 + 0.81 + 0.729, 9))}


def test_a_row_after_the_silence_or_after_the_end_begins_another_episode(store, config) -> None:
    arrive(store, one([0.0, 1.0, 5.0, 5.5, 6.0], terminal=[5.5]))
    build(store, config, None)
    assert counted(store) == {3: (1, 1.9), 5: (1, 1.9), 8: (1, 1.0)}


def test_a_late_row_that_fills_the_silence_joins_two_episodes(store, config) -> None:
    arrive(store, one([0.0, 3.0], terminal=[3.0]))
    build(store, config, None)
    assert counted(store) == {2: (1, 1.0), 3: (1, 1.0)}
    arrive(store, one([1.5]))
    build(store, config, None)
    assert counted(store) == {3: (1, round(1 + 0.9 + 0.81, 9))}


def test_a_late_reward_of_a_first_step_changes_the_hour_of_the_last(store, config) -> None:
    arrive(store, one([0.0, 1.5, 3.0], terminal=[3.0], rewards=[None, 1.0, 1.0]))
    build(store, config, None)
    assert counted(store) == {3: (1, 0.0)}
    with duckdb.connect(str(store.decisions)) as connection:
        connection.execute("UPDATE decisions SET reward = 0.5 WHERE reward IS NULL")
        connection.execute(f"INSERT INTO dirty_hours VALUES ({HOUR})")
    build(store, config, None)
    assert counted(store) == {3: (1, round(0.5 + 0.9 + 0.81, 9))}


def test_an_episode_of_two_policies_belongs_to_neither(store, config) -> None:
    arrive(store, one([0.0, 0.5, 1.0], terminal=[1.0]))
    arrive(store, one([0.1, 0.6], name="y"))
    arrive(store, one([0.9], terminal=[0.9], name="y", policy="new"))
    build(store, config, None)
    found = sheet_of(store, config).estimate("return_mean", "old", HOUR, HOUR + 9)
    assert (found.n, found.value, found.reason) == (1, pytest.approx(2.71), "mixed_policies")


def test_rows_without_an_episode_are_told(store, config) -> None:
    import pyarrow as pa

    arrive(store, one([0.0, 0.5], terminal=[0.5]))
    bare = one([0.2], name="z")
    bare = bare.set_column(bare.schema.get_field_index("episode_id"), "episode_id", pa.nulls(1, pa.string()))
    arrive(store, bare)
    build(store, config, None)
    found = sheet_of(store, config).estimate("return_mean", "old", HOUR, HOUR + 9)
    assert (found.n, found.reason) == (1, "missing_episode")


def test_without_episodes_the_return_is_the_reward(store, config) -> None:
    import pyarrow as pa

    table = table_of(log_of(3, 50))
    bare = table.set_column(
        table.schema.get_field_index("episode_id"), "episode_id", pa.nulls(len(table), pa.string())
    )
    arrive(store, bare)
    build(store, config, None)
    sheet = sheet_of(store, config)
    for ours, theirs in (("return_mean", "reward_mean"), ("return_sd", "reward_sd")):
        a, b = (sheet.estimate(metric, "old", HOUR, HOUR + 200) for metric in (ours, theirs))
        assert a == b and a.n == len(table)
    assert sheet.estimate("episode_length", "old", HOUR, HOUR + 200).value == 1.0


def test_unknown_rewards_in_more_than_one_episode_of_a_hundred_are_told(store, config) -> None:
    arrive(store, holes(table_of(log_of(4, 300)), 0.05))
    build(store, config, None)
    found = sheet_of(store, config).estimate("return_mean", "old", HOUR, HOUR + 200)
    assert found.reason == "missing_reward" and np.isfinite(found.value)


def test_episodes_that_begin_where_rows_were_pruned_are_not_summed_from_what_is_left(store, config) -> None:
    arrive(store, one([30.0, 31.0], terminal=[31.0]))
    arrive(store, one([24.5, 25.0], terminal=[25.0], name="cut"))
    with duckdb.connect(str(store.decisions)) as connection:
        connection.execute(f"INSERT INTO pruned VALUES ({HOUR + 24}, 'x')")
    build(store, config, None)
    assert counted(store) == {31: (1, 1.9)}


SAMPLES = ("returns", "weighted_returns")


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_of_episodes_merge_by_keeping_the_smallest_hashes(name, config, monkeypatch) -> None:
    from monitor.sums import returns

    monkeypatch.setattr(returns, "SIZE", 9)

    def sample(*seeds):
        connection = duckdb.connect(":memory:")
        schema.create(connection, config)
        for seed in seeds:
            connection.register("rows", table_of(log_of(seed, 200, cut=9), f"{seed}-", seed))
            connection.execute("INSERT INTO decisions BY NAME SELECT * FROM rows")
        found = connection.sql(FAMILIES[name].select(config, None)).fetchall()
        by_hour = defaultdict(list)
        for _, _, hour, _, _, row_hash, _, g, k, *_ in found:
            by_hour[hour].append((row_hash, round(g, 12), round(k, 12)))
        return by_hour

    first, second, both = sample(1), sample(2), sample(1, 2)
    assert any(len(rows) == 9 for rows in both.values())
    for hour, rows in both.items():
        assert sorted(rows) == sorted(first[hour] + second[hour])[:9]


@pytest.mark.parametrize("name", [n for n in WHOLE if not FAMILIES[n].sampled])
def test_sums_of_two_logs_with_their_own_episodes_merge_into_the_sums_of_both(name, everything) -> None:
    import pandas as pd

    family = FAMILIES[name]

    def summed(*seeds):
        connection = duckdb.connect(":memory:")
        schema.create(connection, everything)
        for seed in seeds:
            connection.register("rows", table_of(log_of(seed, 300, cut=9), f"{seed}-", seed))
            connection.execute("INSERT INTO decisions BY NAME SELECT * FROM rows")
        return connection.sql(family.select(everything, FROZEN)).to_arrow_table().to_pandas()

    whole, parts = summed(1, 2), pd.concat([summed(1), summed(2)])
    place = [c for c in whole.columns if c not in family.sums]
    merged = parts.groupby(place, as_index=False, dropna=False)[list(family.sums)].sum()
    assert len(merged) == len(whole) > 0
    merged, whole = (t.sort_values(place).reset_index(drop=True) for t in (merged, whole))
    for column in family.sums:
        exact = column == "n" or column.startswith("n_")
        near = 0.0 if exact else 1e-12
        a, b = merged[column].to_numpy(float), whole[column].to_numpy(float)
        np.testing.assert_allclose(a, b, rtol=near, atol=near)


@pytest.mark.parametrize("name", WHOLE)
def test_the_sql_of_whole_episodes_transpiles_to_spark(name, everything) -> None:
    select = FAMILIES[name].select(everything, FROZEN)
    raising = sqlglot.ErrorLevel.RAISE
    (spark,) = sqlglot.transpile(select, read="duckdb", write="spark", unsupported_level=raising)
    assert spark.startswith("SELECT") and not [w for w in NOT_PORTABLE if w in select.lower()]


def test_a_window_without_an_episode_is_never_judgeable(config) -> None:
    sheet = Sheet(lambda family: {}, config, None)
    for metric, row in METRICS.items():
        if set(row.families) & set(WHOLE):
            for key in sheet.keys(metric):
                assert not sheet.estimate(metric, "old", HOUR, HOUR + 1, "new", key).judgeable, metric


def test_a_critic_is_held_against_the_return_from_each_step_on(store, config) -> None:
    from monitor.metrics.sums import Settings

    table = holes(table_of(log_of(1, 300, cut=6)), 0.01)
    arrive(store, table)
    build(store, config, None)
    rows = defaultdict(list)
    for row in table.to_pylist():
        rows[row["episode_id"]].append(row)
    found = []
    for steps in rows.values():
        steps.sort(key=lambda r: r["step"])
        for t, row in enumerate(steps):
            rest = [r["reward"] for r in steps[t:]]
            if None not in rest:
                gap = row["q_value"] - sum(DISCOUNT**i * r for i, r in enumerate(rest))
                found.append((gap, 1 / row["keep_prob"]))
    assert len(found) < len(table)
    gap, k = np.array(found).T
    cells = sheet_of(store, config).cells("critic", "old", "", "", HOUR, HOUR + 200)
    settings = Settings(moments={"reward": (0.5, 0.3)})
    value = METRICS["critic_gap"].function({"critic": cells}, settings)
    assert value.value == pytest.approx(np.average(gap, weights=k) / 0.3, abs=1e-9)
    assert value.n == len(found)
