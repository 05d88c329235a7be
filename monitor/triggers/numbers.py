"""The numbers of a rule that `triggers.yaml` sets: fields of its parameters, each with its range."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Protocol


class Kind(Protocol):
    """What a number may be."""

    def read(self, value: Any) -> Any:
        """The value as the rule takes it. Raises ValueError, which says what it must be."""


@dataclass(frozen=True, slots=True)
class Range:
    """A finite number above `low`, at most `high`."""

    low: float
    high: float

    def read(self, value: Any) -> float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or not self.low < value <= self.high:
            raise ValueError(f"a number above {self.low:g}, at most {self.high:g}")
        return float(value)


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a few names."""

    names: tuple[str, ...]

    def read(self, value: Any) -> str:
        if value not in self.names:
            raise ValueError(" or ".join(self.names))
        return str(value)


@dataclass(frozen=True, slots=True)
class Windows:
    """`3 of 4` is (3, 4): that many of the last windows must trip before anybody acts."""

    def read(self, value: Any) -> tuple[int, int]:
        match = re.fullmatch(r"(\d+) of (\d+)", str(value))
        if not match or not 1 <= int(match[1]) <= int(match[2]) <= 100:
            raise ValueError("such as 3 of 4")
        return int(match[1]), int(match[2])


def number(default: float, low: float, high: float) -> Any:
    """A field of parameters that `triggers.yaml` sets, in a range."""
    return field(default=default, metadata={"kind": Range(low, high)})


def one_of(*names: str) -> Any:
    """A field of parameters that `triggers.yaml` sets, one of `names`; the first is the default."""
    return field(default=names[0], metadata={"kind": OneOf(names)})


def numbers_of(params: type) -> Mapping[str, Kind]:
    """The fields of a class of parameters that `triggers.yaml` sets; the others are facts."""
    return {f.name: f.metadata["kind"] for f in fields(params) if "kind" in f.metadata}
