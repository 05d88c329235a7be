"""A family of sums: one SELECT over decisions, one table `sums_<name>`, mergeable by adding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from monitor.config import Config
from monitor.store import literal


@dataclass(frozen=True)
class Frozen:
    """What the SQL may know of the frozen baseline: its hash, and per feature how to bin it.

    `bins[feature]` is {"edges": [...]} or {"categories": [...], "seen": [...]}; `usual` maps a
    segment (with enough rows to say so) to the actions that the baseline's policy takes in it;
    `action_sd` is the sd of each dimension of a continuous action; `weight_clip` the .99 quantile of
    the importance weights, where there were any; `rows_per_day` its decisions a day.
    """

    hash: str
    bins: Mapping[str, Mapping[str, Any]]
    usual: Mapping[str, list[str]] = field(default_factory=dict)
    action_sd: Mapping[str, float] = field(default_factory=dict)
    weight_clip: float | None = None
    rows_per_day: float = 0.0


@dataclass(frozen=True)
class Family:
    """`select(config, baseline)` is the SELECT over a relation `decisions` (None: nothing to sum
    yet); its first columns are policy_id, candidate_id, hour, bucket, key. `sums` names the columns
    a metric gets. `by_candidate`: metrics want the rows of one candidate, not of the policy alone.
    `inner` is the column that stays as `Sums.key`; `outer` says the table's key picks the Sums.
    `sampled`: single rows, merged by keeping those of smallest `row_hash`.
    `whole_episodes`: an hour is summed from every row of the episodes that are counted in it.
    `daily`: no metric tells hours of a day apart, so that long windows may be read by day.
    `optional`: only some logs have what it sums; no readings are made of it where they do not.
    `places`: further columns that tell cells apart, which a metric gets too. `whole_days`: rows are
    summed by whole UTC days, `hour` the first of the day.
    `from_start`: a window has every cell up to its end, also those of before it."""

    name: str
    sums: tuple[str, ...]
    select: Callable[[Config, Frozen | None], str | None]
    by_candidate: bool = False
    outer: bool = False
    inner: str = "''"
    largest: tuple[str, ...] = ()
    smallest: tuple[str, ...] = ()
    sampled: bool = False
    whole_episodes: bool = False
    daily: bool = False
    optional: bool = False
    places: tuple[str, ...] = ()
    whole_days: bool = False
    from_start: bool = False


def number(value: float) -> str:
    """A float as a DOUBLE literal (a plain 0.3 would be a DECIMAL)."""
    text = repr(float(value))
    return text if "e" in text or "inf" in text or "nan" in text else text + "e0"


def texts(values: list[str]) -> str:
    """A list of text literals for IN (…); an empty list matches nothing."""
    return ", ".join(literal(v) for v in values) or "NULL"


def clip(config: Config, weight_clip: float | None) -> float:
    """λ, fixed before looking: `off_policy.clip`, else the .99 quantile of the weights of the baseline,
    else 10."""
    if config.off_policy.clip is not None:
        return config.off_policy.clip
    return weight_clip if weight_clip is not None else 10.0


def reward(config: Config) -> str:
    """The reward as sums see it: a missing one is 0 only where the config says so."""
    return "COALESCE(reward, 0e0)" if config.reward.missing_after_maturity == 0 else "reward"
