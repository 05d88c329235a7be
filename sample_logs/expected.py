"""What each sample log should show, as `sample_logs/README.md` says, and how it did: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gates.evaluate import Verdict, rollback_fired
from gates.outcome import Outcome as Found
from monitor.triggers import TRIGGERS
from sample_logs.calendar import CALENDARS
from sample_logs.make import SampleLog

WITHIN, CREEP_WITHIN = 4, {"news": 12, "cooling": 4}
DAY = timedelta(days=1)
NEED_PROPENSITIES = ("held_out_value", "beats_baseline", "constraint_value", "worst_case")
# On 7 June the weather was outside of what two weeks of baseline had seen, and people are told so.
TOLD_IN_HEALTH = {"cooling_shadow_healthy": ("state_shift", "inlet_humidity")}
# A plant's disagreement varies so much from day to day that 30 days do not settle its trend at every look.
MAY_HOLD = {"cooling_shadow_healthy": ("disagreement", "straddles")}
NOT_TOLD = ("missing_propensity",)
HEAD = ("log", "gate", "exit", "first confirmed", "did", "planted", "confirmed in", "window", "as expected")


@dataclass(frozen=True)
class Outcome:
    """What monitoring one log came to. `verdicts` are those of its gates, that of its stage first,
    `in_control` the policy that the pointer names, None where nothing has moved it."""

    firings: Sequence[Mapping[str, Any]]
    verdicts: Sequence[Verdict]
    tables: Sequence[str]
    pointer: str
    in_control: str | None
    safe: str


def wrong(log: SampleLog, outcome: Outcome) -> Iterator[str]:
    """What is not as it should be, in sentences."""
    exit_code = outcome.verdicts[0].exit_code
    rollbacks = [b for b in outcome.firings if b["did"] == "rolled_back"]
    yield from _too_early(log, outcome)
    yield from _found(log, outcome)
    if log.stage == "shadow":
        if rollbacks:
            yield "rolled back although the candidate controlled nothing"
        if log.fault is None and exit_code != 0 and not _may_hold(log, outcome.verdicts[0]):
            yield f"the shadow gate should pass, exit code {exit_code}"
        yield from _not_told(outcome.verdicts[1:])
        return
    if log.action == "rollback" and not rollbacks:
        yield f"{log.trigger} should have rolled back"
    may = (log.also, log.trigger if log.action == "rollback" else None)
    for body in _confirmed(outcome):
        if body["action"] == "rollback" and body["trigger"] not in may:
            yield f"called for a rollback: {body['message']}"
            break
    moved = outcome.in_control == outcome.safe
    if bool(rollbacks) != moved:
        yield f"{len(rollbacks)} rollbacks, but the pointer names {outcome.in_control}"
    if bool(rollbacks) != (exit_code == 5) or bool(rollbacks) != rollback_fired(outcome.verdicts[0].firings):
        yield f"the gate exits {exit_code} after {len(rollbacks)} rollbacks"


def row(log: SampleLog, outcome: Outcome, wrongs: Sequence[str]) -> tuple[str, ...]:
    """One line of the summary: see HEAD. `window` counts from the planted hour, or from the hour in
    which a creep passes its bound, which is window 1."""
    body = _first(log, outcome)
    gate = outcome.verdicts[0]
    found = ("none", "", "", "")
    if body is not None:
        name = " ".join(filter(None, (body["trigger"], body["key"])))
        seen = f"{_at(body, 'window_end'):%m-%d %H:%M}"
        found = (name, body["did"].replace("_", " "), seen, _windows(log, body))
    planted = f"{log.threshold_hour or log.planted:%m-%d %H:%M}" if log.planted else ""
    judged = "yes" if not wrongs else f"NO ({len(wrongs)})"
    return (
        log.name, gate.outcome.name, str(gate.exit_code), found[0], found[1], planted, *found[2:], judged
    )  # fmt: skip


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows under HEAD as text in columns."""
    shown = [HEAD, *rows]
    widths = [max(len(r[i]) for r in shown) for i in range(len(HEAD))]
    return "\n".join("  ".join(map(str.ljust, r, widths)).rstrip() for r in shown)


def _too_early(log: SampleLog, outcome: Outcome) -> Iterator[str]:
    """Confirmed firings of windows that a fault was not in; in a healthy log, any."""
    for body in _confirmed(outcome):
        if TOLD_IN_HEALTH.get(log.name) == (body["trigger"], body["key"]) and body["action"] == "escalate":
            continue
        if log.planted is None or _at(body, "window_end") <= log.planted:
            yield f"confirmed without a fault: {body['message']}"
            return


def _found(log: SampleLog, outcome: Outcome) -> Iterator[str]:
    """Whether the fault was found by its trigger, in time, before any other."""
    if log.trigger is None:
        return
    body = _first(log, outcome)
    if body is None:
        yield f"{log.trigger} should have been confirmed"
        return
    if body["trigger"] != log.trigger:
        yield f"{body['trigger']} was confirmed before {log.trigger}"
    within = CREEP_WITHIN[log.family] if log.threshold_hour else WITHIN
    if log.trigger in TRIGGERS and TRIGGERS[log.trigger].daily:
        within = WITHIN * (DAY // CALENDARS[log.family].window)
    if int(_windows(log, body)) > within:
        yield f"{log.trigger} was confirmed in window {_windows(log, body)}, later than {within}"
    did = "rolled_back" if log.stage == "live" and log.action == "rollback" else "escalated"
    if body["did"] != did:
        yield f"{log.trigger} should have {did.replace('_', ' ')}, it {body['did'].replace('_', ' ')}"


def _may_hold(log: SampleLog, verdict: Verdict) -> bool:
    """Whether the gate holds for the one finding that it may hold for, and for no other."""
    held = {(f.item, f.reason) for f in verdict.findings if f.outcome is not Found.PASS}
    return verdict.exit_code == 3 and held == {MAY_HOLD.get(log.name)}


def _not_told(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Items that need propensities, judged on a log without: none may pass, each must say why."""
    for verdict in verdicts:
        for name in NEED_PROPENSITIES:
            found = [f for f in verdict.findings if f.item == name]
            if not found or any(f.outcome is Found.PASS or f.reason not in NOT_TOLD for f in found):
                yield f"{name} should say that propensities are missing"
        if verdict.exit_code != 3:
            exits = f"exit code {verdict.exit_code}"
            yield f"the gate of {verdict.stage} should hold without propensities, {exits}"


def _confirmed(outcome: Outcome) -> list[Mapping[str, Any]]:
    """In the order in which they were judged."""
    return [b for b in outcome.firings if b["confirmed"]]


def _first(log: SampleLog, outcome: Outcome) -> Mapping[str, Any] | None:
    """The first confirmed firing; in a shadow log the first of the fault's own trigger, since there all
    sensors are watched and some tell of a fault a day before its trigger may."""
    found = _confirmed(outcome)
    own = [b for b in found if log.stage == "shadow" and b["trigger"] == log.trigger]
    return next(iter(own or found), None)


def _windows(log: SampleLog, body: Mapping[str, Any]) -> str:
    span = CALENDARS[log.family].window
    since = log.threshold_hour or log.planted
    if since is None:
        return ""
    return str(max(1, -((since - _at(body, "window_end")) // span)))


def _at(body: Mapping[str, Any], which: str) -> datetime:
    return datetime.fromisoformat(body[which])
