"""From the outbox out to every channel.

At least once: a row is marked delivered after its channel took it. A crash between the two sends it
again; nothing is sent twice otherwise, since (alert key, channel) is unique in the outbox.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from alerts.channels import Channel, DeliveryError
from monitor.journal import Journal, OutboxRow

FAILURES_A_PASS = 3


@dataclass(frozen=True, slots=True)
class Failure:
    """A message that one channel did not take."""

    key: str
    channel: str
    attempts: int
    error: str


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What one pass over the outbox did: (key, channel) delivered, failures, and how many rows were
    left for the next pass because their channel kept failing."""

    delivered: list[tuple[str, str]] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    left: int = 0


def deliver(journal: Journal, channels: Mapping[str, Channel], at: datetime) -> DeliveryReport:
    """Try every undelivered row, those with the fewest tries first.

    A failing channel raises nothing: the row keeps its count of tries and the error, and after three
    failures the channel is left alone until the next pass. Raises JournalError only.
    """
    delivered: list[tuple[str, str]] = []
    failed: list[Failure] = []
    failures: Counter[str] = Counter()
    left = 0
    for row in sorted(journal.undelivered(), key=lambda r: (r.attempts, r.id)):
        if failures[row.channel] >= FAILURES_A_PASS:
            left += 1
            continue
        error = _try(channels, row)
        if error:
            failures[row.channel] += 1
            journal.not_delivered(row.id, error, at)
            failed.append(Failure(row.key, row.channel, row.attempts + 1, error))
        else:
            journal.delivered(row.id, at)
            delivered.append((row.key, row.channel))
    return DeliveryReport(delivered, failed, left)


def _try(channels: Mapping[str, Channel], row: OutboxRow) -> str:
    channel = channels.get(row.channel)
    if channel is None:
        return f"channel {row.channel} is no longer in the configuration"
    try:
        channel.deliver(row.message, row.key)
    except DeliveryError as error:
        return str(error)
    except Exception as error:
        # Its text is not ours and could hold a secret; its name is enough to look for it.
        return f"channel {row.channel} broke with {type(error).__name__}"
    return ""
