"""A rise of violations too small for one window, seen by the evidence of many: Shiryaev–Roberts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike

from monitor.metrics.estimate import Reading
from monitor.metrics.intervals import clopper_pearson
from monitor.triggers.context import Context, Healthy
from monitor.triggers.e_detector import MEMORY_DAYS, rising_from, shiryaev_roberts
from monitor.triggers.firing import Firing
from monitor.triggers.numbers import number
from monitor.triggers.seasons import Array
from monitor.triggers.windows import clock, since, usable

MIN_WINDOWS = 168
LARGEST_BET = 0.5

_KNOWN: WeakKeyDictionary[Healthy, FrozenRates | None] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class FrozenRates:
    """`most` is the upper end of the baseline's violation rate at each phase of the season, NaN where it
    has no decisions; phase 0 begins at `origin`, a window lasts `length`."""

    most: Array
    origin: datetime
    length: timedelta


@dataclass(frozen=True, slots=True)
class CostDetectorParams:
    """`run_length` is 1/α for all `n_constraints` together; `inflation` φ is the variance of the baseline's
    window rates against binomial; `reference` None without a baseline of 168 windows."""

    run_length: float = number(2160, 1, 1e6)
    n_constraints: int = 1
    inflation: float = 1.0
    reference: FrozenRates | None = None


def e_detector_cost(series: Mapping[str, Sequence[Reading]], params: CostDetectorParams) -> Firing | None:
    """Trips where M_t ≥ K/α, M_t = (1 + M_{t−1})L_t, L_t as in `likelihood_of_counts`: evidence that a
    constraint is violated oftener than in the baseline at the same time of day, for K constraints.

    M is folded anew from the readings of the last 11 days, as `e_detector` does. The promised run length
    needs no independence: only that each decision, whatever came before, violates at most at the upper end
    of the baseline's rate. Source: Shin, Ramdas, Rinaldo, arXiv 2203.03532.
    """
    rates, reference = series["violation_rate"], params.reference
    if reference is None or not rates or not usable(rates[-1]):
        return None
    tested = rates[-1]
    midnight = tested.window_start.replace(hour=0, minute=0, second=0, microsecond=0)
    recent = rates[since(rates, midnight - timedelta(days=MEMORY_DAYS)) :]
    n = np.array([r.estimate.n if usable(r) else 0.0 for r in recent])
    x = np.array([r.estimate.value * r.estimate.n if usable(r) else 0.0 for r in recent])
    most = reference.most[_phases(recent, reference.origin, reference.length, len(reference.most))]
    evidence = shiryaev_roberts(likelihood_of_counts(x, n, most, params.inflation))
    value, limit = float(evidence[-1]), params.run_length * params.n_constraints
    if not value >= limit:
        return None
    first = rising_from(evidence)
    rate = float(x[first:].sum() / n[first:].sum())
    message = (
        f"Constraint {tested.key} on {tested.policy_id} is violated oftener than in the baseline since about "
        f"{recent[first].window_start:%Y-%m-%d %H:%M} UTC: evidence of {value:.4g}, at least {limit:.4g} is "
        f"an alarm; {rate:.4g} since then, where at most {float(np.nanmax(most[first:])):.4g} is usual; "
        f"newest window {clock(tested.window_start, tested.window_end)}."
    )
    state = {"since": recent[first].window_start.isoformat(), "rate": rate, "windows": len(evidence)}
    at = tested.window_start, tested.window_end
    return Firing("e_detector_cost", tested.key, tested.policy_id, *at, value, limit, message, state)


def likelihood_of_counts(x: ArrayLike, n: ArrayLike, most: ArrayLike, inflation: float = 1.0) -> Array:
    """Product of 1 + λ(X/m − 1) over n decisions of which x violate, X in {0, 1}, to the power 1/φ.

    m is `most` and λ = m/(1 − m), at most ½: the bet that pays best where the rate has doubled. Its mean is
    at most 1 for decisions of rate at most m, and with the power, by Jensen, too. 1 for m not in (0, 1).
    """
    m = np.asarray(most, dtype=np.float64)
    known = (m > 0) & (m < 1)
    m = np.where(known, m, 0.5)
    bet = np.minimum(m / (1 - m), LARGEST_BET)
    events, others = np.asarray(x, dtype=np.float64), np.asarray(n, dtype=np.float64)
    log = events * np.log1p(bet * (1 / m - 1)) + (others - events) * np.log1p(-bet)
    return np.where(known, np.exp(log / inflation), 1.0)


def facts(context: Context) -> dict[str, Any]:
    """The baseline's rates by phase, and how many constraints are watched together."""
    inflation, healthy = context.inflation.get(context.key, 1.0), context.healthy
    if healthy not in _KNOWN:
        _KNOWN[healthy] = frozen_rates(healthy.of("violation_rate"), context.season, inflation)
    constraints = max(1, len(context.limits))
    return {"n_constraints": constraints, "inflation": inflation, "reference": _KNOWN[healthy]}


def frozen_rates(rates: Sequence[Reading], season: timedelta, inflation: float) -> FrozenRates | None:
    """Clopper–Pearson's upper end by phase, at n/φ decisions; None with fewer than 168 windows."""
    kept = [r for r in rates if usable(r)]
    if len(kept) < MIN_WINDOWS:
        return None
    origin, length = kept[0].window_start, kept[0].window_end - kept[0].window_start
    phases = max(1, season // length)
    at = _phases(kept, origin, length, phases)
    n = np.bincount(at, [r.estimate.n for r in kept], phases) / inflation
    x = np.bincount(at, [r.estimate.value * r.estimate.n for r in kept], phases) / inflation
    most = [clopper_pearson(float(a), float(b))[1] if b > 0 else math.nan for a, b in zip(x, n, strict=True)]
    return FrozenRates(np.array(most), origin, length)


def _phases(readings: Sequence[Reading], origin: datetime, length: timedelta, phases: int) -> Any:
    return np.array([(r.window_start - origin) // length % phases for r in readings], dtype=np.int64)
