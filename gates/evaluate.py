"""From a checklist and evidence to a verdict: every item judged, the worst of them, one JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from numbers import Integral
from typing import Any

from gates.checklist import Checklist, Item
from gates.checks import CHECKS
from gates.evidence import Event, Evidence
from gates.needs import needed, why
from gates.outcome import Finding, Outcome, exit_code, finding, worst
from gates.waivers import waived, waivers_of

__all__ = ["Event", "Evidence", "RecordedFiring", "Verdict", "evaluate", "judge", "to_json"]

# What was read: the store, or files given by hand, without or with a journal.
STORE, LOGS, LOGS_AND_JOURNAL = "store", "logs", "logs and journal"


@dataclass(frozen=True)
class RecordedFiring:
    """A firing of the evidence window as the journal has it. `action` is what it called for
    (rollback, escalate, observe …); `historical`: too old to act on when it was found."""

    trigger: str
    action: str
    confirmed: bool
    historical: bool
    policy: str
    key: str
    window_start: datetime | None
    window_end: datetime | None
    value: float
    limit: float
    message: str
    incident: str | int | None = None


@dataclass(frozen=True)
class Verdict:
    """What the gate says about one policy in one stage. `scope` tells what was read: the store,
    or files given by hand. `exit_code` is that of `monitor gate`. A `dry` one opens no stage."""

    stage: str
    policy: str
    as_of: datetime
    scope: str
    outcome: Outcome
    exit_code: int
    checklist_hash: str
    config_hash: str
    findings: tuple[Finding, ...]
    firings: tuple[RecordedFiring, ...]
    dry: bool = False


def evaluate(checklist: Checklist, evidence: Evidence, scope: str = STORE) -> list[Finding]:
    """The findings of every item, in the order of the checklist.

    A check that raises, or returns no finding, is one ERROR finding; the others are still there. What a
    waiver covers is marked and keeps its outcome. With the scope `LOGS` there is no journal to ask.
    """
    waivers = waivers_of(evidence)
    return [f for item in checklist.items for f in waived(item, _judged(item, evidence, scope), waivers)]


def judge(
    checklist: Checklist, evidence: Evidence, firings: Sequence[RecordedFiring] = (), *, scope: str = STORE
) -> Verdict:
    """The verdict: the worst finding; exit code 5 where a confirmed rollback firing is among
    `firings`, those of the evidence window, acted on or historical."""
    findings = evaluate(checklist, evidence, scope)
    outcome = worst(findings)
    return Verdict(
        stage=checklist.stage,
        policy=evidence.policy,
        as_of=evidence.as_of,
        scope=scope,
        outcome=outcome,
        exit_code=exit_code(outcome, rollback_fired(firings)),
        checklist_hash=checklist.hash,
        config_hash=str(evidence.facts.get("config_hash", "")),
        findings=tuple(findings),
        firings=tuple(firings),
    )


def rollback_fired(firings: Iterable[RecordedFiring]) -> bool:
    """True where a confirmed firing called for a rollback, whether or not it was acted on."""
    return any(f.confirmed and f.action == "rollback" for f in firings)


def to_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict as plain JSON values (`gates/verdict.schema.json`): outcomes by name, times ISO
    8601 in UTC, numbers that are not finite as null. `dry` is there where it is true."""
    body = {name: getattr(verdict, name) for name in Verdict.__dataclass_fields__}
    body = {name: value for name, value in body.items() if name != "dry" or value}
    body["findings"] = [{k: _plain(v) for k, v in asdict(f).items()} for f in verdict.findings]
    body["firings"] = [{k: _plain(v) for k, v in asdict(f).items()} for f in verdict.firings]
    return {"schema": 1, **{name: _plain(value) for name, value in body.items()}}


def _judged(item: Item, evidence: Evidence, scope: str) -> list[Finding]:
    if item.role == "off":
        message, needs = f"not judged: {item.because}", "the item switched on, if it should count"
        return [_filed(finding(Outcome.INCONCLUSIVE, message, needs, reason="off"), item, evidence)]
    if scope == LOGS and CHECKS[item.check].events:
        message = f"{item.item} was not judged: {why('no_journal')}."
        said = finding(Outcome.INCONCLUSIVE, message, needed("no_journal"), reason="no_journal")
        return [_filed(said, item, evidence)]
    try:
        params = {**item.params, "item": item.item, "two_person": item.two_person}
        findings = CHECKS[item.check].function(params, evidence)
        return [_filed(_sound(found), item, evidence) for found in _some(findings)]
    except Exception as error:
        words = " ".join(str(error).split()) or "no further word"
        message = f"check {item.check} could not judge: {type(error).__name__}: {words}"
        needs = "this error to be mended; it may be a mistake in the check itself"
        return [_filed(finding(Outcome.ERROR, message, needs, reason="error"), item, evidence)]


def _some(findings: list[Finding]) -> list[Finding]:
    if not findings:
        raise ValueError("the check returned no finding")
    return findings


def _sound(found: Finding) -> Finding:
    """The finding, if it is one: an outcome of the lattice; reason and needs unless it is PASS."""
    if not isinstance(found.outcome, Outcome):
        raise TypeError(f"the check returned the outcome {found.outcome!r}")
    passed = found.outcome is Outcome.PASS
    if (found.reason is None) != passed or (found.needs == "") != passed:
        raise ValueError(f"{found.outcome.name} with reason {found.reason!r} and needs {found.needs!r}")
    return found


def _filed(found: Finding, item: Item, evidence: Evidence) -> Finding:
    """The finding under its item, with the evidence window where the check named no other."""
    return replace(
        found,
        item=item.item,
        check=item.check,
        role=item.role,
        message=found.message[:1].upper() + found.message[1:],
        window_start=found.window_start or evidence.window_start,
        window_end=found.window_end or evidence.window_end,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Outcome):
        return value.name
    if isinstance(value, datetime):
        aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return aware.isoformat().replace("+00:00", "Z")
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value
