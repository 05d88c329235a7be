"""The four stages a policy passes, and where it stands: pure folds of the journal.

Bodies: `promote` and `adopt` {"stage", "since": ISO time, optional}, subject the policy;
`verdict` as `gates.evaluate.to_json` writes it, subject the policy.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gates.evidence import Event
from monitor.config import did_you_mean

OFFLINE, SHADOW, LIMITED, FULL = (
    "offline_validation",
    "shadow_mode",
    "limited_deployment",
    "full_deployment",
)
STAGES = (OFFLINE, SHADOW, LIMITED, FULL)
SHORT = {"offline": OFFLINE, "shadow": SHADOW, "limited": LIMITED, "full": FULL}


@dataclass(frozen=True)
class Standing:
    """The stage a policy is in, and since when."""

    stage: str
    since: datetime


def stage_named(name: str) -> str:
    """The stage of a full or short name. Raises ValueError with a suggestion."""
    if name in STAGES:
        return name
    if name not in SHORT:
        hint = did_you_mean(name, [*SHORT, *STAGES])
        raise ValueError(f"stage '{name}' is not known{hint}; the stages are {', '.join(SHORT)}")
    return SHORT[name]


def next_stage(stage: str) -> str | None:
    """The stage after this one, None after the last."""
    position = STAGES.index(stage) + 1
    return STAGES[position] if position < len(STAGES) else None


def stage_before(stage: str) -> str | None:
    """The stage before this one, None before the first."""
    position = STAGES.index(stage)
    return STAGES[position - 1] if position else None


def standing(events: Iterable[Event], policy: str, as_of: datetime) -> Standing | None:
    """Where a policy stands as of a time: its newest `promote` or `adopt`; None without one.

    `since` is what the event says (adopting may begin in the past), else the time of the event.
    """
    entries = [
        e for e in events if e.kind in ("promote", "adopt") and e.subject == policy and e.at <= as_of
    ]
    if not entries:
        return None
    newest = max(entries, key=lambda e: (e.at, e.seq))
    return Standing(newest.body["stage"], _instant(newest.body.get("since")) or newest.at)


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
    wanted = {
        "policy": policy, "stage": stage, "checklist_hash": checklist_hash, "config_hash": config_hash
    }
    verdicts = [
        (said, e.seq, e)
        for e in events
        if e.kind == "verdict"
        and all(e.body.get(name) == value for name, value in wanted.items())
        and (said := _instant(e.body.get("as_of"))) is not None
        and said <= as_of
    ]
    if not verdicts:
        return None
    said, _, newest = max(verdicts, key=lambda v: v[:2])
    passed = newest.body.get("outcome") == "PASS" and newest.body.get("exit_code") == 0
    fresh = as_of - said < expires_after and (since is None or said >= since)
    return newest if passed and fresh else None


def _instant(value: Any) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value
