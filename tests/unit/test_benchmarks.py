"""The benchmark runs, and says of every target whether it was met. No timing is judged here."""

import subprocess
import sys
from pathlib import Path

RIDGE = "monitor evaluate with a ridge model"
ROOT = Path(__file__).parents[2]


def test_the_benchmark_measures_every_stage_and_prints_one_table() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "measure.py"), "--rows", "20000"]
    small = ["--features", "2", "--days", "2", "--rounds", "1"]
    done = subprocess.run([*command, *small], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    table = [line.split("|")[1:-1] for line in done.stdout.splitlines() if line.startswith("|")]
    assert {len(row) for row in table} == {6}
    named = {row[0].strip(): row for row in table}
    for what in ("plain scan", "ingest", "summing state", "measuring pass", RIDGE, "gate, with start-up"):
        assert float(named[what][1]) > 0, what
    assert named["gate imports"][4].strip() == "none of them"
    targets = [row[5].strip() for row in table[2:] if row[5].strip()]
    assert len(targets) == 8
    assert all(t.endswith((": met", ": MISSED")) for t in targets)


def quick(name: str) -> str:
    command = [sys.executable, str(ROOT / "benchmarks" / name), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_run_lengths_are_those_of_the_triggers_themselves() -> None:
    shown = quick("run_length.py")
    rows = [line.split("|")[1:-1] for line in shown.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 17
    letter = next(row for row in rows if row[0].strip() == "reward_drop, letter, 3 of 3")
    assert 24 < float(letter[3].split()[0]) < 42
    assert shown.splitlines()[-1].startswith("e_detector on independent windows: ")


def test_rules_used_elsewhere_call_most_unchanged_hours_shifted_and_ours_does_not() -> None:
    shown = quick("false_alarms.py")
    rows = [line.split("|")[1:-1] for line in shown.splitlines() if line.startswith("| ")][1:]
    independent = [float(cell.strip(" %")) for cell in rows[0][2:5]]
    assert independent[0] > 80 and independent[1] > 80 and independent[2] < 1
    assert shown.count(": met") == 3


def test_the_coverage_of_every_interval_is_told_beside_what_others_do() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "coverage.py"), "--quick"]
    done = subprocess.run(
        [*command, "--only", "independent", "--workers", "1"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    rows = [[c.strip() for c in line.split("|")[1:-1]] for line in done.stdout.splitlines() if "|" in line]
    assert {len(row) for row in rows} == {10}
    ours = [row for row in rows[2:] if not row[0].startswith("(")]
    assert {"mean", "share", "slope", "quantile .05", "Bernstein mean"} <= {row[0] for row in ours}
    assert all(float(row[3].removesuffix(" UNDER")) > 80 for row in ours), done.stdout
    rivals = [row for row in rows[2:] if row[0] == "(mean)" and int(row[1]) > 1]
    assert rivals and all(float(row[3].removesuffix(" UNDER")) < 90 for row in rivals)
    assert "independent" in done.stderr
