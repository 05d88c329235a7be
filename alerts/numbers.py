"""Numbers and times as a person reads them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

DIGITS = 3
MOST_DIGITS = 9


def number(value: float | None, digits: int = DIGITS) -> str:
    """`value` to `digits` significant digits; thousands apart by a space; "unknown" for NaN or None."""
    if value is None or math.isnan(value):
        return "unknown"
    if math.isinf(value):
        return "infinity" if value > 0 else "minus infinity"
    if value == 0:
        return "0"
    if abs(value) >= 10**digits or (abs(value) >= 1000 and value == int(value)):
        return f"{value:,.0f}".replace(",", " ")
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:.{places}f}" if abs(value) >= 1e-4 else f"{value:.{digits - 1}e}"
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def apart(value: float, limit: float) -> tuple[str, str, str]:
    """`value`, `limit` and their distance with as many digits as it takes to tell the two apart; the
    distance is empty where the two are equal or one is not a number."""
    if not (math.isfinite(value) and math.isfinite(limit)) or value == limit:
        return number(value), number(limit), ""
    digits = DIGITS
    while number(value, digits) == number(limit, digits) and digits < MOST_DIGITS:
        digits += 1
    return number(value, digits), number(limit, digits), number(abs(value - limit))


def count(n: int, noun: str) -> str:
    """`1 window`, `3 windows`, `11 400 decisions`."""
    return f"{number(n, 15)} {noun}{'' if n == 1 else 's'}"


def span(length: timedelta) -> str:
    """`10 minutes`, `3 hours`, `2 days`: the largest unit that leaves at least two, else the next."""
    minutes = max(0, round(length / timedelta(minutes=1)))
    if minutes < 120:
        return count(minutes, "minute")
    hours = round(minutes / 60)
    return count(hours, "hour") if hours < 48 else count(round(hours / 24), "day")


def moment(at: datetime) -> str:
    """`2026-01-21 14:00 UTC`; a naive time is UTC."""
    return f"{_utc(at):%Y-%m-%d %H:%M} UTC"


def window(start: datetime, end: datetime) -> str:
    """`2026-01-21 14:00 to 15:00 UTC`; both dates where they differ, one time where it is a moment."""
    start, end = _utc(start), _utc(end)
    if end - start < timedelta(minutes=1):
        return moment(start)
    last = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M}"
    return f"{start:%Y-%m-%d %H:%M} to {last} UTC"


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
