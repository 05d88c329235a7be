"""The kinds of values that monitor.yaml holds: names, durations, instants, shares; and its errors."""

from __future__ import annotations

import difflib
import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

NAME = re.compile(r"[a-z][a-z0-9_]*")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class ConfigError(Exception):
    """Every mistake found in one configuration, a sentence each."""

    def __init__(self, errors: list[str]) -> None:
        self.errors = errors
        super().__init__("\n".join(errors))


def _duration(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", str(value))
    if not match:
        raise PydanticCustomError("duration", "must be a duration such as 10m, 1h, 24h or 30d")
    return timedelta(seconds=float(match[1]) * UNITS[match[2]])


def in_words(value: timedelta) -> str:
    """A duration as the file writes it, in days where they are whole."""
    seconds = int(value.total_seconds())
    unit = next(u for u in ("d", "h", "m", "s") if seconds % UNITS[u] == 0)
    return f"{seconds // UNITS[unit]}{unit}"


def _instant(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise PydanticCustomError("instant", "must be a date or a time such as 2026-01-31") from None
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    raise PydanticCustomError("instant", "must be a date or a time such as 2026-01-31")


def a_name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise PydanticCustomError(
            "name", "must be a name of small letters, digits and _ that starts with a letter"
        )
    return value


def a_label(value: Any) -> Any:
    """A name that YAML reads as a whole number is still a name."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def did_you_mean(word: str, known: Any) -> str:
    """`; did you mean 'x'?` for the nearest known word, or nothing."""
    near = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean '{near[0]}'?" if near else ""


Label = Annotated[str, BeforeValidator(a_label)]
Duration = Annotated[timedelta, BeforeValidator(_duration)]
Instant = Annotated[datetime, BeforeValidator(_instant)]
Name = Annotated[str, AfterValidator(a_name)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
