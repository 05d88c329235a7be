"""The candidate's distribution of actions beside that of the policy in control."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from monitor.metrics.estimate import Estimate, missing
from monitor.metrics.intervals import t_interval
from monitor.metrics.jackknife import Statistic, jackknife
from monitor.metrics.ratios import divide
from monitor.metrics.sums import Settings, Sums


def cross_disagreement(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """How much oftener a draw of the candidate differs from one of the policy in control than two draws
    of the latter do: mean of (1 − Σ π_b π_e) − (1 − Σ π_b²). 0 for the same policy.

    Over decisions with both distributions logged; `no_data` without.
    """
    return _mean(states, lambda x: divide(x[..., 0] - x[..., 1], x[..., 2]), ("d1", "d0", "n_dist"), settings)


def total_variation(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Mean of ½ Σ |π_e − π_b|, 0 (the same) to 1 (nothing in common), over decisions with both logged."""
    return _mean(states, lambda x: divide(x[..., 0], x[..., 1]), ("tv", "n_dist"), settings)


def kl_safe(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """KL(candidate‖safe) = mean of Σ π_e ln(π_e/π_b) over decisions that the safe policy made, in nats.

    It is infinite where π_b = 0 < π_e: such decisions are counted apart, `method` says how many, and
    the value is that of the others with the reason `no_support`.
    """
    sums = states["pair"]
    infinite, n = sums.total("n_kl_inf"), sums.total("n_kl")
    if not n > 0:
        return missing("no_data", "nat")
    method = f"infinite on {infinite:.0f} of {n:.0f} decisions"
    if infinite == n:
        return missing("no_support", "nat", n, method)
    jack = jackknife(
        lambda x: divide(x[..., 0], x[..., 1] - x[..., 2]), sums, ("kl", "n_kl", "n_kl_inf"), settings
    )
    found = t_interval(jack, n - infinite, "nat", settings)
    if infinite:
        return replace(found, method=f"{method}, {found.method}", reason="no_support")
    return found


def _mean(
    states: Mapping[str, Sums], statistic: Statistic, columns: tuple[str, ...], settings: Settings
) -> Estimate:
    sums = states["pair"]
    n = sums.total("n_dist")
    if not n > 0:
        return missing("no_data", "share")
    return t_interval(jackknife(statistic, sums, columns, settings), n, "share", settings)

