"""How often a feature that did not change is called shifted, hour by hour.

`python benchmarks/false_alarms.py` (about two minutes on one core; `--quick` in seconds) compares
`state_shift` with two rules in use elsewhere, for n rows an hour: rows that are independent, that follow the
time of day, and that come from a sensor with 6 or 24 hours of memory. The baseline is a week, a run ten days.

`√D_JS (base 2) > 0.1, Doane bins`: bins of the baseline, values beyond them in one bin more.
`√D_JS (base e) > 0.1, Sturges bins`: bins of baseline and window together.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

import numpy as np
from scipy.signal import lfilter

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from monitor.metrics import METRICS  # noqa: E402
from monitor.metrics.divergence import block_maxima, jensen_shannon  # noqa: E402
from monitor.metrics.estimate import Reading  # noqa: E402
from monitor.metrics.sums import Settings, Sums  # noqa: E402
from monitor.triggers import TRIGGERS  # noqa: E402
from monitor.triggers.firing import confirmed  # noqa: E402

START = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
BASELINE, RUN, INTERIOR = 168, 240, 20
KINDS = {"independent": 0.0, "daily cycle": 0.0, "memory 6 h": 6.0, "memory 24 h": 24.0}
BOUND = 0.1
POWER = ((100, 1.5), (400, 1.25))
SHIFT = TRIGGERS["state_shift"]
Array = np.ndarray


@dataclass(frozen=True)
class Size:
    """Runs of ten days for each number of rows an hour, and windows for each power."""

    runs: dict[int, int]
    windows: int


FULL = Size({50: 20, 100: 20, 400: 10, 1000: 6, 10_000: 2}, 400)
QUICK = Size({50: 1, 400: 1}, 40)


@dataclass(frozen=True)
class Line:
    """Shares of windows that trip, by rule; and ten-day runs in which one was confirmed."""

    kind: str
    n: int
    runs: int
    spoke: float
    doane: float
    sturges: float
    tripped: float
    confirmed: int


class Reference:
    """A baseline of hours x n rows: its bins, its counts, and what the project keeps of it."""

    def __init__(self, hours: Array) -> None:
        self.sorted = np.sort(hours, axis=None)
        edges = np.unique(np.quantile(self.sorted, np.arange(INTERIOR + 1) / INTERIOR, method="inverted_cdf"))
        edges[-1] = np.nextafter(edges[-1], np.inf)
        self.edges = edges
        blocks = self.counts(hours)
        hour, code = np.nonzero(blocks)
        self.sums = _sums(hour, code, blocks[hour, code])
        self.settings = Settings(
            interior_bins=len(edges) - 1,
            block_maxima=block_maxima(blocks, len(edges) - 1),
            n_blocks=len(blocks),
        )
        self.doane = np.histogram_bin_edges(self.sorted, bins="doane")
        self.doane_counts = _beyond(self.sorted, self.doane)

    def counts(self, hours: Array) -> Array:
        """Counts (hours, bins): underflow, interior, overflow, NULL."""
        bins = len(self.edges) + 2
        code = np.searchsorted(self.edges, hours, side="right")
        flat = (np.arange(len(hours))[:, None] * bins + code).ravel()
        return np.bincount(flat, minlength=len(hours) * bins).reshape(len(hours), bins)


def stream(kind: str, hours: int, n: int, rng: np.random.Generator) -> Array:
    """Rows (hours, n) of one feature with sd 1 (the daily cycle adds a sine of amplitude 1)."""
    rows, memory = rng.standard_normal(hours * n), KINDS[kind]
    if memory:
        rho = math.exp(-1 / (memory * n))
        drive = rows * math.sqrt(1 - rho**2)
        drive[0] = rows[0]
        rows = lfilter([1.0], [1.0, -rho], drive)
    if kind == "daily cycle":
        rows = rows + np.sin(np.arange(hours * n) / n * 2 * np.pi / 24)
    return rows.reshape(hours, n)


def judged(reference: Reference, hours: Array, first: int) -> tuple[list[bool], float]:
    """Which windows trip `state_shift`, and the share of windows on which it spoke."""
    counts = reference.counts(hours)
    trips, spoke = [], 0
    for i, row in enumerate(counts):
        seen = np.flatnonzero(row)
        states = {"state": _sums(np.full(len(seen), first + i), seen, row[seen]), "baseline": reference.sums}
        at = START + (first + i) * HOUR
        found = {m: METRICS[m].function(states, reference.settings) for m in SHIFT.metrics}
        series = {m: [Reading(estimate, m, "x", "v7", "", at, at + HOUR)] for m, estimate in found.items()}
        spoke += series["state_js"][0].estimate.reason is None
        trips.append(SHIFT.function(series, SHIFT.params()) is not None)
    return trips, spoke / len(counts)


def doane(reference: Reference, hours: Array) -> Array:
    """√D_JS in base 2 above 0.1, bins of the baseline."""
    counts = np.array([_beyond(np.sort(row), reference.doane) for row in hours])
    return np.sqrt(jensen_shannon(counts, reference.doane_counts) / math.log(2)) > BOUND


def sturges(reference: Reference, hours: Array) -> Array:
    """√D_JS in nats above 0.1, bins of baseline and window together."""
    found = []
    for row in np.sort(hours, axis=1):
        size = len(reference.sorted) + len(row)
        ends = min(reference.sorted[0], row[0]), max(reference.sorted[-1], row[-1])
        edges = np.linspace(*ends, math.ceil(math.log2(size) + 1) + 1)
        window, base = (_inside(x, edges) for x in (row, reference.sorted))
        found.append(math.sqrt(float(jensen_shannon(window, base))) > BOUND)
    return np.array(found)


def line(kind: str, n: int, runs: int, rng: np.random.Generator) -> Line:
    """Ten-day runs of one kind, each with a baseline of its own."""
    total = {"spoke": 0.0, "doane": 0.0, "sturges": 0.0, "tripped": 0.0}
    false = 0
    for _ in range(runs):
        rows = stream(kind, BASELINE + RUN, n, rng)
        reference, run = Reference(rows[:BASELINE]), rows[BASELINE:]
        trips, spoke = judged(reference, run, BASELINE)
        total["spoke"] += spoke
        total["doane"] += doane(reference, run).mean()
        total["sturges"] += sturges(reference, run).mean()
        total["tripped"] += np.mean(trips)
        false += any(confirmed(trips[: i + 1], *SHIFT.confirm) for i in range(RUN))
    return Line(kind, n, runs, **{k: v / runs for k, v in total.items()}, confirmed=false)


def power(n: int, shift: float, windows: int, rng: np.random.Generator) -> float:
    """Share of windows of n independent rows, `shift` sd away, that trip; 8 baselines."""
    found: list[bool] = []
    for _ in range(8):
        reference = Reference(stream("independent", BASELINE, n, rng))
        moved = stream("independent", -(-windows // 8), n, rng) + shift
        found += judged(reference, moved, BASELINE)[0]
    return float(np.mean(found))


def speaks(n: int, rng: np.random.Generator) -> float:
    """Share of windows of n rows on which `state_shift` says anything."""
    reference = Reference(stream("independent", BASELINE, n, rng))
    return judged(reference, stream("independent", 48, n, rng), BASELINE)[1]


def table(lines: Sequence[Line]) -> str:
    head = (
        f"| {'feature':<12} | {'n':>6} | {'Doane, base 2':>13} | {'Sturges, base e':>15} | "
        f"{'state_shift':>11} | {'confirmed in 10 days':>20} |"
    )
    rule = f"|{'-' * 14}|{'-' * 7}:|{'-' * 14}:|{'-' * 16}:|{'-' * 12}:|{'-' * 21}:|"
    rows = [
        f"| {x.kind:<12} | {x.n:>6} | {x.doane:>13.1%} | {x.sturges:>15.1%} | {x.tripped:>11.2%} | "
        f"{f'{x.confirmed} of {x.runs} runs':>20} |"
        for x in lines
    ]
    return "\n".join([head, rule, *rows])


def _sums(hour: Array, code: Array, n: Array) -> Sums:
    keys = np.empty(len(code), dtype=object)
    keys[:] = code
    hours = np.asarray(hour, dtype=np.int64)
    return Sums(hours, np.full(len(code), -1), keys, MappingProxyType({"n": np.asarray(n, dtype=np.float64)}))


def _inside(values: Array, edges: Array) -> Array:
    """Counts of sorted values between edges, the last one included."""
    at = np.searchsorted(values, edges, side="left")
    at[-1] = np.searchsorted(values, edges[-1], side="right")
    return np.diff(at)


def _beyond(values: Array, edges: Array) -> Array:
    """The same, with one bin more for the values outside."""
    inside = _inside(values, edges)
    return np.append(inside, len(values) - inside.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small run: the numbers mean little")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    size, rng, begin = QUICK if given.quick else FULL, np.random.default_rng(given.seed), time.process_time()
    print("Share of unchanged hours that are called shifted; ten-day runs with a confirmed false trip")
    print(table([line(kind, n, runs, rng) for kind in KINDS for n, runs in size.runs.items()]))
    for n, shift in POWER:
        found = power(n, shift, size.windows, rng)
        verdict = "met" if found >= 0.95 else "MISSED"
        print(f"power: {shift} sd at n = {n} trips in {found:.1%} of windows, at least 95 % asked: {verdict}")
    from_60 = speaks(60, rng)
    print(f"it speaks on {from_60:.0%} of windows of n = 60: {'met' if from_60 == 1 else 'MISSED'}")
    print(f"{time.process_time() - begin:.0f} s of processor time", file=sys.stderr)


if __name__ == "__main__":
    main()
