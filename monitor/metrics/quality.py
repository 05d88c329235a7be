"""How much of the log could be used, whoever decided."""

from __future__ import annotations

from collections.abc import Mapping

from monitor.metrics.estimate import Estimate, exact, missing
from monitor.metrics.sums import Settings, Sums


def unusable_share(states: Mapping[str, Sums], settings: Settings) -> Estimate:
    """The larger of: rejected rows / rows read, and for the worst column unusable values / rows read.

    `n` counts the rows read; `method` names the reason or the column. `no_data` where nothing was read.
    """
    counts: dict[str, float] = {}
    for key, n in zip(states["quality"].key.tolist(), states["quality"].columns["n"].tolist(), strict=True):
        counts[str(key)] = counts.get(str(key), 0.0) + n
    rejected = {k: n for k, n in counts.items() if k.startswith("rejects:")}
    faults = {k: n for k, n in counts.items() if k.startswith("faults:")}
    rows = counts.get("rows", 0.0) + sum(rejected.values())
    if not rows > 0:
        return missing("no_data", "share")
    worst = max(faults, key=faults.__getitem__, default="")
    if faults and faults[worst] > sum(rejected.values()):
        return exact(faults[worst] / rows, rows, "share", f"column {worst.removeprefix('faults:')}")
    most = max(rejected, key=rejected.__getitem__, default="")
    method = f"rejected, most for {most.removeprefix('rejects:')}" if rejected else "counted"
    return exact(sum(rejected.values()) / rows, rows, "share", method)
