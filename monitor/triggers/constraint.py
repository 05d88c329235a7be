"""A soft constraint violated more often than its limit allows, beyond what chance explains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    `inflation` φ is the variance of the baseline's window rates against binomial. The rule is
    tried on the last `spans` windows pooled, each at `tail`/(number of spans · K)."""

    limit: float = 0.0
    margin: float = 0.0
    n_constraints: int = 1
    inflation: float = 1.0
    tail: float = number(0.01, 0, 0.5)
    spans: tuple[int, ...] = (1, 3, 6, 24)


def constraint(series: Mapping[str, Sequence[Reading]], params: ConstraintParams) -> Firing | None:
    """Trips where v_k > d_k + δ and the binomial tail I_{d_k}(Nv_k, N − Nv_k + 1) < .01/(4K), on any
    of the last 1, 3, 6, 24 windows of `violation_rate` pooled; N = n/φ. d_k = 0: any violation.

    Windows are counted by the clock: one without traffic is empty, not skipped. The window shown
    is the newest; `state["windows"]` tells how many were pooled.
    """
    rates = series["violation_rate"]
    if not rates or not usable(rates[-1]):
        return None
    tested = rates[-1]
    length = tested.window_end - tested.window_start
    level = params.tail / (len(params.spans) * params.n_constraints)
    violations, n, age = 0.0, 0.0, len(rates) - 1
    for span in params.spans:
        while age >= 0 and rates[age].window_start > tested.window_start - span * length:
            if usable(rates[age]):
                violations += rates[age].estimate.value * rates[age].estimate.n
                n += rates[age].estimate.n
            age -= 1
        rate, tail = violations / n, _tail(violations, n, params)
        if rate > allowed(params) and tail < level:
            return _firing(tested, rate, n, tail, span, params)
        if params.limit == 0:
            return None
    return None


def facts(context: Context) -> dict[str, Any]:
    """The limit of this constraint, how many there are, and what the baseline's windows vary."""
    limit, margin = context.limits[context.key]
    return {
        "limit": limit,
        "margin": margin,
        "n_constraints": max(1, len(context.limits)),
        "inflation": context.inflation.get(context.key, 1.0),
    }


def allowed(params: ConstraintParams) -> float:
    """The rate above which a window may trip: d_k + δ, and 0 for a limit of 0."""
    return params.limit + params.margin if params.limit > 0 else 0.0


def _tail(violations: float, n: float, params: ConstraintParams) -> float:
    """P(Binomial(N, d_k) ≥ N·v_k) with N = n/φ; 0 for a limit of 0, 1 without a violation."""
    if violations > 0 and params.limit == 0:
        return 0.0
    return binomial_tail(violations / params.inflation, n / params.inflation, params.limit)


def _firing(
    tested: Reading, rate: float, n: float, tail: float, span: int, params: ConstraintParams
) -> Firing:
    start, end, key, policy = tested.window_start, tested.window_end, tested.key, tested.policy_id
    limit, pooled = allowed(params), clock(end - span * (end - start), end)
    message = (
        f"Constraint {key} was violated at a rate of {rate:.4g} in {n:.0f} decisions of {policy}, "
        f"{pooled}, above {limit:.4g}."
    )
    state = {"windows": span, "n": n, "tail": tail, "inflation": params.inflation}
    return Firing("constraint", key, policy, start, end, rate, limit, message, state)
