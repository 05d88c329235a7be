"""Readings: every metric of every closed window, computed once and again when late data changes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

import duckdb

from monitor.config import Config
from monitor.day_readings import day_readings, names, touched
from monitor.metrics import METRICS
from monitor.metrics.estimate import Estimate, Reading
from monitor.sheet import Sheet, time_blocks
from monitor.store import Store, opened
from monitor.sums.baseline import Baseline
from monitor.sums.build import BOOKKEEPING
from monitor.sums.read import Index, read
from monitor.triggers import TRIGGERS

if TYPE_CHECKING:
    import pyarrow

HOUR = timedelta(hours=1)
RUN_OF_WINDOWS = 24 * 31
GAP_OF_WINDOWS = 48
SILENT_WINDOWS = 24
Progress = Callable[[str, int, int], None]


@lru_cache(100_000)
def hour_of(moment: datetime) -> int:
    """Whole hours since 1970-01-01 UTC."""
    return int(moment.timestamp() // 3600)


@lru_cache(100_000)
def moment(hour: int) -> datetime:
    return datetime.fromtimestamp(hour * 3600, UTC)


def closed_end(config: Config, as_of: datetime, *, matured: bool) -> int:
    """Hour at which the newest closed window ends: its end + lag (+ maturity) is not after as-of."""
    span = window_hours(config)
    wait = config.log.lag + (config.reward.matures_after if matured else timedelta(0))
    return hour_of(as_of - wait) // span * span


def window_hours(config: Config) -> int:
    return int(config.window / HOUR)


def matured_after(config: Config, trigger: str) -> timedelta:
    """How long after the end of a window what this trigger reads has matured: nothing, a reward or an
    outcome."""
    row = TRIGGERS.get(trigger)
    if row is None or not row.matures:
        return timedelta(0)
    rewards = config.reward.matures_after
    return max(rewards, config.outcome.matures_after) if row.outcome and config.outcome else rewards


def outcome_hours(config: Config, trigger: str) -> int:
    """Whole hours by which this trigger waits longer than those that wait for rewards alone."""
    row = TRIGGERS.get(trigger)
    longer = matured_after(config, trigger) - config.reward.matures_after if row and row.matures else HOUR * 0
    return -(-longer // HOUR)


def first_hour(connection: duckdb.DuckDBPyConnection, config: Config) -> int | None:
    """Start of the window with the first decision of the sums, None where there is none."""
    span = window_hours(config)
    found = connection.execute("SELECT MIN(hour) FROM sums_reward").fetchone()
    return int(found[0]) // span * span if found and found[0] is not None else None


def measure(
    store: Store, config: Config, baseline: Baseline | None, as_of: datetime, progress: Progress | None = None
) -> int:
    """Compute the readings that are missing or whose sums changed; returns windows computed."""
    span = window_hours(config)
    with opened(store.sums, read_only=True) as connection:
        first = connection.execute("SELECT MIN(hour) FROM sums_reward").fetchone()
        if not first or first[0] is None:
            return 0
        pending = [h for (h,) in connection.execute("SELECT DISTINCT hour FROM pending_hours").fetchall()]
        marks = dict(connection.execute("SELECT name, hour FROM watermarks").fetchall())
        begin = int(first[0]) // span * span
        todo: dict[bool, list[int]] = {}
        ends: dict[bool, int] = {}
        for matured in (False, True):
            end = closed_end(config, as_of, matured=matured)
            mark = marks.get(_mark(matured), begin)
            again = {h // span * span for h in pending if h // span * span < mark}
            todo[matured] = sorted(again | set(range(max(mark, begin), end, span)))
            ends[matured] = max(mark, end)
        rows: list[Reading] = []
        windows = sorted({*todo[False], *todo[True]})
        wanted = {m: set(todo[m]) for m in (False, True)}
        newest = connection.execute("SELECT MAX(hour) FROM sums_quality").fetchone() or (None,)
        silent_to = int(newest[0] or begin) + SILENT_WINDOWS * span
        for done, run in enumerate(runs := list(_runs(windows, span))):
            if progress:
                progress("measuring windows", done, len(runs))
            sheet = sheet_of(connection, config, baseline, run[0], run[-1] + span, span)
            for start in run:
                for matured in (False, True):
                    if start in wanted[matured]:
                        rows += _readings(sheet, matured, start, span, silent_to)
        days = {m: touched(todo[m], span, ends[m]) for m in (False, True)}
        for matured in (False, True):
            rows += day_readings(
                lambda a, b: sheet_of(connection, config, baseline, a, b, b - a), days[matured], matured
            )
    if progress and rows:
        progress("writing readings", len(runs), len(runs))
    _write(store, rows, todo, days, ends, pending)
    return len(set(todo[False]) | set(todo[True]))


def replace_batches(
    store: Store, metrics: Sequence[str], starts: Sequence[int], rows: Sequence[Reading]
) -> None:
    """Put `rows` in the place of every reading of these metrics whose window starts in `starts`."""
    table = _table(rows)
    with opened(store.sums) as connection:
        connection.execute(BOOKKEEPING)
        connection.register("new_readings", table)
        connection.execute("BEGIN")
        connection.execute(
            "DELETE FROM readings WHERE window_start IN (SELECT unnest(?::BIGINT[])) "
            "AND metric IN (SELECT unnest(?::VARCHAR[]))",
            [list(starts), list(metrics)],
        )
        connection.execute("INSERT INTO readings SELECT * FROM new_readings")
        connection.execute("COMMIT")


def load(
    connection: duckdb.DuckDBPyConnection, where: str, parameters: Sequence[object]
) -> list[Reading]:
    """Readings that meet a condition, oldest first."""
    found = connection.execute(
        'SELECT metric, "key", policy_id, candidate_id, window_start, window_end, value, low, high, level, '
        f"n, unit, method, reason FROM readings WHERE {where} ORDER BY window_start",
        list(parameters),
    ).fetchall()
    return [
        Reading(
            Estimate(
                _float(value), _float(low), _float(high), _float(level), _float(n), unit, method, reason
            ),
            metric, key, policy, candidate, moment(start), moment(end),
        )
        for metric, key, policy, candidate, start, end, value, low, high, level, n, *how in found
        for unit, method, reason in [how]
    ]


def sheet_of(
    connection: duckdb.DuckDBPyConnection,
    config: Config,
    baseline: Baseline | None,
    start: int,
    end: int,
    span: int,
    n_star: float | None = None,
) -> Sheet:
    """A sheet over hours start ≤ hour < end of a store, to be cut into windows of `span` hours.
    `n_star` asks for confidence sequences."""
    by_day = not time_blocks(config) and (end - start <= span or span % 24 == start % 24 == 0)

    def summed(family: str) -> Index:
        return read(connection, family, start, end, span, by_day=by_day)

    return Sheet(summed, config, baseline, n_star)


def _readings(sheet: Sheet, matured: bool, start: int, span: int, silent_to: int) -> Iterator[Reading]:
    """Every metric of one window, for the policies that decided in it. Those of the log as a whole (policy
    '') also where nobody did, but only up to `silent_to`: a log may have ended years ago."""
    end = start + span
    window = moment(start), moment(end)
    decided = [p for p in sheet.policies() if len(sheet.cells("reward", p, "", "", start, end))]
    alone = [(policy, "") for policy in decided]
    paired = [(policy, candidate) for policy, candidate in sheet.pairs() if policy in decided]
    subjects = {"pair": paired, "pair_constraint": paired, "log": [("", "")] if start <= silent_to else []}
    for metric, row in METRICS.items():
        if row.matures != matured or not row.windows or not sheet.logged(metric):
            continue
        if "episode" in row.families and not sheet.settings.episodes:
            continue
        keys = sheet.keys(metric)
        for policy, candidate in subjects.get(row.per, alone):
            for key in keys:
                found = sheet.estimate(metric, policy, start, end, candidate, key)
                yield Reading(found, metric, key, policy, candidate, *window)


def _runs(windows: Sequence[int], span: int) -> Iterator[list[int]]:
    """Windows in stretches that are read at once: no long gap inside, at most a month each."""
    run: list[int] = []
    for window in windows:
        if run and (window > run[-1] + GAP_OF_WINDOWS * span or window >= run[0] + RUN_OF_WINDOWS * span):
            yield run
            run = []
        run.append(window)
    if run:
        yield run


def _write(
    store: Store,
    rows: list[Reading],
    todo: dict[bool, list[int]],
    days: dict[bool, list[int]],
    ends: dict[bool, int],
    pending: list[int],
) -> None:
    of = {m: [n for n, row in METRICS.items() if row.matures == m and row.windows] for m in (False, True)}
    table = _table(rows)
    with opened(store.sums) as connection:
        connection.register("new_readings", table)
        connection.execute("BEGIN")
        for matured in (False, True):
            for starts, metrics in ((todo[matured], of[matured]), (days[matured], names(matured))):
                connection.execute(
                    "DELETE FROM readings WHERE window_start IN (SELECT unnest(?::BIGINT[])) "
                    "AND metric IN (SELECT unnest(?::VARCHAR[]))",
                    [starts, metrics],
                )
            connection.execute("DELETE FROM watermarks WHERE name = ?", [_mark(matured)])
            connection.execute("INSERT INTO watermarks VALUES (?, ?)", [_mark(matured), ends[matured]])
        connection.execute("INSERT INTO readings SELECT * FROM new_readings")
        connection.execute("DELETE FROM pending_hours WHERE hour IN (SELECT unnest(?::BIGINT[]))", [pending])
        connection.execute("COMMIT")


def _table(rows: Iterable[Reading]) -> pyarrow.Table:
    import pyarrow

    records = list(rows)
    estimates = [r.estimate for r in records]
    hours = {t: hour_of(t) for r in records for t in (r.window_start, r.window_end)}
    text, number, whole = pyarrow.string(), pyarrow.float64(), pyarrow.int64()
    columns = {
        "metric": ([r.metric for r in records], text),
        "key": ([r.key for r in records], text),
        "policy_id": ([r.policy_id for r in records], text),
        "candidate_id": ([r.candidate_id for r in records], text),
        "window_start": ([hours[r.window_start] for r in records], whole),
        "window_end": ([hours[r.window_end] for r in records], whole),
        "value": ([e.value for e in estimates], number),
        "low": ([e.low for e in estimates], number),
        "high": ([e.high for e in estimates], number),
        "level": ([e.level for e in estimates], number),
        "n": ([float(e.n) for e in estimates], number),
        "unit": ([e.unit for e in estimates], text),
        "method": ([e.method for e in estimates], text),
        "reason": ([e.reason for e in estimates], text),
    }
    return pyarrow.table({name: pyarrow.array(values, kind) for name, (values, kind) in columns.items()})


def _mark(matured: bool) -> str:
    return "matured" if matured else "plain"


def _float(value: float | None) -> float:
    return float("nan") if value is None else float(value)
