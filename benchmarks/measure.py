"""Measure ingest, sums, readings and the gate beside what DuckDB alone needs for the same Parquet files.

`python benchmarks/measure.py --rows N [--features 20] [--days 30] [--rounds 3] [--nannyml]` prints one
table with ratios and targets. Every stage runs in a process of its own, the stages of a round one after
the other; a number is the best of the rounds, a peak the largest.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import logs, nannyml_js, table  # noqa: E402

SIDE_BY_SIDE = ("scan", "load", "ingest", "freeze", "sums", "readings")
HEAVY = ("pandas", "scipy.stats", "great_expectations", "apscheduler", "slack_sdk")
START_GATE = "from monitor.cli import main; main()"


@dataclass
class Measured:
    """Best (wall, processor) seconds of each step, the peak memory in GiB of each stage, and the heavy
    modules that a gate imports."""

    seconds: dict[str, tuple[float, float]] = field(default_factory=dict)
    peaks: dict[str, float] = field(default_factory=dict)
    imported: list[str] = field(default_factory=list)
    nannyml: str = "not asked for"

    def note(self, step: str, wall: float, cpu: float) -> None:
        old = self.seconds.get(step, (wall, cpu))
        self.seconds[step] = min(old[0], wall), min(old[1], cpu)

    def peak(self, stage: str, gib: float) -> None:
        self.peaks[stage] = max(self.peaks.get(stage, 0.0), gib)


def measure(folder: Path, rows: int, features: int, days: int, rounds: int, nannyml: bool) -> Measured:
    """Run every stage in `folder`, which must be empty."""
    numbers = [str(n) for n in (rows, features, days)]
    found = Measured()

    def run(stage: str) -> None:
        say(f"{stage} …")
        command = [sys.executable, "-m", "benchmarks.stages", stage, str(folder), *numbers]
        done = child(command)
        found.peak(stage, done.peak)
        for step, (wall, cpu) in json.loads(done.told.splitlines()[-1]).items():
            found.note(step, wall, cpu)

    run("write")
    for _ in range(rounds):
        for stage in SIDE_BY_SIDE:
            run(stage)
    run("judge")
    run("evaluate")
    _gate(folder, days, rounds, found)
    if nannyml:
        say("NannyML …")
        found.nannyml = nannyml_js.compare(folder, features, found.note, found.peak, child)
    run("early")
    run("late")
    return found


@dataclass(frozen=True)
class Child:
    """One process: wall and processor seconds, peak memory in GiB, and what it printed."""

    wall: float
    cpu: float
    peak: float
    told: str


def child(command: list[str], *, may_fail: bool = False) -> Child:
    """Run a process to its end. Raises SystemExit with its last words when it fails and may not."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err, cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
        process.returncode = code = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if code and not may_fail:
            raise SystemExit(f"{' '.join(command[-6:])} failed:\n{err.read().decode()[-3000:]}")
        told = out.read().decode() + err.read().decode()
        return Child(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20, told)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _gate(folder: Path, days: int, rounds: int, found: Measured) -> None:
    """The gate with its start-up, and what it imports. A verdict other than PASS is an exit code too."""
    as_of = (logs.START + logs.timedelta(days=days) + logs.LAG).isoformat()
    arguments = ["gate", "--stage", "shadow", "--config", str(folder / "full.yaml"), "--as-of", as_of]
    for _ in range(rounds):
        done = child([sys.executable, "-c", START_GATE, *arguments], may_fail=True)
        if "shadow" not in done.told:
            raise SystemExit(f"the gate gave no verdict:\n{done.told}")
        found.note("gate", done.wall, done.cpu)
        found.peak("gate", done.peak)
    done = child([sys.executable, "-X", "importtime", "-c", START_GATE, *arguments], may_fail=True)
    lines = (line for line in done.told.splitlines() if line.startswith("import time:"))
    names = {line.rsplit("|", 1)[-1].strip() for line in lines}
    found.imported = [name for name in HEAVY if name in names]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--features", type=int, default=20)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--nannyml", action="store_true", help="install NannyML beside, and compare")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="monitor-benchmark-") as folder:
        found = measure(Path(folder), given.rows, given.features, given.days, given.rounds, given.nannyml)
    print(f"{given.rows:,} decisions x {given.features} features over {given.days} days, "
          f"best of {given.rounds} rounds, {os.cpu_count()} cores")
    print(table.text(found.seconds, found.peaks, found.imported, found.nannyml))


if __name__ == "__main__":
    main()
