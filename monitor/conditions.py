"""How often each condition was met: those declared, else segments and tenths of the states' range."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from monitor.config import Config
from monitor.sums.baseline import Baseline


def counted(
    config: Config,
    baseline: Baseline | None,
    segments: Mapping[str, float],
    states: Callable[[str], Mapping[int, float]],
) -> dict[str, float]:
    """Decisions by condition, from decisions by segment and, for each feature, by bin of the baseline.

    Without `conditions` in the configuration: the segments that the baseline has, and pairs of the twenty
    bins of each numeric feature.
    """
    counts: dict[str, float] = {}
    wanted = config.conditions
    usual = sorted(baseline.body["usual"]) if baseline else []
    for segment in wanted.get("segment", [] if wanted else usual):
        counts[f"segment={segment or '(all)'}"] = segments.get(segment, 0.0)
    for feature in baseline.features if baseline else []:
        bins = baseline.body["features"][feature] if baseline else {}
        seen = states(feature)
        if "edges" in bins and not wanted:
            interior = max(0, len(bins["edges"]) - 1)
            for tenth in range(interior // 2):
                name = f"{feature} {tenth + 1}/{interior // 2}"
                counts[name] = seen.get(2 * tenth + 1, 0.0) + seen.get(2 * tenth + 2, 0.0)
        elif "categories" in bins and feature in wanted:
            for name in wanted[feature]:
                place = bins["categories"].index(name) if name in bins["categories"] else -1
                counts[f"{feature}={name}"] = seen.get(place, 0.0)
    return counts
