"""One item of a checklist at length: what it says and said, by which rule, and what would turn it.

The history is a fold of the verdicts that the journal has.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from gates.checklist import Item
from gates.checks import CHECKS
from gates.evaluate import Verdict
from gates.evidence import Event
from gates.needs import shown
from gates.outcome import Finding, Outcome
from gates.passes import counts
from gates.stages import instant_of
from gates.table import printable

SHOWN = 12


@dataclass(frozen=True)
class Spell:
    """Verdicts that follow each other in which a finding had the same outcome and reason: `times` of them,
    as of `first` to `last`, with values from `low` to `high` (NaN: none)."""

    first: datetime
    last: datetime
    times: int
    outcome: str
    reason: str | None
    low: float
    high: float


def explain(item: Item, verdict: Verdict, events: Iterable[Event]) -> list[str]:
    """Lines for a person; `events` are those of the journal, `verdict` is the one as things stand now."""
    said = [e for e in events if counts(e) and e.body.get("stage") == verdict.stage]
    about = [e for e in said if e.body.get("policy") == verdict.policy]
    lines = [
        f"{item.item} of {verdict.stage} for {verdict.policy}, as of {_when(verdict.as_of)} UTC",
        f"check {item.check}, {item.role}{_flags(item)}",
    ]
    for found in (f for f in verdict.findings if f.item == item.item):
        past = spells(about, item.item, found.metric, found.key)
        lines += ["", *_now(found), f"  turns: {turn(found)}", *_before(past)]
    lines += ["", "rule", *(f"  {line}".rstrip() for line in _rule(item)), *_numbers(item)]
    return [printable(line) for line in lines]


def spells(verdicts: Iterable[Event], item: str, metric: str, key: str) -> list[Spell]:
    """The history of one finding, oldest first, in the order of what the verdicts are as of."""
    dated = [(at, e.seq, e.body) for e in verdicts if (at := instant_of(e.body.get("as_of"))) is not None]
    found: list[Spell] = []
    for at, _, body in sorted(dated, key=lambda d: d[:2]):
        for one in body.get("findings") or []:
            if (one.get("item"), one.get("metric") or "", one.get("key") or "") == (item, metric, key):
                found = _added(found, _spell(at, one))
    return found


def turn(found: Finding) -> str:
    """What would give the finding another outcome."""
    if found.outcome is not Outcome.PASS:
        return f"{found.needs} would let it pass" if found.role != "off" else found.needs
    if not all(map(math.isfinite, (found.low, found.high, found.limit))):
        return "what its rule says is no longer so, or no longer known"
    side, end = ("upper", found.high) if found.high <= found.limit else ("lower", found.low)
    return f"its {side} end, {shown(end)}, on the other side of the limit {shown(found.limit)}"


def _now(found: Finding) -> list[str]:
    name = " ".join(n for n in (found.metric, found.key) if n)
    outcome = "off" if found.role == "off" else found.outcome.name
    lines = [f"{outcome}{f'  {name}' if name else ''}  {found.message}"]
    if found.waived:
        lines.append(f"  waived: {found.waived}")
    told = {
        "value": found.value, "low": found.low, "high": found.high, "limit": found.limit, "n": found.n,
    }
    numbers = [f"{n} {shown(v)}" for n, v in told.items() if math.isfinite(v)]
    if numbers:
        lines.append(f"  numbers: {', '.join(numbers)}{f', {found.method}' if found.method else ''}")
    if found.window_start and found.window_end:
        lines.append(f"  evidence: {_when(found.window_start)} to {_when(found.window_end)} UTC")
    return lines


def _before(past: Sequence[Spell]) -> list[str]:
    if not past:
        return ["  before: no verdict has it yet"]
    more = len(past) - SHOWN
    lines = [f"  before: {more} older changes are not shown"] if more > 0 else ["  before, oldest first"]
    for spell in past[-SHOWN:]:
        when = " to ".join(dict.fromkeys((_when(spell.first), _when(spell.last))))
        times = f", {spell.times} verdicts" if spell.times > 1 else ""
        reason = f" {spell.reason}" if spell.reason else ""
        lines.append(f"    {when}  {spell.outcome}{reason}{_values(spell)}{times}")
    return lines


def _values(spell: Spell) -> str:
    if not math.isfinite(spell.low):
        return ""
    low, high = shown(spell.low), shown(spell.high)
    return f", value {low}" if low == high else f", value {low} to {high}"


def _rule(item: Item) -> list[str]:
    return (inspect.getdoc(CHECKS[item.check].function) or "").splitlines()


def _numbers(item: Item) -> list[str]:
    told = [f"  {name}: {_written(value)}" for name, value in item.params.items()]
    return ["", "its numbers", *told] if told else []


def _written(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(f'{v:g}' for v in value)}]"
    return "not set" if value is None else f"{value:.12g}"


def _flags(item: Item) -> str:
    return "".join(f", {flag}" for flag in ("no_waiver", "two_person") if getattr(item, flag))


def _spell(at: datetime, found: Any) -> Spell:
    value = found.get("value")
    number = float(value) if isinstance(value, (int, float)) else math.nan
    return Spell(at, at, 1, str(found.get("outcome")), found.get("reason"), number, number)


def _added(found: list[Spell], new: Spell) -> list[Spell]:
    last = found[-1] if found else None
    if last is None or (last.outcome, last.reason) != (new.outcome, new.reason):
        return [*found, new]
    known = [v for v in (last.low, last.high, new.low) if math.isfinite(v)]
    low, high = (min(known), max(known)) if known else (math.nan, math.nan)
    return [*found[:-1], replace(last, last=new.last, times=last.times + 1, low=low, high=high)]


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
