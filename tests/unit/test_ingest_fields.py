"""What a field becomes: typed value, NULL with a fault, or a reject; worked by hand."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from monitor import config as configuration
from monitor.log import schema
from monitor.log.columns import steps, wanted
from monitor.log.ingest import ingest

NOW = datetime(2026, 3, 2, tzinfo=UTC)
CONFIG = """\
policies: {{candidate: new, incumbent: old, safe: old}}
log: {{paths: ["log"], format: {format}, propensity: {propensity}, time: {time}, columns: {columns}}}
state: {{numeric: [load], categorical: [season]}}
reward: {{range: [0, 1], missing_after_maturity: exclude}}
constraints: {{crash: {{limit: 0.0, margin: 0.0, hard: true}}}}
envelope: {{speed: [0.2, 1.0]}}
{more}
"""
Read = Callable[..., duckdb.DuckDBPyConnection]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """A function that ingests records and returns the store."""

    def ingested(
        data: bytes, format: str = "jsonl", propensity: str = "probability", time: str = "iso",
        columns: str = "{}", more: str = "", zone: str = "UTC",
    ) -> duckdb.DuckDBPyConnection:  # fmt: skip
        (tmp_path / "log").write_bytes(data)
        text = CONFIG.format(format=format, propensity=propensity, time=time, columns=columns, more=more)
        (tmp_path / "monitor.yaml").write_text(text, "utf-8")
        connection = duckdb.connect()
        connection.execute(f"SET TimeZone = '{zone}'")
        loaded = configuration.load(tmp_path / "monitor.yaml")
        account = ingest(connection, loaded, as_of=NOW, now=NOW)
        assert account.problems == []
        return connection

    return ingested


def record(**fields: Any) -> bytes:
    base = {"decision_id": "a", "ts": "2026-03-01T00:00:00Z", "policy_id": "old"}
    return json.dumps({**base, **fields}).encode() + b"\n"


def cell(connection: duckdb.DuckDBPyConnection, column: str) -> Any:
    ((value,),) = connection.execute(f"SELECT {column} FROM decisions").fetchall()
    return value


def faults(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    return connection.execute("SELECT column_name, reason FROM faults").fetchall()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01T10:00:00", datetime(2026, 3, 1, 10)),
        ("2026-03-01T10:00:00Z", datetime(2026, 3, 1, 10)),
        ("2026-03-01T10:00:00+05:30", datetime(2026, 3, 1, 4, 30)),
        ("2026-03-01 10:00:00.25-01:00", datetime(2026, 3, 1, 11, 0, 0, 250000)),
        ("2026-03-01", datetime(2026, 3, 1)),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_a_time_without_offset_is_utc_wherever_the_machine_stands(
    read: Read, text: str, expected: datetime, zone: str
) -> None:
    assert cell(read(record(ts=text), zone=zone), "ts") == expected


NO_TIME = ["epoch", "infinity", "tomorrow", "1772323200", 1772323200, True, "2026-13-01"]


@pytest.mark.parametrize("ts", NO_TIME)
def test_what_is_no_iso_time_rejects_the_record(read: Read, ts: Any) -> None:
    connection = read(record(ts=ts))
    assert connection.execute("SELECT reason FROM rejects").fetchall() == [("bad_ts",)]


@pytest.mark.parametrize(
    ("time", "ts"), [("epoch_seconds", 1772323200.5), ("epoch_milliseconds", 1772323200500)]
)
def test_epoch_times_are_read_as_declared(read: Read, time: str, ts: float) -> None:
    assert cell(read(record(ts=ts), time=time), "ts") == datetime(2026, 3, 1, 0, 0, 0, 500000)


def test_milliseconds_declared_as_seconds_are_refused_and_not_placed_in_a_far_year(read: Read) -> None:
    connection = read(record(ts=1772323200500), time="epoch_seconds")
    assert connection.execute("SELECT reason FROM rejects").fetchall() == [("bad_ts",)]


@pytest.mark.parametrize(
    ("column", "value", "expected", "reason"),
    [
        ("propensity", "0.5", 0.5, None),
        ("propensity", True, None, "wrong_type"),
        ("propensity", 0, None, "out_of_range"),
        ("propensity", 1.0000001, None, "out_of_range"),
        ("propensity", "", None, "wrong_type"),
        ("propensity", [0.5], None, "wrong_type"),
        ("propensity", None, None, None),
        ("candidate_propensity", 0, 0.0, None),
        ("candidate_propensity", -0.1, None, "out_of_range"),
        ("keep_prob", 0, 1.0, "out_of_range"),
        ("keep_prob", 0.25, 0.25, None),
        ("step", 3.0, 3, None),
        ("step", 3.5, None, "wrong_type"),
        ("n_actions", 0, None, "out_of_range"),
        ("irreversible", 1, True, None),
        ("irreversible", "false", False, None),
        ("irreversible", 2, None, "wrong_type"),
        ("state_season", {"a": 1}, None, "wrong_type"),
        ("state_season", "[not a list]", "[not a list]", None),
        ("state_season", 7, "7", None),
        ("action_probs", [0.5, 0.4999], None, "out_of_range"),
        ("action_probs", [1.5, -0.5], None, "out_of_range"),
        ("action_probs", [0.5, None, 0.5], None, "wrong_type"),
        ("action_probs", [], None, "out_of_range"),
        ("action_probs", [0.5, float("nan")], None, "non_finite"),
        ("reward_ts", "soon", None, "wrong_type"),
        ("cost_crash", float("-inf"), None, "non_finite"),
    ],
)
def test_a_field_is_typed_or_becomes_null_with_its_reason(
    read: Read, column: str, value: Any, expected: Any, reason: str | None
) -> None:
    connection = read(record(**{column: value}))
    assert cell(connection, column) == expected
    assert faults(connection) == ([(column, reason)] if reason else [])


@pytest.mark.parametrize(
    ("declared", "value", "expected"),
    [("log", -1.5, math.exp(-1.5)), ("log", 0.1, None), ("log", -1e9, None), ("density", 7.5, 7.5),
     ("density", 0, None)],
)  # fmt: skip
def test_a_propensity_is_read_as_declared(
    read: Read, declared: str, value: float, expected: float | None
) -> None:
    got = cell(read(record(propensity=value), propensity=declared), "propensity")
    assert got == (pytest.approx(expected, rel=1e-15) if expected is not None else None)


def test_a_candidate_that_never_takes_the_action_has_log_propensity_minus_infinity(read: Read) -> None:
    connection = read(record(candidate_propensity=float("-inf")), propensity="log")
    assert cell(connection, "candidate_propensity") == 0.0 and faults(connection) == []


def test_nested_fields_and_list_elements_are_found_by_their_path(read: Read) -> None:
    columns = """{policy_id: policy_id, action: a.taken.0, state_load: 'x.sensors[1].v',
        segment: [site, a.shift]}"""
    action = {"taken": ["left", "right"], "shift": "night"}
    row = record(a=action, x={"sensors": [{"v": 1}, {"v": 2.5}]}, site="n")
    connection = read(row, columns=columns)
    assert connection.execute("SELECT action, state_load, segment FROM decisions").fetchall() == [
        ("left", 2.5, "n/night")
    ]
    assert steps("a.0.b[12].c") == ["a", 0, "b", 12, "c"]


def test_an_action_outside_its_envelope_is_a_breach(read: Read) -> None:
    connection = read(record(action_speed=1.25))
    found = connection.execute("SELECT decision_id, rule, key, value, rejected FROM breaches").fetchall()
    assert found == [("a", "envelope", "speed", 1.25, False)]


def test_a_rejected_record_keeps_its_breach_and_its_own_hour(read: Read) -> None:
    connection = read(record(decision_id=None, irreversible=True, cost_crash=3))
    found = connection.execute("SELECT rule, value, rejected, ts FROM breaches ORDER BY rule").fetchall()
    ts = datetime(2026, 3, 1)
    assert found == [("hard", 3.0, True, ts), ("irreversible", 1.0, True, ts)]
    hour = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp() // 3600)
    assert connection.execute("SELECT hour FROM rejects").fetchall() == [(hour,)]


def test_a_reject_without_a_time_counts_in_the_first_good_hour(read: Read) -> None:
    connection = read(b"nonsense\n" + record() + record(decision_id="b", ts="2030-01-01"))
    hour = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp() // 3600)
    found = connection.execute("SELECT reason, hour FROM rejects ORDER BY line").fetchall()
    assert found == [("not_json", hour), ("future", hour)]


def md5_63(text: str) -> int:
    return int.from_bytes(hashlib.md5(text.encode()).digest()[8:], "little") & (2**63 - 1)


@pytest.mark.parametrize(
    ("more", "fields", "unit"),
    [
        ("unit: decision", {"unit_id": "u"}, "a"),
        ("unit: {column: user}", {"user": "u7"}, "u7"),
        ("unit: {block: 1h}", {}, "block 492312"),
        ("", {"unit_id": "u", "episode_id": "e"}, "u"),
        ("", {"episode_id": "e"}, "e"),
        ("", {}, "block 20513"),
    ],
)
def test_the_unit_is_what_the_configuration_says(
    read: Read, more: str, fields: dict[str, str], unit: str
) -> None:
    connection = read(record(**fields), more=more)
    found = connection.execute("SELECT unit_hash, row_hash FROM decisions").fetchall()
    assert found == [(md5_63(unit), md5_63("a"))]


def test_a_missing_unit_is_a_fault_and_joins_the_block_of_its_day(read: Read) -> None:
    connection = read(record() + record(decision_id="b"), more="unit: {column: user}")
    assert faults(connection) == [("unit_id", "missing")] * 2
    assert connection.execute("SELECT COUNT(DISTINCT unit_hash) FROM decisions").fetchall() == [(1,)]


def test_only_mapped_columns_and_expected_ones_are_read(read: Read) -> None:
    columns = "{policy_id: policy_id}"
    connection = read(record(reward=1, state_load=2, cost_crash=0, action="x"), columns=columns)
    row = connection.execute("SELECT reward, state_load, cost_crash, action FROM decisions").fetchall()
    assert row == [(None, 2.0, 0.0, None)]


def test_a_feature_added_to_the_configuration_adds_its_column(read: Read, tmp_path: Path) -> None:
    connection = read(record())
    text = (tmp_path / "monitor.yaml").read_text().replace("[load]", "[load, wind]")
    (tmp_path / "monitor.yaml").write_text(text)
    loaded = configuration.load(tmp_path / "monitor.yaml")
    schema.create(connection, loaded.config)
    assert connection.execute("SELECT state_wind FROM decisions").fetchall() == [(None,)]
    assert "state_wind" in {c.name for c in wanted(loaded.config, loaded.config.log.sources[0])}
