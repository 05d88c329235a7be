"""Evidence written down by hand: what a case file or a test says was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gates.evidence import Event
from monitor.metrics.estimate import Estimate, Reading, missing


@dataclass(frozen=True)
class GivenEvent:
    """A journal event written down by hand."""

    kind: str
    at: datetime
    subject: str
    body: Mapping[str, Any]
    seq: int = 0


@dataclass(frozen=True)
class Given:
    """`gates.evidence.Evidence` from plain values. `estimates` is keyed by (metric, key); what is
    not in it is missing with reason `no_data`."""

    stage: str
    policy: str
    as_of: datetime
    window_start: datetime | None = None
    window_end: datetime | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    estimates: Mapping[tuple[str, str], Estimate] = field(default_factory=dict)
    days: Mapping[tuple[str, str], Sequence[Reading]] = field(default_factory=dict)
    windows: Mapping[tuple[str, str], Sequence[Reading]] = field(default_factory=dict)
    journal: Sequence[Event] = ()

    def estimate(self, metric: str, key: str = "") -> Estimate:
        return self.estimates.get((metric, key), missing("no_data"))

    def daily(self, metric: str, key: str = "") -> Sequence[Reading]:
        return self.days.get((metric, key), ())

    def series(self, metric: str, key: str = "") -> Sequence[Reading]:
        return self.windows.get((metric, key), ())

    def keys(self, metric: str) -> Sequence[str]:
        return [key for name, key in self.estimates if name == metric]

    def events(self, kind: str) -> Sequence[Event]:
        return [e for e in self.journal if e.kind == kind and e.at <= self.as_of]
