"""The triggers that are on, with the numbers of `checklists/triggers.yaml` as their parameters."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gates.trigger_numbers import load_triggers

Confirm = tuple[int, int]
PARAMETERS: dict[str, dict[str, str]] = {
    "reward_drop": {"mode": "mode", "sigmas": "deviations"},
    "constraint": {"tail": "level"},
    "state_shift": {"limit": "divergence", "p": "level"},
    "irreversible": {},
}


@dataclass(frozen=True)
class Rule:
    """One trigger that is on: `numbers` by parameter, and (need, of) the windows that must trip
    before it acts, `confirm_letter` for windows judged by the letter."""

    numbers: Mapping[str, Any]
    confirm: Confirm
    confirm_letter: Confirm


def load(folder: Path | None = None) -> dict[str, Rule]:
    """The triggers that are on. Raises ConfigError with every mistake, each with file:line."""
    own = folder if folder is not None and (folder / "triggers.yaml").exists() else None
    return {
        name: Rule(
            {PARAMETERS[name][key]: value for key, value in given.numbers.items() if key in PARAMETERS[name]},
            given.numbers["confirm"],
            given.numbers.get("confirm_letter", given.numbers["confirm"]),
        )
        for name, given in load_triggers(own).items()
    }


def digest(rules: Mapping[str, Rule]) -> str:
    """Hash of the triggers that are on, with their numbers."""
    body = {name: [dict(r.numbers), r.confirm, r.confirm_letter] for name, r in rules.items()}
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]
