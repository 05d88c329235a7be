"""From decisions to readings: what a pass of `monitor run` and a gate over given files do alike."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import duckdb

from monitor import expectations, readings
from monitor.config import Config, Loaded
from monitor.expectations import Validated
from monitor.log import profile
from monitor.store import Store
from monitor.sums.baseline import Baseline
from monitor.sums.build import build

Progress = Callable[[str, int, int], None]


def profiled(connection: duckdb.DuckDBPyConnection, config: Config, as_of: datetime) -> str | None:
    """Profile the batches that this pass touched; a sentence where that failed, which stops nothing:
    days without a validation are NO_DATA at the gate."""
    if config.expectations_off:
        return None
    ends = profile.Ends(*(readings.closed_end(config, as_of, matured=m) for m in (False, True)))
    try:
        profile.update(connection, config, ends)
    except duckdb.Error as error:
        return f"the batches were not profiled: {str(error).splitlines()[0]}"
    return None


def measured(
    store: Store,
    config: Config,
    baseline: Baseline | None,
    as_of: datetime,
    progress: Progress | None = None,
    told: list[str] | None = None,
) -> int:
    """Sum dirty hours and measure the windows they are in; returns windows measured. `told` gets what
    became of sums that cannot be made again."""
    build(store, config, baseline.frozen if baseline else None, progress, told=told)
    return readings.measure(store, config, baseline, as_of, progress)


def validated(loaded: Loaded, store: Store, baseline: Baseline | None, as_of: datetime) -> Validated:
    """Validate the profiled batches. Great Expectations takes seconds to start, so it comes last."""
    if loaded.config.expectations_off:
        return Validated()
    closed = readings.closed_end(loaded.config, as_of, matured=False)
    return expectations.measure(loaded, store, baseline.hash if baseline else None, closed)
