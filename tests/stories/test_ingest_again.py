"""Files are read twice, grow, are replaced, are half written; the run is killed at random moments."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from monitor import config as configuration
from monitor.config import Loaded
from monitor.log.account import Account
from monitor.log.ingest import ingest
from monitor.store import opened

NOW = datetime(2026, 3, 2, tzinfo=UTC)
CONFIG = """\
policies: {candidate: new, incumbent: old, safe: old}
log: {sources: [{paths: ["*.jsonl*"], format: jsonl}, {paths: ["*.csv"], format: csv}]}
reward: {range: [0, 1], missing_after_maturity: exclude}
"""


@pytest.fixture
def plant(tmp_path: Path) -> Loaded:
    (tmp_path / "monitor.yaml").write_text(CONFIG, "utf-8")
    return configuration.load(tmp_path / "monitor.yaml")


def line(number: int, **other: Any) -> str:
    ts = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=number)
    row = {"decision_id": f"d{number}", "ts": ts.isoformat(), "policy_id": "old", "action": "x"}
    return json.dumps({**row, **other})


def write(path: Path, numbers: range, end: str = "\n") -> None:
    with path.open("a") as file:
        file.write("\n".join(line(n) for n in numbers) + end)


def run(connection: duckdb.DuckDBPyConnection, plant: Loaded, now: datetime = NOW) -> Account:
    account = ingest(connection, plant, as_of=NOW, now=now)
    assert account.problems == []
    return account


def stored(connection: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    return connection.execute("SELECT COUNT(*), COUNT(DISTINCT decision_id) FROM decisions").fetchall()[0]


def test_an_unchanged_file_is_not_read_again(plant: Loaded) -> None:
    write(plant.path("a.jsonl"), range(100))
    connection = duckdb.connect()
    assert run(connection, plant).loaded == 100
    again = run(connection, plant)
    assert (again.files_read, again.rows_in) == (0, 0)
    assert stored(connection) == (100, 100)


def test_the_same_lines_in_another_file_are_duplicates(plant: Loaded) -> None:
    write(plant.path("a.jsonl"), range(100))
    connection = duckdb.connect()
    run(connection, plant)
    os.rename(plant.path("a.jsonl"), plant.path("a.jsonl.1"))
    account = run(connection, plant)
    assert (account.rows_in, account.duplicates) == (100, 100)
    assert stored(connection) == (100, 100)


def test_of_a_file_that_grew_only_the_new_lines_are_read(plant: Loaded) -> None:
    write(plant.path("a.jsonl"), range(100))
    connection = duckdb.connect()
    run(connection, plant)
    connection.execute("DELETE FROM dirty_hours")
    write(plant.path("a.jsonl"), range(7200, 7230))
    account = run(connection, plant)
    assert (account.rows_in, account.loaded, account.duplicates) == (30, 30, 0)
    assert connection.execute("SELECT COUNT(*) FROM dirty_hours").fetchall() == [(1,)]


def test_a_reject_in_a_file_that_grew_has_its_line_in_the_whole_file(plant: Loaded) -> None:
    write(plant.path("a.jsonl"), range(10))
    connection = duckdb.connect()
    run(connection, plant)
    with plant.path("a.jsonl").open("a") as file:
        file.write("\nnonsense\n")
    run(connection, plant)
    assert connection.execute("SELECT line, raw FROM rejects").fetchall() == [(12, "nonsense")]


def test_a_replaced_file_is_read_whole_and_its_rejects_are_not_doubled(plant: Loaded) -> None:
    write(plant.path("a.jsonl"), range(50), end="\nnonsense\n")
    connection = duckdb.connect()
    run(connection, plant)
    plant.path("a.jsonl").write_text(line(99) + "\n" + plant.path("a.jsonl").read_text())
    account = run(connection, plant)
    assert (account.rows_in, account.loaded, account.duplicates, account.rejected) == (52, 1, 50, 1)
    os.utime(plant.path("a.jsonl"), (1, 1))
    account = run(connection, plant)
    assert (account.loaded, account.duplicates, account.rejected) == (0, 51, 1)
    assert connection.execute("SELECT COUNT(*) FROM rejects").fetchall() == [(2,)]


def test_a_compressed_file_that_changed_is_read_whole(plant: Loaded) -> None:
    path = plant.path("a.jsonl.gz")
    path.write_bytes(gzip.compress("\n".join(line(n) for n in range(20)).encode()))
    connection = duckdb.connect()
    assert run(connection, plant).loaded == 20
    path.write_bytes(gzip.compress("\n".join(line(n) for n in range(25)).encode()))
    account = run(connection, plant)
    assert (account.duplicates, account.loaded) == (20, 5)


def test_a_last_line_without_an_end_waits_until_it_is_whole(plant: Loaded) -> None:
    path = plant.path("a.jsonl")
    whole = line(0) + "\n" + line(1)
    path.write_text(whole[:-10])
    connection = duckdb.connect()
    just_now = datetime.fromtimestamp(path.stat().st_mtime + 5, UTC)
    account = run(connection, plant, now=just_now)
    assert (account.loaded, account.rejected) == (1, 0)
    path.write_text(whole)
    assert run(connection, plant, now=just_now).loaded == 1
    path.write_text(whole + "\n" + line(2) + "\n")
    account = run(connection, plant, now=just_now)
    assert (account.rows_in, account.loaded) == (1, 1)
    assert stored(connection) == (3, 3)


def test_a_torn_last_line_is_rejected_once_nobody_writes_any_more(plant: Loaded) -> None:
    path = plant.path("a.jsonl")
    path.write_text(line(0) + "\n" + line(1)[:-10])
    connection = duckdb.connect()
    assert run(connection, plant, now=datetime.fromtimestamp(path.stat().st_mtime + 5, UTC)).rejected == 0
    later = datetime.fromtimestamp(path.stat().st_mtime + 61, UTC)
    assert run(connection, plant, now=later).rejected == 1
    assert connection.execute("SELECT line, reason FROM rejects").fetchall() == [(2, "truncated")]
    assert run(connection, plant, now=later).rows_in == 0


def test_a_csv_line_without_an_end_waits_because_its_value_may_go_on(plant: Loaded) -> None:
    path = plant.path("a.csv")
    path.write_text("decision_id,ts,policy_id,reward\na,2026-03-01,old,1\nb,2026-03-01,old,0")
    connection = duckdb.connect()
    just_now = datetime.fromtimestamp(path.stat().st_mtime + 5, UTC)
    assert run(connection, plant, now=just_now).loaded == 1
    with path.open("a") as file:
        file.write(".5\nc,2026-03-01,old,1\n")
    assert run(connection, plant, now=just_now).loaded == 2
    rewards = connection.execute("SELECT reward FROM decisions ORDER BY decision_id").fetchall()
    assert rewards == [(1.0,), (0.5,), (1.0,)]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("bad.jsonl.gz", gzip.compress(line(1).encode() * 5000)[:-100], "end-of-stream"),
        ("bad.csv", b"id,when\n1,2\n", "no column 'decision_id'"),
    ],
)
def test_a_bad_file_changes_nothing_and_the_others_go_on(
    plant: Loaded, name: str, data: bytes, said: str
) -> None:
    plant.path(name).write_bytes(data)
    write(plant.path("z.jsonl"), range(10))
    connection = duckdb.connect()
    account = ingest(connection, plant, as_of=NOW, now=NOW)
    assert len(account.problems) == 1 and said in account.problems[0] and name in account.problems[0]
    assert account.loaded == 10 and stored(connection) == (10, 10)
    assert connection.execute("SELECT file FROM files").fetchall() == [("z.jsonl",)]


KILLED = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from monitor import config
from monitor.log.ingest import ingest
from monitor.store import opened
loaded = config.load(Path(sys.argv[1]))
at = datetime(2026, 3, 2, tzinfo=UTC)
print("ready", flush=True)
with opened(loaded.path("decisions.duckdb")) as connection:
    ingest(connection, loaded, as_of=at, now=at)
"""


