"""A verdict as a person reads it: what it says, what to do next, then item by item."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gates.evaluate import STORE, RecordedFiring, Verdict
from gates.outcome import (
    EXIT_ERROR,
    EXIT_FAIL,
    EXIT_FIRING,
    EXIT_HOLD,
    EXIT_PASS,
    Finding,
    Outcome,
)
from gates.stages import next_stage

if TYPE_CHECKING:
    from rich.text import Text

FIRINGS_SHOWN = 5
COLOURS = {
    Outcome.PASS: "green",
    Outcome.INCONCLUSIVE: "yellow",
    Outcome.NO_DATA: "yellow",
    Outcome.ERROR: "magenta",
    Outcome.FAIL: "red",
}


def table(verdict: Verdict, *, colour: bool = False, width: int = 80) -> str:
    """The verdict as text of at most `width` columns; `colour` for a terminal, plain for a pipe."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    def text(words: str, style: str = "") -> Text:
        return Text(printable(words), style=style)

    buffer = io.StringIO()
    console = Console(
        file=buffer,
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
        legacy_windows=False,
    )
    about = f"  {verdict.stage}  {verdict.policy}  as of {verdict.as_of:%Y-%m-%d %H:%M} UTC"
    console.print(text(verdict.outcome.name, f"bold {COLOURS[verdict.outcome]}") + text(about))
    read = f", from {verdict.scope}" if verdict.scope != STORE else ""
    console.print(text(f"{next_step(verdict)} (exit code {verdict.exit_code}{read})"))
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", expand=False)
    for name, columns in (("outcome", 12), ("item", 22)):
        grid.add_column(name, width=columns, overflow="fold")
    grid.add_column("what it says", overflow="fold")
    for found in verdict.findings:
        off = found.role == "off"
        outcome = text("off", "dim") if off else text(found.outcome.name, COLOURS[found.outcome])
        says = text(found.message) if off else text(found.message) + text(_needs(found), "dim")
        item = text(found.item) + text(f"\n{_role(found)}" if _role(found) else "", "dim")
        grid.add_row(outcome, item, says)
    console.print()
    console.print(grid)
    for line in unconfirmed(verdict.firings):
        console.print()
        console.print(text(line))
    for firing in [f for f in verdict.firings if f.confirmed][-FIRINGS_SHOWN:]:
        console.print()
        console.print(text(fired(firing)), style="red" if firing.confirmed else "")
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def next_step(verdict: Verdict) -> str:
    """One sentence: what to do with this verdict."""
    stage = next_stage(verdict.stage)
    holding = {Outcome.INCONCLUSIVE, Outcome.NO_DATA}
    matter = holding if verdict.outcome in holding else {verdict.outcome}
    decisive = [
        f.item for f in verdict.findings if f.decides and f.outcome in matter
    ]
    items = ", ".join(dict.fromkeys(decisive)) or "no item"
    said = {
        EXIT_PASS: f"The gate is open: {verdict.policy} may {'go on to ' + stage if stage else 'stay'}.",
        EXIT_FAIL: f"Do not promote. Look at: {items}.",
        EXIT_HOLD: f"Hold and collect what is needed below. It hangs on: {items}.",
        EXIT_ERROR: f"This could not be judged. Mend first: {items}.",
        EXIT_FIRING: "Do not promote: a rollback was called for in the evidence window, see the firings.",
    }[verdict.exit_code]
    let_pass = ", ".join(dict.fromkeys(f.item for f in verdict.findings if f.waived))
    said += f" Waived: {let_pass}." if let_pass else ""
    return f"{said} A dry run: this verdict opens no stage." if verdict.dry else said


def unconfirmed(firings: Sequence[RecordedFiring]) -> list[str]:
    """One line for trips that no second window confirmed, and one where more fired than is shown."""
    single = Counter(f"{f.trigger} {f.key}".strip() for f in firings if not f.confirmed)
    lines = []
    if single:
        counted = ", ".join(f"{name} in {n}" for name, n in single.most_common())
        lines.append(f"Tripped in single windows, not confirmed, nothing to do: {counted}.")
    more = sum(f.confirmed for f in firings) - FIRINGS_SHOWN
    if more > 0:
        lines.append(f"{more} earlier confirmed firings are not shown; `--format json` has them all.")
    return lines


def _needs(found: Finding) -> str:
    let_pass = f"\nWaived {found.waived}." if found.waived else ""
    return f"{let_pass}\nNeeds: {found.needs}." if found.needs else let_pass


def _role(found: Finding) -> str:
    if found.waived:
        return "(waived)"
    return {"signal": "(signal)", "sign_off": "(sign-off)"}.get(found.role, "")


def fired(firing: RecordedFiring) -> str:
    """One paragraph about a firing."""
    state = "confirmed" if firing.confirmed else "not confirmed"
    when = "historical, nothing was done" if firing.historical else firing.action
    end = f" in the window to {firing.window_end:%Y-%m-%d %H:%M} UTC" if firing.window_end else ""
    key = f" {firing.key}" if firing.key else ""
    incident = f" Incident {firing.incident}." if firing.incident is not None else ""
    return f"Fired: {firing.trigger}{key}{end} ({state}; {when}). {firing.message}{incident}"


def printable(words: str) -> str:
    """Log data may hold control characters; a terminal must not obey them."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in words)
