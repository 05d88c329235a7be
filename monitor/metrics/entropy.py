"""How much a policy still explores: entropy of its actions, in nats."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from monitor.metrics.estimate import Estimate, missing
from monitor.metrics.intervals import kish, looks, standard_errors, t_interval, zero_one_interval
from monitor.metrics.jackknife import MIN_DAYS, Array, delete_one, jackknife, variance_of
from monitor.metrics.ratios import divide, finish, share
from monitor.metrics.sums import NO_BUCKET, Settings, Sums

MAX_MISSING = 0.01


def action_entropy(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Mean entropy H(π(·|s)) of the policy, in nats; `method` says from what.

    With logged distributions −Σπ log π; with propensities of the executed action −log p, which is
    unbiased for mean H; with neither the marginal entropy of the action counts, Miller–Madow.
    Densities give differential entropy, and it may be below 0. Propensities on fewer than 99 % of the rows:
    `missing_propensity`.
    """
    sums = states["action"]
    rows = sums.where(sums.bucket != NO_BUCKET)
    n, n_p, n_h = rows.total("n"), rows.total("n_p"), rows.total("n_h")
    if n_h > 0 and n_h >= n_p:
        return _mean_entropy(rows, "hp", "kh", n_h, n, "distributions", settings)
    if n_p > 0:
        source = "densities, differential entropy" if settings.density else "propensities"
        return _mean_entropy(rows, "h1", "kp", n_p, n, source, settings)
    return marginal_entropy(sums, settings)


def action_entropy_ratio(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """H/log|A|: 1 for a uniform policy, 0 for one that always does the same. Densities know no |A|."""
    if settings.density or settings.n_actions is None or settings.n_actions < 2:
        return missing("n_actions_unknown", "share")
    entropy, scale = action_entropy(states, settings), math.log(settings.n_actions)
    low, high, value = entropy.low / scale, entropy.high / scale, entropy.value / scale
    return replace(entropy, value=value, low=low, high=high, unit="share")


def top_action_share(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Share of the action taken most often. Its interval needs 7 days: counts of actions know no units."""
    return _top_share(_counts(states["action"]), settings)


def top_recommended_share(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Share of the action that the candidate recommended most often, as `top_action_share`."""
    return _top_share(states["recommended"], settings)


def unlogged_propensity_share(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Share of the policy's decisions that were logged without the propensity of what was done, counted."""
    sums = states["action"]
    rows = sums.where(sums.bucket != NO_BUCKET)
    n = rows.total("n")
    return share(n - rows.total("n_p"), n)


def _top_share(counts: Sums, settings: Settings) -> Estimate:
    n = counts.total("n")
    if not n > 0:
        return missing("no_data", "share")
    actions, code = np.unique(counts.key.astype(str), return_inverse=True)
    top = int(np.bincount(code, weights=counts.columns["n"]).argmax())
    columns = {"x": np.where(code == top, counts.columns["n"], 0.0), "n": counts.columns["n"]}
    taken = Sums(counts.hour, counts.bucket, counts.key, MappingProxyType(columns))
    by_days = replace(settings, time_blocks=True)
    jack = jackknife(lambda x: divide(x[..., 0], x[..., 1]), taken, ("x", "n"), by_days)
    events, decisions = jack.groups[:, 0], jack.groups[:, 1]
    units = kish(taken, "n", None, "k", jack.groups, by_days)
    found = zero_one_interval(jack, events, decisions - events, n, units, n, "share", settings)
    return replace(found, method=f"action '{actions[top]}', {found.method}")


def marginal_entropy(sums: Sums, settings: Settings) -> Estimate:
    """Entropy of the action counts, −Σf log f + (K−1)/2n with K actions seen (Miller–Madow), in nats.

    It mixes exploration with the variety of states. Jackknife over days, from 7 days on.
    """
    counts = _counts(sums)
    n = counts.total("n")
    if not n > 0:
        return missing("no_data", "nat")
    if not math.isfinite(n):
        return missing("non_finite", "nat")
    actions, code = np.unique(counts.key.astype(str), return_inverse=True)
    day = counts.day - counts.day.min()
    size = (int(day.max()) + 1, len(actions))
    flat = np.bincount(day * size[1] + code, weights=counts.columns["n"], minlength=size[0] * size[1])
    days = flat.astype(np.float64).reshape(size)
    days = days[days.any(axis=1)]
    total = days.sum(axis=0)
    value, margin = float(_miller_madow(total)), math.nan
    if len(days) >= MIN_DAYS:
        se = math.sqrt(variance_of(delete_one(_miller_madow, days, total)))
        margin = standard_errors(len(days) - 1, n, settings) * se
    method = f"{looks(settings)}marginal entropy of action counts (Miller-Madow), {len(days)} days"
    reason = None if len(days) >= MIN_DAYS else "low_units"
    return finish(value, value - margin, value + margin, n, "nat", method, reason)


def _mean_entropy(
    rows: Sums, part: str, whole: str, known: float, n: float, source: str, settings: Settings
) -> Estimate:
    jack = jackknife(lambda x: divide(x[..., 0], x[..., 1]), rows, (part, whole), settings)
    found = t_interval(jack, known, "nat", settings)
    found = replace(found, method=f"from {source}, {found.method}")
    return found.because("missing_propensity") if n - known > MAX_MISSING * n else found


def _counts(sums: Sums) -> Sums:
    return sums.where(sums.bucket == NO_BUCKET)


def _miller_madow(counts: Array) -> Array:
    n = counts.sum(axis=-1, keepdims=True)
    frequency = divide(counts, n)
    logs = np.log(np.where(frequency > 0, frequency, 1.0))
    seen = (counts > 0).sum(axis=-1)
    return -(frequency * logs).sum(axis=-1) + divide(seen - 1, 2 * n[..., 0])
