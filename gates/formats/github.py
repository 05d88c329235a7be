"""A verdict as workflow commands of GitHub Actions: lines that it shows as annotations.

GitHub shows the first ten of each level in a step, so the verdict itself comes first.
"""

from __future__ import annotations

from gates.evaluate import Verdict
from gates.formats.told import HOLDING, called, calling_for_rollback, headline, names, sentence
from gates.outcome import EXIT_HOLD, EXIT_PASS, Finding, Outcome
from gates.table import fired, next_step


def github(verdict: Verdict, **_: object) -> str:
    """`error` for what failed or broke, `warning` for what holds, `notice` for what does not decide."""
    level = {EXIT_PASS: "notice", EXIT_HOLD: "warning"}.get(verdict.exit_code, "error")
    lines = [_annotation(level, headline(verdict), f"{next_step(verdict)} (exit code {verdict.exit_code})")]
    for firing in calling_for_rollback(verdict):
        lines.append(_annotation("error", f"{verdict.stage} {called(firing)}", fired(firing)))
    for name, found in zip(names(verdict), verdict.findings, strict=True):
        if found.outcome is not Outcome.PASS:
            title = f"{verdict.stage} {name}: {'off' if found.role == 'off' else found.outcome.name}"
            lines.append(_annotation(_level(found), title, sentence(found)))
    return "\n".join(lines) + "\n"


def _level(found: Finding) -> str:
    if not found.decides:
        return "notice"
    return "warning" if found.outcome in HOLDING else "error"


def _annotation(level: str, title: str, message: str) -> str:
    return f"::{level} title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    """As GitHub asks; other control characters and separators of lines would be obeyed by a terminal."""
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return "".join(c if c.isprintable() else "?" for c in escaped)


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
