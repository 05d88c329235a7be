"""`monitor demo`: the sample logs, monitored as if they were live, and what each gate says.

Each log gets a store of its own and grows between passes; each pass runs with --as-of at its time
and is allowed to act, as a scheduler would have done.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from sample_logs.make import LOGS, SampleLog, simulated
from sample_logs.news import BASELINE_DAYS, END, START

HOUR = timedelta(hours=1)
LAG = timedelta(minutes=11)
WITHIN, CREEP_WITHIN = 4, 12
HOURLY_BEFORE, HOURLY_AFTER = 1, 30
WORKERS = 3
SHADOW_AFTER = timedelta(hours=14)
STAGE = {"shadow": "shadow", "live": "full"}


@dataclass
class Shown:
    """What one sample log showed: lines to print, and what was not as it should be."""

    name: str
    lines: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0


def show(names: Sequence[str], keep: Path | None, echo: Callable[[str], object]) -> int:
    """Run the named sample logs (all by default) and print what they show; 0 when all is as expected."""
    unknown = [n for n in names if n not in LOGS]
    if unknown:
        echo(f"sample log '{unknown[0]}' is not known; known are {', '.join(LOGS)}")
        return 2
    chosen = [LOGS[n] for n in names or LOGS]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        folder = keep or Path(scratch)
        with ProcessPoolExecutor(max_workers=WORKERS) as pool:
            results = list(_echoed(pool.map(_one, [(log.name, folder) for log in chosen]), echo))
    wrong = [f"{r.name}: {w}" for r in results for w in r.wrong]
    echo("")
    for sentence in wrong:
        echo(f"NOT AS EXPECTED  {sentence}")
    if keep:
        echo(f"logs and stores kept in {keep}; try `monitor status -c {keep}/{chosen[0].name}/monitor.yaml`")
    verdict = "all as expected" if not wrong else f"{len(wrong)} not as expected"
    echo(f"{len(results)} sample logs, {verdict}, in {time.monotonic() - began:.0f} s")
    return 1 if wrong else 0


def play(log: SampleLog, folder: Path) -> Shown:
    """Write one log, monitor it pass by pass, and compare what happened with what should."""
    from gates.evaluate import rollback_fired
    from gates.table import table
    from monitor import config as configuration
    from monitor import jobs

    began = time.monotonic()
    shown = Shown(log.name)
    growing = Growing(log, folder / log.name)
    loaded = configuration.load(folder / log.name / "monitor.yaml")
    nobody = loaded.config.alerts.model_copy(update={"channels": []})
    quiet = loaded.config.model_copy(update={"alerts": nobody})
    loaded = loaded.model_copy(update={"config": quiet})
    firings = []
    for as_of in passes(log):
        growing.grow(as_of)
        report = jobs.run(loaded, now=as_of, as_of=as_of, dry=False, environ={})
        firings += [e.body for e in report.firings]
        if any(body["did"] == "rolled_back" for body in firings):
            break
    if log.stage == "shadow":
        _review(loaded, as_of)
    verdict = jobs.gate(loaded, stage=STAGE[log.stage], as_of=as_of)
    shown.lines = [f"== {log.name}: {_about(log)}", table(verdict, width=100).rstrip(), *_fired(firings)]
    shown.lines += [f"   {line}" for line in _pointer(loaded, as_of)]
    shown.wrong = list(_wrong(log, firings, verdict.exit_code, rollback_fired(verdict.firings), loaded))
    shown.seconds = time.monotonic() - began
    return shown


class Growing:
    """The files of a log, which grow as time passes: each pass finds the lines written since the last."""

    def __init__(self, log: SampleLog, folder: Path) -> None:
        for part in ("logs", "outcomes"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            whole = log.write(Path(scratch))
            shutil.copy(whole / "monitor.yaml", folder)
            self._lines = _lines(whole / "logs" / "decisions.jsonl")
            header, *self._answers = _lines(whole / "outcomes" / "outcomes.csv")
        _append(folder / "outcomes" / "outcomes.csv", [header])
        self._folder = folder
        self._ts = simulated(log.stage, log.fault)[0].ts
        self._arrivals = [answer.rsplit(",", 1)[1].strip().strip('"') for answer in self._answers]
        self._seen = self._answered = 0

    def grow(self, as_of: datetime) -> None:
        """Append what was logged before `as_of`."""
        at = np.datetime64(as_of.replace(tzinfo=None), "ms")
        seen = int(np.searchsorted(self._ts, at))
        answered = bisect_left(self._arrivals, str(at) + "Z")
        _append(self._folder / "logs" / "decisions.jsonl", self._lines[self._seen : seen])
        _append(self._folder / "outcomes" / "outcomes.csv", self._answers[self._answered : answered])
        self._seen, self._answered = seen, answered


def passes(log: SampleLog) -> Iterator[datetime]:
    """When the passes of a log run, by simulated time.

    Healthy and live: every day from the end of the baseline. The others: at its end and at the end of
    the log, and in between where a fault has a trigger, since only windows younger than `act_within`
    are acted on.
    """
    daily = log.fault is None and log.stage == "live"
    days = range(BASELINE_DAYS, (END - START).days) if daily else [BASELINE_DAYS]
    regular = {START + timedelta(days=day) + LAG for day in days} | {END + LAG}
    dense = set()
    if log.planted and log.trigger and log.stage == "live":
        first = (log.threshold_hour or log.planted) - HOURLY_BEFORE * HOUR
        dense = {first + i * HOUR + LAG for i in range(HOURLY_BEFORE + HOURLY_AFTER)}
    if log.planted and log.trigger and log.stage == "shadow":
        dense = {log.planted + SHADOW_AFTER}
    yield from sorted(regular | dense)


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines(keepends=True)


def _append(path: Path, lines: Sequence[str]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.writelines(lines)


def _one(job: tuple[str, Path]) -> Shown:
    name, folder = job
    return play(LOGS[name], folder)


def _echoed(results: Iterator[Shown], echo: Callable[[str], object]) -> Iterator[Shown]:
    for result in results:
        for line in result.lines:
            echo(line)
        echo("")
        yield result


def _review(loaded: object, as_of: datetime) -> None:
    """The sign-off of item 7, as a person would give it after reading the largest disagreements."""
    from monitor import acts

    acts.attest(
        loaded,  # type: ignore[arg-type]
        "review", by="demo", reason="sample data, read by nobody", evidence=str(Path(__file__)),
        expires="92d", approved=True, at=as_of,
    )


def _about(log: SampleLog) -> str:
    if log.fault is None:
        return f"healthy, {log.stage}"
    assert log.planted is not None
    return f"{log.stage}, {log.fault.replace('_', ' ')} planted at {log.planted:%Y-%m-%d %H:%M} UTC"


def _fired(firings: Sequence[Mapping[str, object]]) -> list[str]:
    confirmed = [b for b in firings if b["confirmed"]]
    lines = [f"-- {len(firings)} firings, {len(confirmed)} confirmed"]
    seen = set()
    for body in confirmed:
        place = (body["trigger"], body["key"], body["did"])
        if place not in seen:
            seen.add(place)
            lines.append(f"   {body['did']}: {body['message']}")
    return lines


def _pointer(loaded: object, as_of: datetime) -> list[str]:
    from monitor.status import lines

    return list(lines(loaded, as_of))[:1]  # type: ignore[arg-type]


def _wrong(
    log: SampleLog, firings: Sequence[Mapping[str, object]], exit_code: int, fired: bool, loaded: object
) -> Iterator[str]:
    """What is not as `sample_logs/README.md` says it should be."""
    rollbacks = [b for b in firings if b["did"] == "rolled_back"]
    called = [b for b in firings if b["confirmed"] and b["action"] == "rollback"]
    if log.stage == "shadow":
        if rollbacks:
            yield "rolled back although the candidate controlled nothing"
        if log.fault is None and exit_code != 0:
            yield f"the shadow gate should pass, exit code {exit_code}"
        if log.trigger and not any(b["trigger"] == log.trigger and b["confirmed"] for b in firings):
            yield f"{log.trigger} should have been confirmed and told"
        return
    if log.trigger is None:
        if called:
            yield f"called for a rollback: {called[0]['message']}"
        return
    assert log.planted is not None
    if not rollbacks:
        yield f"{log.trigger} should have rolled back"
        return
    first = called[0]
    start = first["window_start"]
    from monitor.chain import instant

    began = instant(str(start))
    within = CREEP_WITHIN if log.threshold_hour else WITHIN
    limit = (log.threshold_hour or log.planted) + within * HOUR
    if first["trigger"] != log.trigger:
        yield f"{first['trigger']} rolled back, not {log.trigger}"
    if began + HOUR <= log.planted:
        yield f"rolled back at {began}, before the fault"
    if began >= limit:
        yield f"rolled back in the window {began}, later than {within} windows"
    if not fired or exit_code != 5:
        yield f"the gate should exit 5, not {exit_code}"
    from alerts.rollback import build

    pointer = build(loaded.config.rollback, loaded.folder).read()  # type: ignore[attr-defined]
    if not pointer or pointer["policy"] != loaded.config.policies.safe:  # type: ignore[attr-defined]
        yield "the pointer has not moved to the safe policy"
