"""How far each dimension of the executed action is from that of the decision before, by bucket."""

from __future__ import annotations

from monitor.config import Config
from monitor.store import quoted
from monitor.sums.family import Family, Frozen
from monitor.sums.neighbours import distances, previous_of


def _select(config: Config, baseline: Frozen | None) -> str | None:
    columns = {d: quoted(f"action_{d}") for d in config.action_dims}
    pairs = {d: (column, previous_of(column)) for d, column in columns.items()}
    return distances(config, pairs) if pairs else None


FAMILY = Family("action_step", ("n", "k1", "g1"), _select, outer=True, optional=True)
