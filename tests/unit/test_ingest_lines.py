"""Bytes to lines, lines to CSV fields, Parquet rows: what is odd costs its neighbours nothing."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import config as configuration
from monitor.config import Loaded
from monitor.log.account import AccountError, FileAccount
from monitor.log.ingest import ingest
from monitor.log.lines import FileError, chunks
from monitor.log.rejects import export, load_mended

NOW = datetime(2026, 3, 2, tzinfo=UTC)
CONFIG = """\
policies: {{candidate: new, incumbent: old, safe: old}}
log: {{paths: ["log.*"], format: {format}, columns: {columns}}}
reward: {{range: [0, 1], missing_after_maturity: exclude}}
"""


def loaded(folder: Path, format: str, columns: str = "{}") -> Loaded:
    (folder / "monitor.yaml").write_text(CONFIG.format(format=format, columns=columns), "utf-8")
    return configuration.load(folder / "monitor.yaml")


@given(st.lists(st.binary(max_size=12).filter(lambda b: b"\n" not in b), max_size=12), st.integers(1, 40))
def test_lines_are_the_same_however_the_file_is_cut_into_chunks(parts: list[bytes], size: int) -> None:
    data = b"\n".join(parts)
    cut = chunks(io.BytesIO(data), start=1, lines=0, size=size)
    found = [row for chunk in cut for row in chunk.table.to_pylist()]
    expected = [
        (number, part.rstrip(b"\r").decode("utf-8", "backslashreplace"))
        for number, part in enumerate(parts, 1)
        if part.strip(b" \t\r\v\f")
    ]
    assert [(row["line"], row["raw"]) for row in found] == expected
    for row in found:
        whole = parts[row["line"] - 1]
        assert row["broken"] == (whole.decode("utf-8", "replace").encode() != whole)


def test_a_line_without_end_is_no_log(monkeypatch: Any) -> None:
    monkeypatch.setattr("monitor.log.lines.LONGEST", 100)
    with pytest.raises(FileError, match="line 2 is longer"):
        list(chunks(io.BytesIO(b"a\n" + b"x" * 300), start=0, lines=0, size=50))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('b,2026-03-01,old,"left', "not_csv"),
        ('b,2026-03-01,old,le"ft', "not_csv"),
        ('b,2026-03-01,old,"left"x', "not_csv"),
        ("b,2026-03-01,old", "wrong_field_count"),
        ("b,2026-03-01,old,left,right", "wrong_field_count"),
        (",2026-03-01,old,left", "no_decision_id"),
        ("b,,old,left", "no_ts"),
    ],
)
def test_a_broken_csv_line_is_rejected_and_its_neighbours_are_loaded(
    tmp_path: Path, line: str, reason: str
) -> None:
    text = f'decision_id,ts,policy_id,action\na,2026-03-01,old,"x, ""y"""\n{line}\nc,2026-03-01,old,x\n'
    (tmp_path / "log.csv").write_text(text)
    connection = duckdb.connect()
    account = ingest(connection, loaded(tmp_path, "csv"), as_of=NOW, now=NOW)
    assert (account.rows_in, account.loaded, account.rejected) == (3, 2, 1)
    assert connection.execute("SELECT line, reason, raw FROM rejects").fetchall() == [(3, reason, line)]
    actions = connection.execute("SELECT decision_id, action FROM decisions ORDER BY 1").fetchall()
    assert actions == [("a", 'x, "y"'), ("c", "x")]


def test_a_mended_csv_line_is_loaded_by_the_header_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("ts,decision_id,policy_id,action\nyesterday,a,old,x\n")
    config, connection = loaded(tmp_path, "csv"), duckdb.connect()
    ingest(connection, config, as_of=NOW, now=NOW)
    assert export(connection, tmp_path / "out") == 1
    record = json.loads((tmp_path / "out").read_text())
    record["raw"] = "2026-03-01,a,old,x"
    (tmp_path / "out").write_text(json.dumps(record))
    assert load_mended(connection, config, tmp_path / "out", as_of=NOW, now=NOW).loaded == 1
    assert export(connection, tmp_path / "out") == 0
    assert connection.execute("SELECT action FROM decisions").fetchall() == [("x",)]


