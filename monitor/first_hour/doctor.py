"""`monitor doctor`: what is missing, what cannot work at this volume, and what to do about each.

Reads the stores and the journal; judges, sends and moves nothing.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import duckdb
import numpy as np

from gates.checklist import load as load_checklist
from gates.stages import OFFLINE, ROAD, STAGES, standing
from monitor import rules
from monitor.chain import instant
from monitor.config import Loaded
from monitor.first_hour import volume
from monitor.first_hour.complaint import Complaint
from monitor.first_hour.items import ItemRow, Known, item_rows
from monitor.first_hour.logs import clock_skew, held_columns, log_quality, maturity, off_policy
from monitor.journal import Event, Journal
from monitor.level import effective_level
from monitor.metrics.estimate import Reading
from monitor.readings import load, moment, window_hours
from monitor.store import opened
from monitor.sums.baseline import Baseline
from monitor.triggers import NUMBERS
from monitor.verdicts import current_baseline, store_of

RECENT = 7 * 24
CORRELATED = 0.3
FEWEST_DAYS = 8


@dataclass(frozen=True)
class Chart:
    """What every examination may look at. `end` is the hour after the newest that is summed; `rewards`
    are readings of the mean reward of the policy in control, `typical` its decisions in a window."""

    loaded: Loaded
    sums: duckdb.DuckDBPyConnection
    journal: Journal
    baseline: Baseline | None
    as_of: datetime
    start: int
    end: int
    policy: str
    rewards: Sequence[Reading]
    typical: float

    @property
    def checklists(self) -> Path | None:
        folder = self.loaded.config.checklists
        return self.loaded.path(folder) if folder else None


def examine(loaded: Loaded, as_of: datetime) -> list[Complaint]:
    """Everything there is to say. Raises ConfigError, StoreError and JournalError."""
    store = store_of(loaded)
    if not store.journal.exists() or not store.sums.exists():
        return [_not_run()]
    with closing(Journal(store.journal)) as journal, opened(store.sums, read_only=True) as sums:
        chart = _chart(loaded, sums, journal, as_of)
        found = [c for look in JOURNAL for c in look(loaded, journal, as_of)]
        if chart is None:
            return [*found, _not_run()]
        found += [c for look in STORE for c in look(chart)]
    return [*found, *clock_skew(loaded, store, as_of)]


def lines(complaints: Sequence[Complaint]) -> list[str]:
    """What blocks first, each with why it matters and what to do."""
    if not complaints:
        return ["nothing is missing"]
    ordered = sorted(complaints, key=lambda c: not c.blocks)
    text = []
    for c in ordered:
        text.append(f"{'BLOCKS' if c.blocks else 'note  '} {c.what}")
        text += [f"       why: {c.why}", f"       do:  {c.do}"]
    blocking = sum(c.blocks for c in complaints)
    return [*text, f"{blocking} block, {len(complaints) - blocking} to know"]


def _not_run() -> Complaint:
    return Complaint("no decision is summed yet", "there is nothing to judge", "`monitor run`", blocks=True)


def _chart(
    loaded: Loaded, sums: duckdb.DuckDBPyConnection, journal: Journal, as_of: datetime
) -> Chart | None:
    ((first, last),) = sums.execute("SELECT MIN(hour), MAX(hour) FROM sums_reward").fetchall()
    if last is None:
        return None
    recent = max(first, last + 1 - RECENT)
    ((policy,),) = sums.execute(
        "SELECT policy_id FROM sums_reward WHERE hour >= ? GROUP BY 1 ORDER BY SUM(n) DESC, 1 LIMIT 1",
        [recent],
    ).fetchall()
    span = window_hours(loaded.config)
    sizes = sums.execute(
        "SELECT CAST(SUM(n) AS DOUBLE) FROM sums_reward WHERE hour >= ? AND policy_id = ? GROUP BY hour // ?",
        [recent, policy, span],
    ).fetchall()
    rewards = load(sums, "metric = 'reward_mean' AND policy_id = ?", [policy])
    typical = statistics.median(n for (n,) in sizes)
    baseline = current_baseline(journal, store_of(loaded))
    return Chart(
        loaded, sums, journal, baseline, as_of, int(first), int(last) + 1, policy,
        [r for r in rewards if r.estimate.n > 0], typical,
    )  # fmt: skip


def _whole(loaded: Loaded, journal: Journal, as_of: datetime) -> Iterator[Complaint]:
    for fault in journal.verify()[:3]:
        yield Complaint(
            f"the journal is damaged: {fault}", "what it says can no longer be trusted",
            "put back a copy of journal.db from before", blocks=True,
        )  # fmt: skip


def _undelivered(loaded: Loaded, journal: Journal, as_of: datetime) -> Iterator[Complaint]:
    waiting = journal.undelivered()
    if waiting:
        last = waiting[-1]
        yield Complaint(
            f"{len(waiting)} alerts are not delivered; {last.channel}: {last.last_error or 'not tried yet'}",
            "nobody is told", "mend the channel; the next `monitor run` sends them", blocks=True,
        )  # fmt: skip


def _acting(loaded: Loaded, journal: Journal, as_of: datetime) -> Iterator[Complaint]:
    level = effective_level(journal.events("arm"), loaded.config.acting)
    if level != "rollback":
        yield Complaint(
            f"acting: {level}", "a confirmed firing tells what would have been done and rolls nothing back",
            "`monitor arm rollback --by NAME --reason …` when you trust it",
        )  # fmt: skip


def _last_run(loaded: Loaded, journal: Journal, as_of: datetime) -> Iterator[Complaint]:
    runs = journal.events("run", until=as_of)
    late = 2 * loaded.config.window + loaded.config.log.lag
    if runs and runs[-1].at < as_of - late:
        yield Complaint(
            f"the last run was {runs[-1].at:%Y-%m-%d %H:%M} UTC", "windows since then are not judged",
            "`monitor run`, and something that runs it every window", blocks=True,
        )  # fmt: skip


def _baseline(chart: Chart) -> Iterator[Complaint]:
    period = chart.loaded.config.baseline
    if chart.baseline is None:
        due = period.end + chart.loaded.config.log.lag if period else None
        few = "its period holds too few decisions"
        wait = f"it closes {due:%Y-%m-%d %H:%M} UTC" if due and due > chart.as_of else few
        yield Complaint(
            f"no baseline is frozen: {wait if period else 'none is configured'}",
            "state_shift, large_disagreement and duration_and_coverage have nothing to compare with",
            "a `baseline:` of at least 1 000 decisions, then `monitor run`", blocks=True,
        )  # fmt: skip


def _triggers(chart: Chart) -> Iterator[Complaint]:
    config, numbers = chart.loaded.config, rules.load(chart.checklists)
    for name in sorted(set(NUMBERS) - set(numbers)):
        yield Complaint(f"trigger {name} is off", "triggers.yaml does not list it", "list it there")
    if "reward_drop" in numbers:
        yield from volume.reward_drop(config, chart.rewards)
    if "state_shift" in numbers and chart.baseline is not None:
        yield from volume.state_shift(config, chart.baseline, chart.typical)
    yield from volume.constraints(config, chart.baseline, numbers, chart.typical)


def _blocks_of_time(chart: Chart) -> Iterator[Complaint]:
    found = lag_one(daily_means(chart.rewards))
    if found is not None and found > CORRELATED:
        yield Complaint(
            f"daily means of the reward follow each other: lag-1 correlation {found:.2f}, above {CORRELATED}",
            "days are not independent, so intervals over days are too narrow",
            "wait for more days than the checklist asks, or name the cause as a state feature",
        )


def _items(chart: Chart) -> Iterator[Complaint]:
    config = chart.loaded.config
    days = max((chart.end - chart.start) / 24, 1 / 24)
    ((rows,),) = chart.sums.execute("SELECT SUM(n) FROM sums_reward").fetchall()
    known = Known(config, held_columns(chart.sums, config), float(rows) / days)
    now = standing(chart.journal.events(*ROAD), config.policies.candidate, chart.as_of)
    stage = now.stage if now else OFFLINE
    deciding = {
        (s, i.item) for s in STAGES for i in load_checklist(s, chart.checklists).items
        if i.role in ("guardrail", "sign_off")
    }  # fmt: skip
    signed = _signed(chart.journal.events("attest"), config.policies.candidate, chart.as_of)
    alike: dict[ItemRow, list[str]] = {}
    for row in item_rows(known, chart.checklists):
        if (row.stage, row.item) in deciding and row.can in ("never", "needs") and row.item not in signed:
            alike.setdefault(replace(row, number="", item=""), []).append(row.item)
    for row, items in alike.items():
        never = row.can == "never"
        how = "can never pass with these logs" if never else "cannot pass yet"
        yield Complaint(
            f"{row.stage}: {', '.join(items)} {how}",
            row.why if never else f"it needs {row.why}",
            "give it what it needs, or `role: off` with a `because` in your own checklists",
            blocks=row.stage == stage,
        )  # fmt: skip


def _signed(events: Sequence[Event], policy: str, as_of: datetime) -> set[str]:
    """Items whose newest sign-off for the policy approves and has not expired."""
    newest = {str(e.body.get("item")): e.body for e in events if e.body.get("policy") == policy}
    return {
        item
        for item, body in newest.items()
        if body.get("verdict") == "approved" and instant(str(body.get("expires"))) > as_of
    }


def daily_means(rewards: Sequence[Reading]) -> list[float]:
    """Mean reward of each UTC day, from the readings of its windows."""
    sums: dict[int, list[float]] = {}
    for r in rewards:
        if np.isfinite(r.estimate.value):
            day = sums.setdefault(int(r.window_start.timestamp() // 86400), [0.0, 0.0])
            day[0] += r.estimate.value * r.estimate.n
            day[1] += r.estimate.n
    return [total / n for _, (total, n) in sorted(sums.items())]


def lag_one(values: Sequence[float]) -> float | None:
    """Σ(x_t − x̄)(x_{t+1} − x̄)/Σ(x_t − x̄)²; None under 8 values or where nothing varies."""
    off = np.asarray(values, dtype=np.float64) - (np.mean(values) if len(values) else 0.0)
    square = float(off @ off)
    return float(off[:-1] @ off[1:]) / square if len(off) >= FEWEST_DAYS and square > 0 else None


def _logs(chart: Chart) -> Iterator[Complaint]:
    yield from log_quality(chart.sums, chart.loaded.config)
    yield from maturity(chart.sums, chart.loaded.config, moment(chart.end), chart.as_of)
    yield from off_policy(chart.sums, chart.loaded.config, chart.start, chart.end)


JOURNAL: list[Callable[[Loaded, Journal, datetime], Iterator[Complaint]]] = [
    _whole, _undelivered, _acting, _last_run,
]  # fmt: skip
STORE: list[Callable[[Chart], Iterator[Complaint]]] = [_baseline, _logs, _triggers, _blocks_of_time, _items]
