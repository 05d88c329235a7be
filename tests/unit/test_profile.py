"""Profiles of days, against numbers worked by hand or by numpy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from monitor.config import Loaded
from monitor.log import profile, schema
from monitor.log.profile import DAY, Ends
from monitor.reference import batches, described, stored

FIRST = 20_000
BEGIN = datetime(1970, 1, 1) + timedelta(days=FIRST)
LATER = Ends(closed=(FIRST + 10) * DAY, matured=(FIRST + 10) * DAY)


def filled(loaded: Loaded, **columns: object) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    schema.create(connection, loaded.config)
    add(connection, **columns)
    return connection


def add(connection: duckdb.DuckDBPyConnection, **columns: object) -> None:
    hours = np.asarray(columns.pop("hour"))
    n = len(hours)
    (known,) = connection.execute("SELECT COUNT(*) FROM decisions").fetchall()[0]
    table = {
        "decision_id": [f"d{known + i}" for i in range(n)], "policy_id": ["old"] * n, "keep_prob": [1.0] * n,
        "hour": hours, "ts": [at(int(h)) + timedelta(seconds=i) for i, h in enumerate(hours)],
        "unit_hash": list(range(n)), **columns,
    }  # fmt: skip
    connection.register("new", pa.table(table))
    connection.execute("INSERT INTO decisions BY NAME SELECT * FROM new")
    connection.execute("INSERT INTO dirty_hours SELECT DISTINCT hour FROM new")


def at(hour: int) -> datetime:
    return BEGIN + timedelta(hours=hour - FIRST * DAY)


def hours_of(n: int, start: int = FIRST * DAY, hours: int = DAY) -> np.ndarray:
    return start + np.arange(n) % hours


def test_the_profile_of_a_day_is_what_numpy_says(loaded: Loaded) -> None:
    rng = np.random.default_rng(3)
    load = rng.normal(5, 2, 500)
    holes = rng.random(500) < 0.1
    connection = filled(
        loaded, hour=hours_of(500), state_load=pa.array(load, mask=holes), state_season=["low", "high"] * 250
    )
    assert profile.update(connection, loaded.config, LATER) == [FIRST]
    row = stored(connection, [FIRST])[FIRST]
    seen = load[~holes]
    assert row["state_load.null_share"] == pytest.approx(holes.mean())
    assert row["state_load.min"] == seen.min() and row["state_load.max"] == seen.max()
    assert row["state_load.mean"] == pytest.approx(seen.mean())
    assert row["state_load.sd"] == pytest.approx(seen.std(ddof=1))
    assert row["state_season.distinct"] == 2 and row["batch.rows"] == 500
    assert row["reward.null_share"] == 1 and row["decision_id.null_share"] == 0


def test_the_null_share_of_the_reward_counts_matured_rows_only(loaded: Loaded) -> None:
    connection = filled(
        loaded, hour=np.repeat([FIRST * DAY, FIRST * DAY + 1], 50), reward=[1.0] * 40 + [None] * 60
    )
    profile.update(connection, loaded.config, Ends(closed=FIRST * DAY + 2, matured=FIRST * DAY + 1))
    assert stored(connection, [FIRST])[FIRST]["reward.null_share"] == pytest.approx(0.2)


def test_only_days_that_changed_or_are_not_over_are_profiled_again(loaded: Loaded) -> None:
    connection = filled(loaded, hour=hours_of(96, hours=96))
    assert profile.update(connection, loaded.config, LATER) == [FIRST, FIRST + 1, FIRST + 2, FIRST + 3]
    connection.execute("DELETE FROM dirty_hours")
    assert profile.update(connection, loaded.config, LATER) == [FIRST + 3]
    add(connection, hour=[FIRST * DAY + 30], unit_hash=[1])
    assert profile.update(connection, loaded.config, LATER) == [FIRST + 1, FIRST + 3]
    assert stored(connection, [FIRST + 1])[FIRST + 1]["batch.rows"] == 25


def test_rows_that_come_after_their_hour_was_closed_are_late(loaded: Loaded) -> None:
    connection = filled(loaded, hour=hours_of(240))
    profile.update(connection, loaded.config, LATER)
    add(connection, hour=hours_of(60))
    profile.update(connection, loaded.config, LATER)
    assert batches(connection, [FIRST], None, LATER.closed)[FIRST]["batch.late_share"] == pytest.approx(0.2)


def test_rows_that_repeat_another_under_a_new_id_are_duplicates(loaded: Loaded) -> None:
    same = {"ts": [BEGIN] * 4, "unit_hash": [1, 1, 1, 2], "action": ["a"] * 4}
    connection = filled(loaded, hour=[FIRST * DAY] * 4, **same)
    profile.update(connection, loaded.config, LATER)
    assert stored(connection, [FIRST])[FIRST]["batch.duplicate_share"] == 0.5


def propensity_checks(loaded: Loaded, logged: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float]:
    rng = np.random.default_rng(7)
    pi = np.array([0.6, 0.3, 0.1])
    action = rng.choice(3, 6000, p=pi)
    connection = filled(
        loaded, hour=hours_of(6000), action=[f"a{a}" for a in action], propensity=logged(pi[action])
    )
    profile.update(connection, loaded.config, LATER)
    row = stored(connection, [FIRST])[FIRST]
    return row["batch.weight_check"], row["batch.propensity_check"]


def test_right_propensities_meet_both_laws_and_wrong_ones_break_one(loaded: Loaded) -> None:
    weight, mean = propensity_checks(loaded, lambda p: p)
    assert 0.85 < weight <= 1 and mean >= 3 * (0.36 + 0.09 + 0.01)
    weight, mean = propensity_checks(loaded, lambda p: p / 10)
    assert weight > 5 and mean < 0.2
    weight, mean = propensity_checks(loaded, lambda p: 0.7 - p)
    assert weight > 1.5


def test_volume_is_told_against_the_same_hours_of_the_baseline(loaded: Loaded) -> None:
    busy = {h: 200 if h % DAY < 12 else 20 for h in range(FIRST * DAY, (FIRST + 4) * DAY)}
    frame = {day: {"batch.rows": 2640.0} for day in range(FIRST, FIRST + 4)}
    body = described(frame, busy, DAY)
    assert body["hours"] == [200.0] * 12 + [20.0] * 12
    assert body["volume"] == body["quietest"] == pytest.approx(1)
    hours = [h + DAY * 4 for h, n in busy.items() if h < (FIRST + 1) * DAY for _ in range(n)]
    half = [h for i, h in enumerate(hours) if not (h % DAY >= 12 and i % 4)]
    connection = filled(loaded, hour=[*half, (FIRST + 5) * DAY])
    profile.update(connection, loaded.config, LATER)
    row = batches(connection, [FIRST + 4], body, LATER.closed)[FIRST + 4]
    assert row["batch.volume"] == pytest.approx(len(half) / 2640)
    assert row["batch.quietest"] == pytest.approx(0.25)


def test_few_rows_and_unfinished_days_have_no_shares_means_or_spreads(loaded: Loaded) -> None:
    connection = filled(loaded, hour=hours_of(300, hours=30), state_load=np.arange(300.0))
    profile.update(connection, loaded.config, LATER)
    frame = batches(connection, [FIRST, FIRST + 1], None, LATER.closed)
    assert np.isfinite(frame[FIRST]["state_load.sd"]) and frame[FIRST + 1]["batch.rows"] == 60
    few = frame[FIRST + 1]
    assert np.isnan(few["state_load.mean"]) and np.isnan(few["state_load.null_share"])
    assert few["state_load.max"] == 299 and few["ts.null_share"] == 0
