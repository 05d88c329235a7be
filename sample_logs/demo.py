"""`monitor demo`: the sample logs, monitored as if they were live, and what each gate says.

Each log gets a store of its own and grows between passes; each pass runs with --as-of at its time
and is allowed to act, as a scheduler would have done. Until the planted hour all logs of a family and
stage are the same, so that stretch is monitored once, in the healthy log, and each log goes on from
a copy of its folder: log files, store, journal, pointer.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from monitor.config import Loaded
from monitor.store import on_one_thread
from sample_logs import calendar, expected, road_demo
from sample_logs.expected import Outcome
from sample_logs.make import COOLING_LOGS, LOGS, SampleLog
from sample_logs.parts import Part

OVERLAP = timedelta(days=1)
STAGE = {"shadow": "shadow", "live": "full"}
GATES = {"cooling_shadow_healthy": ("shadow", "offline")}  # without propensities offline must hold
ROAD = "road"
REPORT = "demo-report.html"
CATALOGUE = LOGS | COOLING_LOGS
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Shown:
    """What one sample log showed: lines to print, its line of the summary, and what was not as it
    should be."""

    name: str
    lines: tuple[str, ...]
    summary: tuple[str, ...]
    wrong: tuple[str, ...]


def show(
    names: Sequence[str], keep: Path | None, echo: Callable[[str], object], progress: Progress | None = None
) -> int:
    """Run the named sample logs (all by default) and print what they show; 0 when all is as expected."""
    from monitor import jobs  # noqa: F401  (before the workers are made: they need not import it again)

    unknown = [n for n in names if n not in (*CATALOGUE, ROAD)]
    if unknown:
        echo(f"sample log '{unknown[0]}' is not known; known are {', '.join((*CATALOGUE, ROAD))}")
        return 2
    chosen = [CATALOGUE[n] for n in names or CATALOGUE if n != ROAD]
    began = time.monotonic()
    results = []
    with tempfile.TemporaryDirectory() as scratch, _workers() as pool:
        folder = keep or Path(scratch) / "logs"
        walking = pool.submit(road_demo.play, folder / ROAD) if ROAD in (names or [ROAD]) else None
        for result in _played(pool, chosen, Path(scratch) / "begun", folder, progress):
            results.append(result)
            echo("\n".join(result.lines) + "\n")
        walked = walking.result() if walking else None
        first = chosen[0].name if chosen else ROAD
        page = _reported(folder / first, (keep or Path.cwd()) / REPORT)
    if results:
        echo(expected.table([r.summary for r in results]))
    if walked:
        echo("\n".join(["", *walked[0]]) + "\n")
    wrongs = [(r.name, sentence) for r in results for sentence in r.wrong]
    wrongs += [(ROAD, sentence) for sentence in walked[1]] if walked else []
    for name, sentence in wrongs:
        echo(f"NOT AS EXPECTED  {name}: {sentence}")
    if keep:
        echo(f"logs and stores kept in {keep}; try `monitor status -c {keep}/{first}/monitor.yaml`")
    verdict = "all as expected" if not wrongs else f"{len(wrongs)} not as expected"
    count = f"{len(results)} sample logs" + (" and a road" if walked else "")
    echo(f"{count}, {verdict}, in {time.monotonic() - began:.0f} s")
    echo(f"its report of {first}: {page}")
    return 1 if wrongs else 0


def _reported(folder: Path, page: Path) -> Path:
    """The report of one log as of its last verdict."""
    from monitor.journal import Journal
    from monitor.report import written
    from monitor.verdicts import store_of

    loaded = _loaded(folder)
    with Journal(store_of(loaded).journal) as journal:
        last = journal.newest("verdict")
    assert last is not None
    written(loaded, page, stage=None, policy=None, as_of=last.at, environ={})
    return page


def begin(log: SampleLog, folder: Path) -> Path:
    """Monitor the stretch before the planted hour in the healthy log of this family and stage."""
    healthy = CATALOGUE[_healthy(log)]
    growing = Growing(healthy.parts(), folder)
    (folder / "monitor.yaml").write_text(healthy.config(), "utf-8")
    loaded = _loaded(folder)
    for as_of in calendar.before(log):
        growing.grow(as_of)
        _pass(loaded, as_of)
    return folder


def play(log: SampleLog, begun: Path, folder: Path) -> Shown:
    """What happened to one log, compared with what should have."""
    outcome = monitored(log, begun, folder)
    wrong = tuple(expected.wrong(log, outcome))
    about = f"== {log.name}: {_about(log)}"
    lines = (about, *outcome.tables, *_fired(outcome.firings), f"   {outcome.pointer}")
    return Shown(log.name, lines, expected.row(log, outcome, wrong), wrong)


def monitored(log: SampleLog, begun: Path, folder: Path) -> Outcome:
    """Go on with one log from where `begin` left, pass by pass."""
    shutil.copytree(begun, folder)
    branched = calendar.branches(log)
    growing = Growing(log.parts(branched - OVERLAP), folder, branched)
    loaded = _loaded(folder)
    passes, found = calendar.after(log), False
    for as_of in passes:
        if found and as_of != passes[-1]:
            continue
        growing.grow(as_of)
        fired = _pass(loaded, as_of)
        if any(body["did"] == "rolled_back" for body in fired):
            break
        last = log.also or log.trigger
        found = found or any(body["confirmed"] and body["trigger"] == last for body in fired)
    return _outcome(log, loaded, as_of)


class Growing:
    """The files of a log, which grow as time passes: each pass finds the lines written since the last.

    `parts` from some time before `written` go on in files that hold all lines before `written`; raises
    ValueError where those lines are not the same ones.
    """

    def __init__(self, parts: Sequence[Part], folder: Path, written: datetime | None = None) -> None:
        self._folder, self._parts = folder, parts
        self._seen = {part.path: part.seen(written) if written else 0 for part in parts}
        for part in parts:
            file = folder / part.path
            if written is None:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(part.header, "utf-8")
            elif not _ends_with(file, part.lines[: self._seen[part.path]]):
                raise ValueError(f"{part.path} was another log before {written}: it cannot be continued")

    def grow(self, as_of: datetime) -> None:
        """Append what was logged before `as_of`."""
        for part in self._parts:
            seen = part.seen(as_of)
            with (self._folder / part.path).open("a", encoding="utf-8") as file:
                file.writelines(part.lines[self._seen[part.path] : seen])
            self._seen[part.path] = seen


def _workers() -> ProcessPoolExecutor:
    """As many at once as there are processors."""
    return ProcessPoolExecutor(max_workers=os.cpu_count(), initializer=on_one_thread)


def _played(
    pool: ProcessPoolExecutor,
    chosen: Sequence[SampleLog],
    begun: Path,
    folder: Path,
    progress: Progress | None,
) -> Iterator[Shown]:
    """The logs in the order in which they were chosen."""
    first = {_healthy(log): log for log in reversed(chosen)}
    waiting = {pool.submit(begin, log, begun / name): name for name, log in first.items()}
    playing: dict[str, Future[Shown]] = {}
    for done, future in enumerate(as_completed(waiting)):
        if progress:
            progress("before the faults", done, len(waiting))
        start, name = future.result(), waiting[future]
        for log in (log for log in chosen if _healthy(log) == name):
            playing[log.name] = pool.submit(play, log, start, folder / log.name)
    for log in chosen:
        if progress:
            progress(log.name, sum(f.done() for f in playing.values()), len(playing))
        yield playing[log.name].result()


def _pass(loaded: Loaded, as_of: datetime) -> list[Mapping[str, object]]:
    """One pass of `monitor run`; what fired in it."""
    from monitor import jobs

    report = jobs.run(loaded, now=as_of, as_of=as_of, dry=False, environ={})
    return [event.body for event in report.firings]


def _outcome(log: SampleLog, loaded: Loaded, as_of: datetime) -> Outcome:
    from alerts.rollback import build
    from gates.table import table
    from monitor.journal import Journal
    from monitor.status import lines
    from monitor.verdicts import gate, store_of

    if log.stage == "shadow":
        _review(loaded, as_of)
    asked = GATES.get(log.name, (STAGE[log.stage],))
    verdicts = [gate(loaded, stage=stage, as_of=as_of) for stage in asked]
    journal = Journal(store_of(loaded).journal)
    firings = [event.body for event in journal.events("firing")]
    journal.close()
    return Outcome(
        firings=firings,
        verdicts=verdicts,
        tables=[table(verdict, width=100).rstrip() for verdict in verdicts],
        pointer=next(iter(lines(loaded, as_of, environ={}))),
        in_control=(build(loaded.config.rollback, loaded.folder, {}).read() or {}).get("policy"),
        safe=loaded.config.policies.safe,
    )


def _loaded(folder: Path) -> Loaded:
    """The configuration, without the channels that would tell people."""
    from monitor import config as configuration

    loaded = configuration.load(folder / "monitor.yaml")
    nobody = loaded.config.alerts.model_copy(update={"channels": []})
    return loaded.model_copy(update={"config": loaded.config.model_copy(update={"alerts": nobody})})


def _healthy(log: SampleLog) -> str:
    return ("cooling_" if log.family == "cooling" else "") + f"{log.stage}_healthy"


def _ends_with(file: Path, lines: Sequence[str]) -> bool:
    tail = "".join(lines).encode()
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - len(tail)))
        return stream.read() == tail


def _review(loaded: Loaded, as_of: datetime) -> None:
    """The sign-off of item 7, as a person would give it after reading the largest disagreements."""
    from monitor import acts

    acts.attest(
        loaded, "review", by="demo", reason="sample data, read by nobody", evidence=str(Path(__file__)),
        expires="92d", approved=True, at=as_of,
    )  # fmt: skip


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
