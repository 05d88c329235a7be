"""Two arms of an experiment: is the comparison sound, and which arm earns more."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from monitor.metrics.divergence import MIN_ROWS, jensen_shannon, merge_levels, merged
from monitor.metrics.estimate import Estimate, exact, missing
from monitor.metrics.intervals import t_interval
from monitor.metrics.jackknife import MIN_DAYS, Array, jackknife
from monitor.metrics.ratios import divide, finish, share
from monitor.metrics.sums import Settings, Sums

PRIOR = 100.0
LARGEST_LOG = 690.0
FEW_EVENTS = 10
CANDIDATE, CONTROL, BEFORE = "candidate", "control", "before"


def sample_ratio_e(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """E-value against the planned share p of units at first exposure:
    Beta(2ap + x, 2a(1−p) + N − x) / Beta(2ap, 2a(1−p)) / (p^x (1−p)^(N−x)), a = 100, x of N units first
    seen with the candidate. Under the planned share it reaches 1000 in at most 1 run in 1000, however often
    it is looked at. `no_data` without an experiment or units.

    Source: Lindon and Malek 2022, arXiv 2011.03567 (a Beta mixture for two arms).
    """
    p, cells = settings.planned_share, states["exposure"]
    if p is None:
        return missing("no_data", "e-value")
    x, n = (_of(cells, arm, "n_units") for arm in (CANDIDATE, CONTROL))
    n += x
    if not n > 0:
        return missing("no_data", "e-value")
    log_e = log_sample_ratio_e(x, n, p)
    return exact(math.exp(min(log_e, LARGEST_LOG)), n, "e-value", f"{x:.0f} of {n:.0f} units, {p:g} planned")


def log_sample_ratio_e(x: float, n: float, p: float) -> float:
    """Logarithm of the e-value of `sample_ratio_e`."""
    a, b = 2 * PRIOR * p, 2 * PRIOR * (1 - p)
    mixture = _log_beta(a + x, b + n - x) - _log_beta(a, b)
    return mixture - x * math.log(p) - (n - x) * math.log1p(-p)


def units_in_both(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Share of the units that were decided for in both arms, counted."""
    cells = states["exposure"]
    units = cells.total("n_units")
    return share(cells.total("n_both"), units, "counted: units seen in both arms")


