"""Cases are judged like the real thing: what does the gate say, and was that expected?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gates.case_file import Case, Expected
from gates.checklist import Checklist
from gates.evaluate import Verdict, judge
from gates.outcome import Finding, Outcome


@dataclass(frozen=True)
class Result:
    """How a case ended: `wrong` are the sentences on what was not as expected; `shown` the outcomes of checks
    that it asked for and got."""

    case: Case
    wrong: tuple[str, ...]
    shown: frozenset[tuple[str, Outcome]]


def run(case: Case) -> Result:
    """Judge every moment of a case (one of a sample log is for `monitor`)."""
    wrong: list[str] = []
    shown: set[tuple[str, Outcome]] = set()
    for moment in case.moments:
        verdict = judge(case.checklist, moment.evidence, moment.firings)
        said = list(differences(verdict, moment.expected))
        when = f"as of {moment.evidence.as_of:%Y-%m-%d}: " if len(case.moments) > 1 else ""
        wrong += [when + sentence for sentence in said]
        if not said:
            shown |= shown_by(case.checklist, moment.expected)
    return Result(case, tuple(wrong), frozenset(shown))


def differences(verdict: Verdict, expected: Expected) -> Iterable[str]:
    """What the verdict says other than expected, a sentence each."""
    for item, asked in expected.items.items():
        found = [f for f in verdict.findings if f.item == item]
        lines = [_line(f) for f in found]
        if isinstance(asked, str):
            worst = max(found, key=lambda f: f.outcome, default=None)
            same = worst is not None and any(
                _matches(asked, f) for f in found if f.outcome is worst.outcome
            )
        else:
            same = len(lines) == len(asked) and all(map(_matches, asked, found))
        if not same:
            messages = " ".join(f.message for f in found if f.outcome is not Outcome.PASS)
            yield f"{item} should say {_told(asked)}, it says {_told(lines)}. {messages}".rstrip()
    got = {"outcome": verdict.outcome.name, "exit_code": verdict.exit_code}
    for name, value in expected.verdict.items():
        if got[name] != value:
            yield f"the {name.replace('_', ' ')} should be {value}, it is {got[name]}"
    text = " ".join(f"{f.message} {f.needs}" for f in verdict.findings)
    yield from (f"no finding says {words!r}" for words in expected.says if words not in text)


def shown_by(checklist: Checklist, expected: Expected) -> set[tuple[str, Outcome]]:
    """The cells (check, outcome) that an expectation names."""
    checks = {item.item: item.check for item in checklist.items}
    return {
        (checks[item], Outcome[str(line).split()[0]])
        for item, asked in expected.items.items()
        for line in ([asked] if isinstance(asked, str) else asked)
    }


def _matches(asked: Any, found: Finding) -> bool:
    """`FAIL limit` names the reason, `FAIL` any."""
    outcome, *reason = str(asked).split()
    return found.outcome.name == outcome and (not reason or reason[0] == found.reason)


def _line(found: Finding) -> str:
    return f"{found.outcome.name} {found.reason}" if found.reason else found.outcome.name


def _told(lines: Any) -> str:
    return str(lines) if isinstance(lines, str) else ", ".join(map(str, lines)) or "nothing"


def told(results: Sequence[Result]) -> list[str]:
    """One line a case, what was wrong below it, and how many were as expected."""
    lines = []
    for result in results:
        lines.append(f"{'ok  ' if not result.wrong else 'NOT '} {result.case.name}")
        lines += [f"       {result.case.place}: {sentence}" for sentence in result.wrong]
    good = sum(not r.wrong for r in results)
    lines.append(f"{good} of {len(results)} cases are as expected")
    return lines


def cells(results: Iterable[Result]) -> Mapping[tuple[str, Outcome], str]:
    """(check, outcome) -> the first case that shows it."""
    found: dict[tuple[str, Outcome], str] = {}
    for result in results:
        for cell in sorted(result.shown):
            found.setdefault(cell, result.case.name)
    return found
