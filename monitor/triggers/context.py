"""What a rule may know beside its series: of `monitor.yaml`, the frozen baseline and what people said."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from monitor.metrics.estimate import Reading


@dataclass(frozen=True, eq=False)
class Healthy:
    """Readings of the windows of the frozen baseline's period, for the baseline's policy and one key, by
    metric: only those that a trigger with `baseline` reads. Compared by identity."""

    policy_id: str = ""
    series: Mapping[str, Sequence[Reading]] = field(default_factory=dict)

    def of(self, metric: str) -> Sequence[Reading]:
        """The readings of one metric, oldest first; none without a baseline."""
        return self.series.get(metric, ())


@dataclass(frozen=True)
class Context:
    """For one trigger, policy and key. `limits` are (limit, margin) of each soft constraint, `inflation`
    φ of each, `measures` how each is measured, `spread` σ of the mean costs of the baseline's windows and
    the number of these. `beside()` are the series of every key that is judged in the same window, this one
    too, with the baseline's. `features` is the number of state features, `longest_gap` the longest time
    without a decision in the baseline. `pending` are the starts of windows that tripped and are not
    confirmed yet, `excluded()` of windows of incidents that a person acknowledged as real.
    """

    key: str
    policy_id: str
    season: timedelta
    window: timedelta
    limits: Mapping[str, tuple[float, float]]
    inflation: Mapping[str, float]
    features: int
    max_rejects: float
    longest_gap: timedelta
    healthy: Healthy
    pending: frozenset[datetime]
    excluded: Callable[[], frozenset[datetime]]
    measures: Mapping[str, str] = field(default_factory=dict)
    spread: Mapping[str, tuple[float, int]] = field(default_factory=dict)
    beside: Callable[[], Mapping[str, tuple[Mapping[str, Sequence[Reading]], Healthy]]] = dict

    def others(self, p: Callable[[Mapping[str, Sequence[Reading]], Healthy], float]) -> list[float]:
        """A p-value of each other key in the same window."""
        return [p(*found) for key, found in self.beside().items() if key != self.key]

    @property
    def own(self) -> bool:
        """Whether the baseline is of the very policy that is judged."""
        return self.healthy.policy_id == self.policy_id


def nothing(context: Context) -> Mapping[str, Any]:
    """The facts of a rule that needs none."""
    return {}
