"""The triggers that are on, with their numbers, read strictly from `checklists/triggers.yaml`.

A trigger that is not listed is off.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from monitor.config import ConfigError, did_you_mean, line_of, read_yaml
from monitor.triggers import NUMBERS

FILE = "triggers.yaml"
CONFIRM = ("confirm", "confirm_letter")
Confirm = tuple[int, int]


@dataclass(frozen=True)
class Rule:
    """One trigger that is on: `numbers` by parameter, and (need, of) the windows that must trip
    before it acts, `confirm_letter` for windows judged by the letter."""

    numbers: Mapping[str, Any]
    confirm: Confirm
    confirm_letter: Confirm


def load(folder: Path | None = None) -> dict[str, Rule]:
    """The triggers of the user's own `folder` or, where it has no file, of the package.

    Raises ConfigError with every mistake, each with file:line.
    """
    if folder is not None and (folder / FILE).exists():
        return read(folder / FILE)
    with as_file(files("checklists") / FILE) as path:
        return read(path)


def read(path: Path) -> dict[str, Rule]:
    """The triggers in one file. Raises ConfigError."""
    try:
        document = read_yaml(path)
    except ConfigError as error:
        raise ConfigError([f"{path.parent.name}/{text}" for text in error.errors]) from None
    shown = f"{path.parent.name}/{path.name}"
    if not isinstance(document, Mapping):
        raise ConfigError([f"{shown}:1: the file lists triggers: {', '.join(NUMBERS)}"])
    errors: list[tuple[int, str]] = []
    found: dict[str, Rule] = {}
    for name, given in document.items():
        if name not in NUMBERS:
            hint = did_you_mean(str(name), NUMBERS)
            errors.append((line_of(document, (name,)), f"trigger '{name}' is not known{hint}"))
        elif not isinstance(given, Mapping):
            errors.append((line_of(document, (name,)), f"trigger '{name}' lists its numbers"))
        else:
            numbers = _numbers(document, str(name), given, errors)
            if all(number in numbers for number in NUMBERS[name]):
                found[str(name)] = _rule(numbers)
    if errors:
        raise ConfigError([f"{shown}:{line}: {text}" for line, text in sorted(set(errors))])
    return found


def digest(rules: Mapping[str, Rule]) -> str:
    """Hash of the triggers that are on, with their numbers."""
    body = {name: [dict(r.numbers), r.confirm, r.confirm_letter] for name, r in rules.items()}
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]


def _numbers(
    document: Any, trigger: str, given: Mapping[str, Any], errors: list[tuple[int, str]]
) -> dict[str, Any]:
    declared, numbers = NUMBERS[trigger], {}
    for name, value in given.items():
        line = line_of(document, (trigger, name))
        if name not in declared:
            hint = did_you_mean(str(name), declared) or f"; it takes {', '.join(declared)}"
            errors.append((line, f"'{name}' is not a number of trigger '{trigger}'{hint}"))
            continue
        try:
            numbers[str(name)] = declared[name].read(value)
        except ValueError as error:
            errors.append((line, f"'{name}' of trigger '{trigger}' must be {error}, not {value!r}"))
    for name in declared:
        if name not in given:
            errors.append((line_of(document, (trigger,)), f"trigger '{trigger}' lacks its number '{name}'"))
    return numbers


def _rule(numbers: Mapping[str, Any]) -> Rule:
    own = {name: value for name, value in numbers.items() if name not in CONFIRM}
    return Rule(own, numbers["confirm"], numbers.get("confirm_letter", numbers["confirm"]))
