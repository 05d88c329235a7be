"""How often rewards were 1 in each unit and each segment: other readings of the tables of `units` and
`reward`, for over-dispersion. They have no table of their own, and cost nothing until they are asked for."""

from __future__ import annotations

from monitor.config import Config
from monitor.sums.family import Family, Frozen


def _select(config: Config, baseline: Frozen | None) -> str | None:
    return None


UNIT_REWARDS = Family("unit_rewards", ("g", "m1", "m2", "x1", "x2m"), _select)
SEGMENT_REWARDS = Family("segment_rewards", ("n_reward", "n_one"), _select, inner="key")
