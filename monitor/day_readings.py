"""Readings of UTC days, each over the day and the two before it: of what an hour is too short to tell.

A day is measured when it has closed, and again when an hour of its three days changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

from monitor.metrics import METRICS
from monitor.metrics.estimate import Reading
from monitor.metrics.reward import zero_one_rewards
from monitor.sheet import Sheet

DAY, BACK = 24, 2


def touched(windows: Iterable[int], span: int, end: int) -> list[int]:
    """First hours of the days, closed by hour `end`, whose readings these windows of `span` hours are in."""
    changed = {h // DAY * DAY for start in windows for h in range(start, start + span, min(span, DAY))}
    days = {day + later * DAY for day in changed for later in range(BACK + 1)}
    return sorted(day for day in days if day + DAY <= end)


def names(matured: bool) -> list[str]:
    """The metrics that are measured by day and do (True) or do not wait for rewards to mature."""
    return [name for name, row in METRICS.items() if row.days and row.matures == matured]


def day_readings(
    sheet_over: Callable[[int, int], Sheet], days: Iterable[int], matured: bool
) -> Iterator[Reading]:
    """Of the policies that decided on each day; none where rewards are not all 0 or 1, so that the table
    of units is read only for logs that need it."""
    for day in days:
        sheet, first, end = sheet_over(day - BACK * DAY, day + DAY), day - BACK * DAY, day + DAY
        window = datetime.fromtimestamp(day * 3600, UTC), datetime.fromtimestamp(end * 3600, UTC)
        for policy in sheet.policies():
            rewards = sheet.cells("reward", policy, "", "", day, end)
            if not rewards.total("n_reward") > 0 or not zero_one_rewards(rewards, sheet.settings):
                continue
            for metric in names(matured):
                yield Reading(sheet.estimate(metric, policy, first, end), metric, "", policy, "", *window)
