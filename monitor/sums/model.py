"""How far predicted states are from those of the next decision, by feature and bucket."""

from __future__ import annotations

from monitor.config import Config
from monitor.store import quoted
from monitor.sums.family import Family, Frozen
from monitor.sums.neighbours import distances, next_of


def _select(config: Config, baseline: Frozen | None) -> str | None:
    pairs = {f: (quoted(f"predicted_{f}"), next_of(quoted(f"state_{f}"))) for f in config.predicted}
    return distances(config, pairs) if pairs else None


FAMILY = Family("model", ("n", "k1", "g1"), _select, outer=True, optional=True)
