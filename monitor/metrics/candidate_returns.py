"""Distribution of the returns that the candidate would have, from episodes that another policy controlled.

The weighted CDF Σ w 1{G ≤ g}/Σ w over sampled episodes, w the weight that an episode ends with.
Source: Chandak et al. 2021 (Universal off-policy evaluation).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from monitor.metrics.episode import unbounded
from monitor.metrics.estimate import Estimate
from monitor.metrics.quantiles import cvar, quantile
from monitor.metrics.sequential import why_not_whole
from monitor.metrics.sums import Settings, Sums


def candidate_return_q05(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """5th percentile of the candidate's returns."""
    return _quantile(states, 0.05, settings)


def candidate_return_q50(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Median of the candidate's returns."""
    return _quantile(states, 0.50, settings)


def candidate_return_q95(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """95th percentile of the candidate's returns."""
    return _quantile(states, 0.95, settings)


def candidate_return_cvar10(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Mean of the worst tenth of the candidate's returns."""
    return _judged(cvar(states["weighted_returns"], settings), states, settings)


def _quantile(states: Mapping[str, Sums], tau: float, settings: Settings) -> Estimate:
    return _judged(quantile(states["weighted_returns"], tau, unbounded(settings)), states, settings)


def _judged(found: Estimate, states: Mapping[str, Sums], settings: Settings) -> Estimate:
    reason = why_not_whole(states["sequential"], settings)
    return replace(found, reason=reason) if reason else found
