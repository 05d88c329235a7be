"""What the values of one column of a sample say: its kind, its range, whether it tells rows apart."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

MOSTLY = 0.98
YEARS = (datetime(2000, 1, 1, tzinfo=UTC).timestamp(), datetime(2100, 1, 1, tzinfo=UTC).timestamp())
SCALES = {
    "epoch_seconds": 1.0,
    "epoch_milliseconds": 1e3,
    "epoch_microseconds": 1e6,
    "epoch_nanoseconds": 1e9,
}


@dataclass(frozen=True)
class Facts:
    """One column. `kind`: number, text, flag (true and false), numbers (a list) or other. `whole`: every
    number is an integer; `time`: iso, epoch_seconds … where all values are times of this century;
    `common`: values by how often, most frequent first (at most 60)."""

    name: str
    kind: str
    rows: int
    filled: int
    distinct: int
    whole: bool
    low: float
    high: float
    time: str | None
    common: Mapping[str, int]

    @property
    def unique(self) -> bool:
        return self.filled == self.rows and self.distinct >= self.rows > 1

    @property
    def zero_one(self) -> bool:
        """Nothing but 0 and 1 (or true and false)."""
        number = self.kind == "number" and {self.low, self.high} <= {0.0, 1.0} and self.whole
        return self.kind == "flag" or (number and self.filled > 0)


def facts(name: str, values: Sequence[Any]) -> Facts:
    """The facts of one column; None stands for a value that is not there."""
    there = [v for v in values if v is not None and v != ""]
    kind, numbers = _kind(there)
    finite = [n for n in numbers if math.isfinite(n)]
    counts = Counter(_word(v) for v in there)
    return Facts(
        name, kind, len(values), len(there), len(counts),
        whole=bool(finite) and all(n == int(n) for n in finite),
        low=min(finite, default=math.nan), high=max(finite, default=math.nan),
        time=_time(there, finite if kind == "number" else []), common=dict(counts.most_common(60)),
    )  # fmt: skip


def instants(values: Sequence[Any], form: str) -> list[datetime | None]:
    """The values as times of a form that `Facts.time` names; None for one that is no such time."""
    return [_instant(v, form) for v in values]


def _kind(there: Sequence[Any]) -> tuple[str, list[float]]:
    if not there:
        return "other", []
    if all(isinstance(v, bool) or str(v).lower() in ("true", "false") for v in there):
        return "flag", []
    if all(isinstance(v, list) for v in there):
        return ("numbers" if all(_number(x) is not None for v in there for x in v) else "other"), []
    numbers = [n for v in there if (n := _number(v)) is not None]
    if len(numbers) >= MOSTLY * len(there):
        return "number", numbers
    return ("text" if all(isinstance(v, (str, int, float, date)) for v in there) else "other"), []


def _number(value: Any) -> float | None:
    if isinstance(value, (bool, list, date)):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _word(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _time(there: Sequence[Any], numbers: Sequence[float]) -> str | None:
    if numbers:
        low, high = min(numbers), max(numbers)
        return next((f for f, s in SCALES.items() if YEARS[0] * s <= low and high <= YEARS[1] * s), None)
    read = sum(_instant(v, "iso") is not None for v in there[:1000])
    return "iso" if there and read >= MOSTLY * len(there[:1000]) else None


def _instant(value: Any, form: str) -> datetime | None:
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    try:
        if form != "iso":
            return datetime.fromtimestamp(float(value) / SCALES[form], UTC)
        if isinstance(value, date):
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
        if not isinstance(value, str) or not re.match(r"\d{4}-\d\d-\d\d", value):
            return None
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
