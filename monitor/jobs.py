"""One pass of `monitor run`: wiring, no statistics.

run: lock, ingest, judge single rows, freeze the baseline if due, sum dirty hours, measure windows,
judge closed windows in order, act, judge the stage.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import duckdb

from alerts import message as messages
from alerts.channels import build as build_channels
from alerts.delivery import DeliveryReport, deliver
from alerts.pipeline import enqueue
from alerts.rollback import build as build_target
from gates.evaluate import Verdict, to_json
from gates.outcome import Outcome
from gates.passes import counts
from monitor import (
    __version__,
    acting,
    button,
    capture,
    drills,
    looking,
    measuring,
    pii,
    readings,
    reports,
    retention,
    rules,
    telling,
)
from monitor.breaches import judge_breaches, mark_judged
from monitor.config import Config, ConfigError, Loaded
from monitor.journal import Event, Journal
from monitor.judge import judge_windows
from monitor.level import effective_level
from monitor.log import schema
from monitor.log.ingest import Account, ingest
from monitor.report import charts
from monitor.retention import Pruned
from monitor.stage import stage_of
from monitor.store import Store, one_at_a_time, opened
from monitor.sums import baseline as baselines
from monitor.sums.baseline import Baseline
from monitor.sums.build import up_to_date
from monitor.target import target_of
from monitor.verdicts import (
    checklists_of,
    current_baseline,
    judged_to,
    known_baseline,
    opened_if_there,
    opened_journal,
    refuse_changed_baseline,
    store_of,
    verdict_of,
)
from monitor.windows import stretch

Progress = Callable[[str, int, int], None]
EVENT_KINDS = ("firing", "incident", "rollback")
SAME_VERDICT = ("outcome", "exit_code", "checklist_hash", "config_hash")


@dataclass
class RunReport:
    """What one pass did, for the person or the pipeline that started it."""

    account: Account
    windows: int = 0
    firings: list[Event] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    dry: bool = False
    verdict: Verdict | None = None
    delivered: DeliveryReport | None = None
    baseline_frozen: bool = False
    unmet: list[str] = field(default_factory=list)
    problem: str | None = None


def run(
    loaded: Loaded,
    *,
    now: datetime,
    as_of: datetime,
    dry: bool,
    environ: Mapping[str, str],
    clock: datetime | None = None,
    progress: Progress | None = None,
) -> RunReport:
    """One pass. `now` is when it acts; `dry` measures and judges, and journals and moves nothing.
    `environ` is where channels look for their secrets; `clock` the real time, where `now` is not.

    Raises ConfigError, StoreError and JournalError; nothing else stops a pass.
    """
    store, config = store_of(loaded), loaded.config
    numbers = rules.load(checklists_of(loaded))
    store.create()
    with one_at_a_time(store.folder), opened_journal(store) as journal:
        refuse_changed_baseline(journal, config)
        with opened(store.decisions) as connection:
            schema.create(connection, config)
            account = ingest(connection, loaded, as_of=as_of, now=clock or now, progress=progress)
            report = RunReport(account, dry=dry)
            terms = _terms(journal, store, loaded, as_of=as_of, now=now, dry=dry, environ=environ)
            if not dry:
                _by_hand(journal, loaded, terms, report)
                _act_on_rows(journal, connection, terms, numbers, report, as_of)
            frozen = _baseline(journal, connection, loaded, store, as_of, None if dry else now)
            report.baseline_frozen = frozen is not None and known_baseline(journal) == frozen.hash
            report.problem = measuring.profiled(connection, config, as_of)
        report.windows = measuring.measured(store, config, frozen, as_of, progress, report.done)
        _judge(journal, store, loaded, frozen, numbers, terms, report, as_of)
        if report.problem is None:
            told = measuring.validated(loaded, store, frozen, as_of)
            report.unmet, report.problem = told.unmet, told.problem
        if not dry:
            report.verdict = _stage_verdict(journal, loaded, terms, as_of, news=report.windows > 0)
            telling.escalate(journal, config.alerts, now)
            channels = build_channels(config.alerts.channels, environ, charts.png)
            report.delivered = deliver(journal, channels, now)
            journal.beat("run", now)
            unanswered = looking.look(journal, config, now)
            report.done += [unanswered] if unanswered else []
            report.done += _prune_daily(store, config, frozen, now)
    return report


def fast(loaded: Loaded, *, now: datetime, environ: Mapping[str, str]) -> RunReport:
    """The beginning of a pass alone: new lines are read, and rows that break a single-row rule acted on.

    Measures no window and judges no gate; what it read is measured by the next `run`. A baseline that
    was changed does not stop it, since these rules do not look at it. Raises what `run` raises.
    """
    store, config = store_of(loaded), loaded.config
    numbers = rules.load(checklists_of(loaded))
    store.create()
    with one_at_a_time(store.folder), opened_journal(store) as journal:
        with opened(store.decisions) as connection:
            schema.create(connection, config)
            report = RunReport(ingest(connection, loaded, as_of=now, now=now))
            terms = _terms(journal, store, loaded, as_of=now, now=now, dry=False, environ=environ)
            _by_hand(journal, loaded, terms, report)
            _act_on_rows(journal, connection, terms, numbers, report, now)
        telling.escalate(journal, config.alerts, now)
        channels = build_channels(config.alerts.channels, environ, charts.png)
        report.delivered = deliver(journal, channels, now)
        journal.beat("fast", now)
    return report


@dataclass(frozen=True)
class Told:
    """What became of a report: lines to tell, and whether the safe policy failed to take control."""

    lines: list[str]
    failed: bool = False


def report_irreversible(
    loaded: Loaded,
    *,
    decision: str,
    by: str,
    reason: str,
    policy: str | None,
    decided: datetime,
    now: datetime,
    environ: Mapping[str, str],
) -> Told:
    """Act on an irreversible action that somebody reports, as on a row of the log; waits for no other run and
    opens no DuckDB file."""
    store, config = store_of(loaded), loaded.config
    store.create()
    who = policy or config.policies.candidate
    with opened_journal(store) as journal:
        terms = _terms(journal, store, loaded, as_of=now, now=now, dry=False, environ=environ, look=False)
        one = reports.Report(decision, reason, min(decided, now), who, by)
        new = reports.act_on(journal, terms, [one])
        incident = new[0].body["incident"] if new else ""
        moves = [e.body for e in journal.events("rollback", subject=incident)] if incident else []
        channels = build_channels(config.alerts.channels, environ)
        report = deliver(journal, channels, now)
    failed = bool(moves) and moves[-1].get("status") == "failed"
    if not new:
        lines = [f"decision {decision} was reported before; nothing was done again"]
    else:
        did = new[0].body["did"]
        lines = [f"incident {incident} of {who}: {did.replace('_', ' ')}" if incident else f"recorded: {did}"]
    lines += [f"rollback failed: {moves[-1]['error']}"] if failed else []
    lines += [f"alert not delivered to {f.channel} yet: {f.error}" for f in report.failed]
    return Told(lines, failed)


def _by_hand(journal: Journal, loaded: Loaded, terms: acting.Acting, report: RunReport) -> None:
    """What people and services did beside the log: presses and drills cut short, reports of a folder."""
    target = build_target(loaded.config.rollback, loaded.folder, terms.environ)
    reach = loaded.config.reach
    report.done += button.finish_overrides(journal, target, reach, loaded.folder, terms.now)
    report.done += drills.finish_drills(journal, target, reach, terms.now)
    folder = loaded.path(loaded.config.reports) if loaded.config.reports else None
    if folder is not None and folder.is_dir():
        report.firings += reports.take(journal, terms, folder)


def _terms(
    journal: Journal, store: Store, loaded: Loaded, *, as_of: datetime, now: datetime, dry: bool,
    environ: Mapping[str, str], look: bool = True,
) -> acting.Acting:
    configured = loaded.config.acting
    since = now if dry else acting.armed_at(journal, configured, now)
    level = effective_level(journal.events("arm"), configured)
    policies = loaded.config.policies
    safe = target_of(journal, policies.safe, policies.candidate, now)
    stage = stage_of(journal, store, loaded.config, as_of, look=look)
    return acting.Acting(loaded, now, level, since, stage, safe, environ)


def _act_on_rows(
    journal: Journal,
    connection: duckdb.DuckDBPyConnection,
    terms: acting.Acting,
    numbers: Mapping[str, rules.Rule],
    report: RunReport,
    as_of: datetime,
) -> None:
    """Rows that break a single-row rule and were not judged yet: recorded, settled, then marked."""
    found, rows = judge_breaches(connection, terms.loaded.config, as_of)
    if any(j.firing.trigger == reports.TRIGGER for j in found):
        known = reports.reported(journal)
        found = [j for j in found if not _reported(j.firing, known)]
    look = capture.row_state(connection, terms.loaded.config, _about(terms.loaded, None, numbers))
    report.firings += acting.record(journal, found, terms, look, identity=_row_identity)
    report.done += acting.settle(journal, terms)
    mark_judged(connection, rows, terms.now)


def freeze_baseline(loaded: Loaded, *, reason: str, as_of: datetime, now: datetime) -> Baseline:
    """Freeze the configured baseline, replacing an earlier one. Raises ConfigError when it is not due."""
    store, config = store_of(loaded), loaded.config
    with one_at_a_time(store.folder), opened_journal(store) as journal, opened(store.decisions) as connection:
        schema.create(connection, config)
        if not baselines.due(connection, config, as_of):
            raise ConfigError(
                ["baseline: the period has not closed or holds fewer than "
                 f"{baselines.MIN_ROWS} decisions; nothing was frozen"]
            )
        pii.arm(connection, loaded)
        frozen = baselines.freeze(connection, config, store.baselines)
        _note_baseline(journal, config, frozen, reason, now)
        connection.execute("INSERT INTO dirty_hours SELECT DISTINCT hour FROM decisions")
        return frozen


def prune(loaded: Loaded, *, now: datetime, dry: bool) -> Pruned:
    """Delete raw decisions older than `retention`. Raises ConfigError when it is not set, or when the
    sums are not those of this configuration: what they lack could not be summed any more."""
    store, config = store_of(loaded), loaded.config
    if config.retention is None:
        raise ConfigError(["monitor.yaml: `retention` is not set, so nothing is ever pruned; such as 90d"])
    store.create()
    with one_at_a_time(store.folder), opened_journal(store) as journal:
        refuse_changed_baseline(journal, config)
        frozen = current_baseline(journal, store)
        with opened(store.decisions) as connection:
            schema.create(connection, config)
            if not up_to_date(connection, store, config, frozen.frozen if frozen else None):
                raise ConfigError(["the sums are not those of monitor.yaml yet; run `monitor run` first"])
            return retention.prune(connection, config, now=now, baseline_frozen=frozen is not None, dry=dry)


def _prune_daily(store: Store, config: Config, frozen: Baseline | None, now: datetime) -> list[str]:
    if config.retention is None:
        return []
    with opened(store.decisions) as connection:
        if not retention.due(connection, config, now):
            return []
        return retention.prune(connection, config, now=now, baseline_frozen=frozen is not None).lines()


def _judge(
    journal: Journal,
    store: Store,
    loaded: Loaded,
    frozen: Baseline | None,
    numbers: Mapping[str, rules.Rule],
    terms: acting.Acting,
    report: RunReport,
    as_of: datetime,
) -> None:
    config = loaded.config
    with opened(store.sums, read_only=True) as connection:
        first = readings.first_hour(connection, config)
        end = {m: readings.closed_end(config, as_of, matured=m) for m in (False, True)}
        begin = {}
        for matured in (False, True):
            before = judged_to(journal, matured=matured)
            begin[matured] = before if before is not None else first if first is not None else end[matured]
            end[matured] = max(end[matured], begin[matured])
        events = journal.events(*EVENT_KINDS)
        judged = list(judge_windows(connection, config, frozen, numbers, events, begin, end))
        if report.dry:
            report.done += [f"would record: {j.firing.message}" for j in judged]
            return
        with opened_if_there(store.decisions) as decisions:
            pii.arm(decisions, loaded)
            about = _about(loaded, frozen, numbers)
            look = capture.window_state(connection, decisions, loaded, frozen, numbers, about)
            new = acting.record(journal, judged, terms, look, identity=_window_identity)
        report.firings += new
        report.done += acting.settle(journal, terms)
        acting.watch(
            journal, terms, lambda policy, hour: _controlled(connection, policy, hour, end[False]),
            end, readings.window_hours(config),
        )
    body = {
        "as_of": as_of, "judged": {"plain": end[False], "matured": end[True]}, "windows": report.windows,
        "firings": len(new), "rows_in": report.account.rows_in, "rejected": report.account.rejected,
        "not_read": report.account.problems,
        "stretches": {
            "matured" if m else "plain": stretch(begin[m], end[m], readings.window_hours(config))
            for m in (False, True)
        },
    }
    with journal.transaction():
        acting.summarise(journal, terms)
        journal.append("run", "run", body, at=terms.now)


def _stage_verdict(
    journal: Journal, loaded: Loaded, terms: acting.Acting, as_of: datetime, *, news: bool
) -> Verdict:
    """The verdict, written down when there is `news` (windows were measured) or it is another one than
    before: a pass every five minutes would bury the journal under repeats. Before is by time: a gate that
    was asked about the past since says nothing about now."""
    verdict = verdict_of(journal, loaded, terms.stage, as_of)
    body = to_json(verdict)
    last = journal.newest(
        "verdict", subject=verdict.policy, by_time=True,
        having=lambda e: counts(e) and e.body["stage"] == verdict.stage,
    )  # fmt: skip
    if last and not news and all(last.body[k] == body[k] for k in SAME_VERDICT):
        return verdict
    before = last.body["outcome"] if last else None
    with journal.transaction():
        event = journal.append("verdict", verdict.policy, body, at=terms.now)
        if before is not None and before != verdict.outcome.name and event is not None:
            failing = sorted(
                (f for f in verdict.findings
                 if f.outcome is not Outcome.PASS and f.role != "off" and f.waived is None),
                key=lambda f: -f.outcome,
            )
            told = messages.for_verdict_change(
                verdict.policy, verdict.stage, before=before, after=verdict.outcome.name,
                findings=failing, as_of=as_of,
                waived=[f"{f.item} {f.waived}" for f in verdict.findings if f.waived],
            )
            enqueue(journal, loaded.config.alerts.channels, told, f"verdict:{event.seq}", terms.now)
    return verdict


def _controlled(
    connection: duckdb.DuckDBPyConnection, policy: str, hour: int, end: int
) -> tuple[int, int | None]:
    found = connection.execute(
        "SELECT COALESCE(SUM(n), 0), MAX(hour) FROM sums_reward "
        "WHERE policy_id = ? AND hour >= ? AND hour < ?",
        [policy, hour, end],
    ).fetchone()
    return (int(found[0]), None if found[1] is None else int(found[1])) if found else (0, None)


def _baseline(
    journal: Journal,
    connection: duckdb.DuckDBPyConnection,
    loaded: Loaded,
    store: Store,
    as_of: datetime,
    now: datetime | None,
) -> Baseline | None:
    """The frozen baseline; the first time it is due it is frozen, and noted at `now` (None: not noted)."""
    current = current_baseline(journal, store)
    if current is not None or not baselines.due(connection, loaded.config, as_of):
        return current
    frozen = baselines.freeze(connection, loaded.config, store.baselines)
    if now is not None:
        _note_baseline(journal, loaded.config, frozen, "its period has closed", now)
    return frozen


def _note_baseline(journal: Journal, config: Config, frozen: Baseline, reason: str, now: datetime) -> None:
    body = {"hash": frozen.hash, "specification": baselines.specification(config), "reason": reason}
    journal.append("baseline", frozen.hash, body, at=now)


def _about(
    loaded: Loaded, frozen: Baseline | None, numbers: Mapping[str, rules.Rule]
) -> Mapping[str, Any]:
    """Versions and hashes an incident keeps."""
    return {
        "config_hash": loaded.config.config_hash,
        "rules_hash": rules.digest(numbers),
        "baseline_hash": frozen.hash if frozen else None,
        "versions": {
            "monitor": __version__, "duckdb": duckdb.__version__, "python": platform.python_version(),
        },
    }


def _reported(firing: Any, known: Collection[str]) -> bool:
    """Whether people told of every decision of a firing before the log did."""
    return firing.trigger == reports.TRIGGER and set(firing.state.get("decision_ids", [""])) <= set(known)


def _window_identity(firing: Any) -> str:
    return str(readings.hour_of(firing.window_start))


def _row_identity(firing: Any) -> str:
    return str(firing.state["row"])


def is_past(as_of: datetime, now: datetime) -> bool:
    """Whether --as-of asks about the past: then a run is dry unless told to act."""
    return as_of < now - timedelta(minutes=1)