def test_a_line_that_is_no_reject_of_this_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("ts,decision_id,policy_id,action\nyesterday,a,old,x\n")
    config, connection = loaded(tmp_path, "csv"), duckdb.connect()
    ingest(connection, config, as_of=NOW, now=NOW)
    row = {"file": "log.csv", "line": 7, "source": "decisions", "reason": "bad_ts", "raw": "x"}
    (tmp_path / "out").write_text(json.dumps(row))
    with pytest.raises(FileError, match="out:1 is not a rejected line of this store"):
        load_mended(connection, config, tmp_path / "out", as_of=NOW, now=NOW)
    assert connection.execute("SELECT COUNT(*) FROM decisions").fetchall() == [(0,)]


PARQUET = "{policy_id: who, uncertainty: x, action: a.taken.1, reward: r}"


def parquet(folder: Path, rows: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), folder / "log.parquet", row_group_size=2)


def test_parquet_structs_and_lists_are_found_by_their_path_and_rejects_keep_the_row(tmp_path: Path) -> None:
    at = datetime(2026, 3, 1, 10)
    rows: list[dict[str, Any]] = [
        {"decision_id": f"d{n}", "ts": at, "who": "old", "a": {"taken": ["l", f"r{n}"]}, "r": n / 2, "e": n}
        for n in range(5)
    ]
    rows[3]["decision_id"] = None
    parquet(tmp_path, rows)
    connection = duckdb.connect()
    config = loaded(tmp_path, "parquet", PARQUET.replace("uncertainty: x, ", ""))
    account = ingest(connection, config, as_of=NOW, now=NOW)
    assert (account.rows_in, account.loaded, account.rejected, account.faults) == (5, 4, 1, 1)
    assert connection.execute("SELECT action, reward FROM decisions ORDER BY 1").fetchall() == [
        ("r0", 0.0), ("r1", 0.5), ("r2", 1.0), ("r4", None),
    ]  # fmt: skip
    ((line, reason, raw),) = connection.execute("SELECT line, reason, raw FROM rejects").fetchall()
    assert (line, reason) == (4, "no_decision_id")
    assert json.loads(raw) == {**rows[3], "ts": "2026-03-01 10:00:00"}
    export(connection, tmp_path / "out")
    record = json.loads((tmp_path / "out").read_text())
    record["raw"] = json.dumps({**json.loads(raw), "decision_id": "d3"})
    (tmp_path / "out").write_text(json.dumps(record))
    assert load_mended(connection, config, tmp_path / "out", as_of=NOW, now=NOW).loaded == 1
    assert ingest(connection, config, as_of=NOW, now=NOW).rows_in == 0


def test_parquet_without_a_mapped_column_is_a_problem_that_names_it(tmp_path: Path) -> None:
    parquet(tmp_path, [{"decision_id": "a", "ts": datetime(2026, 3, 1), "who": "old", "r": 1.0}])
    connection = duckdb.connect()
    (problem,) = ingest(connection, loaded(tmp_path, "parquet", PARQUET), as_of=NOW, now=NOW).problems
    assert "log.parquet has no column 'a.taken.1'" in problem
    (tmp_path / "log.parquet").write_bytes(b"PAR1 and then nothing")
    (problem,) = ingest(connection, loaded(tmp_path, "parquet"), as_of=NOW, now=NOW).problems
    assert problem.startswith("log.parquet cannot be read")


def test_a_number_column_of_another_type_is_a_fault_in_every_row(tmp_path: Path) -> None:
    row = {"ts": datetime(2026, 3, 1), "policy_id": "old", "reward": True}
    parquet(tmp_path, [{**row, "decision_id": "a"}, {**row, "decision_id": "b"}])
    connection = duckdb.connect()
    assert ingest(connection, loaded(tmp_path, "parquet"), as_of=NOW, now=NOW).faults == 2
    found = connection.execute("SELECT DISTINCT column_name, reason, value FROM faults").fetchall()
    assert found == [("reward", "wrong_type", "true")]


def test_an_account_that_does_not_add_up_raises() -> None:
    account = FileAccount("log", "decisions", rows_in=3, loaded=1, rejected=1)
    with pytest.raises(AccountError, match="3 records were read but 2 are accounted for"):
        account.check()
    account.duplicates = 1
    account.check()


def test_a_pattern_that_matches_nothing_is_told(tmp_path: Path) -> None:
    account = ingest(duckdb.connect(), loaded(tmp_path, "jsonl"), as_of=NOW, now=NOW)
    assert (account.unmatched, account.files_read) == (["log.*"], 0)
