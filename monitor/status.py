"""`monitor status`: where things stand, in lines a person reads at a glance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from alerts.rollback import RollbackError, build
from gates.stages import instant_of
from monitor import road_lines
from monitor.button import left_behind, open_overrides
from monitor.config import Config, Loaded
from monitor.drills import open_drills
from monitor.incidents import unresolved
from monitor.journal import Event, Journal
from monitor.level import effective_level
from monitor.readings import closed_end, moment, window_hours
from monitor.reports import REJECTED, waiting
from monitor.road import KINDS
from monitor.verdicts import judged_to, store_of
from monitor.windows import judged_windows


def lines(
    loaded: Loaded, as_of: datetime, windows: int = 0, *, environ: Mapping[str, str], colour: bool = False
) -> Iterator[str]:
    """The policy in control, the last run, the road of each policy, open incidents, alerts that wait; and
    which run judged each of the newest `windows` closed windows. `colour` for a terminal; `environ` where the
    rollback's target finds its secret."""
    config, store = loaded.config, store_of(loaded)
    if not store.journal.exists():
        yield "nothing has run yet; run `monitor run` first"
        return
    journal = Journal(store.journal)
    try:
        yield in_control(loaded, environ)
        level = effective_level(journal.events("arm"), config.acting)
        armed = "" if level == config.acting else f" (armed; monitor.yaml says {config.acting})"
        yield f"acting: {level}{armed}"
        runs = journal.events("run", until=as_of)
        last = judged_to(journal)
        if runs and last is not None:
            yield f"last run {_when(runs[-1].at)}, windows judged to {_when(moment(last))}"
        elif not runs and last is not None:
            yield f"no run before {_when(as_of)} has judged a window"
        else:
            yield "no run has judged a window yet; run `monitor run`"
        yield from road_lines.lines(journal.events(*KINDS, until=as_of), config, as_of, colour=colour)
        waiting = unresolved(journal.events("incident", "firing", "rollback", until=as_of))
        yield f"{len(waiting)} open incidents"
        for incident in waiting:
            yield f"  {incident.id} ({incident.status}): {incident.message}"
            if incident.status == "open":
                yield f"    run `monitor ack {incident.id} --by NAME --reason \"…\"`"
        for name in [*open_overrides(journal), *(p.stem for p in left_behind(config.reach, loaded.folder))]:
            yield f"{name} IS NOT FINISHED: the next `monitor run` finishes it and tells it"
        for name in open_drills(journal):
            yield f"DRILL {name} WAS CUT SHORT: the next `monitor run` puts back what stood before it"
        yield from _reports(loaded)
        undelivered = journal.undelivered()
        for row in undelivered:
            error = row.last_error or "not tried yet"
            tries = "1 try" if row.attempts == 1 else f"{row.attempts} tries"
            state = "was given up" if row.dead_at else "waits"
            yield f"alert {state} for {row.channel} after {tries}: {error}"
        if any(row.dead_at for row in undelivered):
            yield "  mend the channel, then `monitor status --retry-alerts`"
        alive = journal.heartbeat("schedule")
        if alive is not None:
            yield f"monitor schedule was last alive at {_when(alive)}"
        yield from _ledger(config, runs, as_of, windows)
    finally:
        journal.close()


def _reports(loaded: Loaded) -> Iterator[str]:
    if loaded.config.reports is None:
        return
    folder = loaded.path(loaded.config.reports)
    waits, rejected = waiting(folder)
    if waits:
        yield f"{waits} reports of irreversible actions wait in {loaded.config.reports}; run `monitor run`"
    if rejected:
        place = f"{loaded.config.reports}/{REJECTED}"
        yield f"{rejected} reports were not understood: see the reasons beside them in {place}"


def _ledger(config: Config, runs: Sequence[Event], as_of: datetime, newest: int) -> Iterator[str]:
    """One line for each of the newest closed windows, from the first that was ever judged."""
    judged = {(w.start, w.end): w for w in judged_windows(runs)}
    span, end = window_hours(config), closed_end(config, as_of, matured=False)
    first = min((start for start, _ in judged), default=end)
    for start in range(max(first, end - newest * span), end, span):
        window = judged.get((start, start + span))
        plain, rewards = (window.plain, window.matured) if window else ((), ())
        yield f"window {_when(moment(start))}, {span} h: {_by(plain)}; with rewards {_by(rewards)}"


def _by(events: Sequence[Event]) -> str:
    """`judged once, at 2026-01-31 12:10:07 UTC (event 17)`."""
    if not events:
        return "not judged yet"
    often = "once" if len(events) == 1 else f"{len(events)} times"
    return f"judged {often}, at " + ", ".join(f"{e.at:%Y-%m-%d %H:%M:%S} UTC (event {e.seq})" for e in events)


def in_control(loaded: Loaded, environ: Mapping[str, str]) -> str:
    """Which policy the pointer names, and since when, in words."""
    try:
        pointer = build(loaded.config.rollback, loaded.folder, environ).read()
    except RollbackError as error:
        return f"the pointer cannot be read: {error}"
    if pointer is None:
        return "no rollback has moved the pointer"
    since = f" since {_said(str(pointer['at']))}" if pointer.get("at") else ""
    incident = f" (incident {pointer['incident']})" if pointer.get("incident") else ""
    return f"the pointer names {pointer.get('policy')}{since}{incident}"


def _said(at: str) -> str:
    moment = instant_of(at)
    return at if moment is None else _when(moment)


def _when(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
