"""Two arms: sums merge, numbers equal naive ones over raw rows, and the e-value keeps its promise."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2

from monitor.config import Experiment, Unit
from monitor.log import schema
from monitor.metrics.ab import log_sample_ratio_e
from monitor.sheet import Sheet
from monitor.sums import FAMILIES
from monitor.sums.baseline import Baseline
from monitor.sums.build import restricted
from monitor.sums.read import read
from tests.laws.test_merge import FROZEN

HOUR = 490_008
DAYS, UNITS = 21, 900
END = HOUR + DAYS * 24
EDGES = FROZEN.bins["load"]["edges"]


def rows_of(seed: int, share: float = 0.2, n: int = 9000, shift: float = 0.0) -> pd.DataFrame:
    """Decisions of units that stay in their arm, but for a few; the control decided before as well."""
    rng = np.random.default_rng(seed)
    unit = rng.integers(0, UNITS, n)
    ours = np.random.default_rng(99).random(UNITS) < share
    new = np.where(rng.random(n) < 0.002, ~ours[unit], ours[unit])
    hour = rng.integers(HOUR - 7 * 24, END, n)
    new &= hour >= HOUR
    return pd.DataFrame({
        "decision_id": [f"{seed}-{i}" for i in range(n)],
        "hour": hour,
        "ts": pd.to_datetime(hour * 3_600_000_000 + rng.integers(0, 3_600_000_000, n), unit="us"),
        "policy_id": np.where(new, "new", "old"), "candidate_id": "", "segment": "all",
        "unit_hash": unit * 7919 + 13, "row_hash": rng.integers(0, 2**62, n),
        "reward": (1 + 0.1 * new) * rng.choice([0.0, 1.0, 2.0, np.nan], n, p=[0.4, 0.3, 0.25, 0.05]),
        "keep_prob": rng.choice([1.0, 0.5], n),
        "state_load": rng.normal(0, 1, n) + shift * new,
        "state_season": rng.choice(["low", "mid", "high", "rare"], n),
    })  # fmt: skip


def filled(loaded, *frames: pd.DataFrame) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:")
    schema.create(connection, loaded.config)
    for frame in frames:
        table = pa.Table.from_pandas(frame, preserve_index=False)
        connection.register("rows", table)
        connection.execute("INSERT INTO decisions BY NAME SELECT * FROM rows")
        connection.execute("UPDATE decisions SET reward = NULL WHERE isnan(reward)")
    return connection


def sheet_of(loaded, connection: duckdb.DuckDBPyConnection) -> Sheet:
    for name in ("arm", "exposure", "state"):
        select = FAMILIES[name].select(loaded.config, FROZEN)
        if select is not None:
            connection.execute(f'CREATE TABLE "sums_{name}" AS {restricted(select, "TRUE")}')
    counts = {"hour": [HOUR], "bin": [1], "n": [100]}
    body = {
        "features": {
            f: {**bins, "counts": counts, "block_maxima": {}, "n_blocks": 0}
            for f, bins in FROZEN.bins.items()
        },
        "usual": {}, "action_sd": {}, "rows": 100, "n_actions": 3, "actions": 3, "phi": {},
    }  # fmt: skip
    return Sheet(
        lambda family: read(connection, family, HOUR + 48, END, END - HOUR - 48),
        loaded.config, Baseline(FROZEN.hash, body),
    )


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return rows_of(3)


@pytest.fixture
def sheet(loaded, rows) -> Sheet:
    return sheet_of(loaded, filled(loaded, rows))


def value(sheet: Sheet, metric: str, key: str = "") -> float:
    """Measured over a window that begins two days late: an experiment counts from its own beginning."""
    return sheet.estimate(metric, "new", HOUR + 48, END, "new", key).value


def first_exposures(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a unit: its first decision since the experiment began, one unit after the other."""
    since = rows[rows.hour >= HOUR].sort_values("ts", kind="stable")
    firsts = {}
    for row in since.itertuples():
        firsts.setdefault(row.unit_hash, row)
    return pd.DataFrame(firsts.values())


