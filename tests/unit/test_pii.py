"""Personal columns: what may be listed, the keyed hash, and what is left of a rejected record."""

from __future__ import annotations

import hashlib
import hmac
import json
import stat
from datetime import UTC, datetime

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor import config as configuration
from monitor import pii
from monitor.config import ConfigError, Loaded
from monitor.log import rejects
from monitor.log.ingest import ingest
from monitor.log.lines import FileError
from monitor.store import Store, StoreError

NOW = datetime(2026, 3, 9, tzinfo=UTC)
CONFIG = """\
policies: {candidate: new, incumbent: old, safe: old}
log:
  sources:
    - {paths: ["logs/*.jsonl"], format: jsonl,
       columns: {unit_id: user.id, state_zip: zip, policy_id: policy_id}}
    - {paths: ["logs/*.csv"], format: csv}
    - {paths: ["logs/*.parquet"], format: parquet}
state: {numeric: [load], categorical: [zip, season]}
reward: {range: [0, 1], missing_after_maturity: exclude}
pii: [unit_id, state_zip]
"""
GOOD = {"decision_id": "d1", "ts": "2026-03-08T10:00:00", "policy_id": "old"}


@pytest.fixture
def loaded(tmp_path) -> Loaded:
    (tmp_path / "logs").mkdir()
    (tmp_path / "monitor.yaml").write_text(CONFIG)
    return configuration.load(tmp_path / "monitor.yaml")


def keyed(loaded: Loaded, value: str) -> str:
    key = bytes.fromhex((loaded.path(loaded.config.store) / "pii.key").read_text())
    return "pii:" + hmac.new(key, value.encode(), hashlib.sha256).hexdigest()[:16]


def kept(loaded: Loaded, connection: duckdb.DuckDBPyConnection) -> list[str]:
    account = ingest(connection, loaded, as_of=NOW, now=NOW)
    assert account.problems == []
    return [raw for (raw,) in connection.execute("SELECT raw FROM rejects ORDER BY line").fetchall()]


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ("unit", "only decision_id, unit_id, episode_id, state_zip, state_season can"),
        ("state_load", "'state_load' cannot be hidden"),
        ("segment", "'segment' cannot be hidden"),
        ("state_sip", "did you mean 'state_zip'?"),
    ],
)
def test_only_text_that_nothing_is_grouped_by_can_be_hidden(tmp_path, listed, said) -> None:
    (tmp_path / "monitor.yaml").write_text(CONFIG.replace("[unit_id, state_zip]", f"[{listed}]"))
    with pytest.raises(ConfigError) as refused:
        configuration.load(tmp_path / "monitor.yaml")
    assert said in str(refused.value) and "monitor.yaml:10: 'pii'" in str(refused.value)


def test_a_feature_whose_values_are_conditions_cannot_be_hidden(tmp_path) -> None:
    (tmp_path / "monitor.yaml").write_text(CONFIG + "conditions: {zip: ['80331']}\n")
    with pytest.raises(ConfigError, match=r"while conditions\.zip shows its values"):
        configuration.load(tmp_path / "monitor.yaml")


def test_the_hash_is_hmac_sha256_with_a_key_that_only_its_owner_can_read(loaded) -> None:
    connection = duckdb.connect()
    pii.arm(connection, loaded)
    path = loaded.path(loaded.config.store) / "pii.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for value in ("ann", "Müller 🙂", "", "x" * 500):
        (found,) = connection.execute(f"SELECT {pii.hashed('?')}", [value]).fetchall()
        assert found == (keyed(loaded, value),)
    assert connection.execute(f"SELECT {pii.hashed('NULL')}").fetchall() == [(None,)]
    before = path.read_text()
    pii.arm(duckdb.connect(), loaded)
    assert path.read_text() == before and [p.name for p in path.parent.glob("*pii*")] == ["pii.key"]


def test_a_damaged_key_is_an_error_and_not_a_new_key(loaded) -> None:
    pii.arm(duckdb.connect(), loaded)
    (loaded.path(loaded.config.store) / "pii.key").write_text("")
    with pytest.raises(StoreError, match=r"pii\.key"):
        pii.arm(duckdb.connect(), loaded)


def test_no_key_is_made_where_nothing_is_hidden(tmp_path) -> None:
    (tmp_path / "monitor.yaml").write_text(CONFIG.replace("pii:", "# pii:"))
    pii.arm(duckdb.connect(), configuration.load(tmp_path / "monitor.yaml"))
    assert list(tmp_path.rglob("pii.key")) == []


def test_a_rejected_object_keeps_the_fields_that_are_read_without_the_personal_values(loaded) -> None:
    row = {"user": {"id": "ann-4711"}, "zip": "80331", "policy_id": "old", "state_load": 1.50}
    free = {"email": "ann@example.org", "note": "sat beside bob-0815"}
    (loaded.folder / "logs/a.jsonl").write_text(json.dumps({**row, **free}) + "\n")
    (raw,) = kept(loaded, duckdb.connect())
    hidden = {"user": {"id": keyed(loaded, "ann-4711")}, "zip": keyed(loaded, "80331")}
    assert json.loads(raw) == {**row, **hidden}


