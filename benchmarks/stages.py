"""One stage of the benchmark in a process of its own: `python -m benchmarks.stages STAGE FOLDER ROWS FEATURES
DAYS`. Prints one JSON line: wall and processor seconds of each step, in their order."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import duckdb

from benchmarks import logs
from monitor import config as configuration
from monitor import jobs, readings, verdicts
from monitor.config import Loaded
from monitor.journal import Journal
from monitor.log import schema
from monitor.log.ingest import ingest
from monitor.store import Store, literal, opened
from monitor.sums import FAMILIES
from monitor.sums.baseline import Baseline
from monitor.sums.build import build, restricted

SCANS = 3
WEIGHED = ("offpolicy", "clipped", "offpolicy_cost", "largest", "pair_sample", "units")
FITTED = ("gram", "ridge")


@dataclass
class Stage:
    """Where a stage works, and the seconds (wall, processor) of its steps."""

    folder: Path
    rows: int
    features: int
    days: int
    seconds: dict[str, tuple[float, float]] = field(default_factory=dict)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.note(step, time.perf_counter() - wall, time.process_time() - cpu)

    def note(self, step: str, wall: float, cpu: float) -> None:
        """Keep the best of several equal steps."""
        self.seconds[step] = min(self.seconds.get(step, (wall, cpu)), (wall, cpu))

    @property
    def end(self) -> datetime:
        return logs.START + timedelta(days=self.days)

    def loaded(self, name: str = "full") -> Loaded:
        return configuration.load(self.folder / f"{name}.yaml")


def write(stage: Stage) -> None:
    """The logs and the configurations."""
    logs.write(stage.folder, stage.rows, stage.features, stage.days)


def scan(stage: Stage) -> None:
    """Every value of the columns that the measuring pass reads, summed by DuckDB alone."""
    select = ", ".join(logs.measured(stage.features).values())
    with duckdb.connect(":memory:") as connection:
        for _ in range(SCANS):
            with stage.timed("scan"):
                connection.execute(f"SELECT {select} FROM {_parquet(stage)}").fetchall()


def load(stage: Stage) -> None:
    """The same files into a DuckDB table, to the disk."""
    path = stage.folder / "plain.duckdb"
    with stage.timed("load"), duckdb.connect(str(path)) as connection:
        connection.execute(f"CREATE TABLE decisions AS FROM {_parquet(stage)}")
        connection.execute("CHECKPOINT")
    path.unlink()


def ingestion(stage: Stage) -> None:
    """Our ingest of the same files into an empty store, to the disk."""
    loaded = stage.loaded()
    store = verdicts.store_of(loaded)
    shutil.rmtree(store.folder, ignore_errors=True)
    store.create()
    with stage.timed("ingest"), opened(store.decisions) as connection:
        schema.create(connection, loaded.config)
        account = ingest(connection, loaded, as_of=stage.end, now=stage.end)
    assert account.loaded == account.rows_in and not account.problems, account


def freeze(stage: Stage) -> None:
    with stage.timed("freeze"):
        jobs.freeze_baseline(stage.loaded(), reason="benchmark", as_of=stage.end, now=stage.end)


def sums(stage: Stage) -> None:
    """Every family over every hour, into an empty store of sums."""
    loaded = stage.loaded()
    store, baseline = _with_baseline(loaded)
    store.sums.unlink(missing_ok=True)
    steps = _Steps(stage)
    with stage.timed("sums"):
        build(store, loaded.config, baseline.frozen, steps.begin)
        steps.finish()


def windows(stage: Stage) -> None:
    """Every metric of every window, from the sums."""
    loaded = stage.loaded()
    store, baseline = _with_baseline(loaded)
    with opened(store.sums) as connection:
        connection.execute("DELETE FROM readings")
        connection.execute("DELETE FROM watermarks")
    steps = _Steps(stage)
    with stage.timed("readings"):
        readings.measure(store, loaded.config, baseline, stage.end + logs.LAG, steps.begin)
        steps.finish()


def judged(stage: Stage) -> None:
    """A whole run that finds nothing new to read: it judges every window, once."""
    with stage.timed("judge"):
        _run(stage.loaded(), stage.end)


def evaluated(stage: Stage) -> None:
    """`monitor evaluate` on the sums that `monitor run` keeps, all estimators, then with a ridge model too;
    and what it takes to sum the families that it reads for every row anew."""
    for step, columns in (("evaluate scan", logs.weighed()), ("ridge scan", logs.measured(stage.features))):
        select = f"SELECT {', '.join(columns.values())} FROM {_parquet(stage)}"
        with duckdb.connect(":memory:") as connection:
            for _ in range(SCANS):
                with stage.timed(step):
                    connection.execute(select).fetchall()
    for step, name, families in (("evaluate", "full", WEIGHED), ("evaluate, ridge", "ridge", FITTED)):
        loaded = stage.loaded(name)
        store, baseline = _with_baseline(loaded)
        build(store, loaded.config, baseline.frozen)
        with opened(store.decisions) as connection, stage.timed(f"{step}: sums"):
            for family in families:
                select = FAMILIES[family].select(loaded.config, baseline.frozen)
                assert select is not None, family
                connection.execute(f"CREATE OR REPLACE TEMP TABLE summed AS {restricted(select, 'TRUE')}")
        for _ in range(SCANS):
            with stage.timed(step):
                verdicts.evaluate(loaded, stage="shadow", as_of=stage.end + logs.LAG, every=True)


def early(stage: Stage) -> None:
    """Runs over further hours after the first day."""
    _further(stage, "early", "early", logs.START + timedelta(days=1))


def late(stage: Stage) -> None:
    """Runs over further hours after the last day."""
    _further(stage, "late", "full", stage.end)


STAGES: dict[str, Callable[[Stage], None]] = {
    "write": write, "scan": scan, "load": load, "ingest": ingestion, "freeze": freeze, "sums": sums,
    "readings": windows, "judge": judged, "evaluate": evaluated, "early": early, "late": late,
}


class _Steps:
    """Times what lies between two calls of `progress`, under the name of the first."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.now = stage, ""
        self.spent: dict[str, list[float]] = {}

    def begin(self, name: str, done: int, total: int) -> None:
        self._note()
        self.now, self.began = name, (time.perf_counter(), time.process_time())

    def finish(self) -> None:
        self._note()
        for name, (wall, cpu) in self.spent.items():
            self.stage.note(name, wall, cpu)

    def _note(self) -> None:
        if self.now:
            spent = self.spent.setdefault(self.now, [0.0, 0.0])
            spent[0] += time.perf_counter() - self.began[0]
            spent[1] += time.process_time() - self.began[1]


