"""Returns that fall apart into modes which the baseline does not have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monitor.metrics.estimate import Reading
from monitor.triggers.context import Context
from monitor.triggers.firing import Firing
from monitor.triggers.numbers import number
from monitor.triggers.windows import clock, usable

Series = Mapping[str, Sequence[Reading]]
USUAL = 0.05


@dataclass(frozen=True, slots=True)
class BimodalRewardParams:
    """`usual` is the share of the baseline's windows that are bimodal by the same rule, NaN without any."""

    p: float = number(0.01, 0, 0.5)
    dip: float = number(0.005, 0, 0.25)
    usual: float = math.nan


def bimodal_reward(series: Series, params: BimodalRewardParams) -> Firing | None:
    """Trips where Hartigan's dip of the returns is at least .005 with p below .01, unless more than a
    twentieth of the baseline's own windows are so. Discrete returns have no dip and are not judged."""
    dips, chances = series["reward_dip"], series["reward_dip_p"]
    if not dips or not chances or not usable(dips[-1]) or params.usual > USUAL:
        return None
    tested, p = dips[-1], chances[-1].estimate.value
    value = tested.estimate.value
    if chances[-1].window_start != tested.window_start or not (value >= params.dip and p < params.p):
        return None
    message = (
        f"Rewards of {tested.policy_id}, {clock(tested.window_start, tested.window_end)}, have several "
        f"modes: dip {value:.4g}, from {params.dip:g} on it is told, with p {p:.2g}."
    )
    at, state = (tested.window_start, tested.window_end), {"p": p, "method": tested.estimate.method}
    return Firing("bimodal_reward", tested.key, tested.policy_id, *at, value, params.dip, message, state)


def facts(context: Context) -> dict[str, Any]:
    """How usual several modes are in the baseline, by the numbers that ship."""
    shipped = BimodalRewardParams()
    chances = {r.window_start: r.estimate.value for r in context.healthy.of("reward_dip_p")}
    dips = [r for r in context.healthy.of("reward_dip") if usable(r)]
    if not dips:
        return {}
    small = [chances.get(r.window_start, math.nan) < shipped.p for r in dips]
    bimodal = [r.estimate.value >= shipped.dip and p for r, p in zip(dips, small, strict=True)]
    return {"usual": sum(bimodal) / len(bimodal)}
