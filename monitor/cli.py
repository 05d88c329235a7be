"""The command line: reads the clock and the environment, and nothing else does.

stdout carries data only; what is said beside it goes to stderr. Heavy modules are imported inside
the command that needs them, so that `monitor gate` starts fast.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from gates.outcome import EXIT_ERROR, EXIT_FAIL, EXIT_HOLD, EXIT_USAGE
from monitor import __version__

app = typer.Typer(
    name="monitor",
    help="Monitoring and deployment gate for policies that learn.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
baseline_app = typer.Typer(help="The frozen baseline that windows are compared with.", no_args_is_help=True)
app.add_typer(baseline_app, name="baseline")
scenarios_app = typer.Typer(help="Adversarial scenarios, for people to label.", no_args_is_help=True)
app.add_typer(scenarios_app, name="scenarios")

CONFIG_HELP = "The configuration; paths in it are relative to its folder."
ConfigPath = Annotated[Path, typer.Option("--config", "-c", help=CONFIG_HELP)]
AS_OF_HELP = "Event time to judge at (default: now), such as 2026-01-31T12:00."
AsOf = Annotated[str | None, typer.Option("--as-of", help=AS_OF_HELP)]
By = Annotated[str, typer.Option("--by", help="Your name: it goes into the journal.")]
Reason = Annotated[str, typer.Option("--reason", help="Why: it goes into the journal.")]
DEFAULT = Path("monitor.yaml")
PRIVATE = 0o077  # nobody else may read what is written; the pointer alone is opened up by itself
# They leave the processor to the override, and to the passes that act.
PATIENT = ("gate", "evaluate", "replay", "score")
FORESEEN = {"ConfigError": EXIT_USAGE, "StoreError": EXIT_ERROR, "JournalError": EXIT_ERROR}


def main() -> None:
    """Run the command line; every foreseen error is one sentence and a defined exit code."""
    os.umask(PRIVATE)
    if sys.argv[1:2] and sys.argv[1] in PATIENT:
        os.nice(19)
    _guard()
    try:
        app()
    except Exception as error:
        # By name: their modules are only loaded by the commands that need them.
        for kind in type(error).__mro__:
            if kind.__name__ in FORESEEN and kind.__module__.startswith("monitor."):
                _say(str(error))
                sys.exit(FORESEEN[kind.__name__])
        if os.environ.get("MONITOR_DEBUG"):
            import traceback

            _say("".join(traceback.format_exception(error)))
            sys.exit(EXIT_ERROR)
        first = (str(error).splitlines() or [""])[0]
        _say(f"this should not have happened: {type(error).__name__}: {first}; MONITOR_DEBUG=1 shows where")
        sys.exit(EXIT_ERROR)


def _guard() -> None:
    """Whatever any library logs passes a filter that hides secrets."""
    from alerts.secrets import guard_logs

    guard_logs(os.environ)


@app.command()
def init(
    logs: Annotated[list[Path], typer.Argument(help="Log files, or folders of them.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The configuration to write.")] = DEFAULT,
    profile: Annotated[
        str | None, typer.Option("--profile", help="Own checklists: low_stakes, standard or high_stakes.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a configuration that is there.")] = False,
) -> None:
    """Look at log files, write a commented monitor.yaml, and tell what can be judged with them."""
    from monitor.first_hour.init import init as begin

    begun = begin(logs, output, profile=profile, force=force, now=_now())
    for line in begun.lines:
        typer.echo(line)
    raise typer.Exit(0 if begun.complete else EXIT_HOLD)


@app.command()
def doctor(
    config: ConfigPath = DEFAULT,
    as_of: AsOf = None,
    verify_journal: Annotated[
        bool, typer.Option("--verify-journal", help="Only check the journal's chain, row by row.")
    ] = False,
) -> None:
    """What is missing, what cannot fire and why, and what to do. Exit 3 when something blocks."""
    from monitor import config as configuration
    from monitor.first_hour.doctor import examine, lines
    from monitor.first_hour.verified import verified

    if verify_journal:
        told = verified(configuration.load(config))
        for line in told.lines:
            typer.echo(line)
        raise typer.Exit(0 if told.whole else EXIT_ERROR)
    findings = examine(configuration.load(config), _as_of(as_of))
    for line in lines(findings):
        typer.echo(line)
    raise typer.Exit(EXIT_HOLD if any(f.blocks for f in findings) else 0)


@app.command()
def run(
    config: ConfigPath = DEFAULT,
    as_of: AsOf = None,
    act: Annotated[bool, typer.Option("--act", help="Act although --as-of is in the past.")] = False,
) -> None:
    """One pass: ingest, measure, judge closed windows, act on what they say."""
    from monitor import config as configuration
    from monitor import jobs

    loaded = configuration.load(config)
    now, moment = _now(), _as_of(as_of)
    past = jobs.is_past(moment, now)
    with _progress() as progress:
        report = jobs.run(
            loaded, now=moment if past and act else now, as_of=moment, dry=past and not act,
            environ=os.environ, clock=now, progress=progress,
        )
    for line in _run_lines(report):
        typer.echo(line)


@app.command()
def schedule(
    config: ConfigPath = DEFAULT,
    every: Annotated[str, typer.Option("--every", help="How often a pass of `monitor run` is made.")] = "5m",
    fast: Annotated[
        str, typer.Option("--fast", help="How often new rows are judged by the single-row rules.")
    ] = "60s",
) -> None:
    """Repeat `monitor run`, and a fast lane for single-row rules, until SIGTERM or Ctrl-C."""
    from monitor.schedule import schedule as keep

    keep(config, every=every, fast=fast, clock=_now, log=_say, environ=os.environ)


@app.command()
def gate(
    more: Annotated[list[Path] | None, typer.Argument(hidden=True, help="More of these files.")] = None,
    stage: Annotated[str | None, typer.Option("--stage", help="offline, shadow, limited or full.")] = None,
    config: ConfigPath = DEFAULT,
    as_of: AsOf = None,
    format: Annotated[
        str, typer.Option("--format", help="On stdout: table, json, junit, markdown or github.")
    ] = "table",
    output: Annotated[
        list[Path] | None,
        typer.Option("--output", help="Also write it to this file: .json, .xml (JUnit), .md, else --format."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Nothing on stdout: the exit code says it.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Mark the stored verdict as dry: it opens no stage.")
    ] = False,
    logs: Annotated[
        list[Path] | None,
        typer.Option("--logs", help="Judge these log files or folders, measured for this once; no store."),
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option("--baseline", help="With --logs: the frozen baseline, a file of the store.")
    ] = None,
    journal: Annotated[
        Path | None, typer.Option("--journal", help="With --logs: the store's journal.db, only read.")
    ] = None,
    test: Annotated[
        list[Path] | None,
        typer.Option("--test", help="Judge the cases of this file or folder instead; may be given again."),
    ] = None,
    matrix: Annotated[
        bool, typer.Option("--matrix", help="Which case shows which outcome of which check.")
    ] = False,
    explain: Annotated[
        str | None, typer.Option("--explain", help="Tell of this item at length; judges and stores nothing.")
    ] = None,
) -> None:
    """Judge one stage from what is stored. Exit code 0 only for PASS; 1 fail, 3 hold, 4 error, 5 rollback."""
    from monitor import config as configuration
    from monitor import gating

    if test or matrix:
        raise typer.Exit(_cases([*(test or []), *(more or [])], config, matrix))
    report = gating.Report(format, output or [], quiet, _colour(), _width())
    asked = gating.Asked(stage, logs or [], more or [], baseline, journal, dry_run, explain)
    report.refuse_mistakes()
    asked.refuse_mistakes()
    moment = _as_of(as_of) if as_of else None
    if explain:
        for line in gating.explained(configuration.load(config), asked, moment or _now()):
            typer.echo(line)
        return
    with _progress() as progress:
        verdict, told = gating.judged(configuration.load(config), asked, moment, _now(), progress)
    for line in told:
        _say(line)
    raise typer.Exit(gating.tell(verdict, report, out=_out, say=_say))


@app.command()
def evaluate(
    stage: Annotated[str, typer.Option("--stage", help="offline, shadow or limited.")] = "offline",
    config: ConfigPath = DEFAULT,
    as_of: AsOf = None,
    format: Annotated[str, typer.Option("--format", help="table or json.")] = "table",
    every: Annotated[
        bool, typer.Option("--all", help="Also estimators for comparison, and the distribution of rewards.")
    ] = False,
) -> None:
    """What the candidate would have earned, by several estimators, and which of them to believe."""
    from monitor import config as configuration
    from monitor import verdicts
    from monitor.evaluate import table, to_json

    if format not in ("table", "json"):
        _usage(f"--format {format} is not available; it is table or json")
    if stage.startswith("full"):
        _usage("--stage full has no decisions of another policy to evaluate the candidate on")
    loaded = configuration.load(config)
    try:
        found = verdicts.evaluate(loaded, stage=stage, as_of=_as_of(as_of), every=every)
    except ValueError as error:
        _usage(str(error))
    if format == "json":
        typer.echo(json.dumps(to_json(found), indent=2, allow_nan=False))
    else:
        typer.echo(table(found, colour=_colour(), width=_width()), nl=False)


@app.command()
def replay(
    config: ConfigPath = DEFAULT,
    start: Annotated[
        str | None, typer.Option("--from", help="First window (default: the end of the baseline).")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="Where to stop (default: the newest window).")
    ] = None,
    trigger: Annotated[
        list[str] | None, typer.Option("--trigger", help="Only this trigger; may be given again.")
    ] = None,
    plant: Annotated[
        list[str] | None,
        typer.Option("--plant", help="Plant a change in a copy, such as reward:-10%@2026-01-10."),
    ] = None,
    change: Annotated[
        str | None, typer.Option("--change", help="When something is known to have changed: delays.")
    ] = None,
    gate: Annotated[str | None, typer.Option("--gate", help="Also judge this stage once a day.")] = None,
    format: Annotated[str, typer.Option("--format", help="table or json.")] = "table",
) -> None:
    """Triggers and gates over history as if each window were now; touches nothing."""
    from monitor import config as configuration
    from monitor.readings import hour_of
    from monitor.replay import play, words

    if format not in ("table", "json"):
        _usage(f"--format {format} is not available; it is table or json")
    asked = play.Asked(
        start=hour_of(_moment("--from", start)) if start else None,
        end=hour_of(_moment("--to", end)) if end else None,
        triggers=trigger or [], plants=plant or [],
        change=_moment("--change", change) if change else None, gate=gate,
    )
    with _progress() as progress:
        found = play.replay(configuration.load(config), asked, as_of=_now(), progress=progress)
    if format == "json":
        typer.echo(json.dumps(words.to_json(found), indent=2, allow_nan=False))
        return
    for line in words.table(found):
        typer.echo(line)


@app.command()
def score(
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write: .parquet or .jsonl.")],
    table: Annotated[
        Path | None, typer.Option("--table", help="A policy as CSV or Parquet: states and probabilities.")
    ] = None,
    function: Annotated[
        str | None, typer.Option("--callable", help="A policy as module:function, run in its own process.")
    ] = None,
    actions: Annotated[
        str | None, typer.Option("--actions", help="Its actions, such as a,b,c, in the order of its columns.")
    ] = None,
    python: Annotated[str | None, typer.Option("--python", help="The interpreter of --callable.")] = None,
    path: Annotated[list[Path] | None, typer.Option("--path", help="A folder of its modules.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="Decisions from then on.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Decisions before then.")] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Decisions asked about at once.")] = 10_000,
    limit: Annotated[float, typer.Option("--time-limit", min=0.1, help="Seconds for a batch.")] = 60.0,
    config: ConfigPath = DEFAULT,
) -> None:
    """What a candidate that is not in the log would have done, as a file of recommendations."""
    from monitor import config as configuration
    from monitor.readings import hour_of
    from monitor.score.rules import ScoreError
    from monitor.score.score import Asked
    from monitor.score.score import score as scored

    if (table is None) == (function is None):
        _usage("score takes either --table FILE or --callable module:function")
    asked = Asked(
        table=table, function=function, actions=[a for a in (actions or "").split(",") if a], python=python,
        folders=path or [], start=hour_of(_moment("--from", start)) if start else None,
        end=hour_of(_moment("--to", end)) if end else None, batch=batch, limit=limit,
    )
    try:
        with _progress() as progress:
            found = scored(configuration.load(config), asked, output, progress)
    except ScoreError as error:
        _say(str(error))
        raise typer.Exit(EXIT_ERROR) from None
    for line in _score_lines(found):
        _say(line)
    for line in found.lines:
        typer.echo(line)


@app.command()
def status(
    config: ConfigPath = DEFAULT,
    as_of: AsOf = None,
    windows: Annotated[
        int, typer.Option("--windows", min=0, help="Also show which run judged each of the newest N windows.")
    ] = 0,
    retry_alerts: Annotated[
        bool, typer.Option("--retry-alerts", help="Try alerts that wait or were given up at the next pass.")
    ] = False,
) -> None:
    """Where things stand: the policy in control, the road of each policy, incidents, alerts that wait."""
    from monitor import acts
    from monitor import config as configuration
    from monitor.status import lines

    loaded = configuration.load(config)
    if retry_alerts:
        _say(acts.retry_alerts(loaded))
    for line in lines(loaded, _as_of(as_of), windows, environ=os.environ, colour=_colour()):
        typer.echo(line)


@app.command()
def ingest(
    config: ConfigPath = DEFAULT,
    export_rejects: Annotated[
        Path | None, typer.Option(help="Write rejected lines to FILE, to be mended.")
    ] = None,
    load_mended: Annotated[Path | None, typer.Option(help="Load a mended file of rejected lines.")] = None,
) -> None:
    """Read new log lines into the store, or export rejected ones and load them again when mended."""
    from monitor import config as configuration
    from monitor.log import rejects, schema
    from monitor.log.ingest import ingest as read_logs
    from monitor.store import one_at_a_time, opened
    from monitor.verdicts import store_of

    loaded = configuration.load(config)
    store = store_of(loaded)
    store.create()
    now = _now()
    with one_at_a_time(store.folder), opened(store.decisions) as connection:
        schema.create(connection, loaded.config)
        if export_rejects:
            count = rejects.export(connection, export_rejects)
            typer.echo(
                f"{count} rejected lines written to {export_rejects}; mend `raw` in it, then "
                f"run `monitor ingest --load-mended {export_rejects}`"
            )
            for line in _hidden_lines(loaded.config):
                typer.echo(line)
            return
        with _progress() as progress:
            if load_mended:
                account = rejects.load_mended(connection, loaded, load_mended, as_of=now, now=now)
                hidden = _hidden_lines(loaded.config)
            else:
                account = read_logs(connection, loaded, as_of=now, now=now, progress=progress)
                hidden = []
    for line in [*account.lines(), *hidden]:
        typer.echo(line)


@app.command()
def prune(
    config: ConfigPath = DEFAULT,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
) -> None:
    """Delete raw decisions older than `retention`; their sums, readings and the journal stay."""
    from monitor import config as configuration
    from monitor import jobs

    pruned = jobs.prune(configuration.load(config), now=_now(), dry=dry_run)
    for line in pruned.lines(dry=dry_run) or [f"nothing is older than {pruned.before:%Y-%m-%d}"]:
        typer.echo(line)


@app.command()
def ack(
    incident: str,
    by: By,
    reason: Reason,
    config: ConfigPath = DEFAULT,
    accept: Annotated[
        bool, typer.Option("--accept", help="The change is agreed and permanent: a new reference begins.")
    ] = False,
    false_alarm: Annotated[
        bool, typer.Option("--false-alarm", help="Nothing was wrong: its windows stay in the reference.")
    ] = False,
) -> None:
    """Acknowledge an incident: somebody has it."""
    from monitor import acts
    from monitor import config as configuration

    typer.echo(
        acts.acknowledge(
            configuration.load(config), incident, by=by, reason=reason, accept=accept,
            real=not false_alarm, at=_now(),
        )
    )


Hold = Annotated[
    float, typer.Option("--hold", min=0.0, help="With --drill: seconds that the safe policy decides.")
]


@app.command()
def override(
    by: By,
    reason: Reason,
    to: Annotated[
        str | None, typer.Option("--to", help="This policy (default: the last good one, else the safe one).")
    ] = None,
    drill: Annotated[
        bool, typer.Option("--drill", help="Play it for real, then put back what stood before.")
    ] = False,
    hold: Hold = 0.0,
    config: ConfigPath = DEFAULT,
) -> None:
    """The button: put the safe policy in control, now. Exit code 4 when it did not take."""
    _press(config, by, reason, to, "override" if drill else "", hold)


@app.command()
def rollback(
    by: By,
    reason: Reason,
    drill: Annotated[
        bool, typer.Option("--drill", help="Play it for real, then put back what stood before.")
    ] = False,
    hold: Hold = 0.0,
    config: ConfigPath = DEFAULT,
) -> None:
    """Play the automatic rollback (--drill). Real ones are made by `monitor run`."""
    if not drill:
        _usage("rollbacks are made by `monitor run`; the button for a person is `monitor override`")
    _press(config, by, reason, None, "rollback", hold)


@app.command()
def report(
    output: Annotated[Path, typer.Option("--output", "-o", help="The HTML file to write.")],
    stage: Annotated[
        str | None, typer.Option("--stage", help="This stage (default: the one the candidate is in).")
    ] = None,
    policy: Annotated[
        str | None, typer.Option("--policy", help="The candidate, where a script wants to be sure of it.")
    ] = None,
    as_of: AsOf = None,
    config: ConfigPath = DEFAULT,
) -> None:
    """What was measured and why the gate says what it says, as one HTML file."""
    from monitor import config as configuration
    from monitor.report import written

    loaded = configuration.load(config)
    at = _moment("--as-of", as_of) if as_of else _now()
    said = written(loaded, output, stage=stage, policy=policy, as_of=at, environ=os.environ)
    typer.echo(said)


@app.command()
def serve(
    host: Annotated[str, typer.Option("--host", help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="The port.")] = 8321,
    config: ConfigPath = DEFAULT,
) -> None:
    """The live dashboard: board, incidents, gates, the override button, /metrics and /healthz."""
    from monitor.serve import serve as served

    served(config, host=host, port=port, environ=os.environ, clock=_now, say=_say)


@app.command("report-irreversible")
def report_irreversible(
    decision: Annotated[str, typer.Option("--decision", help="The id of the decision.")],
    by: By,
    reason: Reason,
    policy: Annotated[
        str | None, typer.Option("--policy", help="Who decided (default: the candidate).")
    ] = None,
    at: Annotated[str | None, typer.Option("--at", help="When it was decided (default: now).")] = None,
    config: ConfigPath = DEFAULT,
) -> None:
    """An action that cannot be undone was taken: roll back and page now, before any log holds it."""
    from monitor import config as configuration
    from monitor import jobs

    loaded, now = configuration.load(config), _now()
    told = jobs.report_irreversible(
        loaded, decision=decision, by=by, reason=reason, policy=policy,
        decided=_moment("--at", at) if at else now, now=now, environ=os.environ,
    )
    for line in told.lines:
        typer.echo(line)
    raise typer.Exit(EXIT_ERROR if told.failed else 0)


@app.command("test-page")
def test_page(by: By, reason: Reason, config: ConfigPath = DEFAULT) -> None:
    """Page the people on call to see whether somebody wakes up; `monitor ack` answers it."""
    from monitor import acts
    from monitor import config as configuration

    loaded = configuration.load(config)
    for line in acts.test_page(loaded, by=by, reason=reason, at=_now(), environ=os.environ):
        typer.echo(line)


@app.command()
def attest(
    item: Annotated[str, typer.Option("--item", help="The checklist item that is signed.")],
    by: By,
    reason: Reason,
    evidence: Annotated[str, typer.Option("--evidence", help="A file or an address that shows it.")],
    config: ConfigPath = DEFAULT,
    expires: Annotated[str, typer.Option("--expires", help="How long it holds, such as 92d.")] = "92d",
    refuse: Annotated[bool, typer.Option("--refuse", help="Sign that the item is not fulfilled.")] = False,
    proposer: Annotated[
        str, typer.Option("--proposer", help="Who put the policy forward, if nobody promoted it here.")
    ] = "",
    as_of: AsOf = None,
) -> None:
    """Sign an item of a checklist: who, why, the evidence and its digest."""
    from monitor import acts
    from monitor import config as configuration

    typer.echo(
        acts.attest(
            configuration.load(config), item, by=by, reason=reason, evidence=evidence, expires=expires,
            approved=not refuse, at=_as_of(as_of), proposer=proposer,
        )
    )


@app.command()
def waive(
    item: Annotated[str, typer.Option("--item", help="The item of the checklist that may pass.")],
    stage: Annotated[str, typer.Option("--stage", help="offline, shadow, limited or full.")],
    by: By,
    reason: Reason,
    config: ConfigPath = DEFAULT,
    expires: Annotated[str, typer.Option("--expires", help="How long, such as 7d.")] = "7d",
    as_of: AsOf = None,
) -> None:
    """Let an open item pass for a time; every report and every alert on the verdict says so."""
    from monitor import config as configuration
    from monitor.waiving import waive as let_pass

    typer.echo(
        let_pass(
            configuration.load(config), item=item, stage=stage, by=by, reason=reason, expires=expires,
            at=_as_of(as_of),
        )
    )


@app.command()
def promote(
    to: Annotated[str, typer.Option("--to", help="shadow, limited or full.")],
    by: By,
    reason: Reason,
    step: Annotated[
        float | None, typer.Option("--step", help="The next step of the ramp of limited, such as 0.05.")
    ] = None,
    config: ConfigPath = DEFAULT,
    as_of: AsOf = None,
) -> None:
    """Enter the candidate in the next stage, or the next step of the ramp, once its gate is open."""
    from monitor import config as configuration
    from monitor import promotion

    loaded = configuration.load(config)
    try:
        lines = promotion.promote(loaded, to=to, step=step, by=by, reason=reason, at=_as_of(as_of))
    except promotion.Refused as refused:
        _say(str(refused))
        raise typer.Exit(EXIT_HOLD) from None
    for line in lines:
        typer.echo(line)


@app.command()
def adopt(
    stage: Annotated[str, typer.Option("--stage", help="offline, shadow, limited or full.")],
    since: Annotated[str, typer.Option("--since", help="When it entered, such as 2026-01-31.")],
    by: By,
    reason: Reason,
    config: ConfigPath = DEFAULT,
) -> None:
    """Enter the candidate in a stage it was in before the monitor came."""
    from monitor import acts
    from monitor import config as configuration

    loaded = configuration.load(config)
    typer.echo(acts.adopt(loaded, stage=stage, since=since, by=by, reason=reason, at=_now()))


@app.command()
def arm(
    level: Annotated[str, typer.Argument(help="observe, alert or rollback.")],
    by: By,
    reason: Reason,
    config: ConfigPath = DEFAULT,
) -> None:
    """Say what the monitor may do from now on, until `acting` in monitor.yaml is changed."""
    from monitor import acts
    from monitor import config as configuration

    typer.echo(acts.arm(configuration.load(config), level, by=by, reason=reason, at=_now()))


@scenarios_app.command("mine")
def scenarios_mine(
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write: .csv or .jsonl.")],
    top: Annotated[int, typer.Option("--top", min=1, max=10_000, help="How many decisions.")] = 50,
    config: ConfigPath = DEFAULT,
    as_of: AsOf = None,
) -> None:
    """Write the real decisions of highest proxy reward, for people to label, and tell what to do next."""
    from monitor import config as configuration
    from monitor.mining import mine

    for line in mine(configuration.load(config), output, top=top, as_of=_as_of(as_of)):
        typer.echo(line)


@baseline_app.command("show")
def baseline_show(config: ConfigPath = DEFAULT) -> None:
    """The frozen baseline: period, rows, hash, bins of every feature."""
    from monitor import config as configuration
    from monitor.first_hour.frozen import show

    for line in show(configuration.load(config)):
        typer.echo(line)


@baseline_app.command("diff")
def baseline_diff(config: ConfigPath = DEFAULT, as_of: AsOf = None) -> None:
    """How far the newest 7 days have left the frozen baseline, with the bins that moved."""
    from monitor import config as configuration
    from monitor.first_hour.frozen import diff

    for line in diff(configuration.load(config), _as_of(as_of)):
        typer.echo(line)


@baseline_app.command("freeze")
def baseline_freeze(reason: Reason, config: ConfigPath = DEFAULT) -> None:
    """Freeze the configured baseline period, replacing the one before."""
    from monitor import config as configuration
    from monitor import jobs

    now = _now()
    frozen = jobs.freeze_baseline(configuration.load(config), reason=reason, as_of=now, now=now)
    typer.echo(f"baseline {frozen.hash} frozen from {frozen.body['rows']} decisions; run `monitor run` next")


@app.command()
def demo(
    only: Annotated[list[str] | None, typer.Argument(help="Names of sample logs (default: all).")] = None,
    keep: Annotated[Path | None, typer.Option(help="Keep logs and stores in this folder.")] = None,
) -> None:
    """Make the sample logs, run the monitor over them as if live, and show what each gate says."""
    from sample_logs.demo import show

    with _progress() as progress:
        raise typer.Exit(show(only or [], keep, echo=typer.echo, progress=progress))


@app.command()
def version() -> None:
    """The version of this installation."""
    typer.echo(__version__)


def _press(config: Path, by: str, reason: str, to: str | None, drill: str, hold: float) -> NoReturn:
    """The override, or a drill, and what is told of it; a signal during a drill puts back what stood."""
    import signal

    from alerts.rollback import RollbackError
    from monitor import button, drills
    from monitor.config import ConfigError, load_reach

    lacks = [name for name, said in (("--by", by), ("--reason", reason)) if not said.strip()]
    if lacks:
        raise ConfigError([f"{name} is empty: this says who and why" for name in lacks])
    reach, folder, mistakes = load_reach(config)
    for line in mistakes:
        _say(f"{line} (not needed now)")
    hand = button.Hand(by, reason, _now(), os.environ)
    if not drill:
        done = button.override(reach, folder, hand, to)
    else:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            done = drills.drill(reach, folder, hand, drill, hold)
        except RollbackError as error:
            _say(f"nothing was played: what stands now cannot be read: {error}")
            raise typer.Exit(EXIT_ERROR) from None
    for line in done.warnings:
        _say(line)
    what = f"drill of the {drill}: " if drill else ""
    if done.error:
        _say(f"{what}{done.safe} is NOT in control: {done.error}")
        _say(f"put {done.safe} in control in the service itself, mend the cause, then press again")
        raise typer.Exit(EXIT_ERROR)
    took = f"{done.safe} was put in control in place of {done.policy} after {done.seconds:.2f} s"
    typer.echo(f"{what}{took}, and read back")
    back = f"{done.policy} comes back by `monitor promote` only"
    typer.echo(
        "what stood before is in control again" if drill
        else f"check in your service that {done.safe} decides now; {back}"
    )  # fmt: skip
    raise typer.Exit(0)


def _cases(paths: list[Path], config: Path, matrix: bool) -> int:
    """Judge case files with the checklists of the configuration, where there is one; the exit code."""
    from gates import cases
    from gates import matrix as matrices
    from monitor import config as configuration
    from monitor.log_cases import run_all
    from monitor.verdicts import checklists_of

    folder = checklists_of(configuration.load(config)) if config.exists() else None
    with _progress() as progress:
        results = run_all(paths, folder, progress)
    wrong = any(result.wrong for result in results)
    if not matrix:
        for line in cases.told(results):
            typer.echo(line)
        return EXIT_FAIL if wrong else 0
    found = matrices.matrix(cases.cells(results))
    for line in matrices.lines(found):
        typer.echo(line)
    return EXIT_FAIL if wrong or found.missing or found.contradicted else 0


def _run_lines(report: Any) -> list[str]:
    lines = report.account.lines()
    if report.baseline_frozen:
        lines.append("baseline in place")
    lines.append(f"{report.windows} windows measured")
    confirmed = [e for e in report.firings if e.body["confirmed"]]
    lines.append(f"{len(report.firings)} firings, {len(confirmed)} of them confirmed")
    lines += _told_once(confirmed)[-10:]
    lines += report.done
    lines += [f"  {sentence}" for sentence in report.unmet[-10:]]
    lines += [report.problem] if report.problem else []
    if report.dry:
        lines.append("dry: --as-of is in the past, so nothing was journalled or moved; add --act to act")
    if report.verdict is not None:
        short = {"offline_validation": "offline", "shadow_mode": "shadow", "limited_deployment": "limited",
                 "full_deployment": "full"}[report.verdict.stage]
        lines.append(
            f"{report.verdict.policy} in {report.verdict.stage}: {report.verdict.outcome.name}; "
            f"see `monitor gate --stage {short}`"
        )
    if report.delivered and report.delivered.failed:
        lines += [f"alert not delivered to {f.channel}: {f.error}" for f in report.delivered.failed]
    return lines


def _score_lines(found: Any) -> list[str]:
    lines = [f"{found.rows - found.unknown_state} decisions scored; add this under log.sources:"]
    notes = {
        "are in a state that the table does not know: no recommendation": found.unknown_state,
        "took an action that the candidate does not have: probability 0": found.unknown_action,
        "carry the recommendation of another candidate and were left out": found.other_candidate,
    }
    told = [f"{count} decisions {what}" for what, count in notes.items() if count]
    if not found.aligned:
        told.append("logged action_probs list the actions in another order: candidate_probs are left out")
    return [*told, *lines]


def _told_once(confirmed: list[Any]) -> list[str]:
    """The newest message of each rule, and in how many windows it was confirmed."""
    newest: dict[tuple[str, ...], tuple[str, int]] = {}
    for body in (event.body for event in confirmed):
        place = (body["did"], body["trigger"], body["policy"], body["key"])
        newest[place] = (body["message"], newest.get(place, ("", 0))[1] + 1)
    return [
        f"  {did}: {message}{f' ({windows} windows)' if windows > 1 else ''}"
        for (did, *_), (message, windows) in newest.items()
    ]


def _hidden_lines(config: Any) -> list[str]:
    """What to do about rejected lines whose personal values are not kept."""
    if not config.pii:
        return []
    names = ", ".join(config.pii)
    return [
        f"values of {names} are hashed in rejects and a text with `pii:` does not load: write the values "
        "in its `raw` again, or mend its line in the log file itself"
    ]


def _progress() -> Any:
    """A bar on a terminal, nothing in a pipe."""
    from contextlib import contextmanager

    @contextmanager
    def shown() -> Any:
        if not sys.stderr.isatty():
            yield None
            return
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bars:
            task = bars.add_task("starting", total=None)

            def step(what: str, done: int, total: int) -> None:
                bars.update(task, description=what, completed=done, total=total or None)

            yield step

    return shown()


def _now() -> datetime:
    return datetime.now(UTC)


def _as_of(given: str | None) -> datetime:
    if given is None:
        return _now()
    moment = _moment("--as-of", given)
    if moment > _now() + timedelta(hours=1):
        _usage(f"--as-of {given} is in the future")
    return moment


def _moment(option: str, given: str) -> datetime:
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        _usage(f"{option} {given} is not a time; write it as 2026-01-31T12:00")
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _colour() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def _out(text: str) -> None:
    typer.echo(text, nl=False)


def _width() -> int:
    import shutil

    return min(shutil.get_terminal_size((100, 24)).columns, 140)


def _say(text: str) -> None:
    from alerts.secrets import known, redact

    print(redact(text, known(os.environ)), file=sys.stderr)


def _usage(text: str) -> NoReturn:
    _say(text)
    raise typer.Exit(EXIT_USAGE)


if __name__ == "__main__":
    main()
