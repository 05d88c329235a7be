"""What a rule may know beside its series: of `monitor.yaml`, the frozen baseline and what people said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any


@dataclass(frozen=True)
class Context:
    """For one trigger, policy and key. `limits` are (limit, margin) of each soft constraint, `inflation`
    φ of each, `features` the number of state features. `pending` are the starts of windows that tripped
    and are not confirmed yet, `excluded()` of windows of incidents that a person acknowledged as real.
    """

    key: str
    policy_id: str
    season: timedelta
    window: timedelta
    limits: Mapping[str, tuple[float, float]]
    inflation: Mapping[str, float]
    features: int
    pending: frozenset[datetime]
    excluded: Callable[[], frozenset[datetime]]


def nothing(context: Context) -> Mapping[str, Any]:
    """The facts of a rule that needs none."""
    return {}
