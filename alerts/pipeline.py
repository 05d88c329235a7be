"""From a message to people: into the outbox, once for each channel, with the state it tells of."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from alerts.channels import ChannelSettings, name_of
from alerts.message import Message
from monitor.journal import Journal

FOLLOW_UPS = ("acknowledged", "resolved")


def enqueue(
    journal: Journal, settings: Iterable[ChannelSettings], message: Message, key: str, at: datetime
) -> int:
    """Put the message in the outbox once for each channel that takes its severity (what became of an incident
    goes to all); how many rows are new. Called in the
    transaction that writes the state it tells of, so that one is not kept without the other."""
    body = message.as_dict()
    return sum(
        journal.enqueue(key, name_of(one), body, at)
        for one in settings
        if message.severity in one.severities or message.state in FOLLOW_UPS
    )
