"""Which trigger cannot fire at the volume there is, asked of the triggers' own rules."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from monitor import rules
from monitor.config import Config
from monitor.first_hour.complaint import Complaint
from monitor.metrics.divergence import MIN_BLOCKS, MIN_ROWS, merge_levels
from monitor.metrics.estimate import Reading, exact
from monitor.readings import moment
from monitor.sums.baseline import Baseline
from monitor.triggers.constraint import ConstraintParams, constraint
from monitor.triggers.reward_drop import RewardDropParams


def reward_drop(config: Config, means: Sequence[Reading]) -> Iterator[Complaint]:
    """30 decisions a window, or thin windows are merged; 9 seasons (5 weeks) for the seasonal mode."""
    params = RewardDropParams(season=timedelta(days=7 if config.season == "7d" else 1))
    if not means:
        return
    typical = statistics.median(r.estimate.n for r in means)
    if typical < params.min_decisions:
        merged = f"about {params.min_decisions / max(typical, 1):.0f} windows make one"
        yield Complaint(
            f"reward_drop: a window has {typical:.0f} rewards, {params.min_decisions} are needed",
            f"thin windows are merged ({merged}), so a drop is seen that much later",
            f"a longer `window:` than {config.window.total_seconds() / 3600:.0f}h",
        )
    seasons = (means[-1].window_end - means[0].window_start) / params.season
    if seasons < params.seasons + 1:
        yield Complaint(
            f"reward_drop: {seasons:.1f} of {params.seasons + 1} seasons of {config.season} are there",
            "until then a window is compared with the 24 before it, which knows no time of day",
            f"nothing: the seasonal comparison begins by itself after {params.seasons + 1} seasons",
        )


def state_shift(config: Config, baseline: Baseline, typical: float) -> Iterator[Complaint]:
    """n ≥ max(30, 3(B−1)) a window on the coarsest bins; 72 blocks of baseline, windows under a day."""
    for feature in baseline.features:
        bins = coarsest_bins(baseline, feature)
        need = max(MIN_ROWS, 3 * (bins - 1))
        if typical < need:
            yield Complaint(
                f"state_shift cannot fire on {feature}: a window has {typical:.0f} decisions, {need} are "
                f"needed for {bins} bins",
                "a shift of this feature is not seen",
                "a longer `window:`, or fewer categories",
            )
    few = [f for f in baseline.features if baseline.n_blocks(f) < MIN_BLOCKS]
    if few:
        yield Complaint(
            f"state_shift is uncalibrated: {baseline.n_blocks(few[0])} of {MIN_BLOCKS} windows of baseline",
            "it tells people and never rolls back by itself",
            "a longer `baseline:`, or a shorter `window:`",
        )
    if config.window >= timedelta(days=1):
        yield Complaint(
            "state_shift never rolls back with windows of a day",
            "a day is too coarse to tell a shift from the weather",
            "a shorter `window:` where the volume allows",
        )


def constraints(
    config: Config, baseline: Baseline | None, numbers: Mapping[str, rules.Rule], typical: float
) -> Iterator[Complaint]:
    """The smallest count of violations in one window that trips each soft constraint."""
    rates = [key for key in config.soft if config.constraints[key].measure == "rate"]
    for key in rates if "constraint" in numbers else []:
        rule = config.constraints[key]
        params = ConstraintParams(
            limit=rule.limit, margin=rule.margin, n_constraints=max(1, len(config.soft)),
            inflation=baseline.body["phi"].get(key, 1.0) if baseline else 1.0,
            **numbers["constraint"].numbers,
        )  # fmt: skip
        n = round(typical)
        least = smallest_count(n, params)
        if least is None:
            yield Complaint(
                f"constraint {key} cannot fire in one window: even {n} violations in {n} do not trip",
                "only several windows pooled (3, 6 or 24) can",
                "a longer `window:`",
            )
        elif least > 3 * max(1.0, n * (rule.limit + rule.margin)):
            yield Complaint(
                f"constraint {key}: the smallest count that trips is {least} of {n} decisions in a window",
                f"that is a rate of {least / n:.3g}, against a limit of {rule.limit + rule.margin:.3g}",
                "nothing if longer trouble may be seen in pooled windows; else a longer `window:`",
            )


def smallest_count(n: int, params: ConstraintParams) -> int | None:
    """The smallest number of violations among `n` decisions of one window that trips, None if none."""
    if n < 1 or not _trips(n, n, params):
        return None
    low, high = 0, n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _trips(middle, n, params) else (middle, high)
    return high


def coarsest_bins(baseline: Baseline, feature: str) -> int:
    """Bins of a feature that the baseline has seen, numeric ones merged as far as they can be."""
    interior = baseline.interior_bins(feature)
    counts = baseline.body["features"][feature]["counts"]
    seen = {b for b, n in zip(counts["bin"], counts["n"], strict=True) if n}
    inside = {b for b in seen if 1 <= b <= interior}
    step = merge_levels(interior)[min(merge_levels(interior))] if interior else 1
    return len(seen - inside) + len({(b - 1) // step for b in inside})


def _trips(count: int, n: int, params: ConstraintParams) -> bool:
    window = Reading(exact(count / n, n, "share"), "violation_rate", "", "", "", moment(0), moment(1))
    return constraint({"violation_rate": [window]}, params) is not None
