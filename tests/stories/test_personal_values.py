"""A run in which everything goes wrong tells nobody who was concerned."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from monitor.cli import app
from monitor.journal import Journal
from monitor.store import opened

START = datetime(2026, 1, 1, tzinfo=UTC)
BREAKS = 4 * 24
# Whole values: a database may pad a block with up to seven bytes of what was in its memory before.
PLANTED = re.compile(rb"zq(?:id|user|trip|zip)\w{4,}", re.IGNORECASE)
CONFIG = """\
policies: {candidate: new, incumbent: old, safe: old}
log:
  sources:
    - {paths: ["logs/*.jsonl"], format: jsonl}
    - {paths: ["logs/*.csv"], format: csv}
    - {paths: ["logs/*.parquet"], format: parquet}
    - {paths: ["rewards/*.csv"], format: csv, kind: rewards}
state: {numeric: [load], categorical: [zip]}
reward: {range: [0, 1], missing_after_maturity: exclude}
constraints: {crash: {limit: 0.0, margin: 0.0, hard: true}}
envelope: {speed: [0.2, 1.0]}
baseline: {policy: new, from: 2026-01-01, to: 2026-01-03}
training: {none: a rule}
window: 4h
expectations: {off: slow}
pii: [decision_id, unit_id, episode_id, state_zip]
"""


def row(number: int, dice: random.Random) -> dict:
    hour = number // 30
    bad = hour >= BREAKS
    return {
        "decision_id": f"zqid{number:06}", "unit_id": f"zquser{number % 97:04}",
        "episode_id": f"zqtrip{number // 9:05}",
        "ts": (START + timedelta(minutes=2 * number)).isoformat(), "policy_id": "new", "action": "a",
        "propensity": 0.5, "reward": dice.random() * (0.1 if bad else 1), "action_speed": 3.0 if bad else 0.5,
        "state_load": dice.gauss(9 if bad else 0, 1), "cost_crash": float(bad and number % 7 == 0),
        "state_zip": "zqzip" + dice.choice(["south"] if bad else ["north", "east", "west"]),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four healthy days, then hours of a broken policy, with rejects and faults of every format."""
    dice = random.Random(3)
    for name in ("logs", "rewards"):
        (tmp_path / name).mkdir()
    (tmp_path / "monitor.yaml").write_text(CONFIG)
    rows = [row(number, dice) for number in range((BREAKS + 12) * 30)]
    last = rows[-1]
    torn = json.dumps({**last, "decision_id": "zqidtorn", "cost_crash": 1.0})
    broken = [
        json.dumps({**last, "decision_id": "zqidnots", "ts": None, "note": "asked by zquser0008"}),
        json.dumps({**last, "decision_id": "zqidrepeats", "ts": "then", "note": "zqidrepeats"}),
        json.dumps({**last, "reward": 0.77, "action": "b"}),
        torn[:-9], "zquser0005 was here", '["zqzipnorth"]',
        json.dumps({**last, "decision_id": "zqidfaulty", "state_zip": ["zqzipinside"], "unit_id": []}),
    ]  # fmt: skip
    lines = [*(json.dumps(r) for r in rows), *broken]
    (tmp_path / "logs/a.jsonl").write_text("".join(f"{text}\n" for text in lines[: BREAKS * 30]))
    (tmp_path / "later.jsonl").write_text("".join(f"{text}\n" for text in lines[BREAKS * 30 :]))
    (tmp_path / "logs/b.csv").write_text(
        "decision_id,ts,policy_id,unit_id,state_zip\nzqidfromcsv,never,new,zquser0001,zqzipfromcsv\nzqidshort,zquser0002\n"
    )
    bad = {**last, "decision_id": "zqidparquet", "ts": "soon"}
    pq.write_table(pa.Table.from_pylist([bad]), tmp_path / "logs/c.parquet")
    (tmp_path / "rewards/r.csv").write_text("decision_id,reward\nzqidunknown,1\nzqidhigh,7\n,1\n")
    return tmp_path


