"""`monitor waive`: a person lets an open item pass for a time; every report and alert says so."""

from __future__ import annotations

from datetime import datetime

from gates.checklist import load as load_checklist
from gates.stages import stage_named
from gates.waivers import NEVER, may_be_waived
from monitor.acts import until_of
from monitor.config import ConfigError, Loaded, did_you_mean
from monitor.journal import Journal
from monitor.verdicts import checklists_of, store_of


def waive(
    loaded: Loaded, *, item: str, stage: str, by: str, reason: str, expires: str, at: datetime
) -> str:
    """Let an item of a stage pass for the candidate until it expires. Raises ConfigError for an item that
    does not exist, decides nothing or may not be waived, and without a name or a reason."""
    try:
        stage = stage_named(stage)
    except ValueError as error:
        raise ConfigError([f"--stage: {error}"]) from None
    known = {i.item: i for i in load_checklist(stage, checklists_of(loaded)).items}
    if item not in known:
        raise ConfigError([f"--item: {stage} has no item '{item}'{did_you_mean(item, known)}"])
    if not may_be_waived(known[item]):
        why = _why(known[item].check, known[item].role)
        raise ConfigError([f"--item: {item} of {stage} cannot be waived: {why}"])
    lacks = [name for name, said in (("--by", by), ("--reason", reason)) if not said.strip()]
    if lacks:
        raise ConfigError([f"{name} is empty: a waiver says who lets it pass and why" for name in lacks])
    until, policy = until_of(expires, at), loaded.config.policies.candidate
    body = {"item": item, "stage": stage, "policy": policy, "by": by, "reason": reason, "expires": until}
    store = store_of(loaded)
    store.create()
    with Journal(store.journal) as journal:
        journal.append("waive", policy, body, at=at)
    return f"{item} of {stage} is waived for {policy} until {until:%Y-%m-%d %H:%M} UTC, by {by}"


def _why(check: str, role: str) -> str:
    if role in ("off", "signal"):
        return f"its role is {role}, so it decides nothing"
    return "what it judges never may be" if check in NEVER else "the checklist says `no_waiver: true`"
