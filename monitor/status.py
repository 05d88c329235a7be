"""`monitor status`: where things stand, in lines a person reads at a glance."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from alerts.rollback import RollbackError, build
from gates.stages import SHORT, standing
from monitor.acting import effective_level
from monitor.config import Loaded
from monitor.incidents import unresolved
from monitor.jobs import judged_to, store_of
from monitor.journal import Journal
from monitor.readings import moment


def lines(loaded: Loaded, as_of: datetime) -> Iterator[str]:
    """The policy in control, the last run, the newest verdicts, open incidents, alerts that wait."""
    config, store = loaded.config, store_of(loaded)
    if not store.journal.exists():
        yield "nothing has run yet; run `monitor run` first"
        return
    journal = Journal(store.journal)
    try:
        yield _in_control(loaded)
        level = effective_level(journal.events("arm"), config.acting)
        armed = "" if level == config.acting else f" (armed; monitor.yaml says {config.acting})"
        yield f"acting: {level}{armed}"
        runs = journal.events("run", until=as_of)
        last = judged_to(journal)
        if runs and last is not None:
            yield f"last run {_when(runs[-1].at)}, windows judged to {_when(moment(last))}"
        else:
            yield "no run has judged a window yet; run `monitor run`"
        candidate = config.policies.candidate
        stage = standing(journal.events("promote", "adopt"), candidate, as_of)
        if stage is not None:
            yield f"{candidate} is in {stage.stage} since {_when(stage.since)}"
        verdicts = journal.events("verdict", subject=candidate, until=as_of)
        for short, name in SHORT.items():
            newest = next((v for v in reversed(verdicts) if v.body["stage"] == name), None)
            if newest is not None:
                said = f"{newest.body['outcome']} as of {newest.body['as_of']}"
                yield f"{candidate} in {name}: {said} (`monitor gate --stage {short}`)"
        waiting = unresolved(journal.events("incident", "firing", "rollback", until=as_of))
        yield f"{len(waiting)} open incidents"
        for incident in waiting:
            yield f"  {incident.id} ({incident.status}): {incident.message}"
            if incident.status == "open":
                yield f"    run `monitor ack {incident.id} --by NAME --reason \"…\"`"
        undelivered = journal.undelivered()
        for row in undelivered:
            error = row.last_error or "not tried yet"
            yield f"alert waits for {row.channel} after {row.attempts} tries: {error}"
    finally:
        journal.close()


def _in_control(loaded: Loaded) -> str:
    try:
        pointer = build(loaded.config.rollback, loaded.folder).read()
    except RollbackError as error:
        return f"the pointer cannot be read: {error}"
    if pointer is None:
        return "no rollback has moved the pointer"
    return f"the pointer names {pointer['policy']} since {pointer['at']} (incident {pointer['incident']})"


def _when(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
