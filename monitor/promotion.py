"""`monitor promote`: a person moves the candidate on, once its gate is open.

Everything is looked at and written in one transaction of the journal: a promotion that is refused leaves
nothing there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from gates import passes, stages
from gates.evidence import Event
from gates.stages import FULL, LIMITED, LIVE, OFFLINE
from monitor import rules
from monitor.config import ConfigError, Loaded
from monitor.journal import Journal
from monitor.level import effective_level
from monitor.place import Place, Refused, no_pass, ramp_of, refuse, refuse_after_a_drop, refuse_in_the_past
from monitor.verdicts import checklists_of, store_of

__all__ = ["Refused", "freezing", "promote"]

KINDS = (*stages.ROAD, "verdict", "incident", "firing")
SAME = 1e-9


def promote(
    loaded: Loaded, *, to: str, step: float | None, by: str, reason: str, at: datetime
) -> list[str]:
    """Enter the candidate in the next stage, or in the next step of the ramp; returns what to tell.

    Raises Refused where it may not, ConfigError for a stage or step that does not exist.
    """
    stage = _stage_asked(to, step)
    lacks = [name for name, said in (("--by", by), ("--reason", reason)) if not said.strip()]
    if lacks:
        raise ConfigError([f"{name} is empty: a promotion says who and why" for name in lacks])
    store = store_of(loaded)
    store.create()
    with Journal(store.journal) as journal, journal.transaction():
        place = Place(loaded, journal.events(*KINDS), at, freezing(journal, loaded, at))
        refuse_after_a_drop(place)
        refuse_in_the_past(place)
        said = _asked(place, stage, step)
        if said is None:
            return [f"{_where(place, stage)}; nothing was changed"]
        said |= {"stage": stage, "by": by, "reason": reason, **place.freeze}
        journal.append("promote", place.policy, said, at=at)
    return _told(place, stage, said)


def freezing(journal: Journal, loaded: Loaded, at: datetime) -> dict[str, str]:
    """The triggers that are on, as a hash, and what may be done: frozen when a live stage is entered."""
    level = effective_level(journal.events("arm", until=at), loaded.config.acting)
    return {"triggers_hash": rules.digest(rules.load(checklists_of(loaded))), "acting": level}


def _stage_asked(to: str, step: float | None) -> str:
    try:
        stage = stages.stage_named(to)
    except ValueError as error:
        raise ConfigError([f"--to: {error}"]) from None
    if stage == OFFLINE:
        raise ConfigError(["--to offline: nothing is promoted there; `monitor gate --stage offline` begins"])
    if step is not None and stage != LIMITED:
        raise ConfigError([f"--step belongs to --to limited, not to --to {to}"])
    return stage


def _asked(place: Place, stage: str, step: float | None) -> dict[str, Any] | None:
    """What the event says beside the stage, None where the policy is there already. Raises Refused."""
    now = place.standing
    if now is not None and now.stage == stage:
        return _within(place, stage, step)
    before = str(stages.stage_before(stage))
    if now is not None and now.stage != before:
        further = stages.STAGES.index(now.stage) > stages.STAGES.index(stage)
        why = "a promotion only goes on" if further else f"{before} comes first"
        refuse(place, f"it is in {now.stage}, and {why}")
    _refuse_unarmed(place, stage)
    ramp = ramp_of(place.checklist(LIMITED)) if stage == LIMITED else []
    first = _step(place, step, ramp, ramp[0] if ramp else None, "the ramp begins with")
    since = now.since if now else None
    if stage == FULL:
        _refuse_on_the_ramp(place, place.entry.body.get("step") if place.entry else None)
        since = place.entry.at if place.entry else since  # each step of the ramp needs a PASS of its own
    passed = passes.unexpired_pass(
        place.events, stage=before, since=since, expires_after=place.pass_expires, **place.judged_by(before)
    )
    if passed is None:
        refuse(place, no_pass(place, before, since))
    return {"from": before, "step": first, **_resting_on(passed)}


def _within(place: Place, stage: str, step: float | None) -> dict[str, Any] | None:
    """A step of the ramp, or the same step under rules that are frozen anew."""
    entry = place.entry
    current = entry.body.get("step") if entry else None
    if stage != LIMITED or step is None or (current is not None and _same(step, current)):
        frozen = {name: entry.body.get(name) for name in place.freeze} if entry else {}
        if stage not in LIVE or frozen == dict(place.freeze):
            return None
        _refuse_unarmed(place, stage)
        return {"from": stage, "step": current, **_resting_on_nothing(place, stage)}
    ramp = ramp_of(place.checklist(LIMITED))
    if current is None:
        first = _step(place, step, ramp, ramp[0] if ramp else None, "the ramp begins with")
        return {"from": stage, "step": first, **_resting_on_nothing(place, stage)}
    onward = _onward(ramp, current)
    if ramp and onward is None:
        refuse(place, f"it is on the last step of the ramp, {current:g}: `--to full` comes next")
    following = _step(place, step, ramp, onward, f"the step after {current:g} is")
    since = entry.at if entry else None
    allowed = passes.step_taken(
        place.events, since=since, expires_after=place.pass_expires, **place.judged_by(LIMITED)
    )
    if allowed is None:
        refuse(place, no_pass(place, LIMITED, since, but=passes.OPEN_AT_A_STEP))
    return {"from": stage, "step": following, **_resting_on(allowed)}


def _refuse_on_the_ramp(place: Place, current: float | None) -> None:
    """A waiver lets an item pass, and no step of the ramp be skipped."""
    onward = _onward(ramp_of(place.checklist(LIMITED)), current)
    if onward is not None:
        on = "no step" if current is None else f"step {current:g}"
        refuse(place, f"it is on {on} of the ramp: `--to limited --step {onward:g}` comes next")


def _onward(ramp: Sequence[float], current: float | None) -> float | None:
    return next((s for s in ramp if current is None or s > current + SAME), None)


def _refuse_unarmed(place: Place, stage: str) -> None:
    if stage == FULL and place.freeze["acting"] != "rollback":
        refuse(place, f"acting is {place.freeze['acting']} and must be rollback: `monitor arm rollback`")


def _step(
    place: Place, given: float | None, ramp: Sequence[float], due: float | None, says: str
) -> float | None:
    """The step that is due, if it is the one that was asked for."""
    if given is not None and not ramp:
        raise ConfigError(["--step: the checklist of limited deployment has no ramp (item blast_radius)"])
    if given is not None and due is not None and not _same(given, due):
        refuse(place, f"{says} {due:g}: `--step {due:g}`")
    return due


def _told(place: Place, stage: str, said: Mapping[str, Any]) -> list[str]:
    step = f", step {said['step']:g} of the ramp" if said["step"] is not None else ""
    rests = f", on the verdict of event {said['verdict']}" if said["verdict"] else ""
    begun = f"from {place.at:%Y-%m-%d %H:%M} UTC on, by {said['by']}{rests}"
    lines = [f"{place.policy} is in {stage}{step} {begun}"]
    if stage in LIVE:
        lines += [
            f"frozen with it: triggers {said['triggers_hash']}, acting {said['acting']}; a change of either "
            "holds the gate until it is promoted again",
            "no traffic was moved: give the policy its part in your service",
        ]
        if said["acting"] != "rollback":
            lines.append(f"note: acting is {said['acting']}, nothing is rolled back: `monitor arm rollback`")
    return lines


def _where(place: Place, stage: str) -> str:
    now, entry = place.standing, place.entry
    step = entry.body.get("step") if entry else None
    at = f", step {step:g} of the ramp," if step is not None else ""
    since = f" since {now.since:%Y-%m-%d %H:%M} UTC" if now else ""
    return f"{place.policy} is in {stage}{at} already{since}"


def _resting_on(verdict: Event) -> dict[str, Any]:
    hashes = {name: verdict.body[name] for name in ("checklist_hash", "config_hash")}
    return {"verdict": verdict.seq, **hashes}


def _resting_on_nothing(place: Place, stage: str) -> dict[str, Any]:
    hashes = {name: place.judged_by(stage)[name] for name in ("checklist_hash", "config_hash")}
    return {"verdict": None, **hashes}


def _same(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=SAME)
