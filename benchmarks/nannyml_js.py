"""NannyML's univariate Jensen–Shannon distance on the same data, in an environment of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import logs

SCRIPT = """
import glob, json, os, sys, time
os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"
import pandas as pd
import nannyml as nml
folder, *columns = sys.argv[1:]
files = sorted(glob.glob(folder + "/logs/*.parquet"))
frame = pd.concat([pd.read_parquet(f, columns=["ts", *columns]) for f in files])
begin, cpu = time.perf_counter(), time.process_time()
calculator = nml.UnivariateDriftCalculator(
    column_names=columns, timestamp_column_name="ts", chunk_period="h",
    continuous_methods=["jensen_shannon"],
)
calculator.fit(frame[frame["ts"] < "2026-01-02"])
calculator.calculate(frame)
print(json.dumps([time.perf_counter() - begin, time.process_time() - cpu, nml.__version__]))
"""


def compare(
    folder: Path,
    features: int,
    note: Callable[[str, float, float], None],
    peak: Callable[[str, float], None],
    child: Callable[..., Any],
) -> str:
    """Install it into a folder of its own and time its calculator, without reading the files; a sentence."""
    place = folder / "nannyml"
    python = str(place / "bin" / "python")
    child([sys.executable, "-m", "venv", str(place)])
    installed = child([python, "-m", "pip", "install", "-q", "nannyml", "statsmodels"], may_fail=True)
    columns = [f"state_{f}" for f in logs.features(features)]
    done = child([python, "-c", SCRIPT, str(folder), *columns], may_fail=True)
    answer = next((line for line in done.told.splitlines() if line.startswith("[")), None)
    if answer is None:
        return f"could not be run here: {(installed.told + done.told).strip().splitlines()[-1]}"
    wall, cpu, version = json.loads(answer)
    note("nannyml", wall, cpu)
    peak("nannyml", done.peak)
    return f"{version}, hourly chunks, the first day as reference, once; reading the files is not counted"