def test_killed_at_twenty_random_moments_the_next_run_has_the_right_counts(plant: Loaded) -> None:
    count = 6
    for number in range(count):
        write(plant.path(f"{number}.jsonl"), range(number * 4000, number * 4000 + 4000), end="\nnonsense\n")
    rng = random.Random(11)
    interrupted = 0
    for _ in range(20):
        child = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(plant.path("monitor.yaml"))], stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(configuration.__file__).parents[1])},
        )  # fmt: skip
        assert child.stdout is not None and child.stdout.readline() == b"ready\n"
        time.sleep(rng.uniform(0, 0.35))
        interrupted += child.poll() is None
        child.kill()
        child.wait()
        child.stdout.close()
        with opened(plant.path("decisions.duckdb")) as connection:
            try:
                done = dict(connection.execute("SELECT file, lines FROM files").fetchall())
            except duckdb.CatalogException:
                continue
            rows, rejects = connection.execute(
                "SELECT (SELECT COUNT(*) FROM decisions), (SELECT COUNT(*) FROM rejects)"
            ).fetchall()[0]
            assert (rows, rejects) == (4000 * len(done), len(done))
            assert set(done.values()) <= {4001}
            if len(done) == count:
                connection.execute(
                    "DELETE FROM files; DELETE FROM decisions; DELETE FROM rejects; DELETE FROM dirty_hours"
                )
    with opened(plant.path("decisions.duckdb")) as connection:
        run(connection, plant)
        assert stored(connection) == (4000 * count, 4000 * count)
        assert connection.execute("SELECT COUNT(*) FROM rejects").fetchall() == [(count,)]
        assert connection.execute("SELECT COUNT(*) FROM files").fetchall() == [(count,)]
    assert interrupted >= 10
