"""Outcomes, findings and verdicts: a gate is the worst of its findings."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any


class Outcome(IntEnum):
    """Ordered from best to worst; a verdict is the worst outcome of its findings."""

    PASS = 0
    INCONCLUSIVE = 1
    NO_DATA = 2
    ERROR = 3
    FAIL = 4


NO_DATA_REASONS = frozenset(
    {"no_data", "missing_propensity", "missing_cost", "non_finite", "baseline_missing", "stale", "rejects",
     "not_validated", "unusual_unknown", "unread", "unbounded_recommendations",
     "scenarios_refused"}
)
EXIT_PASS, EXIT_FAIL, EXIT_USAGE, EXIT_HOLD, EXIT_ERROR, EXIT_FIRING = 0, 1, 2, 3, 4, 5


def outcome_of_reason(reason: str) -> Outcome:
    """The outcome of an estimate that carries `reason`: NO_DATA or INCONCLUSIVE, never PASS."""
    return Outcome.NO_DATA if reason in NO_DATA_REASONS else Outcome.INCONCLUSIVE


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check says. NaN stands for "there is no such number". `message` is a finished
    sentence; `needs` says what is still needed and is never empty unless the outcome is PASS. `waived` says
    who lets it pass, until when and why."""

    item: str
    check: str
    role: str
    outcome: Outcome
    message: str
    needs: str = ""
    reason: str | None = None
    metric: str = ""
    key: str = ""
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    limit: float = math.nan
    n: float = math.nan
    unit: str = ""
    method: str = ""
    window_start: datetime | None = None
    window_end: datetime | None = None
    waived: str | None = None

    @property
    def decides(self) -> bool:
        """Whether it counts in the verdict: a guardrail or a sign-off that no waiver covers."""
        return self.role in ("guardrail", "sign_off") and self.waived is None


def finding(outcome: Outcome, message: str, needs: str = "", **fields: Any) -> Finding:
    """A finding that belongs to no item yet: `evaluate` fills in item, check, role and window."""
    return Finding("", "", "", outcome, message, needs, **fields)


def worst(findings: Iterable[Finding]) -> Outcome:
    """The verdict: the worst outcome of guardrails and sign-offs, NO_DATA if there are none.

    Signals, items that are off and findings that are waived are shown and never change it.
    """
    outcomes = [f.outcome for f in findings if f.decides]
    return max(outcomes, default=Outcome.NO_DATA)


def exit_code(outcome: Outcome, rollback_fired: bool) -> int:
    """Exit code of `monitor gate`, precedence 5 > 1 > 4 > 3 > 0; only PASS is 0."""
    if rollback_fired:
        return EXIT_FIRING
    return {
        Outcome.PASS: EXIT_PASS,
        Outcome.FAIL: EXIT_FAIL,
        Outcome.ERROR: EXIT_ERROR,
        Outcome.NO_DATA: EXIT_HOLD,
        Outcome.INCONCLUSIVE: EXIT_HOLD,
    }[outcome]
