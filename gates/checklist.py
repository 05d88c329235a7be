"""A checklist: the items of one stage, read strictly from YAML, refused with all its mistakes."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from gates.checks import CHECKS
from gates.checks.check import Number
from gates.stages import stage_named
from monitor.config import ConfigError, did_you_mean, line_of, read_yaml

__all__ = ["Checklist", "Item", "load", "read"]

ENFORCING = ("guardrail", "sign_off")
ROLES = (*ENFORCING, "signal", "off")
FLAGS = ("no_waiver", "two_person")
KEYS = ("item", "check", "role", "because", *FLAGS)


@dataclass(frozen=True)
class Item:
    """One line of a checklist: which check, in which role, with which numbers (defaults filled in).

    `no_waiver`: nobody may let it pass. `two_person`: who signs it is not who put the policy forward.
    """

    item: str
    check: str
    role: str
    params: Mapping[str, Any]
    because: str = ""
    no_waiver: bool = False
    two_person: bool = False


@dataclass(frozen=True)
class Checklist:
    """The items of a stage in the order of the file. `hash` changes with any item, role, flag or number,
    and not with comments, order or the wording of `because`."""

    stage: str
    items: tuple[Item, ...]
    hash: str


def load(stage: str, folder: Path | None = None) -> Checklist:
    """The checklist of a stage, from the user's own `folder` or, without one, from the package.

    Raises ConfigError with every mistake, each with file:line; ValueError for an unknown stage.
    """
    stage = stage_named(stage)
    if folder is not None:
        return read(folder / f"{stage}.yaml", stage)
    with as_file(files("checklists") / f"{stage}.yaml") as path:
        return read(path, stage)


def read(path: Path, stage: str) -> Checklist:
    """The checklist in one file. Raises ConfigError."""
    shown = f"{path.parent.name}/{path.name}"
    try:
        document = read_yaml(path)
    except ConfigError as error:
        raise ConfigError([f"{path.parent.name}/{text}" for text in error.errors]) from None
    if not isinstance(document, Mapping):
        raise ConfigError([f"{shown}:1: a checklist has the keys `stage` and `items`"])
    errors: list[tuple[int, str]] = [
        (line_of(document, (key,)), f"key '{key}' is not known{did_you_mean(str(key), ('stage', 'items'))}")
        for key in document
        if key not in ("stage", "items")
    ]
    if document.get("stage") != stage:
        text = f"'stage' must be {stage}, not {document.get('stage')}"
        errors.append((line_of(document, ("stage",)), text))
    listed = document.get("items")
    if not isinstance(listed, list):
        errors.append((line_of(document, ("items",)), "'items' must be a list of items"))
        listed = []
    items = [i for position in range(len(listed)) if (i := _item(document, position, errors))]
    errors += _repeated(document, listed)
    if not errors and not any(item.role in ENFORCING for item in items):
        text = "no item is a guardrail or a sign_off, so nothing would be enforced"
        errors.append((line_of(document, ("items",)), text))
    if errors:
        raise ConfigError([f"{shown}:{line}: {text}" for line, text in sorted(set(errors))])
    return Checklist(stage, tuple(items), _hash(stage, items))


def _item(document: Any, position: int, errors: list[tuple[int, str]]) -> Item | None:
    """The item at `position`; what is wrong with it goes to `errors`."""
    given = document["items"][position]
    before = len(errors)

    def wrong(key: str, text: str) -> None:
        errors.append((line_of(document, ("items", position, key)), text))

    if not isinstance(given, Mapping):
        wrong("", "an item has the keys `item`, `check` and `role`")
        return None
    for key in ("item", "check", "role"):
        if not isinstance(given.get(key), str):
            wrong(key, f"'{key}' is missing" if key not in given else f"'{key}' must be a name")
    check, role = given.get("check"), given.get("role")
    if isinstance(role, str) and role not in ROLES:
        hint = did_you_mean(role, ROLES) or f"; it is one of {', '.join(ROLES)}"
        wrong("role", f"role '{role}' is not known{hint}")
    if role == "off" and not str(given.get("because") or "").strip():
        wrong("role", "an item that is off says why: add `because: REASON`")
    if role != "off" and "because" in given:
        wrong("because", "'because' belongs to `role: off`; write a comment instead")
    if not isinstance(check, str):
        return None
    if check not in CHECKS:
        wrong("check", f"check '{check}' is not known{did_you_mean(check, CHECKS)}")
        return None
    if role in ENFORCING and CHECKS[check].sign_off != (role == "sign_off"):
        right = "sign_off" if CHECKS[check].sign_off else "guardrail"
        wrong("role", f"check '{check}' enforces as {right}, not as {role}")
    for key in FLAGS:
        if not isinstance(given.get(key, False), bool):
            wrong(key, f"'{key}' must be true or false, not {given[key]!r}")
    if given.get("two_person") is True and not (CHECKS[check].sign_off or CHECKS[check].attestable):
        wrong("two_person", f"'two_person' belongs to a sign-off, and check '{check}' is none")
    params = _params(check, given, wrong)
    if len(errors) > before:
        return None
    flags = {key: bool(given.get(key, False)) for key in FLAGS}
    return Item(given["item"], check, str(role), params, str(given.get("because") or ""), **flags)


def _params(check: str, given: Mapping[str, Any], wrong: Any) -> dict[str, Any]:
    declared = CHECKS[check].params
    for key in given:
        if key not in KEYS and key not in declared:
            hint = did_you_mean(str(key), [*declared, *KEYS])
            has = f"; it takes {', '.join(declared)}" if declared else "; it takes no numbers"
            wrong(key, f"'{key}' is not a number of check '{check}'{hint or has}")
    params: dict[str, Any] = {}
    for name, number in declared.items():
        value = given.get(name, number.default)
        fault = _fault(value, number)
        if fault:
            wrong(name, f"'{name}' of check '{check}' must be {fault}, not {value!r}")
        params[name] = [float(v) for v in value] if number.many and not fault else value
    return params


def _fault(value: Any, number: Number) -> str:
    """What a value must be, where it is not that."""
    if value is None and number.default is None:
        return ""
    kind = "a whole number" if number.whole else "a number"
    asked = f"{kind} from {number.low:.12g} to {number.high:.12g}"
    if not number.many:
        return "" if _fits(value, number) else asked
    if isinstance(value, list) and value and all(_fits(v, number) for v in value) and value == sorted(value):
        return ""
    return f"a rising list of {asked.removeprefix('a ').replace('number', 'numbers', 1)}"


def _fits(value: Any, number: Number) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return False
    return number.low <= value <= number.high and (not number.whole or value == int(value))


def _repeated(document: Any, listed: list[Any]) -> list[tuple[int, str]]:
    seen: set[str] = set()
    errors = []
    for position, given in enumerate(listed):
        name = given.get("item") if isinstance(given, Mapping) else None
        if name in seen:
            errors.append((line_of(document, ("items", position, "item")), f"item '{name}' is listed twice"))
        if isinstance(name, str):
            seen.add(name)
    return errors


def _hash(stage: str, items: list[Item]) -> str:
    content = [
        [i.item, i.check, i.role, {k: _canonical(v) for k, v in sorted(i.params.items())}]
        + [flag for flag in FLAGS if getattr(i, flag)]
        for i in sorted(items, key=lambda i: i.item)
    ]
    return hashlib.sha256(json.dumps([stage, content]).encode()).hexdigest()[:16]


def _canonical(value: Any) -> Any:
    """1 and 1.0 are the same number."""
    if isinstance(value, list):
        return [float(v) for v in value]
    return None if value is None else float(value)