def traffic_p(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """P(χ²(B−1) ≥ 8·D_JS/(1/n + 1/m)) of one feature between the arms, at the first decision of each unit
    (each counts once, so units are independent); bins merged as for `state_js`. `low_n` under
    max(30, 3(B−1)) units in an arm."""
    from scipy.special import chdtrc

    cells = states["exposure"]
    if not len(cells):
        return missing("no_data", "probability")
    arms = np.char.partition(cells.key.astype(str), ":")
    place = arms[:, 2].astype(np.int64)
    size = max(int(place.max()) + 1, settings.interior_bins + 3)
    units = cells.columns["n_units"]
    ours, theirs = (
        np.bincount(place, weights=np.where(arms[:, 0] == arm, units, 0.0), minlength=size).astype(np.float64)
        for arm in (CANDIDATE, CONTROL)
    )
    n, m = float(ours.sum()), float(theirs.sum())
    if not (n > 0 and m > 0):
        return missing("no_data", "probability")
    if not math.isfinite(n + m):
        return missing("non_finite", "probability")
    for _, step in merge_levels(settings.interior_bins).items():
        a, b = (merged(counts, settings.interior_bins, step) for counts in (ours, theirs))
        bins = int(np.count_nonzero(a + b))
        if min(n, m) >= 3 * (bins - 1):
            break
    statistic = 8 * float(jensen_shannon(a, b)) / (1 / n + 1 / m)
    p = float(chdtrc(bins - 1, statistic)) if bins > 1 else 1.0
    reason = "low_n" if min(n, m) < max(MIN_ROWS, 3 * (bins - 1)) else None
    return finish(p, p, p, n + m, "probability", f"{bins} bins, {n:.0f} and {m:.0f} units", reason)


def ab_lift(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Mean reward of the candidate's decisions less that of the control's in the same time:
    Σ(r/k)/Σ(1/k) by arm, jackknife of the difference over buckets that both arms share. `few_events`
    where rewards are 0 or 1 and an arm has fewer than 10 of either."""
    cells = states["arm"]
    ours = _difference(cells, (CANDIDATE, "k1", "r1"), (CONTROL, "k1", "r1"), settings)
    return ours.because("few_events") if ours.n and _rare(cells, (CANDIDATE, CONTROL), settings) else ours


def matched_lift(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Mean reward of the candidate's decisions less that of the control's in the same hours of the season:
    Σ_h K_h (r̄_h − r̄′_h) / Σ_h K_h over the hours h of day (of week, with `season: 7d`) that both have, K_h
    the candidate's weight Σ1/k. The control's decisions are those of the same time (`switchback`) or of the
    14 days before (`before_after`).

    Jackknife as everywhere; for time blocks over days, with the smaller number of days of an arm less 1 as
    degrees of freedom, and `low_units` with fewer than 7 of them. `no_data` where no hour is matched;
    `few_events` as `ab_lift`.
    """
    cells, other = states["arm"], settings.matched_arm
    if other is None or not len(cells):
        return missing("no_data", "reward")
    hours = settings.season_hours
    phase = cells.hour % hours
    columns: dict[str, Array] = {}
    for arm in (CANDIDATE, other):
        for name in ("k1", "r1"):
            mine = np.where(cells.key == arm, cells.columns[name], 0.0)
            columns |= {f"{arm} {name} {h}": np.where(phase == h, mine, 0.0) for h in np.unique(phase)}
    arms = (cells.key == CANDIDATE) | (cells.key == other)
    both = Sums(cells.hour, cells.bucket, cells.key, columns).where(arms)
    n = sum(_of(cells, arm, "n_reward") for arm in (CANDIDATE, other))
    jack = jackknife(_matched, both, list(columns), settings)
    if not math.isfinite(jack.value):
        return missing("no_data", "reward", n)
    if settings.time_blocks:
        days = min(len(np.unique(cells.day[cells.key == arm])) for arm in (CANDIDATE, other))
        reason = jack.reason or ("low_units" if days < MIN_DAYS else None)
        jack = replace(jack, df=min(jack.df, days - 1), reason=reason)
    found = t_interval(jack, n, "reward", settings)
    return found.because("few_events") if _rare(cells, (CANDIDATE, other), settings) else found


def ab_lift_later(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """`ab_lift` of decisions made a week or more after their unit's first exposure."""
    later = (CANDIDATE, "k_later", "r_later"), (CONTROL, "k_later", "r_later")
    return _difference(states["exposure"], *later, settings)


def ab_lift_week(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """`ab_lift` of the decisions of one week since their unit's first exposure: 1, 2, 3, and 4 with all later
    ones."""
    when = "first" if settings.week == 1 else f"week{settings.week}"
    part = (CANDIDATE, f"k_{when}", f"r_{when}"), (CONTROL, f"k_{when}", f"r_{when}")
    return _difference(states["exposure"], *part, settings)


def novelty(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """`ab_lift_later` less the same in the first week of each unit; below 0 the effect wears off."""
    cells = states["exposure"]
    names = [(arm, f"{sum_}_{when}") for when in ("later", "first") for arm in (CANDIDATE, CONTROL)
             for sum_ in ("k", "r")]
    split = _columns(cells, names)
    jack = jackknife(lambda x: _lift(x[..., :4]) - _lift(x[..., 4:]), split, list(split.columns), settings)
    if any(not split.total(c) > 0 for c in split.columns if "k_" in c):
        return missing("no_data", "reward")
    return t_interval(jack, sum(split.total(c) for c in split.columns if "k_" in c), "reward", settings)


def control_moved(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Mean reward of the control since the experiment began less that of the 14 days before."""
    return _difference(states["arm"], (CONTROL, "k1", "r1"), (BEFORE, "k1", "r1"), settings)


def _difference(
    cells: Sums, one: tuple[str, str, str], other: tuple[str, str, str], settings: Settings
) -> Estimate:
    names = [(arm, column) for arm, k, r in (one, other) for column in (k, r)]
    split = _columns(cells, names)
    first, second = (split.total(f"{arm} {k}") for arm, k, _ in (one, other))
    if not (first > 0 and second > 0):
        return missing("no_data", "reward")
    jack = jackknife(_lift, split, list(split.columns), settings)
    counted = "n_reward" in cells.columns
    n = sum(_of(cells, arm, "n_reward") for arm, *_ in (one, other)) if counted else first + second
    return t_interval(jack, n, "reward", settings)


def _rare(cells: Sums, arms: tuple[str, str], settings: Settings) -> bool:
    """Whether rewards are 0 or 1 and an arm has fewer than 10 of either."""
    if settings.reward_low < 0 or settings.reward_high > 1 or cells.total("n_not01"):
        return False
    counts = [(_of(cells, arm, "n_one"), _of(cells, arm, "n_reward")) for arm in arms]
    return any(min(ones, n - ones) < FEW_EVENTS for ones, n in counts)


def _matched(x: Array) -> Array:
    """Weighted difference of means from (…, k of each hour, r of each, k′ of each, r′ of each)."""
    k, r, k2, r2 = np.split(x, 4, axis=-1)
    weight = np.where((k > 0) & (k2 > 0), k, 0.0)
    difference = np.where(weight > 0, divide(r, k) - divide(r2, k2), 0.0)
    return divide((weight * difference).sum(axis=-1), weight.sum(axis=-1))


def _lift(x: Array) -> Array:
    """Difference of means from (…, k, r, k′, r′)."""
    return divide(x[..., 1], x[..., 0]) - divide(x[..., 3], x[..., 2])


def _columns(cells: Sums, names: list[tuple[str, str]]) -> Sums:
    """A column for each (arm, column), 0 in the cells of other arms."""
    split = {f"{arm} {name}": np.where(cells.key == arm, cells.columns[name], 0.0) for arm, name in names}
    return Sums(cells.hour, cells.bucket, cells.key, split)


def _of(cells: Sums, arm: str, column: str) -> float:
    return float(cells.columns[column][cells.key == arm].sum()) if len(cells) else 0.0


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
