"""Checks × outcomes: which case shows each, and which cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gates.checks import CHECKS
from gates.outcome import Outcome

ORDER = (Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.NO_DATA, Outcome.ERROR, Outcome.FAIL)
MARKS = {True: "shown", False: "MISSING"}


@dataclass(frozen=True)
class Matrix:
    """`shown`: the case of each cell; `missing`: cells that no case shows and that are not impossible;
    `contradicted`: cells that are declared impossible and that a case shows."""

    shown: Mapping[tuple[str, Outcome], str]
    missing: tuple[tuple[str, Outcome], ...]
    contradicted: tuple[tuple[str, Outcome], ...]


def matrix(shown: Mapping[tuple[str, Outcome], str]) -> Matrix:
    """The matrix of all checks from the cells that cases show."""
    every = [(name, outcome) for name in CHECKS for outcome in ORDER]
    impossible = {(name, outcome) for name, check in CHECKS.items() for outcome in check.impossible}
    return Matrix(
        shown,
        tuple(cell for cell in every if cell not in shown and cell not in impossible),
        tuple(cell for cell in every if cell in shown and cell in impossible),
    )


def lines(found: Matrix) -> list[str]:
    """The matrix as a table, then the case of each cell, then the reasons of those that cannot be."""
    wide = max(map(len, CHECKS))
    head = "  ".join(f"{o.name:<12}" for o in ORDER)
    table = [f"{'check':<{wide}}  {head}".rstrip()]
    for name in CHECKS:
        marks = "  ".join(f"{_mark(found, name, outcome):<12}" for outcome in ORDER)
        table.append(f"{name:<{wide}}  {marks}".rstrip())
    cases = [
        f"{name:<{wide}}  {outcome.name:<12}  {found.shown[name, outcome]}"
        for name in CHECKS
        for outcome in ORDER
        if (name, outcome) in found.shown
    ]
    reasons = [
        f"{name:<{wide}}  {outcome.name:<12}  cannot be: {CHECKS[name].impossible[outcome]}"
        for name in CHECKS
        for outcome in ORDER
        if outcome in CHECKS[name].impossible
    ]
    return [*table, "", *cases, *([""] if reasons else []), *reasons, "", *_summary(found)]


def _mark(found: Matrix, name: str, outcome: Outcome) -> str:
    if outcome in CHECKS[name].impossible:
        return "SHOWN, and declared impossible" if (name, outcome) in found.shown else "-"
    return MARKS[(name, outcome) in found.shown]


def _summary(found: Matrix) -> list[str]:
    whole = len(CHECKS) - len({name for name, _ in (*found.missing, *found.contradicted)})
    said = [f"{whole} of {len(CHECKS)} checks show every outcome they can have"]
    said += [f"no case shows {name} {outcome.name}" for name, outcome in found.missing]
    both = [f"declared impossible, and shown: {name} {o.name}" for name, o in found.contradicted]
    return [*said, *both]
