"""Windows of a series: which may be judged, and how thin ones are merged with the next."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby

from monitor.metrics.estimate import LEVEL, Estimate, Reading

DAY = timedelta(days=1)

NOT_JUDGED = frozenset({"no_data", "non_finite", "low_n", "immature_reward", "baseline_missing"})


def usable(reading: Reading) -> bool:
    """True where the value can be compared with a limit.

    A trigger looks for danger, so a reason that only keeps a gate from passing (`low_units`,
    `rejects` …) does not silence it.
    """
    estimate = reading.estimate
    return estimate.reason not in NOT_JUDGED and math.isfinite(estimate.value) and estimate.n > 0


def since(series: Sequence[Reading], start: datetime) -> int:
    """Index of the first window that starts at `start` or later; the series is oldest first."""
    return bisect_left(series, start, key=lambda reading: reading.window_start)


def closed_groups(n: Sequence[float], fewest: float) -> list[tuple[int, int]]:
    """Windows merged from the left until each group has `fewest` decisions, as (first, last) index.

    Windows left over at the end close no group and are not among them.
    """
    groups, first, decisions = [], 0, 0.0
    for last, count in enumerate(n):
        decisions += count
        if decisions >= fewest:
            groups.append((first, last))
            first, decisions = last + 1, 0.0
    return groups


def group_start(series: Sequence[Reading], end: int, fewest: float) -> int:
    """Nearest index at or before `end` where a group starts whatever came before: after a window
    that has `fewest` decisions of its own, or at the start of the series."""
    while end > 0 and decisions(series[end - 1]) < fewest:
        end -= 1
    return end


def decisions(reading: Reading) -> float:
    """Decisions of a window, 0 where its value may not be used."""
    return reading.estimate.n if usable(reading) else 0.0


def last_group(series: Sequence[Reading], fewest: float) -> tuple[int, int] | None:
    """(first, last) index of the group that the newest window closes, None where it closes none."""
    if not series or not usable(series[-1]):
        return None
    start = group_start(series, len(series) - 1, fewest)
    groups = closed_groups([decisions(reading) for reading in series[start:]], fewest)
    if not groups or start + groups[-1][1] != len(series) - 1:
        return None
    return start + groups[-1][0], len(series) - 1


def pooled_mean(readings: Sequence[Reading], n: Sequence[float]) -> float:
    """Mean of the windows, each counted `n` times."""
    total = sum(reading.estimate.value * count for reading, count in zip(readings, n, strict=True) if count)
    return total / sum(n)


def pooled(readings: Sequence[Reading]) -> float:
    """Mean of the windows that have a number, each counted as often as it has decisions; NaN of none."""
    kept = [r for r in readings if usable(r)]
    return pooled_mean(kept, [r.estimate.n for r in kept]) if kept else math.nan


def by_day(readings: Sequence[Reading]) -> list[Reading]:
    """One reading a UTC day: `pooled` over its windows, n their sum, no interval; `no_data` where no
    window has a number. A reading that is of the whole day stays as it is."""
    days = []
    for _, group in groupby(readings, key=lambda reading: reading.window_start.date()):
        windows = list(group)
        if windows[0].window_end - windows[0].window_start == DAY:
            days.append(windows[0])
            continue
        n = sum(decisions(r) for r in windows)
        start = windows[0].window_start.replace(hour=0, minute=0, second=0, microsecond=0)
        unit, value = windows[0].estimate.unit, pooled(windows)
        method = f"{len(windows)} windows of a day"
        day = Estimate(value, math.nan, math.nan, LEVEL, n, unit, method, None if n else "no_data")
        days.append(replace(windows[0], estimate=day, window_start=start, window_end=start + DAY))
    return days


def binomial_tail(events: float, n: float, share: float) -> float:
    """P(Binomial(n, share) ≥ events) = I_share(events, n − events + 1); 1 without an event."""
    from scipy.special import betainc

    return float(betainc(events, n - events + 1, share)) if events > 0 else 1.0


def clock(start: datetime, end: datetime) -> str:
    """`2026-01-31 04:00 to 05:00 UTC`, with the date at both ends where it changes."""
    form = "%H:%M" if start.date() == end.date() else "%Y-%m-%d %H:%M"
    return f"{start:%Y-%m-%d %H:%M} to {end:{form}} UTC"
