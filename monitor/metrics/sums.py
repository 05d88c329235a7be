"""The sums a metric is computed from: one family over one window, as columns of cells."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

BUCKETS = 64
NO_BUCKET = -1


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums of one family over one window for one policy, one row a cell of hour x bucket x key.

    `hour` int64, hours since 1970-01-01 UTC; `bucket` int64, 0 to 63, or -1 where the family keeps
    no buckets; `key` object (text): segment, constraint, action or bin; `columns` float64 arrays
    of the same length, by name (`row_hash` and `unit_hash` are int64). An empty window has arrays of
    length 0. Compared by identity.
    """

    hour: NDArray[np.int64]
    bucket: NDArray[np.int64]
    key: NDArray[Any]
    columns: Mapping[str, NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.hour)

    @property
    def day(self) -> NDArray[np.int64]:
        """Days since 1970-01-01 UTC of each cell."""
        return self.hour // 24

    def total(self, column: str) -> float:
        """Sum of `column` over all cells, 0.0 where there are none."""
        return float(self.columns[column].sum())

    def where(self, mask: NDArray[np.bool_] | NDArray[np.integer[Any]]) -> Sums:
        """The cells that `mask` keeps, or those at the places that it lists, in their order."""
        return Sums(
            self.hour[mask],
            self.bucket[mask],
            self.key[mask],
            MappingProxyType({name: column[mask] for name, column in self.columns.items()}),
        )


@dataclass(frozen=True)
class Settings:
    """What a metric may know besides sums: numbers from `monitor.yaml`, and nothing else.

    `reward_low`, `reward_high`: `reward.range`. `time_blocks`: units are blocks of time (one
    plant), so uncertainty comes from days alone. `independent`: `unit: decision` was declared.
    `versioned`: the log may name versions of a policy, which then changes while it runs.
    `episodes`: the log names episodes; `discount`: γ of their returns.
    `n_actions`: size of the action set where it is known. `n_tests`: size of the family of tests.
    Of the frozen baseline of one feature: `interior_bins` (0 for categories), `block_maxima` (for
    each number of interior bins that merging can leave, the largest corrected D_JS of a block of
    the baseline against the rest) and `n_blocks`, the number of those blocks. `n_star`: None for
    an interval that is looked at once; a number of decisions, declared before the first look, for a
    confidence sequence that is tightest there and holds at every look.
    `density`: propensities are densities of continuous actions. Of one constraint: its `limit`, and
    whether it is measured as a `mean_cost` or an `episode_cost`. `window_hours`: length of the windows.
    `feature_sd`: sd of one feature in the baseline; `moments`: mean and sd of `reward`, `proxy_reward`
    and `outcome` there, where it has them. `decile`: which tenth of the decisions is asked for.
    `joint_bins`: `interior_bins` of every feature, in the order of their bins in a sample of states.
    `clip` is λ of the clipped off-policy estimators; `baseline_frozen` False: there is none.
    `planned_share`: of the units of an experiment, the candidate's; `matched_arm`: the arm that it is
    compared with in the same hours of a season of `season_hours`, where units are not split; `week` since
    first exposure. `at_once`: how many intervals are read together, each at level α/`at_once` (Bonferroni).
    """

    reward_low: float = 0.0
    reward_high: float = 1.0
    time_blocks: bool = False
    independent: bool = False
    versioned: bool = False
    n_actions: int | None = None
    n_tests: int = 1
    interior_bins: int = 0
    block_maxima: Mapping[int, float] = field(default_factory=dict)
    n_blocks: int = 0
    episodes: bool = False
    discount: float = 1.0
    n_star: float | None = None
    density: bool = False
    limit: float = 0.0
    mean_cost: bool = False
    episode_cost: bool = False
    window_hours: int = 1
    feature_sd: float = math.nan
    moments: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    decile: int = 0
    joint_bins: tuple[int, ...] = ()
    clip: float = 10.0
    baseline_frozen: bool = True
    planned_share: float | None = None
    matched_arm: str | None = None
    season_hours: int = 24
    week: int = 1
    at_once: int = 1

    @property
    def reward_centre(self) -> float:
        """Middle of `reward.range`: rewards are centred on it before squaring."""
        return (self.reward_low + self.reward_high) / 2
