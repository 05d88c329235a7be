"""When the passes of the demo run, by simulated time.

`before` the planted hour for the healthy log of a family and stage, `after` it for each log that
goes on from there. In live logs passes follow each other as a scheduler's would, since only windows
younger than `act_within` are acted on, until the fault is found; shadow logs are looked at when their
fault should have been confirmed, and at the end. Where the trigger of the fault judges days, there is a
pass every day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from monitor.triggers import TRIGGERS
from sample_logs import cooling, make, news
from sample_logs.make import SampleLog

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LAG = timedelta(minutes=11)


@dataclass(frozen=True)
class Calendar:
    """Days of one family. `tick` is the time of day when a day's windows have closed and matured,
    `closely` how long passes follow every hour from the fault on, `confirmed` when at the latest it
    should have been found."""

    start: datetime
    end: datetime
    baseline_days: int
    planted: datetime
    window: timedelta
    tick: timedelta
    closely: timedelta
    confirmed: timedelta


CALENDARS = {
    "news": Calendar(
        news.START, news.END, news.BASELINE_DAYS, make.PLANTED, HOUR, LAG, 14 * HOUR, 14 * HOUR
    ),
    "cooling": Calendar(
        cooling.START, cooling.END, cooling.BASELINE_DAYS, cooling.PLANTED, DAY, 6 * HOUR + LAG, HOUR, 4 * DAY
    ),
}


def before(log: SampleLog) -> list[datetime]:
    """Live: every day from the end of the baseline, as healthy logs are looked at; shadow: at its end.
    The last one is an hour before the fault, and there every log begins."""
    days = CALENDARS[log.family]
    first = days.start + days.baseline_days * DAY
    daily = _at(days, days.tick, first, branches(log)) if log.stage == "live" else []
    return sorted({first + days.tick, *daily, branches(log)})


def branches(log: SampleLog) -> datetime:
    """The last pass that all logs of a family and stage have in common."""
    return CALENDARS[log.family].planted - HOUR + LAG


def after(log: SampleLog) -> list[datetime]:
    """The passes of one log from the planted hour on, to the end of the log and its last maturity."""
    days, begun = CALENDARS[log.family], branches(log)
    seen = log.threshold_hour or days.planted
    end = days.end + days.tick
    found = {end}
    by_day = log.trigger in TRIGGERS and TRIGGERS[log.trigger].daily
    if by_day or (log.stage == "live" and log.fault is None):
        found |= set(_at(days, days.tick, begun, end))
    elif log.stage == "live" and (log.trigger or days.window == DAY):
        found |= {seen - HOUR + LAG + i * HOUR for i in range(days.closely // HOUR + 1)}
        found |= set(_at(days, days.tick, seen - DAY, seen + days.confirmed))
    elif log.trigger and days.window == DAY:
        found |= set(_at(days, days.tick, seen, seen + days.confirmed))
    elif log.trigger:
        found.add(seen + days.confirmed)
    return sorted(at for at in found if begun < at <= end)


def _at(days: Calendar, tick: timedelta, first: datetime, last: datetime) -> list[datetime]:
    """That time of every day, first < time < last."""
    all_days = (days.start + i * DAY + tick for i in range((days.end - days.start).days + 1))
    return [at for at in all_days if first < at < last]
