"""Which verdicts open a gate: pure folds of the journal.

Bodies: `verdict` as `gates.evaluate.to_json` writes it, subject the policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from gates.evidence import Event
from gates.stages import LIMITED, LIVE, dropped, instant_of

# What may still be open in a verdict of limited deployment when the next step of the ramp is taken.
RAMP_STEP = "ramp_step"
OPEN_AT_A_STEP = frozenset({RAMP_STEP, "stage_days"})


def unexpired_pass(
    events: Iterable[Event],
    *,
    policy: str,
    stage: str,
    checklist_hash: str,
    config_hash: str,
    as_of: datetime,
    expires_after: timedelta,
    since: datetime | None = None,
) -> Event | None:
    """The PASS that still opens the gate after `stage`, or None.

    The newest verdict (by its own as-of) on this policy, stage, checklist and configuration
    decides: it must be PASS with exit code 0, younger than `expires_after`, and, where `since` is
    given, not older than the entry into the stage. A later verdict that is no PASS voids it.
    """
    newest = newest_verdict(
        events, policy=policy, stage=stage, checklist_hash=checklist_hash, config_hash=config_hash,
        as_of=as_of,
    )  # fmt: skip
    return newest if newest and _passed(newest) and _fresh(newest, as_of, expires_after, since) else None


def step_taken(
    events: Iterable[Event],
    *,
    policy: str,
    checklist_hash: str,
    config_hash: str,
    as_of: datetime,
    expires_after: timedelta,
    since: datetime | None = None,
) -> Event | None:
    """The verdict of limited deployment that allows the next step of the ramp, or None.

    The newest one decides, as for `unexpired_pass`; it must say that this step is good (`ramp_step`), and
    nothing but `OPEN_AT_A_STEP` may be open in it.
    """
    newest = newest_verdict(
        events, policy=policy, stage=LIMITED, checklist_hash=checklist_hash, config_hash=config_hash,
        as_of=as_of,
    )  # fmt: skip
    if newest is None or not _fresh(newest, as_of, expires_after, since):
        return None
    if _passed(newest):
        return newest
    reasons = {str(f.get("reason")) for f in enforcing(newest) if f.get("outcome") != "PASS"}
    holds = newest.body.get("outcome") == "INCONCLUSIVE" and newest.body.get("exit_code") == 3
    return newest if holds and RAMP_STEP in reasons and reasons <= OPEN_AT_A_STEP else None


def counts(event: Event) -> bool:
    """Whether an event is a verdict that counts: a dry one, or one on files given by hand, opens and voids
    nothing."""
    on_store = event.body.get("scope", "store") == "store"
    return event.kind == "verdict" and on_store and not event.body.get("dry")


def newest_verdict(
    events: Iterable[Event],
    *,
    policy: str,
    stage: str,
    as_of: datetime,
    checklist_hash: str | None = None,
    config_hash: str | None = None,
) -> Event | None:
    """The newest verdict (by its own as-of) on a policy in a stage, where given of one checklist and
    configuration."""
    wanted = {
        "policy": policy, "stage": stage, "checklist_hash": checklist_hash, "config_hash": config_hash
    }
    verdicts = [
        (said, e.seq, e)
        for e in events
        if counts(e)
        and all(e.body.get(name) == value for name, value in wanted.items() if value is not None)
        and (said := instant_of(e.body.get("as_of"))) is not None
        and said <= as_of
    ]
    return max(verdicts, key=lambda v: v[:2])[2] if verdicts else None


def enforcing(verdict: Event) -> list[Mapping[str, Any]]:
    """The findings of a verdict that decide: guardrails and sign-offs that are not waived."""
    return [
        f
        for f in verdict.body.get("findings") or []
        if f.get("role") in ("guardrail", "sign_off") and not f.get("waived")
    ]


def last_good(events: Iterable[Event], policy: str, as_of: datetime) -> str | None:
    """The policy before this one that was good last: of all others, the one with the newest PASS of limited
    or full deployment, unless it was rolled back after that. From `verdict` events and those of `ROAD`."""
    known = list(events)
    passed = [
        e
        for e in known
        if counts(e)
        and e.body.get("stage") in LIVE
        and e.body.get("policy") != policy
        and _passed(e)
        and (instant_of(e.body.get("as_of")) or e.at) <= as_of
    ]
    for event in sorted(passed, key=lambda e: (instant_of(e.body.get("as_of")) or e.at, e.seq), reverse=True):
        name = str(event.body.get("policy"))
        fell = dropped(known, name, as_of)
        if fell is None or fell.at < (instant_of(event.body.get("as_of")) or event.at):
            return name
    return None


def _passed(verdict: Event) -> bool:
    return verdict.body.get("outcome") == "PASS" and verdict.body.get("exit_code") == 0


def _fresh(verdict: Event, as_of: datetime, expires_after: timedelta, since: datetime | None) -> bool:
    said = instant_of(verdict.body.get("as_of"))
    return said is not None and as_of - said < expires_after and (since is None or said >= since)
