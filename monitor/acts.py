"""What people say, written into the journal: acknowledgements, sign-offs, stages, what may be done."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from alerts.channels import build
from alerts.delivery import deliver
from alerts.lifecycle import for_acknowledged
from alerts.pipeline import enqueue
from gates.checklist import load as load_checklist
from gates.checks import CHECKS
from gates.checks.armed import TRUSTED
from gates.passes import counts
from gates.stages import LIVE, ROAD, STAGES, dropped, stage_named
from monitor import telling
from monitor.chain import file_digest
from monitor.config import UNITS, ConfigError, Loaded, did_you_mean
from monitor.incidents import acknowledging, incidents
from monitor.journal import Journal
from monitor.level import effective_level
from monitor.promotion import freezing
from monitor.verdicts import store_of

ADDRESS = re.compile(r"https?://")
LEVELS = ("observe", "alert", "rollback")


def acknowledge(
    loaded: Loaded, incident: str, *, by: str, reason: str, real: bool, accept: bool, at: datetime
) -> str:
    """Acknowledge an incident. Raises ConfigError when there is no such incident."""
    journal = Journal(store_of(loaded).journal)
    try:
        known = incidents(journal.events("incident", "firing", "rollback"))
        pages = telling.open_test_pages(journal, at)
        if incident in pages:
            return _acknowledge_test(loaded, journal, incident, by, reason, at)
        if incident not in known:
            raise ConfigError(
                [f"incident '{incident}' is not known{did_you_mean(incident, [*known, *pages])}; "
                 "see `monitor status`"]
            )
        real = real and not accept
        body = acknowledging(by, reason, real=real, accept=accept)
        told = for_acknowledged(
            incident, known[incident].policy, by=by, reason=reason, at=at, real=real, accepted=accept
        )
        with journal.transaction():
            event = journal.append("incident", incident, body, at=at)
            if event and journal.told_of(incident):
                key = f"{incident}:acknowledged:{event.seq}"
                enqueue(journal, loaded.config.alerts.channels, told, key, at)
    finally:
        journal.close()
    accepted = " and accepted as the new reference" if accept else ""
    return f"incident {incident} acknowledged by {by}{accepted}"


def test_page(
    loaded: Loaded, *, by: str, reason: str, at: datetime, environ: Mapping[str, str]
) -> list[str]:
    """Send a test page now; what to tell of it."""
    settings = loaded.config.alerts
    store = store_of(loaded)
    store.create()
    with Journal(store.journal) as journal:
        page = telling.test_page(journal, settings, by=by, reason=reason, at=at)
        report = deliver(journal, build(settings.channels, environ), at)
    took = [channel for key, channel in report.delivered if key == page]
    return [
        f"test page {page} sent to {', '.join(took) or 'nobody yet'}",
        *(f"not delivered to {f.channel} yet: {f.error}" for f in report.failed if f.key == page),
        f"acknowledge it with `monitor ack {page} --by NAME --reason \"…\"`",
    ]


def retry_alerts(loaded: Loaded) -> str:
    """Have every alert that waits, or was given up, tried at the next pass."""
    store = store_of(loaded)
    store.create()
    with Journal(store.journal) as journal:
        return f"{journal.revive()} alerts are tried again at the next pass"


def _acknowledge_test(
    loaded: Loaded, journal: Journal, page: str, by: str, reason: str, at: datetime
) -> str:
    told = for_acknowledged(page, "", by=by, reason=reason, at=at, real=False, accepted=False)
    told = replace(told, how_bad="It was a test.", what_to_do=())
    with journal.transaction():
        body = {"page": page, "status": "acknowledged", "by": by, "reason": reason}
        journal.append("test_page", page, body, at=at, key=f"test_page:{page}:acknowledged")
        enqueue(journal, loaded.config.alerts.channels, told, f"{page}:acknowledged", at)
    return f"test page {page} acknowledged by {by}"


def attest(
    loaded: Loaded,
    item: str,
    *,
    by: str,
    reason: str,
    evidence: str,
    expires: str,
    approved: bool,
    at: datetime,
    proposer: str = "",
) -> str:
    """Sign a checklist item for the candidate, or the safe policy as `trusted`. Raises ConfigError for an
    unknown item or evidence."""
    folder = loaded.path(loaded.config.checklists) if loaded.config.checklists else None
    known: dict[str, set[str]] = {}
    for stage in STAGES:
        for listed in load_checklist(stage, folder).items:
            check = CHECKS[listed.check]
            own = listed.role == "sign_off" or (listed.role == "guardrail" and check.attestable)
            for name in (*([listed.item] if own else []), *check.attested):
                known.setdefault(name, set()).add(stage)
    if item not in known:
        hint = f"{did_you_mean(item, known)}; it is one of {', '.join(sorted(known))}"
        raise ConfigError([f"item '{item}' takes no sign-off{hint}"])
    until = until_of(expires, at)
    policy = loaded.config.policies.safe if item == TRUSTED else loaded.config.policies.candidate
    body: dict[str, Any] = {
        "item": item, "by": by, "reason": reason, "evidence": _place_of(loaded, evidence),
        "evidence_digest": _digest(evidence), "verdict": "approved" if approved else "refused",
        "expires": until, "policy": policy, "reward_hash": loaded.config.reward_hash, "proposer": proposer,
    }
    store = store_of(loaded)
    store.create()
    with Journal(store.journal) as journal:
        given_on = journal.newest(
            "verdict", subject=policy, having=lambda e: counts(e) and e.body["stage"] in known[item]
        )
        body["verdict_seq"] = given_on.seq if given_on else None
        journal.append("attest", policy, body, at=at)
    return f"{item} of {policy} signed by {by}: {body['verdict']}, until {until:%Y-%m-%d}"


def until_of(expires: str, at: datetime) -> datetime:
    """When what is said now with `--expires` ends. Raises ConfigError."""
    match = re.fullmatch(r"(\d+)([hd])", expires)
    if not match:
        raise ConfigError([f"--expires must be a duration such as 92d, not '{expires}'"])
    return at + timedelta(seconds=int(match[1]) * UNITS[match[2]])


def adopt(
    loaded: Loaded, *, stage: str, since: str, by: str, reason: str, at: datetime
) -> str:
    """Enter the candidate in a stage it was in already. Raises ConfigError for a stage or a date that
    cannot be."""
    try:
        stage = stage_named(stage)
        begun = datetime.fromisoformat(since)
    except ValueError as error:
        said = str(error) if "stage" in str(error) else f"'{since}' is not a date; write it as 2026-01-31"
        raise ConfigError([f"--stage or --since: {said}"]) from None
    begun = begun.replace(tzinfo=UTC) if begun.tzinfo is None else begun.astimezone(UTC)
    if begun > at:
        raise ConfigError([f"--since {since} is in the future; a policy is adopted where it was already"])
    policy = loaded.config.policies.candidate
    body = {"stage": stage, "since": begun, "by": by, "reason": reason}
    if stage in LIVE:
        body |= _frozen_now(loaded, policy, at)
    _append(loaded, "adopt", policy, body, at)
    return f"{policy} is in {stage} since {begun:%Y-%m-%d %H:%M} UTC, by {by}"


def _frozen_now(loaded: Loaded, policy: str, at: datetime) -> dict[str, str]:
    """The rules that a live stage is entered with. Raises ConfigError after a rollback: such a stage is
    earned again, not adopted."""
    store = store_of(loaded)
    store.create()
    with Journal(store.journal) as journal:
        events = journal.events(*ROAD)
        fell = dropped(events, policy, at)
        again = [
            e.at for e in events
            if e.kind == "promote" and e.subject == policy and e.body.get("stage") in LIVE
        ]
        if fell is not None and max(again, default=fell.at) <= fell.at:
            said = f"{policy} was taken out of control on {fell.at:%Y-%m-%d %H:%M} UTC"
            raise ConfigError([f"{said}; it enters a live stage again by `monitor promote`, not by adopting"])
        return freezing(journal, loaded, at)


def arm(loaded: Loaded, level: str, *, by: str, reason: str, at: datetime) -> str:
    """Say what may be done from now on: observe, alert or rollback. Raises ConfigError for another level
    and for the one that holds already."""
    if level not in LEVELS:
        hint = did_you_mean(level, LEVELS)
        raise ConfigError([f"level '{level}' is not known{hint}; it is {', '.join(LEVELS)}"])
    configured = loaded.config.acting
    store = store_of(loaded)
    store.create()
    with Journal(store.journal) as journal:
        before = effective_level(journal.events("arm"), configured)
    if before == level:
        raise ConfigError([f"acting is {level} already; nothing was changed"])
    body = {"level": level, "by": by, "reason": reason, "configured": configured}
    _append(loaded, "arm", level, body, at)
    return f"acting: {level} from {at:%Y-%m-%d %H:%M} UTC on, by {by} (it was {before})"


def _append(loaded: Loaded, kind: str, subject: str, body: dict[str, Any], at: datetime) -> None:
    store = store_of(loaded)
    store.create()
    with Journal(store.journal) as journal:
        journal.append(kind, subject, body, at=at)


def _place_of(loaded: Loaded, evidence: str) -> str:
    """An address as it is, a file by its place in the folder of monitor.yaml, where gates look for it."""
    if ADDRESS.match(evidence):
        return evidence
    return os.path.relpath(Path(evidence).resolve(), loaded.folder)


def _digest(evidence: str) -> str:
    """sha256 of the file, or of the address where it is one."""
    if ADDRESS.match(evidence):
        return "address:" + hashlib.sha256(evidence.encode()).hexdigest()
    try:
        return file_digest(Path(evidence))
    except OSError as error:
        raise ConfigError([f"--evidence {evidence} cannot be read: {error.strerror}"]) from None