def test_no_planted_value_leaves_the_decisions_in_files_output_or_messages(folder) -> None:
    said = b""
    end = (START + timedelta(hours=BREAKS + 12, minutes=20)).strftime("%Y-%m-%dT%H:%M")
    config = ["--config", str(folder / "monitor.yaml")]
    export = folder / "var/monitor/export.jsonl"
    for command in (
        ["run", "--as-of", (START + timedelta(hours=BREAKS)).strftime("%Y-%m-%dT%H:%M"), "--act"],
        ["run", "--as-of", end, "--act"],
        ["gate", "--stage", "full", "--as-of", end],
        ["gate", "--stage", "full", "--as-of", end, "--format", "json"],
        ["status", "--as-of", end],
        ["ingest", "--export-rejects", str(export)],
        ["ingest", "--load-mended", str(export)],
        ["baseline", "show"],
    ):
        if command[:1] == ["run"] and command[2] == end:
            (folder / "later.jsonl").replace(folder / "logs/later.jsonl")
        result = CliRunner().invoke(app, [*command, *config])
        assert result.exception is None or isinstance(result.exception, SystemExit), command
        said += result.output.encode() + result.stderr.encode()
    assert b"written to" in said and b"Decision pii:" in said

    store = folder / "var/monitor"
    found = {
        path.name: PLANTED.findall(path.read_bytes())
        for path in folder.rglob("var/**/*")
        if path.is_file() and not path.name.startswith("decisions.duckdb")
    }
    assert {"journal.db", "sums.duckdb", "pii.key", "export.jsonl"} < found.keys() and len(found) > 5
    assert {name: values for name, values in found.items() if values} == {}
    assert PLANTED.findall(said) == []
    assert PLANTED.findall(_rows(store / "sums.duckdb")) == []
    for table in ("rejects", "faults"):
        columns = "raw, reason" if table == "rejects" else "value, reason"
        assert PLANTED.findall(_rows(store / "decisions.duckdb", {table: columns})) == []
    _everything_went_wrong(store)


def _everything_went_wrong(store: Path) -> None:
    """The sweep above means something: there are incidents with decisions, messages and rejects."""
    journal = Journal(store / "journal.db")
    incidents = [e.body for e in journal.events("incident") if e.body["status"] == "open"]
    journal.close()
    assert {b["trigger"] for b in incidents} >= {"constraint", "state_shift", "reward_drop"}
    captured = [d for b in incidents for d in b["trigger_state"]["decisions"]]
    key = bytes.fromhex((store / "pii.key").read_text())
    south = hmac.new(key, b"zqzipsouth", hashlib.sha256).hexdigest()[:16]
    assert "pii:" + south in {d.get("state_zip") for d in captured}
    assert all(d["decision_id"].startswith("pii:") and "unit_hash" not in d for d in captured)
    with opened(store / "decisions.duckdb", read_only=True) as connection:
        reasons = {r for (r,) in connection.execute("SELECT reason FROM rejects").fetchall()}
        told = connection.execute("SELECT COUNT(*) FROM decisions WHERE state_zip LIKE 'zqzip%'").fetchall()
    assert reasons >= {"no_ts", "bad_ts", "conflicting_repeat", "truncated", "not_json", "wrong_field_count"}
    assert told[0][0] > 1000
    with opened(store / "sums.duckdb", read_only=True) as connection:
        bins = dict(connection.execute(
            "SELECT hour >= ?, list(DISTINCT bin) FROM sums_state WHERE key = 'zip' GROUP BY 1",
            [int(START.timestamp() // 3600) + BREAKS],
        ).fetchall())  # fmt: skip
    assert set(bins[False]) == {0, 1, 2} and 4 in bins[True]


def _rows(path: Path, tables: dict[str, str] | None = None) -> bytes:
    with opened(path, read_only=True) as connection:
        names = tables or {
            n: "*" for (n,) in connection.execute(
                "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database()"
            ).fetchall()
        }
        found = [connection.execute(f"SELECT {c} FROM {n}").fetchall() for n, c in names.items()]
    return repr(found).encode()
