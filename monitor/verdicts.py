"""What a gate says, and what else can be told from what is stored: reads sums and journal, measures nothing.

Heavy modules of ingest and alerts stay out of here, so that `monitor gate` starts fast.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import duckdb

from gates import stages
from gates.checklist import load as load_checklist
from gates.evaluate import RecordedFiring, Verdict, judge, to_json
from monitor.chain import instant
from monitor.config import Config, ConfigError, Loaded
from monitor.evaluate import Evaluation
from monitor.evaluate import evaluate as evaluated
from monitor.evidence import StoreEvidence, scope_of
from monitor.journal import Journal
from monitor.metrics.estimate import Estimate
from monitor.readings import hour_of, moment, window_hours
from monitor.store import Store, opened
from monitor.sums import baseline as baselines
from monitor.sums.baseline import Baseline


def gate(loaded: Loaded, *, stage: str, as_of: datetime, dry: bool = False) -> Verdict:
    """Judge one stage from what is stored and append the verdict, marked where it is `dry`. Raises
    ConfigError, ValueError."""
    stage = stages.stage_named(stage)
    store = store_of(loaded)
    store.create()
    with opened_journal(store) as journal:
        verdict = replace(verdict_of(journal, loaded, stage, as_of), dry=dry)
        journal.append("verdict", verdict.policy, to_json(verdict), at=as_of)
    return verdict


@contextmanager
def opened_if_there(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A reading connection to a store, or to an empty one where there is no file yet."""
    if path.exists():
        with opened(path, read_only=True) as connection:
            yield connection
    else:
        with duckdb.connect(":memory:") as connection:
            yield connection


def evidence_values(
    loaded: Loaded, *, stage: str, as_of: datetime, metrics: Sequence[str]
) -> dict[str, Estimate]:
    """Metrics over the evidence that the gate of a stage judges."""
    stage = stages.stage_named(stage)
    with opened_journal(store_of(loaded)) as journal, evidence_of(journal, loaded, stage, as_of) as evidence:
        return {metric: evidence.estimate(metric) for metric in metrics}


def evaluate(loaded: Loaded, *, stage: str, as_of: datetime, every: bool) -> Evaluation:
    """Every estimate of the candidate's value over the decisions of the policy that was in control.
    Raises ConfigError, ValueError."""
    stage, store = stages.stage_named(stage), store_of(loaded)
    store.create()
    with opened_journal(store) as journal:
        refuse_changed_baseline(journal, loaded.config)
        with evidence_of(journal, loaded, stage, as_of, of_others=True) as evidence:
            return evaluated(evidence, every=every)


@contextmanager
def evidence_of(
    journal: Journal, loaded: Loaded, stage: str, as_of: datetime, *, of_others: bool = False
) -> Iterator[StoreEvidence]:
    """The evidence that the gate of a stage judges; `of_others` takes the incumbent's decisions in place
    of the candidate's."""
    store = store_of(loaded)
    frozen, judged = current_baseline(journal, store), judged_to(journal)
    with evidence_in(store, journal, loaded, stage, as_of, frozen, judged, of_others=of_others) as evidence:
        yield evidence


@contextmanager
def evidence_in(
    store: Store,
    journal: Journal,
    loaded: Loaded,
    stage: str,
    as_of: datetime,
    frozen: Baseline | None,
    judged: int | None,
    *,
    of_others: bool = False,
    unread: bool | None = None,
) -> Iterator[StoreEvidence]:
    """As `evidence_of`, of a store whose windows were judged up to the hour `judged` on this baseline.
    `unread`: whether a file could not be read (None: as the journal has it)."""
    config = loaded.config
    since = _since(journal, config, stage, as_of)
    with opened_if_there(store.sums) as connection:
        scope = scope_of(connection, config, stage, since, as_of)
        if of_others:
            scope = replace(scope, policy=config.policies.incumbent)
        yield StoreEvidence(connection, journal, loaded, frozen, scope, as_of, judged, unread)


