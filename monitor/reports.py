"""Irreversible actions that somebody reports: acted on at once, before any log holds them.

By hand (`monitor report-irreversible`), or by a service that drops a JSON file into the folder `reports`. A
report is a firing of the rule `irreversible`, keyed by its decision: however often it is read, it acts once.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from monitor import acting
from monitor.journal import Event, Journal
from monitor.judge import Judged
from monitor.triggers.firing import Firing

TRIGGER = "irreversible"
DONE, REJECTED = "done", "rejected"
MOST_BYTES = 1 << 16
KEYS = {"decision_id", "reason", "at", "policy", "by"}


@dataclass(frozen=True, slots=True)
class Report:
    """One reported decision. `policy` is who made it, `by` who says so."""

    decision_id: str
    reason: str
    at: datetime
    policy: str
    by: str


class ReportError(ValueError):
    """A file that is no report; the sentence says why."""


def act_on(journal: Journal, terms: acting.Acting, reports: Iterable[Report]) -> list[Event]:
    """Record the reports and bring about what they call for; the new firings."""
    judged = [Judged(_firing(report), confirmed=True) for report in reports]
    if not judged:
        return []
    # Somebody says so now: it counts also where acting was switched on after the decision.
    terms = replace(terms, armed_at=datetime.min.replace(tzinfo=UTC))
    before = reported(journal)
    fresh = [j for j in judged if j.firing.state["decision_id"] not in before]
    new = acting.record(journal, fresh, terms, lambda firing: {}, identity=_identity)
    acting.settle(journal, terms)
    return new


def take(journal: Journal, terms: acting.Acting, folder: Path) -> list[Event]:
    """Read every `*.json` of the folder, act, then move each to `done`, a bad one to `rejected` beside its
    reason. A file that is still being written must have another name until it is whole."""
    found: list[tuple[Path, Report]] = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append((path, read(path, terms)))
        except (ReportError, OSError) as error:
            kept = _move(path, REJECTED)
            kept.with_name(f"{kept.name}.reason").write_text(f"{error}\n", "utf-8")
    new = act_on(journal, terms, [report for _, report in found])
    for path, _ in found:
        _move(path, DONE)
    return new


def read(path: Path, terms: acting.Acting) -> Report:
    """One file. Raises ReportError."""
    if path.is_symlink() or not path.is_file():
        raise ReportError(f"{path.name} is not a plain file")
    if path.stat().st_size > MOST_BYTES:
        raise ReportError(f"{path.name} is larger than {MOST_BYTES} bytes")
    try:
        body = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise ReportError(f"{path.name} is not JSON") from None
    if not isinstance(body, dict):
        raise ReportError(f"{path.name} is not a JSON object")
    strange = sorted(set(body) - KEYS)
    if strange:
        known = ", ".join(sorted(KEYS))
        raise ReportError(f"{path.name}: key '{strange[0][:60]}' is not known; known are {known}")
    values = {key: body.get(key, "") for key in KEYS}
    wrong = [key for key, value in values.items() if not isinstance(value, str)]
    if wrong:
        raise ReportError(f"{path.name}: '{wrong[0]}' must be text")
    lacks = [key for key in ("decision_id", "reason") if not values[key].strip()]
    if lacks:
        raise ReportError(f"{path.name}: '{lacks[0]}' is missing")
    at = moment(values["at"], terms.now, path.name)
    return Report(
        values["decision_id"], values["reason"], at, values["policy"] or terms.candidate,
        values["by"] or "a service",
    )  # fmt: skip


def moment(text: str, now: datetime, name: str) -> datetime:
    """The time of a report, `now` where it gives none or one to come. Raises ReportError."""
    if not text:
        return now
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ReportError(f"{name}: 'at' must be a time such as 2026-01-31T12:00:00Z") from None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return min(at, now)


def waiting(folder: Path) -> tuple[int, int]:
    """How many files wait, and how many were rejected."""
    return len(list(folder.glob("*.json"))), len(list((folder / REJECTED).glob("*.json")))


def reported(journal: Journal) -> set[str]:
    """The decisions that were reported."""
    states = (e.body.get("state") or {} for e in journal.events("firing") if e.body.get("trigger") == TRIGGER)
    return {str(state["decision_id"]) for state in states if state.get("reported_by")}


def _firing(report: Report) -> Firing:
    said = (
        f"Decision {report.decision_id} of {report.policy} took an action that cannot be undone, "
        f"reported by {report.by}: {report.reason.rstrip('.')}; 0 are allowed."
    )
    state: dict[str, Any] = {
        "rule": TRIGGER, "decision_id": report.decision_id, "decision_ids": [report.decision_id],
        "reported_by": report.by, "reason": report.reason,
    }  # fmt: skip
    return Firing(TRIGGER, "", report.policy, report.at, report.at, math.nan, 0.0, said, state)


def _identity(firing: Any) -> str:
    return f"report:{firing.state['decision_id']}"


def _aside(path: Path, into: str) -> Path:
    """A name in that folder that no file has yet."""
    place = path.parent / into
    place.mkdir(mode=0o700, exist_ok=True)
    names = (f"{path.stem}{'' if i == 1 else f'.{i}'}{path.suffix}" for i in count(1))
    return next(place / name for name in names if not (place / name).exists())


def _move(path: Path, into: str) -> Path:
    kept = _aside(path, into)
    os.replace(path, kept)
    return kept
