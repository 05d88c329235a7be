"""What a check may know: the seam between the gates and whoever measured the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from monitor.metrics.estimate import Estimate, Reading


class Event(Protocol):
    """A journal event as a check sees it: when, about whom, and what was written down."""

    @property
    def seq(self) -> int: ...
    @property
    def at(self) -> datetime: ...
    @property
    def kind(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def body(self) -> Mapping[str, Any]: ...


class Evidence(Protocol):
    """The evidence of one stage for one candidate. Times are aware UTC datetimes.

    What is missing comes as an Estimate with a reason, never as an exception. `n` of an estimate
    is the number of decisions behind it: 0 means there is nothing to judge.

    `facts` are plain numbers and names of the configuration: `constraints` {name: {limit, margin,
    hard, measure}}, `features`, `training` ("until" | "ids" | "none" | None), `training_settings`
    {algorithm: [names], hyperparameters: {name: number}, transitions, trained_at, behaviour_cloning},
    `held_out`, `state_tails` ["<feature> low" | "<feature> high"], `episodes` (whether they are logged),
    `envelope` [dimensions],
    `conditions_declared`, `config_hash`, `max_rejects`, `decisions_per_day`.
    """

    @property
    def stage(self) -> str: ...
    @property
    def policy(self) -> str: ...
    @property
    def as_of(self) -> datetime: ...
    @property
    def window_start(self) -> datetime | None: ...
    @property
    def window_end(self) -> datetime | None: ...
    @property
    def facts(self) -> Mapping[str, Any]: ...

    def estimate(self, metric: str, key: str = "") -> Estimate:
        """The metric over the whole evidence window."""
        ...

    def daily(self, metric: str, key: str = "") -> Sequence[Reading]:
        """One reading a UTC day, oldest first."""
        ...

    def series(self, metric: str, key: str = "") -> Sequence[Reading]:
        """One reading a monitor window, oldest first."""
        ...

    def keys(self, metric: str) -> Sequence[str]:
        """The keys the metric has readings for."""
        ...

    def events(self, kind: str) -> Sequence[Event]:
        """Journal events of a kind up to as-of, oldest first."""
        ...