def _since(journal: Journal, config: Config, stage: str, as_of: datetime) -> datetime | None:
    """When the evidence of a stage begins, None where the journal does not say. After a drop it begins with
    the first window that the drop is not in: what fired in that one was the reason for it."""
    events, policy = journal.events(*stages.ROAD), config.policies.candidate
    standing = stages.standing(events, policy, as_of)
    if standing is None or standing.stage != stage:
        return None
    fell = stages.dropped(events, policy, as_of)
    if fell is None or fell.at != standing.since:
        return standing.since
    span = window_hours(config)
    return moment(hour_of(fell.at) // span * span + span)


def verdict_of(journal: Journal, loaded: Loaded, stage: str, as_of: datetime) -> Verdict:
    """The verdict on one stage, written nowhere. Raises ConfigError."""
    refuse_changed_baseline(journal, loaded.config)
    checklist = load_checklist(stage, checklists_of(loaded))
    with evidence_of(journal, loaded, stage, as_of) as evidence:
        return judge(checklist, evidence, firings_within(evidence, loaded.config, recorded(journal)))


def verdict_at(
    journal: Journal, loaded: Loaded, stage: str, as_of: datetime, fired: Sequence[RecordedFiring]
) -> Verdict:
    """What the gate says at `as_of` with these firings in the place of the journal's; written nowhere."""
    checklist = load_checklist(stage, checklists_of(loaded))
    with evidence_of(journal, loaded, stage, as_of) as evidence:
        return judge(checklist, evidence, firings_within(evidence, loaded.config, fired))


def firings_within(
    evidence: StoreEvidence, config: Config, fired: Iterable[RecordedFiring]
) -> list[RecordedFiring]:
    """Firings whose window lies in the evidence, on the candidate or on the policy in control."""
    mine = {config.policies.candidate, evidence.controlling}
    return [
        f for f in fired
        if f.policy in mine and f.window_end is not None
        and evidence.window_start < f.window_end <= evidence.as_of
    ]


def recorded(journal: Journal) -> list[RecordedFiring]:
    """The firings of the journal."""
    return [
        RecordedFiring(
            trigger=b["trigger"], action=b["action"], confirmed=b["confirmed"], historical=b["historical"],
            policy=b["policy"], key=b["key"], window_start=instant(b["window_start"]),
            window_end=instant(b["window_end"]), value=_number(b["value"]), limit=_number(b["limit"]),
            message=b["message"], incident=b["incident"] or None,
        )
        for e in journal.events("firing")
        for b in [e.body]
    ]


def store_of(loaded: Loaded) -> Store:
    """The store that the configuration names."""
    return Store(loaded.path(loaded.config.store))


def current_baseline(journal: Journal, store: Store) -> Baseline | None:
    """The frozen baseline that the journal names, None before the first."""
    known = known_baseline(journal)
    return baselines.load(store.baselines, known) if known else None


def judged_to(journal: Journal, *, matured: bool = False) -> int | None:
    """Hour up to which closed windows were judged by a run, None before the first."""
    newest = journal.newest("run")
    return int(newest.body["judged"]["matured" if matured else "plain"]) if newest else None


@contextmanager
def opened_journal(store: Store) -> Iterator[Journal]:
    """The journal of a store, closed at the end."""
    journal = Journal(store.journal)
    try:
        yield journal
    finally:
        journal.close()


def known_baseline(journal: Journal) -> str | None:
    """Hash of the frozen baseline that the journal names, None before the first."""
    events = journal.events("baseline")
    return str(events[-1].body["hash"]) if events else None


def refuse_changed_baseline(journal: Journal, config: Config) -> None:
    """Raise ConfigError where the configuration asks for another baseline than the frozen one."""
    events = journal.events("baseline")
    if events and events[-1].body["specification"] != baselines.specification(config):
        raise ConfigError(
            [
                "monitor.yaml: `baseline`, `state` or `window` changed after the baseline was frozen; "
                "put it back, or run `monitor baseline freeze --reason \"…\"`"
            ]
        )


def checklists_of(loaded: Loaded) -> Path | None:
    """The folder of the user's own checklists, None where the package's are used."""
    folder = loaded.config.checklists
    return loaded.path(folder) if folder else None


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
