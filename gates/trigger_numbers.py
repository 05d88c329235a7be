"""The numbers of the triggers, read strictly from `triggers.yaml`. A trigger that is not listed is off.

`confirm: 3 of 4` is read as (3, 4): that many of the last windows must trip before anybody acts.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from monitor.config import ConfigError, did_you_mean, line_of, read_yaml

FILE = "triggers.yaml"
MODES = ("seasonal", "letter")
# trigger -> number -> its range, or "mode" or "confirm"
TRIGGERS: dict[str, dict[str, tuple[float, float] | str]] = {
    "reward_drop": {"mode": "mode", "sigmas": (0.1, 20), "confirm": "confirm", "confirm_letter": "confirm"},
    "constraint": {"tail": (0, 0.5), "confirm": "confirm"},
    "state_shift": {"limit": (0, 0.7), "p": (0, 0.5), "confirm": "confirm"},
    "irreversible": {"confirm": "confirm"},
}


@dataclass(frozen=True)
class TriggerNumbers:
    """The numbers of one trigger by name, (need, of) for `confirm`; `hash` changes with any of them."""

    trigger: str
    numbers: Mapping[str, Any]
    hash: str


def load_triggers(folder: Path | None = None) -> dict[str, TriggerNumbers]:
    """The triggers of `triggers.yaml`, from the user's own `folder` or, without one, the package.

    Raises ConfigError with every mistake, each with file:line.
    """
    if folder is not None:
        return read_triggers(folder / FILE)
    with as_file(files("checklists") / FILE) as path:
        return read_triggers(path)


def read_triggers(path: Path) -> dict[str, TriggerNumbers]:
    """The triggers in one file. Raises ConfigError."""
    try:
        document = read_yaml(path)
    except ConfigError as error:
        raise ConfigError([f"{path.parent.name}/{text}" for text in error.errors]) from None
    shown = f"{path.parent.name}/{path.name}"
    if not isinstance(document, Mapping):
        raise ConfigError([f"{shown}:1: the file lists triggers: {', '.join(TRIGGERS)}"])
    errors: list[tuple[int, str]] = []
    found: dict[str, TriggerNumbers] = {}
    for name, given in document.items():
        if name not in TRIGGERS:
            hint = did_you_mean(str(name), TRIGGERS)
            errors.append((line_of(document, (name,)), f"trigger '{name}' is not known{hint}"))
        elif not isinstance(given, Mapping):
            errors.append((line_of(document, (name,)), f"trigger '{name}' lists its numbers"))
        else:
            numbers = _numbers(document, str(name), given, errors)
            if all(number in numbers for number in TRIGGERS[name]):
                found[str(name)] = _trigger(str(name), numbers)
    if errors:
        raise ConfigError([f"{shown}:{line}: {text}" for line, text in sorted(set(errors))])
    return found


def _numbers(
    document: Any, trigger: str, given: Mapping[str, Any], errors: list[tuple[int, str]]
) -> dict[str, Any]:
    declared, numbers = TRIGGERS[trigger], {}
    for name, value in given.items():
        line = line_of(document, (trigger, name))
        if name not in declared:
            hint = did_you_mean(str(name), declared) or f"; it takes {', '.join(declared)}"
            errors.append((line, f"'{name}' is not a number of trigger '{trigger}'{hint}"))
            continue
        kind = declared[name]
        try:
            numbers[str(name)] = _read(value, kind)
        except ValueError as error:
            errors.append((line, f"'{name}' of trigger '{trigger}' must be {error}, not {value!r}"))
    for name in declared:
        if name not in given:
            errors.append((line_of(document, (trigger,)), f"trigger '{trigger}' lacks its number '{name}'"))
    return numbers


def _trigger(name: str, numbers: dict[str, Any]) -> TriggerNumbers:
    content = json.dumps([name, numbers], sort_keys=True)
    return TriggerNumbers(name, numbers, hashlib.sha256(content.encode()).hexdigest()[:16])


def _read(value: Any, kind: tuple[float, float] | str) -> Any:
    """The value; ValueError says what it must be."""
    if kind == "mode":
        if value not in MODES:
            raise ValueError(" or ".join(MODES))
        return str(value)
    if isinstance(kind, str):
        match = re.fullmatch(r"(\d+) of (\d+)", str(value))
        if not match or not 1 <= int(match[1]) <= int(match[2]) <= 100:
            raise ValueError("such as 3 of 4")
        return int(match[1]), int(match[2])
    low, high = kind
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not low < value <= high:
        raise ValueError(f"a number above {low:g}, at most {high:g}")
    return float(value)
