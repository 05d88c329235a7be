"""Which policy takes over where one loses control: told by the journal, without a look at any log."""

from __future__ import annotations

from datetime import datetime

from gates.passes import last_good
from gates.stages import ROAD
from monitor.journal import Journal


def target_of(journal: Journal, safe: str, policy: str, at: datetime) -> str:
    """The last good policy before `policy`: of all others, the one with the newest PASS of a live stage that
    did not lose control since; else `safe`. Never `policy` itself unless it is the safe one."""
    events = journal.events("verdict", besides=policy, until=at) + journal.events(*ROAD, until=at)
    return last_good(events, policy, at) or safe
