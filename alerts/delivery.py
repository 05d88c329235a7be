"""From the outbox out to every channel.

At least once: a row is marked delivered after its channel took it. A crash between the two sends it
again once its claim has run out; nothing is sent twice otherwise, since (alert key, channel) is unique in
the outbox and a row is claimed before it is sent. What fails waits longer each time, and is given up after
three days; a channel that takes no pages is told of on the others.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from alerts.channels import Channel, DeliveryError, Receipt
from alerts.message import channel_is_deaf
from monitor.journal import Journal, OutboxRow

FAILURES_A_PASS = 3
SECONDS_A_PASS = 20.0
CLAIM = timedelta(minutes=2)
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=30), timedelta(minutes=30)
GIVEN_UP_AFTER = timedelta(days=3)
DEAF_AFTER = 3


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
    left for the next pass because their channel kept failing or time was up."""

    delivered: list[tuple[str, str]] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    left: int = 0


def deliver(
    journal: Journal, channels: Mapping[str, Channel], at: datetime, *, seconds: float = SECONDS_A_PASS
) -> DeliveryReport:
    """Try every row that is due, pages first, those with the fewest tries first.

    A failing channel raises nothing: the row keeps its count of tries, the error and when it is tried
    again, and after three failures the channel is left alone until the next pass. No try begins after
    `seconds`. Raises JournalError only.
    """
    report = DeliveryReport()
    failures: Counter[str] = Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        row = journal.claim(at, at + CLAIM, [c for c, n in failures.items() if n >= FAILURES_A_PASS])
        if row is None:
            break
        error, receipt = _try(journal, channels, row)
        if error is None:
            journal.delivered(row, at, receipt)
            report.delivered.append((row.key, row.channel))
            continue
        failures[row.channel] += 1
        journal.not_delivered(
            row.id, str(error), at, next_at=at + _wait(row, error), dead=at - row.at >= GIVEN_UP_AFTER
        )
        report.failed.append(Failure(row.key, row.channel, row.attempts + 1, str(error)))
        _tell_the_others(journal, channels, row, str(error), at)
    waiting = [r for r in journal.undelivered() if r.dead_at is None and (r.next_at or at) <= at]
    return DeliveryReport(report.delivered, report.failed, len(waiting))


def _wait(row: OutboxRow, error: DeliveryError) -> timedelta:
    """30 s, 1 min, 2 min … half an hour; at least what the receiver asked for."""
    waits = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(row.attempts, 10))
    return max(waits, timedelta(seconds=min(error.retry_after or 0.0, 86400.0)))


def _tell_the_others(
    journal: Journal, channels: Mapping[str, Channel], row: OutboxRow, error: str, at: datetime
) -> None:
    """A page that one channel did not take three times is told of on every other, once a day."""
    if row.message.get("severity") != "page" or row.attempts + 1 < DEAF_AFTER:
        return
    message = channel_is_deaf(row.channel, row.message["title"], error=error, since=row.at).as_dict()
    for other in channels:
        if other != row.channel:
            journal.enqueue(f"deaf:{row.channel}:{at:%Y-%m-%d}", other, message, at)


def _try(
    journal: Journal, channels: Mapping[str, Channel], row: OutboxRow
) -> tuple[DeliveryError | None, Receipt | None]:
    channel = channels.get(row.channel)
    if channel is None:
        return DeliveryError(f"channel {row.channel} is no longer in the configuration"), None
    incident = str(row.message.get("incident") or "")
    thread = journal.thread(row.channel, incident) if incident else None
    try:
        receipt = channel.deliver(row.message, row.key, thread)
    except DeliveryError as error:
        return error, None
    except Exception as error:
        # Its text is not ours and could hold a secret; its name is enough to look for it.
        return DeliveryError(f"channel {row.channel} broke with {type(error).__name__}"), None
    return None, receipt if thread is None else None
