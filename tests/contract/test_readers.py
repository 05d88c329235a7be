"""Every reader, on plain and compressed files, makes the same decisions of the same records."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor import config as configuration
from monitor.log.account import Account
from monitor.log.ingest import ingest

NOW = datetime(2026, 3, 2, tzinfo=UTC)
COLUMNS = (
    "{decision_id: id, ts: at, policy_id: who, action: arm, propensity: p, action_probs: probs, reward: r, "
    "segment: [site, shift], step: n, terminal: done, state_load: load, state_season: season}"
)
CONFIG = """\
policies: {{candidate: new, incumbent: old, safe: old}}
log: {{sources: [{{paths: ["log*"], format: {format}, delimiter: "{delimiter}", time: {time},
  columns: {columns}, constants: {{policy_version: v7}}}}]}}
state: {{numeric: [load], categorical: [season]}}
reward: {{range: [0, 1], missing_after_maturity: exclude}}
constraints: {{crash: {{limit: 0.0, margin: 0.0, hard: true}}}}
"""
ROWS: list[dict[str, Any]] = [
    {"id": "a", "at": "2026-03-01T10:00:00", "who": "old", "arm": "x", "p": 0.25, "probs": [0.25, 0.75],
     "r": 1.0, "site": "n", "shift": "day", "n": 0, "done": False, "load": -1.5e3, "season": "low"},
    {"id": "b, \"quoted\"", "at": "2026-03-01T10:59:59.5", "who": "old", "arm": "ÿ", "p": 1.0, "probs": None,
     "r": None, "site": "n", "shift": None, "n": 1, "done": True, "load": 0.1, "season": None},
    {"id": "c", "at": "2026-03-01T11:00:00", "who": "new", "arm": "x", "p": None, "probs": [1.0],
     "r": 0.5, "site": None, "shift": None, "n": None, "done": None, "load": None, "season": "mid"},
    {"id": "d", "at": "2026-03-01T12:30:00", "who": "old", "arm": "x", "p": 1.5, "probs": [0.2, 0.2],
     "r": 2.0, "site": "s", "shift": "day", "n": 2, "done": False, "load": math.inf, "season": "low"},
]  # fmt: skip


def epoch(rows: list[dict[str, Any]], scale: float) -> list[dict[str, Any]]:
    moments = [datetime.fromisoformat(r["at"]).replace(tzinfo=UTC).timestamp() for r in rows]
    return [{**r, "at": m * scale} for r, m in zip(rows, moments, strict=True)]


def jsonl(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(r).encode() + b"\r\n\n" for r in rows)


def separated(rows: list[dict[str, Any]], delimiter: str = ",") -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        probs = row["probs"]
        writer.writerow({**row, "probs": None if probs is None else json.dumps(probs)})
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def tabs(rows: list[dict[str, Any]]) -> bytes:
    return separated(rows, "\t")


def zstd(data: bytes) -> bytes:
    return pa.compress(data, codec="zstd", asbytes=True)


def parquet(rows: list[dict[str, Any]], native: bool = False) -> bytes:
    out = io.BytesIO()
    if native:
        rows = [{**r, "at": datetime.fromisoformat(r["at"]).replace(tzinfo=UTC)} for r in rows]
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


FORMS: dict[str, tuple[str, str, str, Callable[[], bytes]]] = {
    "jsonl": ("jsonl", ",", "iso", lambda: jsonl(ROWS)),
    "jsonl gzip": ("jsonl", ",", "iso", lambda: gzip.compress(jsonl(ROWS))),
    "jsonl zstd": ("jsonl", ",", "iso", lambda: zstd(jsonl(ROWS))),
    "jsonl epoch seconds": ("jsonl", ",", "epoch_seconds", lambda: jsonl(epoch(ROWS, 1))),
    "jsonl epoch milliseconds": ("jsonl", ",", "epoch_milliseconds", lambda: jsonl(epoch(ROWS, 1000))),
    "csv": ("csv", ",", "iso", lambda: separated(ROWS)),
    "csv gzip": ("csv", ",", "iso", lambda: gzip.compress(separated(ROWS))),
    "csv zstd": ("csv", ",", "iso", lambda: zstd(separated(ROWS))),
    "tabs": ("csv", "\\t", "iso", lambda: tabs(ROWS)),
    "csv epoch milliseconds": ("csv", ",", "epoch_milliseconds", lambda: separated(epoch(ROWS, 1000))),
    "parquet": ("parquet", ",", "iso", lambda: parquet(ROWS)),
    "parquet timestamps": ("parquet", ",", "iso", lambda: parquet(ROWS, native=True)),
    "parquet epoch seconds": ("parquet", ",", "epoch_seconds", lambda: parquet(epoch(ROWS, 1))),
}


@pytest.fixture(params=list(FORMS))
def read(request: Any, tmp_path: Path) -> tuple[duckdb.DuckDBPyConnection, Account]:
    """The records in one form, ingested."""
    format_, delimiter, time, make = FORMS[request.param]
    (tmp_path / "log").write_bytes(make())
    config = CONFIG.format(format=format_, delimiter=delimiter, time=time, columns=COLUMNS)
    (tmp_path / "monitor.yaml").write_text(config, "utf-8")
    connection = duckdb.connect()
    loaded = configuration.load(tmp_path / "monitor.yaml")
    return connection, ingest(connection, loaded, as_of=NOW, now=NOW)


def test_the_decisions_are_the_same_in_every_form(read: Any) -> None:
    connection, account = read
    assert (account.problems, account.rows_in, account.loaded, account.rejected) == ([], 4, 4, 0)
    rows = connection.execute(
        """SELECT decision_id, ts, hour, policy_id, policy_version, action, propensity, action_probs, reward,
            segment, step, terminal, state_load, state_season, n_actions, keep_prob
            FROM decisions ORDER BY decision_id"""
    ).fetchall()
    day = datetime(2026, 3, 1)
    first = int(day.replace(tzinfo=UTC).timestamp() // 3600) + 10
    assert rows == [
        ("a", day.replace(hour=10), first, "old", "v7", "x", 0.25, [0.25, 0.75], 1.0, "n/day", 0, False,
         -1500.0, "low", 2, 1.0),
        ('b, "quoted"', datetime(2026, 3, 1, 10, 59, 59, 500000), first, "old", "v7", "ÿ", 1.0, None, None,
         "n/", 1, True, 0.1, None, None, 1.0),
        ("c", day.replace(hour=11), first + 1, "new", "v7", "x", None, [1.0], 0.5, "", None, None, None,
         "mid", 1, 1.0),
        ("d", datetime(2026, 3, 1, 12, 30), first + 2, "old", "v7", "x", None, None, None, "s/day", 2, False,
         None, "low", None, 1.0),
    ]  # fmt: skip


def test_the_faults_are_the_same_in_every_form(read: Any) -> None:
    connection, account = read
    found = connection.execute("SELECT decision_id, column_name, reason FROM faults ORDER BY column_name")
    assert found.fetchall() == [
        ("d", "action_probs", "out_of_range"),
        ("d", "propensity", "out_of_range"),
        ("d", "reward", "out_of_range"),
        ("d", "state_load", "non_finite"),
    ]
    assert account.faults == 4


def test_the_derived_columns_are_the_same_in_every_form(read: Any) -> None:
    connection, _ = read
    ((entropy, agreement, hour_dirty),) = connection.execute(
        """SELECT probs_entropy, probs_agreement, (SELECT COUNT(*) FROM dirty_hours) FROM decisions
            WHERE decision_id = 'a'"""
    ).fetchall()
    assert entropy == pytest.approx(-0.25 * math.log(0.25) - 0.75 * math.log(0.75), rel=1e-12)
    assert agreement == pytest.approx(0.625, rel=1e-12)
    assert hour_dirty == 3