def _parquet(stage: Stage) -> str:
    return f"read_parquet({literal(str(stage.folder / 'logs' / '*.parquet'))})"


def _with_baseline(loaded: Loaded) -> tuple[Store, Baseline]:
    store = verdicts.store_of(loaded)
    journal = Journal(store.journal)
    baseline = verdicts.current_baseline(journal, store)
    journal.close()
    assert baseline is not None
    return store, baseline


def _run(loaded: Loaded, end: datetime) -> jobs.RunReport:
    return jobs.run(loaded, now=end + logs.LAG, as_of=end + logs.LAG, dry=False, environ={})


def _further(stage: Stage, step: str, name: str, end: datetime) -> None:
    """Each further hour in two parts: read, summed and measured; then judged with all before it."""
    loaded = stage.loaded(name)
    _run(loaded, end)
    store, baseline = _with_baseline(loaded)
    for ready in sorted((stage.folder / f"further_{name}").iterdir()):
        shutil.copy(ready, stage.folder / ("early" if name == "early" else "logs"))
        end += timedelta(hours=1)
        with stage.timed(step):
            with opened(store.decisions) as connection:
                account = ingest(connection, loaded, as_of=end + logs.LAG, now=end + logs.LAG)
            summed = build(store, loaded.config, baseline.frozen)
            measured = readings.measure(store, loaded.config, baseline, end + logs.LAG)
        with stage.timed(f"{step}, judged"):
            _run(loaded, end)
        # Families of whole days are summed for the day of the hour; only the hour's numbers change.
        assert summed in (1, 24) and measured == 1, (summed, measured)
        assert account.loaded == account.rows_in > 0, account


def main(arguments: list[str]) -> None:
    name, folder, rows, features, days = arguments
    stage = Stage(Path(folder), int(rows), int(features), int(days))
    STAGES[name](stage)
    print(json.dumps(stage.seconds))


if __name__ == "__main__":
    main(sys.argv[1:])
