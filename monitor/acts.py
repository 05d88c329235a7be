"""What people say, written into the journal: acknowledgements and sign-offs."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timedelta
from pathlib import Path

from gates.checklist import load as load_checklist
from gates.stages import STAGES
from monitor.config import UNITS, ConfigError, Loaded, did_you_mean
from monitor.incidents import acknowledging, incidents
from monitor.jobs import store_of
from monitor.journal import Journal


def acknowledge(
    loaded: Loaded, incident: str, *, by: str, reason: str, real: bool, accept: bool, at: datetime
) -> str:
    """Acknowledge an incident. Raises ConfigError when there is no such incident."""
    journal = Journal(store_of(loaded).journal)
    try:
        known = incidents(journal.events("incident", "firing", "rollback"))
        if incident not in known:
            raise ConfigError(
                [f"incident '{incident}' is not known{did_you_mean(incident, known)}; see `monitor status`"]
            )
        body = acknowledging(by, reason, real=real and not accept, accept=accept)
        journal.append("incident", incident, body, at=at)
    finally:
        journal.close()
    accepted = " and accepted as the new reference" if accept else ""
    return f"incident {incident} acknowledged by {by}{accepted}"


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
) -> str:
    """Sign a checklist item for the candidate. Raises ConfigError for an unknown item or evidence."""
    folder = loaded.path(loaded.config.checklists) if loaded.config.checklists else None
    known = {i.item for stage in STAGES for i in load_checklist(stage, folder).items if i.role == "sign_off"}
    if item not in known:
        hint = f"{did_you_mean(item, known)}; it is one of {', '.join(sorted(known))}"
        raise ConfigError([f"item '{item}' takes no sign-off{hint}"])
    match = re.fullmatch(r"(\d+)([hd])", expires)
    if not match:
        raise ConfigError([f"--expires must be a duration such as 92d, not '{expires}'"])
    until = at + timedelta(seconds=int(match[1]) * UNITS[match[2]])
    policy = loaded.config.policies.candidate
    body = {
        "item": item, "by": by, "reason": reason, "evidence": evidence,
        "evidence_digest": _digest(evidence), "verdict": "approved" if approved else "refused",
        "expires": until, "policy": policy,
    }
    store = store_of(loaded)
    store.create()
    journal = Journal(store.journal)
    try:
        journal.append("attest", policy, body, at=at)
    finally:
        journal.close()
    return f"{item} of {policy} signed by {by}: {body['verdict']}, until {until:%Y-%m-%d}"


def _digest(evidence: str) -> str:
    """sha256 of the file, or of the address where it is one."""
    if re.match(r"https?://", evidence):
        return "address:" + hashlib.sha256(evidence.encode()).hexdigest()
    try:
        return "file:" + hashlib.sha256(Path(evidence).read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError([f"--evidence {evidence} cannot be read: {error.strerror}"]) from None
