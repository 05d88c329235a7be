"""A window whose mean reward left the frozen baseline, in either direction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monitor.metrics.estimate import Reading
from monitor.triggers.context import Context
from monitor.triggers.firing import Firing
from monitor.triggers.frozen import MIN_DECISIONS, FrozenRewards, frozen_rewards, scores
from monitor.triggers.numbers import number
from monitor.triggers.seasons import ROUNDING
from monitor.triggers.windows import clock, last_group


@dataclass(frozen=True, slots=True)
class RewardDeviationParams:
    """`reference` is the baseline by phase, None without one of 168 windows; `own` whether it is of the
    very policy that is judged."""

    sigmas: float = number(3, 0.1, 20)
    reference: FrozenRewards | None = None
    own: bool = True


def reward_deviation(
    series: Mapping[str, Sequence[Reading]], params: RewardDeviationParams
) -> Firing | None:
    """Trips where |z_t| > 3s₀, z_t = (r̄_t − m)/e: m the pooled mean of the same phase of the baseline,
    e = row sd·√(1/n_t + 1/n_m), s₀ the root mean square of z over the baseline's own windows.

    Downward it may roll back. Upward `state["escalate_only"]` is True: too good is a finding. Above the
    baseline of another policy is what a candidate is for, so that is not judged. Windows under 30
    decisions merge with the next; a baseline of fewer than 168 windows judges nothing.
    """
    means, reference = series["reward_mean"], params.reference
    group = last_group(means, MIN_DECISIONS)
    found = scores(means[group[0] :], reference) if group and reference else None
    if group is None or reference is None or found is None:
        return None
    mean, expected, error = (float(v[-1]) for v in (found.mean, found.expected, found.error))
    width = params.sigmas * reference.scale * error
    off = mean - expected
    if not (abs(off) > width and abs(off) > ROUNDING * (1 + abs(expected))):
        return None
    if off > 0 and not params.own:
        return None
    tested, start = means[-1], means[group[0]].window_start
    limit, side = (expected + width, "above") if off > 0 else (expected - width, "below")
    message = (
        f"Reward mean {mean:.4g} on {tested.policy_id}, {clock(start, tested.window_end)}, is {side} "
        f"{limit:.4g}: {params.sigmas:g} x {reference.scale:.3g} standard errors of {error:.3g} from the "
        f"baseline's mean {expected:.4g} at this time."
    )
    state = {
        "z": off / error if error else None, "s": reference.scale, "e": error, "reference_mean": expected,
        "merged_from": start.isoformat(), "escalate_only": off > 0,
    }  # fmt: skip
    at = tested.window_start, tested.window_end
    return Firing("reward_deviation", tested.key, tested.policy_id, *at, mean, limit, message, state)


def judged(series: Mapping[str, Sequence[Reading]], params: RewardDeviationParams) -> bool:
    """True where the newest window closes a group of at least 30 decisions."""
    return last_group(series["reward_mean"], MIN_DECISIONS) is not None


def facts(context: Context) -> dict[str, Any]:
    """The baseline by phase, and whose it is."""
    return {"reference": frozen_rewards(context.healthy, context.season), "own": context.own}
