"""Rules about the log itself: nothing comes any more, or what comes cannot be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from monitor.metrics.estimate import Reading
from monitor.triggers.context import Context
from monitor.triggers.firing import Firing
from monitor.triggers.numbers import number
from monitor.triggers.windows import binomial_tail, clock, usable

CHANCE = 0.01
Series = Mapping[str, Sequence[Reading]]


@dataclass(frozen=True, slots=True)
class StaleParams:
    """`windows` without a single row, and longer than `longest_gap`, that of the baseline."""

    windows: float = number(2, 0, 1000)
    longest_gap: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class RejectsParams:
    """`share` is `log.max_rejects`; chance must explain less than `tail`."""

    tail: float = number(CHANCE, 0, 0.5)
    share: float = 0.01


def stale(series: Series, params: StaleParams) -> Firing | None:
    """Trips where at least 2 windows in a row, and more hours than the baseline was ever silent, hold no
    row at all."""
    readings = series["unusable_share"]
    silent = 0
    while silent < len(readings) and not readings[-1 - silent].estimate.n > 0:
        silent += 1
    if silent == 0 or silent == len(readings):
        return None
    tested, since = readings[-1], readings[-silent].window_start
    quiet, length = tested.window_end - since, tested.window_end - tested.window_start
    limit = max(params.windows * length, params.longest_gap + length)
    if quiet < limit:
        return None
    hours, most = (d / timedelta(hours=1) for d in (quiet, limit))
    message = (
        f"No decision was logged for {hours:g} hours, since {since:%Y-%m-%d %H:%M} UTC; {most:g} hours are "
        "told."
    )
    at = tested.window_start, tested.window_end
    return Firing("stale", tested.key, tested.policy_id, *at, hours, most, message, {"windows": silent})


def rejects(series: Series, params: RejectsParams) -> Firing | None:
    """Trips where the share of rejected rows, or of unusable values of one column, is above
    `log.max_rejects` and the binomial tail is below .01."""
    readings = series["unusable_share"]
    if not readings or not usable(readings[-1]):
        return None
    tested = readings[-1]
    value, n = tested.estimate.value, tested.estimate.n
    if not (value > params.share and binomial_tail(value * n, n, params.share) < params.tail):
        return None
    message = (
        f"{value:.4g} of {n:.0f} logged rows, {clock(tested.window_start, tested.window_end)}, could not be "
        f"used ({tested.estimate.method}), above {params.share:g}."
    )
    at = tested.window_start, tested.window_end
    return Firing("rejects", tested.key, tested.policy_id, *at, value, params.share, message)


def gap(context: Context) -> dict[str, Any]:
    """The longest silence of the baseline."""
    return {"longest_gap": context.longest_gap}


def allowed(context: Context) -> dict[str, Any]:
    """The share of rejects that the configuration allows."""
    return {"share": context.max_rejects}
