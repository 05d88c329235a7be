"""How often somebody else had the last word: a person, or the safety layer."""

from __future__ import annotations

from collections.abc import Mapping

from monitor.metrics.estimate import Estimate, missing
from monitor.metrics.intervals import kish, kish_size, zero_one_interval
from monitor.metrics.jackknife import jackknife
from monitor.metrics.ratios import divide
from monitor.metrics.sums import Settings, Sums


def override_rate(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Share of the decisions that a person took over, Σ(1{overridden}/k)/Σ(1/k).

    A decision that does not say is taken as not overridden, since many logs write only the overridden
    ones; where no decision of the window says anything: `no_data`.
    """
    if not states["overrides"].total("n_told") > 0:
        return missing("no_data", "share")
    return _share(states["overrides"], states, settings)


def clip_rate(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """Share of the decisions whose proposed action is not the executed one, Σ(1{differ}/k)/Σ(1/k), over
    decisions where both are known; of one dimension, or (key '') of the action as a whole."""
    return _share(states["clips"], states, settings)


def controlled_share(sums: Sums, units: float | None, settings: Settings) -> Estimate:
    """Share of the decisions that one policy made, Σn/ΣN: `v1` its decisions and `k1` all of them, by hour
    and bucket. `units` is the Kish number of units behind all of them; None: buckets bound it."""
    n = sums.total("k1")
    if not n > 0:
        return missing("no_data", "share")
    jack = jackknife(lambda x: divide(x[..., 0], x[..., 1]), sums, ("v1", "k1"), settings)
    own, every = jack.groups[:, 0], jack.groups[:, 1]
    size = kish(sums, "k1", None, "k", jack.groups, settings)
    if units is not None and not (settings.independent or settings.time_blocks):
        size = units
    return zero_one_interval(jack, own, every - own, n, size, n, "share", settings)


def _share(sums: Sums, states: Mapping[str, Sums], settings: Settings) -> Estimate:
    n = sums.total("n")
    if not n > 0:
        return missing("no_data", "share")
    jack = jackknife(lambda x: divide(x[..., 0], x[..., 1]), sums, ("v1", "k1", "x", "n"), settings)
    events, decisions = jack.groups[:, 2], jack.groups[:, 3]
    units = kish(sums, "k1", states.get("units"), "k", jack.groups, settings)
    effective = kish_size(sums.total("k1"), sums.total("k2"))
    return zero_one_interval(jack, events, decisions - events, effective, units, n, "share", settings)
