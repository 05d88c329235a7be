"""`monitor doctor --verify-journal`: is the journal what was written, row by row?"""

from __future__ import annotations

from typing import NamedTuple

from monitor.config import Loaded
from monitor.journal import Journal
from monitor.verdicts import store_of


class Verified(NamedTuple):
    """Whether the chain is whole, and what is to be told about it."""

    whole: bool
    lines: list[str]


def verified(loaded: Loaded) -> Verified:
    """Every row hashed again, the broken ones named; a journal that is not there, or that lost the triggers
    which guard its events, is not whole.

    Raises JournalError where it cannot be opened.
    """
    path = store_of(loaded).journal
    if not path.exists():
        return Verified(False, [f"there is no {path.name}: nothing has run yet, or it was taken away"])
    with Journal(path) as journal:
        broken = journal.verify()
        gone = journal.unguarded()
        broken += [f"its guard {name} was taken away: rows could be rewritten" for name in gone]
        events = journal.count()
    if broken:
        advice = "what it says can no longer be trusted: put back a copy of it from before"
        return Verified(False, [*(f"{path.name}: {fault}" for fault in broken), advice])
    return Verified(True, [f"{path.name}: the chain of {events} events is whole"])
