"""The benchmark runs, and says of every target whether it was met. No timing is judged here."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_benchmark_measures_every_stage_and_prints_one_table() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "measure.py"), "--rows", "20000"]
    small = ["--features", "2", "--days", "2", "--rounds", "1"]
    done = subprocess.run([*command, *small], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    table = [line.split("|")[1:-1] for line in done.stdout.splitlines() if line.startswith("|")]
    assert {len(row) for row in table} == {6}
    named = {row[0].strip(): row for row in table}
    for what in ("plain scan", "ingest", "summing state", "measuring pass", "gate, with start-up"):
        assert float(named[what][1]) > 0, what
    assert named["gate imports"][4].strip() == "none of them"
    targets = [row[5].strip() for row in table[2:] if row[5].strip()]
    assert len(targets) == 6
    assert all(t.endswith((": met", ": MISSED")) for t in targets)
