"""Whether rewards of 0 and 1 differ more between units, segments or hours than chance lets them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from monitor.metrics.estimate import Estimate, missing
from monitor.metrics.intervals import t_interval
from monitor.metrics.jackknife import Array, jackknife
from monitor.metrics.ratios import divide
from monitor.metrics.reward import zero_one_rewards
from monitor.metrics.sums import Settings, Sums

COLUMNS = ("g", "m1", "m2", "x1", "x2m")
LEAST_WITHIN = 5.0


def overdispersion_units(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Intra-class correlation of 0/1 rewards of one unit; interval by jackknife over buckets of units."""
    if problem := _problem(states["reward"], settings):
        return problem
    return correlation(states["unit_rewards"], "units", settings)


def overdispersion_segments(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Intra-class correlation of 0/1 rewards of one segment; interval by jackknife over the segments."""
    if problem := _problem(states["reward"], settings):
        return problem
    sums = states["segment_rewards"]
    names, code = np.unique(sums.key.astype(str), return_inverse=True)
    place = np.arange(len(names))
    groups = _groups(sums, code, 0 * place, place)
    return correlation(groups, "segments", replace(settings, time_blocks=False))


def overdispersion_hours(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Intra-class correlation of 0/1 rewards of one hour; interval by jackknife over days, from 7 on."""
    sums = states["reward"]
    if problem := _problem(sums, settings):
        return problem
    hours, code = np.unique(sums.hour, return_inverse=True)
    return correlation(_groups(sums, code, hours, 0 * hours), "hours", replace(settings, time_blocks=True))


def correlation(groups: Sums, named: str, settings: Settings) -> Estimate:
    """ρ of the beta-binomial: the variance of a group's count is mv(1 − v)(1 + (m − 1)ρ).

    ρ = (B − W)/(B + (m₀ − 1)W) with mean squares B = (Σx²/m − (Σx)²/M)/(G − 1) between and
    W = (Σx − Σx²/m)/(M − G) within groups, m₀ = (M − Σm²/M)/(G − 1); x rewards of 1 among the m of a
    group, M = Σm, G groups, from columns g, m1 = Σm, m2 = Σm², x1 = Σx, x2m = Σx²/m. `method`
    tells the variance inflation 1 + (Σm²/M − 1)ρ. `low_n` where there is only one group, and where few
    groups have two rewards: with (M − G)v(1 − v) < 5 chance alone may make all of them agree, which
    would be ρ = 1 without an error. `non_finite` where all rewards are equal.

    Source: Ridout, Demétrio and Firth 1999.
    """
    g, m1, m2, x1 = (groups.total(column) for column in COLUMNS[:4])
    if not m1 > 0:
        return missing("no_data", "correlation")
    if g < 2 or not m1 > g:
        return missing("low_n", "correlation", m1)
    jack = jackknife(_correlation, groups, COLUMNS, settings)
    found = t_interval(jack, m1, "correlation", settings)
    inflation = max(0.0, 1 + (m2 / m1 - 1) * found.value)
    told = f"beta-binomial, {g:.0f} {named}, variance {inflation:.4g} times the binomial's; {found.method}"
    few = (m1 - g) * (x1 / m1) * (1 - x1 / m1) < LEAST_WITHIN
    return replace(found, method=told, reason=found.reason or ("low_n" if few else None))


def _problem(rewards: Sums, settings: Settings) -> Estimate | None:
    if rewards.total("n_reward") > 0 and not zero_one_rewards(rewards, settings):
        return missing("not_zero_one", "correlation", rewards.total("n_reward"))
    return None


def _groups(
    sums: Sums, code: NDArray[np.int64], hour: NDArray[np.int64], bucket: NDArray[np.int64]
) -> Sums:
    """Rewards and ones added up by `code`, one cell a group, at the given hour and bucket."""
    size = len(hour)
    m, x = (
        np.bincount(code, sums.columns[name], size).astype(np.float64) for name in ("n_reward", "n_one")
    )
    seen = m > 0
    m, x = m[seen], x[seen]
    columns: dict[str, Array] = {"g": np.ones(len(m)), "m1": m, "m2": m * m, "x1": x, "x2m": x * x / m}
    names = np.full(len(m), "", dtype=object)
    return Sums(hour[seen], bucket[seen], names, MappingProxyType(columns))


def _correlation(total: Array) -> Array:
    g, m1, m2, x1, x2m = (total[..., i] for i in range(5))
    between = divide(x2m - divide(x1**2, m1), g - 1)
    within = divide(x1 - x2m, m1 - g)
    size = divide(m1 - divide(m2, m1), g - 1)
    return divide(between - within, between + (size - 1) * within)
