"""Eight gates in a loop, and the override pressed again and again, while `monitor schedule` reads a big log.

`python benchmarks/locks.py [--rows 2000000] [--gates 8]` starts a real `monitor schedule`, drops N decisions
into its folder, and until they are read keeps `--gates` processes of `monitor gate` running and presses
`monitor override` every few seconds. Prints how often each ran, how long the longest took beside one that
runs alone, and what failed: a gate whose exit code is 4 (or that could not open a file), an override of more
than a second. Exit code 1 where something did.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

MONITOR_YAML = """\
store: var/monitor
policies: {candidate: new, incumbent: old, safe: old}
log: {sources: [{paths: ["logs/*.parquet"], format: parquet}], propensity: probability}
unit: {column: unit_id}
state: {numeric: [f00, f01, f02]}
reward: {range: [0, 1], missing_after_maturity: exclude}
constraints: {slow: {limit: 0.05, margin: 0.02}}
expectations: {off: "a benchmark of locks"}
"""
RUN = "from monitor.cli import main; main()"
FEW = 20_000


@dataclass
class Seen:
    """Seconds of each call, and what went wrong."""

    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--gates", type=int, default=8)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="monitor-locks-") as name:
        raise SystemExit(_measure(Path(name), given.rows, given.gates))


def _measure(folder: Path, rows: int, gates: int) -> int:
    (folder / "monitor.yaml").write_text(MONITOR_YAML, "utf-8")
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    _log(folder / "logs/first.parquet", FEW, 0, now - timedelta(days=2))
    _call(folder, "run")
    alone = [_timed(folder, "gate", "--stage", "shadow", "--dry-run")[0] for _ in range(3)]
    button = [_timed(folder, "override", "--by", "benchmark", "--reason", "alone")[0] for _ in range(3)]
    schedule = subprocess.Popen(
        _command("schedule", "--every", "5s", "--fast", "2s"), cwd=folder, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    stop, seen, pressed = threading.Event(), [Seen() for _ in range(gates)], Seen()
    work = [threading.Thread(target=_gates, args=(folder, one, stop)) for one in seen]
    work.append(threading.Thread(target=_button, args=(folder, pressed, stop)))
    begin = time.perf_counter()
    try:
        _log(folder / "logs/big.parquet", rows, FEW, now - timedelta(days=1))
        for thread in work:
            thread.start()
        _until_read(folder, FEW + rows)
        read = time.perf_counter() - begin
        time.sleep(5)
    finally:
        stop.set()
        for thread in work:
            thread.join()
        schedule.send_signal(signal.SIGTERM)
        code = schedule.wait(300)
    every = sorted(s for one in seen for s in one.seconds)
    wrong = [w for one in [*seen, pressed] for w in one.wrong]
    if code:
        wrong.append(f"monitor schedule ended with exit code {code}")
    print(f"{rows:,} decisions were read and measured in {read:.1f} s on {os.cpu_count()} cores, beside "
          f"{gates} gates at once")
    print(f"gate      {len(every):4} runs   median {statistics.median(every):.2f} s   "
          f"longest {every[-1]:.2f} s   alone {min(alone):.2f} s   "
          f"longest wait {every[-1] - min(alone):.2f} s")
    presses = sorted(pressed.seconds)
    print(f"override  {len(presses):4} runs   median {statistics.median(presses):.2f} s   longest "
          f"{presses[-1]:.2f} s   alone {min(button):.2f} s")
    print(f"wrong: {len(wrong)}")
    for line in sorted(set(wrong))[:10]:
        print(f"  {line}")
    return 1 if wrong else 0


def _gates(folder: Path, seen: Seen, stop: threading.Event) -> None:
    while not stop.is_set():
        seconds, code, told = _timed(folder, "gate", "--stage", "shadow")
        seen.seconds.append(seconds)
        if code not in (0, 1, 3, 5) or "in use" in told or "locked" in told:
            seen.wrong.append(f"gate: exit code {code}: {told.splitlines()[-1] if told else ''}")


def _button(folder: Path, seen: Seen, stop: threading.Event) -> None:
    while not stop.is_set():
        seconds, code, told = _timed(folder, "override", "--by", "benchmark", "--reason", "busy")
        seen.seconds.append(seconds)
        if code or "does not hold" in told:
            seen.wrong.append(f"override: exit code {code}: {told.splitlines()[-1] if told else ''}")
        if seconds > 1:
            seen.wrong.append("override took more than a second")
        stop.wait(2)


def _until_read(folder: Path, rows: int) -> None:
    """Until the sums hold every decision."""
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline:
        try:
            with duckdb.connect(str(folder / "var/monitor/sums.duckdb"), read_only=True) as sums:
                found = sums.execute("SELECT SUM(n) FROM sums_reward").fetchone()
                if found and found[0] == rows:
                    return
        except duckdb.Error:
            pass
        time.sleep(0.5)
    raise SystemExit("the log was not read within 15 minutes")


def _log(path: Path, rows: int, first: int, begin: datetime) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    step = timedelta(hours=20).total_seconds() / rows
    with duckdb.connect(":memory:") as connection:
        connection.execute(
            f"""COPY (SELECT 'd' || (i + {first}) AS decision_id, 'old' AS policy_id,
                    make_timestamp({int(begin.timestamp() * 1e6)} + CAST(i * {step * 1e6!r} AS BIGINT)) AS ts,
                    'u' || (i // 20) AS unit_id, 'a' || (hash(i) % 6) AS action, 1e0 / 6 AS propensity,
                    'a' || (hash(i, 1) % 6) AS candidate_action, 1e0 / 6 AS candidate_propensity,
                    CAST(hash(i, 2) % 5 = 0 AS DOUBLE) AS reward, 0e0 AS cost_slow,
                    (hash(i, 3) % 1000) / 1e3 AS state_f00, (hash(i, 4) % 1000) / 1e3 AS state_f01,
                    (hash(i, 5) % 1000) / 1e3 AS state_f02
                FROM range({rows}) t(i)) TO '{path}.tmp' (FORMAT parquet)"""
        )
    os.replace(f"{path}.tmp", path)


def _timed(folder: Path, *arguments: str) -> tuple[float, int, str]:
    begin = time.perf_counter()
    done = subprocess.run(_command(*arguments), cwd=folder, capture_output=True, text=True, check=False)
    return time.perf_counter() - begin, done.returncode, done.stderr


def _call(folder: Path, *arguments: str) -> None:
    done = subprocess.run(_command(*arguments), cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", RUN, *arguments]


if __name__ == "__main__":
    main()
