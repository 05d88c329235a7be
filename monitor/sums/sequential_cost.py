"""The sums of `sequential` with the cost of a constraint in place of the reward, for each constraint that is
measured by whole episodes. Its `no_r` counts episodes in which a cost is not known."""

from __future__ import annotations

from monitor.config import Config
from monitor.store import literal, quoted
from monitor.sums.episode_cost import measured
from monitor.sums.family import Family, Frozen
from monitor.sums.sequential import FAMILY as REWARDS
from monitor.sums.sequential import logs_weights, summed


def _select(config: Config, baseline: Frozen | None) -> str | None:
    if not logs_weights(config):
        return None
    parts = [summed(config, quoted(f"cost_{name}"), literal(name)) for name in measured(config)]
    return " UNION ALL ".join(parts) or None


FAMILY = Family(
    "sequential_cost",
    REWARDS.sums,
    _select,
    by_candidate=True,
    outer=True,
    inner="t",
    whole_episodes=True,
    daily=True,
    optional=True,
)
