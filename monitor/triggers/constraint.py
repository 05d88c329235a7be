"""A soft constraint violated more often, or at a higher mean cost, than its limit allows, beyond chance."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monitor.metrics.estimate import Reading
from monitor.triggers.context import Context
from monitor.triggers.firing import Firing
from monitor.triggers.numbers import number
from monitor.triggers.windows import binomial_tail, clock, usable


@dataclass(frozen=True, slots=True)
class ConstraintParams:
    """`limit` d_k, `margin` δ; `n_constraints` K soft constraints are watched together;
    `inflation` φ is the variance of the baseline's window rates against binomial. `measure` is rate,
    mean_cost or episode_cost; for the latter two `spread` σ_k is the sd of the values of the
    baseline's `spread_windows` W windows (NaN where there is none). The rule is tried on the last `spans`
    windows pooled, each at `tail`/(number of spans · K)."""

    limit: float = 0.0
    margin: float = 0.0
    n_constraints: int = 1
    inflation: float = 1.0
    tail: float = number(0.01, 0, 0.5)
    spans: tuple[int, ...] = (1, 3, 6, 24)
    measure: str = "rate"
    spread: float = math.nan
    spread_windows: int = 0


METRIC_OF = {"rate": "violation_rate", "mean_cost": "mean_cost", "episode_cost": "episode_cost"}


def constraint(series: Mapping[str, Sequence[Reading]], params: ConstraintParams) -> Firing | None:
    """Trips where v_k > d_k + δ and the binomial tail I_{d_k}(Nv_k, N − Nv_k + 1) < .01/(4K), on any
    of the last 1, 3, 6, 24 windows of `violation_rate` pooled; N = n/φ. d_k = 0: any violation.
    Of `mean_cost` and `episode_cost` the tail is 1 − T_{W−1}((v_k − d_k)/(σ_k/√L)), L windows pooled;
    without σ_k it trips only for d_k = 0.

    Windows are counted by the clock: one without traffic is empty, not skipped. The window shown
    is the newest; `state["windows"]` tells how many were pooled.
    """
    rates = series[METRIC_OF[params.measure]]
    if not rates or not usable(rates[-1]):
        return None
    tested = rates[-1]
    length = tested.window_end - tested.window_start
    level = params.tail / (len(params.spans) * params.n_constraints)
    violations, n, pooled, age = 0.0, 0.0, 0, len(rates) - 1
    for span in params.spans:
        while age >= 0 and rates[age].window_start > tested.window_start - span * length:
            if usable(rates[age]):
                violations += rates[age].estimate.value * rates[age].estimate.n
                n += rates[age].estimate.n
                pooled += 1
            age -= 1
        rate, tail = violations / n, TAILS[params.measure](violations, n, pooled, params)
        if rate > allowed(params) and tail < level:
            return _firing(tested, rate, n, tail, span, params)
        if params.limit == 0:
            return None
    return None


def facts(context: Context) -> dict[str, Any]:
    """The limit of this constraint, how many there are, and what the baseline's windows vary."""
    limit, margin = context.limits[context.key]
    spread, windows = context.spread.get(context.key, (math.nan, 0))
    return {
        "limit": limit,
        "margin": margin,
        "n_constraints": max(1, len(context.limits)),
        "inflation": context.inflation.get(context.key, 1.0),
        "measure": context.measures.get(context.key, "rate"),
        "spread": spread,
        "spread_windows": windows,
    }


def allowed(params: ConstraintParams) -> float:
    """The rate or cost above which a window may trip: d_k + δ, and 0 for a limit of 0."""
    return params.limit + params.margin if params.limit > 0 else 0.0


def _binomial_tail(violations: float, n: float, pooled: int, params: ConstraintParams) -> float:
    """P(Binomial(N, d_k) ≥ N·v_k) with N = n/φ; 0 for a limit of 0, 1 without a violation."""
    if violations > 0 and params.limit == 0:
        return 0.0
    return binomial_tail(violations / params.inflation, n / params.inflation, params.limit)


def _t_tail(cost: float, n: float, pooled: int, params: ConstraintParams) -> float:
    """1 − T_{W−1} of how far the mean cost of `pooled` windows lies above d_k, in its standard errors; 0
    for a limit of 0, 1 without a cost or where the baseline has no two windows to tell σ_k from."""
    from scipy.special import stdtr

    if not cost > 0:
        return 1.0
    if params.limit == 0:
        return 0.0
    if params.spread_windows < 2 or not math.isfinite(params.spread):
        return 1.0
    above = cost / n - params.limit
    if params.spread == 0:
        return 0.0 if above > 0 else 1.0
    return float(stdtr(params.spread_windows - 1, -above / (params.spread / math.sqrt(pooled))))


TAILS: dict[str, Callable[[float, float, int, ConstraintParams], float]] = {
    "rate": _binomial_tail,
    "mean_cost": _t_tail,
    "episode_cost": _t_tail,
}


def _firing(
    tested: Reading, rate: float, n: float, tail: float, span: int, params: ConstraintParams
) -> Firing:
    start, end, key, policy = tested.window_start, tested.window_end, tested.key, tested.policy_id
    limit, pooled = allowed(params), clock(end - span * (end - start), end)
    told, counted = {
        "rate": (f"Constraint {key} was violated at a rate of {rate:.4g}", "decisions"),
        "mean_cost": (f"Constraint {key} had a mean cost of {rate:.4g}", "decisions"),
        "episode_cost": (f"Constraint {key} had a mean cost of {rate:.4g} an episode", "episodes"),
    }[params.measure]
    message = f"{told} in {n:.0f} {counted} of {policy}, {pooled}, above {limit:.4g}."
    scale = {"inflation": params.inflation} if params.measure == "rate" else {"spread": params.spread}
    state = {"windows": span, "n": n, "tail": tail, **scale}
    return Firing("constraint", key, policy, start, end, rate, limit, message, state)
