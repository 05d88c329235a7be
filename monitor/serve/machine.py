"""What machines ask for: `/metrics` in the text format of Prometheus, and `/healthz`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from gates import passes
from gates.outcome import Outcome
from gates.stages import STAGES
from monitor.config import Loaded
from monitor.incidents import FOLDS, unresolved
from monitor.journal import Event, Journal, JournalError
from monitor.store import StoreError, has_table, opened
from monitor.verdicts import store_of

LATE_WINDOWS = 2
TYPE = CONTENT_TYPE_LATEST


@dataclass
class Kept:
    """The newest readings, kept until a pass has written others: a scrape opens no DuckDB file in between."""

    run: int = -1
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    held: bool = False


def healthy(loaded: Loaded, now: datetime) -> tuple[bool, str]:
    """Whether the journal can be read and passes come; a sentence where not."""
    store = store_of(loaded)
    if not store.journal.exists():
        return False, "nothing has run yet"
    try:
        with Journal(store.journal, busy_seconds=1.0) as journal:
            beat = journal.heartbeat("run")
    except JournalError:
        return False, "the journal cannot be read"
    if beat is None:
        return False, "nothing has run yet"
    most = LATE_WINDOWS * loaded.config.window
    if now - beat > most:
        return False, f"the last pass of `monitor run` is more than {LATE_WINDOWS} windows ago"
    return True, "ok"


def metrics(loaded: Loaded, now: datetime, kept: Kept) -> bytes:
    """Readings with limits, outcomes, firings, incidents, alerts that wait, age of the last pass."""
    registry = CollectorRegistry()
    registry.register(_Collected(list(_families(loaded, now, kept))))
    return generate_latest(registry)


@dataclass(eq=False)
class _Collected:
    families: list[Any]

    def collect(self) -> list[Any]:
        return self.families


def _families(loaded: Loaded, now: datetime, kept: Kept) -> Iterator[Any]:
    config, store = loaded.config, store_of(loaded)

    def gauge(name: str, about: str, labels: list[str], values: list[tuple[list[str], float]]) -> Any:
        family = GaugeMetricFamily(f"policy_monitor_{name}", about, labels=labels)
        for names, value in values:
            family.add_metric(names, value)
        return family

    limits = [([c, "limit"], r.limit) for c, r in config.constraints.items()]
    limits += [([c, "rollback"], r.limit + r.margin) for c, r in config.constraints.items()]
    labels = ["constraint", "which"]
    yield gauge("constraint_limit", "Limit d of a constraint, and d + margin", labels, limits)
    if not store.journal.exists():
        return
    with Journal(store.journal, busy_seconds=1.0) as journal:
        beat, runs = journal.heartbeat("run"), journal.newest("run")
        verdicts = journal.events("verdict", subject=config.policies.candidate)
        events = journal.events(*FOLDS)
        waiting = journal.undelivered()
    if beat is not None:
        age = (now - beat) / timedelta(seconds=1)
        yield gauge("last_run_age_seconds", "Seconds since the last pass of monitor run", [], [([], age)])
    outcomes, items = [], []
    for stage in STAGES:
        newest = passes.newest_verdict(
            verdicts, policy=config.policies.candidate, stage=stage, as_of=now
        )
        if newest is None:
            continue
        of = [config.policies.candidate, stage]
        outcomes.append((of, float(Outcome[str(newest.body["outcome"])])))
        worst: dict[str, float] = {}
        for one in newest.body.get("findings", []):
            if one.get("role") in ("guardrail", "sign_off") and one.get("waived") is None:
                code = float(Outcome[str(one["outcome"])])
                worst[one["item"]] = max(code, worst.get(one["item"], 0.0))
        items += [([*of, item], code) for item, code in worst.items()]
    codes = ", ".join(f"{o.value} {o.name}" for o in Outcome)
    yield gauge("outcome", f"Newest verdict of a stage: {codes}", ["policy", "stage"], outcomes)
    yield gauge("item_outcome", f"Newest outcome of an item: {codes}", ["policy", "stage", "item"], items)
    fired = CounterMetricFamily(
        "policy_monitor_firings", "Confirmed firings of triggers", labels=["policy", "trigger"]
    )
    for place, n in _fired(events).items():
        fired.add_metric(list(place), n)
    yield fired
    open_now: dict[tuple[str, str], float] = {}
    for incident in unresolved(events):
        place = (incident.policy, incident.status)
        open_now[place] = open_now.get(place, 0.0) + 1
    yield gauge("incidents_open", "Incidents that are not resolved", ["policy", "status"],
                [(list(k), v) for k, v in open_now.items()])  # fmt: skip
    yield gauge("alerts_waiting", "Alerts that no channel has taken", [], [([], float(len(waiting)))])
    rows = _readings(loaded, runs.seq if runs else 0, kept)
    labels = ["metric", "key", "policy", "candidate"]
    for name, about, column in (
        ("reading", "Newest reading of a metric", 4), ("reading_low", "Low end of its interval", 5),
        ("reading_high", "High end of its interval", 6), ("reading_end_seconds", "End of its window", 7),
    ):  # fmt: skip
        values = [
            ([str(v) for v in row[:4]], float(row[column])) for row in rows
            if row[column] is not None and math.isfinite(row[column])
        ]  # fmt: skip
        yield gauge(name, about, labels, values)
    yield gauge("readings_held", "1 where a pass holds the sums and older readings are shown", [],
                [([], float(kept.held))])  # fmt: skip


def _fired(events: list[Event]) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    for event in events:
        if event.kind == "firing" and event.body.get("confirmed"):
            place = (str(event.body["policy"]), str(event.body["trigger"]))
            found[place] = found.get(place, 0.0) + 1
    return found


def _readings(loaded: Loaded, run: int, kept: Kept) -> list[tuple[Any, ...]]:
    """The newest reading of each metric of the last 30 days, with the end of its window."""
    store = store_of(loaded)
    if kept.run == run or not store.sums.exists():
        return kept.rows
    try:
        with opened(store.sums, read_only=True, wait=0.5) as connection:
            if has_table(connection, "readings"):
                kept.rows = connection.execute(
                    'SELECT metric, "key", policy_id, candidate_id, arg_max(value, window_end), '
                    "arg_max(low, window_end), arg_max(high, window_end), MAX(window_end) * 3600 "
                    "FROM readings WHERE window_end > (SELECT MAX(window_end) - 720 FROM readings) "
                    "AND isfinite(value) GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
                ).fetchall()
        kept.run, kept.held = run, False
    except StoreError:
        kept.held = True
    return kept.rows