def mean(rows: pd.DataFrame) -> float:
    known = rows[rows.reward.notna()]
    return float(np.average(known.reward, weights=1 / known.keep_prob))


def test_units_and_the_ratio_of_the_arms_equal_naive_counts(sheet, rows) -> None:
    firsts, since = first_exposures(rows), rows[rows.hour >= HOUR]
    x, n = int((firsts.policy_id == "new").sum()), len(firsts)
    lgamma = math.lgamma
    beta = lambda a, b: lgamma(a) + lgamma(b) - lgamma(a + b)  # noqa: E731
    expected = beta(40 + x, 160 + n - x) - beta(40, 160) - x * math.log(0.2) - (n - x) * math.log(0.8)
    assert math.log(value(sheet, "sample_ratio_e")) == pytest.approx(expected, abs=1e-9)
    both = since.groupby("unit_hash").policy_id.nunique().gt(1).mean()
    assert value(sheet, "units_in_both") == pytest.approx(both, abs=1e-12) and both > 0


def test_lifts_equal_naive_numpy(sheet, rows) -> None:
    since = rows[rows.hour >= HOUR]
    began = first_exposures(rows).set_index("unit_hash").hour
    late = since.hour >= since.unit_hash.map(began) + 168
    arms = lambda part: mean(part[part.policy_id == "new"]) - mean(part[part.policy_id == "old"])  # noqa: E731
    assert value(sheet, "ab_lift") == pytest.approx(arms(since), abs=1e-9)
    assert value(sheet, "ab_lift_later") == pytest.approx(arms(since[late]), abs=1e-9)
    assert value(sheet, "novelty") == pytest.approx(arms(since[late]) - arms(since[~late]), abs=1e-9)
    age = (since.hour - since.unit_hash.map(began)) // 168 + 1
    for week in (1, 2, 3):
        part = since[age == week]
        assert value(sheet, "ab_lift_week", str(week)) == pytest.approx(arms(part), abs=1e-9)
    assert sheet.estimate("ab_lift_week", "new", HOUR, END, "new", "4").reason == "no_data" and age.max() == 3
    assert sheet.keys("ab_lift_week") == ["1", "2", "3", "4"]
    control = rows[rows.policy_id == "old"]
    moved = mean(control[control.hour >= HOUR]) - mean(control[control.hour < HOUR])
    assert value(sheet, "control_moved") == pytest.approx(moved, abs=1e-9)


@pytest.mark.parametrize(("design", "season"), [("before_after", "24h"), ("switchback", "7d")])
def test_the_lift_in_matched_hours_equals_a_loop_over_them(loaded, rows, design, season) -> None:
    named = {"design": design, "from": datetime.fromtimestamp(HOUR * 3600, UTC), "days": 14}
    config = loaded.config.model_copy(
        update={"experiment": Experiment.model_validate(named), "season": season, "unit": Unit(block="24h")}
    )
    alone = loaded.model_copy(update={"config": config})
    found = sheet_of(alone, filled(alone, rows)).estimate("matched_lift", "new", HOUR + 48, END, "new")
    known = rows[rows.reward.notna()].assign(
        k=lambda f: 1 / f.keep_prob, h=lambda f: f.hour % (24 if season == "24h" else 168)
    )
    after = known.hour >= HOUR
    ours = known[after & (known.policy_id == "new")]
    theirs = known[(known.policy_id == "old") & (after if design == "switchback" else ~after)]
    whole = lifted = 0.0
    for h, mine in ours.groupby("h"):
        other = theirs[theirs.h == h]
        if len(other):
            difference = np.average(mine.reward, weights=mine.k) - np.average(other.reward, weights=other.k)
            whole, lifted = whole + mine.k.sum(), lifted + mine.k.sum() * difference
    assert found.value == pytest.approx(lifted / whole, abs=1e-9)
    assert found.judgeable and found.low < found.value < found.high and "jackknife of" in found.method
    assert found.n == len(ours) + len(theirs)


