"""Which columns of a decision a source gives, and where in its records they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from monitor.config import Config, Source, Unit
from monitor.log import schema


@dataclass(frozen=True)
class Column:
    """One column of a decision: `paths` in the record (several only for segment, none when it is a
    constant), the constant that fills it, and whether the configuration names it itself."""

    name: str
    kind: str
    paths: tuple[str, ...]
    constant: str | float | bool | None = None
    named: bool = False


def wanted(config: Config, source: Source) -> list[Column]:
    """The columns to read from a source: the mapped ones, the constants, those that the
    configuration expects; without a mapping every column under its own name."""
    kinds = _kinds(config, source)
    mapped = {name: _paths(target) for name, target in source.columns.items() if name in kinds}
    if source.kind == "decisions":
        mapped = _with_unit(config, source, mapped)
    own = kinds if not source.columns else [c for c in schema.expected(config) if c in kinds]
    return [
        Column(
            name,
            kind,
            mapped.get(name, (name,) if name in own else ()),
            source.constants.get(name),
            named=name in mapped or name in ("decision_id", "ts"),
        )
        for name, kind in kinds.items()
        if name in mapped or name in own or name in source.constants
    ]


def steps(path: str) -> list[str | int]:
    """`a.b[0].c` or `a.b.0.c` as steps into a record; numbers are places in a list, from 0."""
    parts = re.sub(r"\[(\d+)\]", r".\1", path).split(".")
    return [int(p) if p.isdigit() and at else p for at, p in enumerate(parts)]


def _kinds(config: Config, source: Source) -> Mapping[str, str]:
    every = schema.logged(config)
    times = ["ts"] if "ts" in source.columns else []
    names = {
        "decisions": list(every),
        "rewards": ["decision_id", *schema.LATE],
        "recommendations": ["decision_id", *times, *schema.recommended(config)],
    }[source.kind]
    return {name: every[name] for name in names}


def _paths(target: str | list[str]) -> tuple[str, ...]:
    return (target,) if isinstance(target, str) else tuple(target)


def _with_unit(
    config: Config, source: Source, mapped: dict[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """`unit: {column: user}` means the log's column `user`, or a mapped column of that name."""
    if not isinstance(config.unit, Unit) or config.unit.column is None or "unit_id" in mapped:
        return mapped
    return {**mapped, "unit_id": mapped.get(config.unit.column, (config.unit.column,))}
