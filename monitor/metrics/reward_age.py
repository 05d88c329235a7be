"""Mean reward as it was known at a given age, so that young windows can be compared with old ones."""

from __future__ import annotations

from collections.abc import Mapping

from monitor.metrics.estimate import Estimate, missing
from monitor.metrics.intervals import t_interval
from monitor.metrics.jackknife import jackknife
from monitor.metrics.ratios import divide
from monitor.metrics.sums import Settings, Sums


def reward_at_age(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Mean of the rewards that were known 1h, 6h, 24h, 72h or 168h after the decision, Σ(r/k)/Σ(1/k).

    Over the decisions whose reward had come by then; over all, with 0 for those to come, where
    `missing_after_maturity: 0`. A reward without `reward_ts` came with its decision; one that came in
    parts counts when its last part came. Two windows may be compared at any age that both have reached.
    """
    sums = states["reward_age"]
    n = sums.total("n")
    if not n > 0:
        return missing("no_data", "reward")
    jack = jackknife(lambda x: divide(x[..., 0], x[..., 1]), sums, ("r1", "k1"), settings)
    return t_interval(jack, n, "reward", settings)