def test_a_plant_that_the_candidate_held_for_six_days_is_not_judged_yet(loaded, rows) -> None:
    named = {"design": "before_after", "from": datetime.fromtimestamp(HOUR * 3600, UTC), "days": 2}
    config = loaded.config.model_copy(
        update={"experiment": Experiment.model_validate(named), "unit": Unit(block="24h")}
    )
    alone = loaded.model_copy(update={"config": config})

    def reason(days):
        kept = rows[(rows.policy_id == "old") | (rows.hour // 24 < HOUR // 24 + days)]
        return sheet_of(alone, filled(alone, kept)).estimate("matched_lift", "new", HOUR, END, "new").reason

    assert (reason(6), reason(7)) == ("low_units", None)


def test_before_and_after_that_share_no_hour_are_not_compared(loaded, rows) -> None:
    named = {"design": "before_after", "from": datetime.fromtimestamp(HOUR * 3600, UTC), "days": 14}
    config = loaded.config.model_copy(update={"experiment": Experiment.model_validate(named)})
    alone = loaded.model_copy(update={"config": config})
    day = rows.hour % 24 < 12
    apart = rows[np.where(rows.hour >= HOUR, day, ~day)]
    found = sheet_of(alone, filled(alone, apart)).estimate("matched_lift", "new", HOUR, END, "new")
    assert found.reason == "no_data"


def test_the_interval_of_the_lift_is_the_jackknife_over_shared_buckets(loaded, rows) -> None:
    week = rows[(rows.hour >= HOUR) & (rows.hour < HOUR + 120) & rows.reward.notna()]
    found = sheet_of(loaded, filled(loaded, week)).estimate("ab_lift", "new", HOUR, END, "new")
    bucket = week.unit_hash % 64
    arms = lambda part: mean(part[part.policy_id == "new"]) - mean(part[part.policy_id == "old"])  # noqa: E731
    without = np.array([arms(week[bucket != b]) for b in range(64)])
    se = math.sqrt(63 / 64 * ((without - without.mean()) ** 2).sum())
    assert (found.high - found.low) / 2 / se == pytest.approx(1.998341, abs=1e-5)  # t, 63 degrees of freedom


def test_traffic_is_compared_at_first_exposure(sheet, loaded, rows) -> None:
    firsts = first_exposures(rows)
    place = np.searchsorted(EDGES, firsts.state_load, side="right")
    arms = [np.bincount(place[firsts.policy_id == p], minlength=9) for p in ("new", "old")]
    n, m = (a.sum() for a in arms)
    raw = jensenshannon(*(a / a.sum() for a in arms)) ** 2
    bins = int(((arms[0] + arms[1]) > 0).sum())
    expected = chi2.sf(8 * raw / (1 / n + 1 / m), bins - 1)
    assert value(sheet, "traffic_p", "load") == pytest.approx(expected, abs=1e-9)
    assert value(sheet, "traffic_p", "season") > 0.001
    other = sheet_of(loaded, filled(loaded, rows_of(4, shift=1.0)))
    assert value(other, "traffic_p", "load") < 1e-6 < value(other, "traffic_p", "season")


def test_where_every_decision_is_a_unit_all_rows_are_exposures(loaded, rows) -> None:
    alone = loaded.model_copy(update={"config": loaded.config.model_copy(update={"unit": "decision"})})
    sheet = sheet_of(alone, filled(alone, rows))
    since = rows[rows.hour >= HOUR]
    found = sheet.estimate("sample_ratio_e", "new", HOUR, END)
    assert found.n == len(since)
    x = int((since.policy_id == "new").sum())
    assert math.log(found.value) == pytest.approx(log_sample_ratio_e(x, len(since), 0.2), abs=1e-9)
    assert sheet.estimate("traffic_p", "new", HOUR, END, key="load").n == len(since)
    assert sheet.estimate("units_in_both", "new", HOUR, END).value == 0
    assert sheet.estimate("novelty", "new", HOUR, END).reason == "no_data"


def test_exposures_of_two_logs_merge_into_those_of_both(loaded) -> None:
    select = FAMILIES["exposure"].select(loaded.config, FROZEN)
    found = [
        filled(loaded, *frames).sql(select).df()
        for frames in ([rows_of(1)], [rows_of(2)], [rows_of(1), rows_of(2)])
    ]
    place = ["policy_id", "candidate_id", "hour", "bucket", "key", "unit_hash"]
    parts = pd.concat(found[:2]).sort_values("began")
    merged = parts.groupby(place, as_index=False).agg(
        {"began": "min", "k1": "sum", "r1": "sum", "bin_load": "first", "bin_season": "first"}
    )
    whole = found[2].sort_values(place).reset_index(drop=True)
    assert len(whole) == len(merged) > 5000
    for column in (*place, "began", "bin_load", "bin_season"):
        assert (merged[column] == whole[column]).all(), column
    np.testing.assert_allclose(merged[["k1", "r1"]], whole[["k1", "r1"]], rtol=1e-12, atol=1e-12)


def test_without_an_experiment_nothing_is_summed(loaded) -> None:
    config = loaded.config.model_copy(update={"experiment": None})
    assert [FAMILIES[name].select(config, FROZEN) for name in ("arm", "exposure")] == [None, None]
    empty = Sheet(lambda family: {}, config, None)
    assert empty.estimate("sample_ratio_e", "new", HOUR, END).reason == "no_data"


def test_only_declared_segments_are_compared(loaded, rows) -> None:
    named = Experiment.model_validate(
        {"share": 0.2, "from": datetime.fromtimestamp(HOUR * 3600, UTC), "days": 14, "segments": ["other"]}
    )
    config = loaded.config.model_copy(update={"experiment": named})
    connection = filled(loaded, rows)
    assert connection.sql(FAMILIES["arm"].select(config, FROZEN)).fetchall() == []


def log_e_paths(rng: np.random.Generator, actual: float, planned: float, runs: int, n: int) -> np.ndarray:
    """log E after each of n units, for many runs, by the predictive form of the Beta mixture."""
    ours = rng.random((runs, n)) < actual
    seen = np.cumsum(ours, axis=1) - ours
    predicted = (200 * planned + seen) / (200 + np.arange(n))
    steps = np.where(ours, np.log(predicted / planned), np.log((1 - predicted) / (1 - planned)))
    return np.cumsum(steps, axis=1)


@pytest.mark.parametrize("planned", [0.5, 0.1])
def test_under_the_planned_share_the_e_value_reaches_1000_in_at_most_one_run_in_a_thousand(planned) -> None:
    rng = np.random.default_rng(8)
    reached = sum(
        int((log_e_paths(rng, planned, planned, 1000, 1500).max(axis=1) >= math.log(1000)).sum())
        for _ in range(2)
    )
    assert reached <= 2  # of 2 000 runs, looked at after every unit


def test_a_split_of_55_to_45_is_found() -> None:
    paths = log_e_paths(np.random.default_rng(9), 0.55, 0.5, 200, 4000)
    found = (paths >= math.log(1000)).any(axis=1)
    assert found.mean() > 0.95
    x = 2200
    assert log_sample_ratio_e(x, 4000, 0.5) > math.log(1000)


def test_the_predictive_form_is_the_formula() -> None:
    rng = np.random.default_rng(10)
    ours = rng.random(500) < 0.3
    rng = np.random.default_rng(10)
    path = log_e_paths(rng, 0.3, 0.2, 1, 500)[0]
    for n in (1, 17, 500):
        assert path[n - 1] == pytest.approx(log_sample_ratio_e(int(ours[:n].sum()), n, 0.2), abs=1e-9)
