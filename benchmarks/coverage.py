"""How often the intervals hold what they promise: simulated, looked at once or at every look.

python benchmarks/coverage.py [--repetitions 5000] [--quick] [--only TEXT] [--workers N]

Each run is drawn as sums and measured by the metric itself. For one look the share of runs whose
interval holds the truth is told; for a sequence the share of runs in which it held it at every look
from the first permitted one on. Beside ours, in the same runs, what others do.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.scenarios import Scenario, scenarios
from benchmarks.streams import CONFIDENT, Array, Batch
from monitor.metrics.intervals import FEW_GROUPS, FEW_SHARE
from monitor.metrics.sums import Settings, Sums

NOMINAL, SLACK = 0.95, 0.015
FAR = 1.5
FIXED = "the same interval for one look, at every look"
HEAD = ("interval", "looks", "stream", "covers %", "too high %", "too low %", "speaks %", "few events %",
        "width", "remark")  # fmt: skip


@dataclass
class Tally:
    """What became of the runs: how many, how many in which it spoke, and the two kinds of misses."""

    runs: int = 0
    spoke: int = 0
    high: int = 0
    low: int = 0
    few: int = 0
    widths: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    @property
    def covers(self) -> float:
        return 1 - (self.high + self.low) / self.spoke if self.spoke else math.nan

    def width(self) -> float:
        """Mean width over that of ±1.96 true standard errors."""
        if not self.widths or len(self.values) < 2:
            return math.nan
        return float(np.mean(self.widths) / (2 * CONFIDENT * np.std(self.values, ddof=1)))


def cover(scenario: Scenario, repetitions: int) -> dict[str, Tally]:
    """Ours under "", and each rival under its name."""
    rng = np.random.default_rng(zlib.crc32(_name(scenario).encode()))
    found: dict[str, Tally] = {"": Tally()}
    while found[""].runs < repetitions:
        batch = scenario.draw(rng, min(scenario.runs, repetitions - found[""].runs))
        look = scenario.width_at % batch.values.shape[1]
        far = np.abs(batch.values - scenario.truth) > FAR * batch.values.std(axis=0)
        far[:, [look, -1]] = True
        for run, looks in enumerate(far):
            _one(scenario, scenario.settings, batch, run, look, looks, found[""])
            if scenario.beside_fixed:
                once = replace(scenario.settings, n_star=None)
                _one(scenario, once, batch, run, look, looks, found.setdefault(FIXED, Tally()))
        for name, (low, high) in batch.rivals.items():
            _rival(found.setdefault(name, Tally()), low, high, batch.values[:, look], look, scenario.truth)
    return found


def _one(
    scenario: Scenario, settings: Settings, batch: Batch, run: int, told: int, wanted: Array, tally: Tally
) -> None:
    """Measure one run at the `wanted` looks: the last one, the one whose width is told, and those at
    which the estimate is more than 1.5 standard errors from the truth: nearer, a sequence would miss
    only with a standard error of half the size it should have."""
    spoke = missed = False
    for look in np.flatnonzero(wanted).tolist():
        estimate = scenario.measure(batch.states(run, look), settings)
        if not (estimate.judgeable and math.isfinite(estimate.low + estimate.high)):
            continue
        spoke = True
        if look == told:
            tally.widths.append(estimate.high - estimate.low)
            tally.values.append(estimate.value)
        if not missed and not estimate.low <= scenario.truth <= estimate.high:
            missed = True
            tally.high += estimate.low > scenario.truth
            tally.low += estimate.high < scenario.truth
    tally.runs += 1
    tally.spoke += spoke
    if "share" in scenario.interval:
        tally.few += _few(batch.states(run, len(wanted) - 1)["constraint"])


def _few(family: Sums) -> bool:
    """Whether fewer than 20 groups, and fewer than 80 % of them, hold an event."""
    group = family.bucket if family.day.max() == 0 else family.day
    events, rows = (np.bincount(group, weights=family.columns[c]) for c in ("x", "n"))
    holding = int((events > 0).sum())
    return holding < FEW_GROUPS and holding < FEW_SHARE * int((rows > 0).sum())


def _rival(tally: Tally, low: Array, high: Array, values: Array, look: int, truth: float) -> None:
    over, under = low > truth, high < truth
    first = np.where((over | under).any(axis=1), (over | under).argmax(axis=1), 0)
    rows = np.arange(len(low))
    tally.runs += len(low)
    tally.spoke += len(low)
    tally.high += int(over[rows, first].sum())
    tally.low += int(under[rows, first].sum())
    tally.widths += (high - low)[:, look].tolist()
    tally.values += values.tolist()


def _name(scenario: Scenario) -> str:
    kind = "once" if scenario.width_at < 0 else "every look"
    return f"{scenario.interval}, {kind}: {scenario.stream}"


def _rows(scenario: Scenario, found: dict[str, Tally]) -> Iterator[tuple[str, ...]]:
    looks = scenario.draw(np.random.default_rng(0), 2).values.shape[1]
    for rival, tally in found.items():
        under = tally.covers < NOMINAL - SLACK
        wide = tally.width() > (1.3 if looks == 1 else 2.5)
        remark = f"not ours: {rival}" if rival else scenario.why if under or wide else ""
        few = "" if rival or "share" not in scenario.interval else _percent(tally.few / tally.runs)
        yield (
            scenario.interval if not rival else f"({scenario.interval})", str(looks), scenario.stream,
            _percent(tally.covers) + (" UNDER" if under else ""),
            _percent(tally.high / max(tally.spoke, 1)), _percent(tally.low / max(tally.spoke, 1)),
            _percent(tally.spoke / tally.runs), few, f"{tally.width():.2f}", remark,
        )  # fmt: skip


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _job(job: tuple[int, int]) -> tuple[dict[str, Tally], float]:
    began = time.process_time()
    return cover(scenarios()[job[0]], job[1]), time.process_time() - began


def main(arguments: list[str] | None = None) -> int:
    """Print the table. Returns 0."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5000, help="runs of each stream [5000]")
    parser.add_argument("--quick", action="store_true", help="40 runs, to see that it runs")
    parser.add_argument("--only", default="", help="only what has this text in its name")
    parser.add_argument("--workers", type=int, default=2, help="processes [2]")
    given = parser.parse_args(arguments)
    repetitions = 40 if given.quick else given.repetitions
    listed = scenarios()
    chosen = [i for i, s in enumerate(listed) if given.only in _name(s)]
    print(f"{repetitions} runs of each stream; nominal 95 %, UNDER is below {100 * (NOMINAL - SLACK):.1f} %. "
          "Width: mean over that of ±1.96 true standard errors.\n")  # fmt: skip
    print("| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD))
    seconds = 0.0
    with ProcessPoolExecutor(max_workers=given.workers) as pool:
        jobs = [(i, repetitions) for i in chosen]
        for place, (found, spent) in zip(chosen, pool.map(_job, jobs), strict=True):
            seconds += spent
            print(f"{_name(listed[place])}: {spent:.1f} s", file=sys.stderr)
            for row in _rows(listed[place], found):
                print("| " + " | ".join(row) + " |", flush=True)
    print(f"\n{seconds:.0f} s of CPU")
    return 0


if __name__ == "__main__":
    sys.exit(main())
