"""Rules that one row can break: a hard constraint, the envelope, an action that cannot be undone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from monitor.triggers.firing import Firing

Rule = Literal["hard", "envelope", "irreversible"]


@dataclass(frozen=True, slots=True)
class Breach:
    """A row of the table `breaches`. `key` is the constraint or the dimension of the action; `value`
    its cost or the executed value, None where there is none; `rejected` where the rest of the line
    could not be read. `ts` without an offset is UTC."""

    decision_id: str
    ts: datetime
    policy_id: str
    rule: Rule
    key: str
    value: float | None
    file: str
    line: int
    rejected: bool


TRIGGER_OF_RULE: dict[Rule, str] = {
    "hard": "constraint",
    "envelope": "constraint",
    "irreversible": "irreversible",
}


def single_row(breach: Breach) -> Firing:
    """The firing of one row; confirmed at once. Its window is the moment of the decision.

    Raises KeyError for a rule that is not known.
    """
    at = breach.ts.replace(tzinfo=UTC) if breach.ts.tzinfo is None else breach.ts.astimezone(UTC)
    value = math.nan if breach.value is None else float(breach.value)
    message, limit = SENTENCES[breach.rule](breach, value)
    state = {
        "rule": breach.rule,
        "decision_id": breach.decision_id,
        "file": breach.file,
        "line": breach.line,
        "rejected": breach.rejected,
    }
    trigger = TRIGGER_OF_RULE[breach.rule]
    return Firing(trigger, breach.key, breach.policy_id, at, at, value, limit, f"{message}.", state)


def _who(breach: Breach) -> str:
    return f"Decision {breach.decision_id} of {breach.policy_id}"


def _hard(breach: Breach, value: float) -> tuple[str, float]:
    return f"{_who(breach)} broke the hard constraint {breach.key} with a cost of {value:.4g}, above 0", 0.0


def _envelope(breach: Breach, value: float) -> tuple[str, float]:
    return f"{_who(breach)} executed {breach.key} at {value:.4g}, outside its envelope", math.nan


def _irreversible(breach: Breach, value: float) -> tuple[str, float]:
    return f"{_who(breach)} took an action that cannot be undone; 0 are allowed", 0.0


SENTENCES: dict[Rule, Callable[[Breach, float], tuple[str, float]]] = {
    "hard": _hard,
    "envelope": _envelope,
    "irreversible": _irreversible,
}
