"""Which policy takes over where one loses control: told by the journal, without a look at any log."""

from __future__ import annotations

from datetime import datetime

from gates.passes import last_good
from gates.stages import ROAD
from monitor.config import Config
from monitor.journal import Journal


def target_of(journal: Journal, config: Config, policy: str, at: datetime) -> str:
    """The last good policy before `policy`: of all others, the one with the newest PASS of a live stage that
    did not lose control since; else `policies.safe`. Never `policy` itself unless it is the safe one."""
    events = journal.events("verdict", besides=policy, until=at) + journal.events(*ROAD, until=at)
    found = last_good(events, policy, at)
    return found or config.policies.safe
