"""A few kills in each phase of a pass, beside a twin that nobody kills; benchmarks/crash.py has hundreds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_after_kills_in_every_phase_all_is_there_once() -> None:
    command = [sys.executable, str(ROOT / "benchmarks/crash.py"), "--kills", "9", "--seed", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("9 kills in ") and "WRONG" not in done.stdout