@pytest.mark.parametrize(
    "text",
    [
        '{"user": {"id": "ann-4711"}, "zip": "80331", "decision',
        'ann-4711 lives in 80331',
        '["ann-4711"]',
        '{"user": {"id": "ann-4711"}, "policy_id": "for ann-4711"}',
        '{"user": {"id": "ann-4711\\u0000"}, "x": "\x00"}',
    ],
)
def test_a_text_that_cannot_be_searched_is_replaced_by_hash_length_and_place(loaded, text) -> None:
    (loaded.folder / "logs/a.jsonl").write_text(text + "\n")
    (raw,) = kept(loaded, duckdb.connect())
    assert raw == f"{keyed(loaded, text)} ({len(text)} characters, logs/a.jsonl:1)"


def test_rejects_of_csv_keep_no_text_and_those_of_parquet_their_fields(loaded) -> None:
    (loaded.folder / "logs/a.csv").write_text("decision_id,ts,policy_id,unit_id\nd1,when,old,ann-4711\n")
    table = pa.table({"decision_id": ["d2"], "ts": ["when"], "policy_id": ["old"], "unit_id": [4711]})
    pq.write_table(table, loaded.folder / "logs/b.parquet")
    parquet, csv = kept(loaded, duckdb.connect())
    assert csv == f"{keyed(loaded, 'd1,when,old,ann-4711')} (20 characters, logs/a.csv:2)"
    assert json.loads(parquet) == {
        "decision_id": "d2", "ts": "when", "policy_id": "old", "unit_id": keyed(loaded, "4711")
    }


def test_a_fault_in_a_personal_column_shows_a_hash_and_in_another_its_value(loaded) -> None:
    row = {**GOOD, "zip": ["80331"], "state_load": "high"}
    (loaded.folder / "logs/a.jsonl").write_text(json.dumps(row) + "\n")
    connection = duckdb.connect()
    kept(loaded, connection)
    assert dict(connection.execute("SELECT column_name, value FROM faults").fetchall()) == {
        "state_zip": keyed(loaded, '["80331"]'), "state_load": "high"
    }


def test_a_file_read_again_enters_no_hidden_reject_twice(loaded) -> None:
    path = loaded.folder / "logs/a.jsonl"
    path.write_text('{"user": {"id": "ann"}}\nnothing\n')
    connection = duckdb.connect()
    before = kept(loaded, connection)
    path.write_text('{"user": {"id": "ann"}}\nnothing\n{"user": {"id": "bob"}}\n')
    connection.execute("UPDATE files SET head = 'other'")
    hidden = f'{{"user":{{"id":"{keyed(loaded, "bob")}"}}}}'
    assert kept(loaded, connection) == [*before, hidden]


def test_a_mended_text_loads_with_its_values_put_back_and_never_with_a_hash(loaded, tmp_path) -> None:
    (loaded.folder / "logs/a.jsonl").write_text('{"user": {"id": "ann"}, "policy_id": "old"}\ntorn\n')
    connection = duckdb.connect()
    kept(loaded, connection)
    out = tmp_path / "out.jsonl"
    assert rejects.export(connection, out) == 2
    first, second = (json.loads(line) for line in out.read_text().splitlines())
    changed = {**json.loads(first["raw"]), **GOOD}
    out.write_text(json.dumps({**first, "raw": json.dumps(changed)}) + "\n")
    with pytest.raises(FileError, match="hash of a personal value"):
        rejects.load_mended(connection, loaded, out, as_of=NOW, now=NOW)
    changed["user"] = {"id": "ann"}
    out.write_text(json.dumps({**first, "raw": json.dumps(changed)}) + "\n" + json.dumps(second) + "\n")
    account = rejects.load_mended(connection, loaded, out, as_of=NOW, now=NOW)
    assert (account.rows_in, account.loaded) == (1, 1)
    assert connection.execute("SELECT unit_id FROM decisions").fetchall() == [("ann",)]


def test_the_key_is_part_of_no_sql_text_and_differs_from_store_to_store(loaded, tmp_path) -> None:
    pii.arm(duckdb.connect(), loaded)
    key = (Store(loaded.path(loaded.config.store)).folder / "pii.key").read_text()
    (other := tmp_path / "other").mkdir()
    (other / "monitor.yaml").write_text(CONFIG)
    elsewhere = configuration.load(other / "monitor.yaml")
    pii.arm(duckdb.connect(), elsewhere)
    assert key not in pii.hashed("unit_id")
    assert keyed(loaded, "ann") != keyed(elsewhere, "ann")
