"""`monitor gate --logs`: given files are measured in a folder that is thrown away, and judged.

For a pipeline without access to the store. Nothing of the store is read or written, and the verdict is
written down nowhere.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from glob import escape
from pathlib import Path, PurePath
from typing import Any

import duckdb

from gates import stages
from gates.checklist import load as load_checklist
from gates.evaluate import LOGS, LOGS_AND_JOURNAL, RecordedFiring, Verdict, judge
from monitor import journal as journals
from monitor import measuring, pii, rules
from monitor.acting import called_for
from monitor.breaches import judge_breaches
from monitor.config import Config, ConfigError, Loaded, Source
from monitor.journal import Journal
from monitor.judge import Judged, judge_windows
from monitor.log import schema
from monitor.log.ingest import ingest
from monitor.readings import closed_end, first_hour, moment, window_hours
from monitor.store import Store, opened
from monitor.sums import baseline as baselines
from monitor.sums.baseline import Baseline
from monitor.verdicts import checklists_of, evidence_in, firings_within, recorded

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Given:
    """What the gate is given: log files or folders of them, a frozen baseline and a journal, where there
    are any, and the time to judge at (None: when the window of the newest row had closed)."""

    logs: Sequence[Path]
    baseline: Path | None = None
    journal: Path | None = None
    as_of: datetime | None = None


def gate(
    loaded: Loaded, given: Given, *, stage: str, now: datetime, progress: Progress | None = None
) -> tuple[Verdict, list[str]]:
    """The verdict on the given files, and what to tell of reading them. Raises ConfigError, JournalError,
    StoreError, ValueError."""
    stage = stages.stage_named(stage)
    checklist = load_checklist(stage, checklists_of(loaded))
    numbers = rules.load(checklists_of(loaded))
    sources = _sources(loaded, given.logs)
    frozen = _frozen(loaded.config, given.baseline) if given.baseline else None
    with _workplace(loaded, given) as (store, there, journal):
        config = there.config
        with opened(store.decisions) as connection:
            schema.create(connection, config)
            reading = there.model_copy(update={"config": _reading(config, sources)})
            account = ingest(connection, reading, as_of=now, now=now, progress=progress)
            as_of = given.as_of or _newest_closed(connection, config, now)
            if frozen is None and baselines.due(connection, config, as_of):
                pii.arm(connection, there)
                frozen = baselines.freeze(connection, config, store.baselines)
            pii.arm(connection, there)
            rows, _ = judge_breaches(connection, config, as_of)
            problem = measuring.profiled(connection, config, as_of)
        measuring.measured(store, config, frozen, as_of, progress)
        problem = problem or measuring.validated(there, store, frozen, as_of).problem
        with opened(store.sums, read_only=True) as connection:
            fired = [_fired(j, config) for j in rows + _judged(connection, config, frozen, numbers, as_of)]
        judged_to = closed_end(config, as_of, matured=False)
        with evidence_in(
            store, journal, there, stage, as_of, frozen, judged_to, unread=bool(account.problems)
        ) as evidence:
            known = firings_within(evidence, config, [*recorded(journal), *fired])
            scope = LOGS_AND_JOURNAL if given.journal else LOGS
            verdict = judge(checklist, evidence, _once(known), scope=scope)
    told = [*account.lines(), *([problem] if problem else [])]
    return verdict, told


@contextmanager
def _emptied(folder: str) -> Iterator[None]:
    """Have a signal that ends the process take the folder with it: it holds decisions. DuckDB swallows
    exceptions of handlers, so the process ends in the handler itself."""

    def end(number: int, _frame: object) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.signal(one, end) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextmanager
def _workplace(loaded: Loaded, given: Given) -> Iterator[tuple[Store, Loaded, Journal]]:
    """A store in a temporary folder, the configuration that points there, and a copy of the journal or an
    empty one: whatever is written goes with the folder."""
    with tempfile.TemporaryDirectory(prefix="monitor-gate-") as folder, _emptied(folder):
        store = Store(Path(folder).resolve())
        store.create()
        if given.journal:
            journals.copied(given.journal, store.journal)
        config = loaded.config.model_copy(update={"store": str(store.folder)})
        with Journal(store.journal) as journal:
            broken = journal.verify()
            if broken:
                raise journals.JournalError(f"--journal {given.journal}: {broken[0]}")
            yield store, loaded.model_copy(update={"config": config}), journal


def _sources(loaded: Loaded, logs: Sequence[Path]) -> list[Source]:
    """The sources of the configuration with the given files in the place of their patterns; those that get
    no file are left out. Raises ConfigError."""
    configured = loaded.config.log.sources
    files, errors = [], []
    for path in logs:
        found = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        if not path.exists() or not found:
            errors.append(f"--logs {path}: there is no file")
        files += found
    taken: list[list[str]] = [[] for _ in configured]
    for file in files:
        fitting = _fitting(configured, file)
        if len(fitting) == 1:
            taken[fitting[0]].append(escape(str(file.resolve())))
        elif file.exists():
            which = "no source" if not fitting else "several sources"
            errors.append(f"--logs {file}: its name matches the patterns of {which} of `log.sources`")
    if errors:
        raise ConfigError(errors)
    given = zip(configured, taken, strict=True)
    return [source.model_copy(update={"paths": paths}) for source, paths in given if paths]


def _fitting(sources: Sequence[Source], file: Path) -> list[int]:
    """Places of the sources that a file may belong to: those with a pattern that its path ends like, else
    one that its name is like; where there is a single source, that one."""
    if len(sources) == 1:
        return [0]
    for part in (PurePath, lambda pattern: PurePath(PurePath(pattern).name)):
        found = [
            place for place, s in enumerate(sources)
            if any(file.absolute().match(str(part(pattern))) for pattern in s.paths)
        ]
        if found:
            return found
    return []


def _reading(config: Config, sources: list[Source]) -> Config:
    return config.model_copy(update={"log": config.log.model_copy(update={"sources": sources})})


def _frozen(config: Config, file: Path) -> Baseline:
    """A frozen baseline from its file. Raises ConfigError where it cannot be read or is not of this
    configuration."""
    try:
        found = baselines.of(json.loads(file.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise ConfigError([f"--baseline {file} cannot be read: {error}"]) from None
    wrong = _wrong(file, found, baselines.specification(config))
    if wrong:
        raise ConfigError([f"--baseline {file}{wrong}"])
    return found


def _wrong(file: Path, found: Baseline, wanted: dict[str, Any] | None) -> str:
    """Why a baseline may not be used, "" where it may."""
    made = found.body.get("specification") or {}
    if wanted is None:
        return ": monitor.yaml declares no `baseline`"
    if wanted.get("hidden"):
        return ": bins of personal columns (`pii`) can be told in the store only"
    if made != wanted:
        other = ", ".join(n for n in sorted({*wanted, *made}) if wanted.get(n) != made.get(n))
        return f" was frozen for another specification: monitor.yaml has another {other}"
    return "" if baselines.named_after(file, found) else " was changed after it was frozen"


def _newest_closed(connection: duckdb.DuckDBPyConnection, config: Config, now: datetime) -> datetime:
    """When the window of the newest decision had closed, but not after `now`."""
    found = connection.execute("SELECT MAX(hour) FROM decisions").fetchall()[0][0]
    if found is None:
        return now
    span = window_hours(config)
    return min(now, moment((int(found) // span + 1) * span) + config.log.lag).astimezone(UTC)


def _judged(
    connection: duckdb.DuckDBPyConnection,
    config: Config,
    frozen: Baseline | None,
    numbers: Mapping[str, rules.Rule],
    as_of: datetime,
) -> list[Judged]:
    """What the triggers say of every closed window of the files, from nothing that was known before."""
    first = first_hour(connection, config)
    end = {m: closed_end(config, as_of, matured=m) for m in (False, True)}
    begin = {m: end[m] if first is None else min(first, end[m]) for m in end}
    return list(judge_windows(connection, config, frozen, numbers, [], begin, end))


def _fired(judged: Judged, config: Config) -> RecordedFiring:
    firing = judged.firing
    return RecordedFiring(
        trigger=firing.trigger, action=called_for(judged, config.policies.candidate),
        confirmed=judged.confirmed, historical=True, policy=firing.policy_id, key=firing.key,
        window_start=firing.window_start, window_end=firing.window_end, value=firing.value,
        limit=firing.limit, message=firing.message,
    )


def _once(firings: Sequence[RecordedFiring]) -> list[RecordedFiring]:
    """Each firing once: as the journal has it, where it has it."""
    found = {(f.trigger, f.key, f.policy, f.window_start): f for f in reversed(firings)}
    return list(reversed(found.values()))
