"""A feature whose distribution left the frozen baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from monitor.metrics.estimate import Reading
from monitor.triggers.context import Context, Healthy
from monitor.triggers.family import Others, among_guardrails, nobody
from monitor.triggers.firing import Firing
from monitor.triggers.numbers import number
from monitor.triggers.windows import clock, usable

LONG = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class StateShiftParams:
    """`n_tests` features are watched together, and `others` gives the p-values of those in the same window:
    p must be below `p` by Holm."""

    limit: float = number(0.1, 0, 0.7)
    p: float = number(0.001, 0, 0.5)
    n_tests: int = 1
    others: Others = nobody


def state_shift(series: Mapping[str, Sequence[Reading]], params: StateShiftParams) -> Firing | None:
    """Trips where corrected D_JS > 0.1, p < .001 (Holm over features), and D_JS > 1.25 x the largest
    divergence of the baseline's own blocks, for the newest window of one feature.

    Reads `state_js`, `state_js_p` and `state_js_limit`. Without enough blocks (*uncalibrated*), and
    always for windows of a day, it trips without the last clause in the one case and with it in
    the other, and `state["escalate_only"]` is True: it never rolls back by itself.
    """
    divergences = series["state_js"]
    if not divergences or not usable(divergences[-1]):
        return None
    tested = divergences[-1]
    p, bound = (_of_window(series[name], tested) for name in ("state_js_p", "state_js_limit"))
    if p is None:
        return None
    calibrated = bound is not None and "uncalibrated" not in bound.estimate.method
    limit = max(params.limit, bound.estimate.value) if bound is not None else params.limit
    value, chance = tested.estimate.value, p.estimate.value
    if not (value > limit and among_guardrails(chance, params.others, params.n_tests, params.p)):
        return None
    escalate_only = not calibrated or tested.window_end - tested.window_start >= LONG
    window = clock(tested.window_start, tested.window_end)
    message = (
        f"State feature {tested.key} of {tested.policy_id}, {window}, differs from the baseline by "
        f"{value:.4g} nat, above {limit:.4g}."
    )
    state = {
        "p": chance,
        "n": tested.estimate.n,
        "calibrated": calibrated,
        "escalate_only": escalate_only,
        "method": tested.estimate.method,
    }
    start, end = tested.window_start, tested.window_end
    return Firing("state_shift", tested.key, tested.policy_id, start, end, value, limit, message, state)


def facts(context: Context) -> dict[str, Any]:
    """How many features are watched together, and what is seen of the others."""
    return {"n_tests": max(1, context.features), "others": partial(context.others, _chance)}


def _chance(series: Mapping[str, Sequence[Reading]], healthy: Healthy) -> float:
    newest = series["state_js_p"][-1:]
    return newest[0].estimate.value if newest and usable(newest[0]) else 1.0


def _of_window(series: Sequence[Reading], tested: Reading) -> Reading | None:
    if not series or series[-1].window_start != tested.window_start or not usable(series[-1]):
        return None
    return series[-1]
