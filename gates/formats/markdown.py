"""A verdict as Markdown, for the summary of a pipeline's step or a comment."""

from __future__ import annotations

import re

from gates.evaluate import Verdict
from gates.formats.told import headline
from gates.outcome import Finding
from gates.table import FIRINGS_SHOWN, fired, next_step, unconfirmed

CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
# What Markdown or HTML would obey. Inside a cell a pipe ends the cell, be it in code.
ESCAPED = {
    ord("&"): "&amp;", ord("<"): "&lt;", ord("\\"): "&#92;", ord("`"): "&#96;", ord("*"): "&#42;",
    ord("["): "&#91;", ord("]"): "&#93;", ord("|"): "\\|",
}  # fmt: skip
NOTES = {"signal": "signal", "sign_off": "sign-off"}


def markdown(verdict: Verdict, **_: object) -> str:
    """A heading, what to do, a table of all items, then the newest firings."""
    lines = [
        f"## {_text(headline(verdict))}",
        "",
        f"{_text(next_step(verdict))} (exit code {verdict.exit_code})",
        "",
        "| outcome | item | what it says | needs |",
        "|---|---|---|---|",
    ]
    lines += [f"| {' | '.join(_cells(found))} |" for found in verdict.findings]
    confirmed = [f for f in verdict.firings if f.confirmed][-FIRINGS_SHOWN:]
    told = unconfirmed(verdict.firings) + [fired(f) for f in confirmed]
    lines += [f"\n{_text(words)}" for words in told]
    return "\n".join(lines) + "\n"


def _cells(found: Finding) -> list[str]:
    off = found.role == "off"
    name = "off" if off else found.outcome.name
    outcome = f"**{name}**" if found.decides and name != "PASS" else name
    note = "waived" if found.waived else NOTES.get(found.role, "")
    item = f"{_text(found.item)}<br>({note})" if note else _text(found.item)
    says = found.message + (f" Waived {found.waived}." if found.waived else "")
    return [outcome, item, _text(says), "" if off else _text(found.needs)]


def _text(words: str) -> str:
    """Words on one line that say what they are, whatever is in them; `code` stays code."""
    plain = "".join(c if c.isprintable() or c in "\r\n" else "?" for c in words)
    parts = CODE.split(plain)
    for place, part in enumerate(parts):
        code = place % 2
        parts[place] = f"`{part.replace('|', chr(92) + '|')}`" if code else part.translate(ESCAPED)
    return re.sub(r"\r\n|\r|\n", "<br>", "".join(parts))
