"""`monitor baseline show` and `diff`: what was frozen, and how far the newest days have left it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import pairwise
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from monitor.config import ConfigError, Loaded
from monitor.journal import Journal
from monitor.metrics.sums import Sums
from monitor.readings import closed_end, moment, sheet_of
from monitor.sheet import Sheet
from monitor.store import Store, opened
from monitor.sums.baseline import Baseline
from monitor.verdicts import current_baseline, store_of

DAYS = 7
MOVED = 4.0
SHOWN = 3


def show(loaded: Loaded) -> Iterator[str]:
    """Period, rows, hash, and the bins of every feature. Raises ConfigError where nothing is frozen."""
    baseline = _current(loaded, store_of(loaded))
    said: Mapping[str, Any] = baseline.body["specification"]
    yield f"baseline {baseline.hash}: {said['policy']}, {said['from'][:16]} to {said['to'][:16]} UTC"
    gap = f"longest gap {baseline.body['longest_gap_hours']} h"
    yield f"{baseline.body['rows']} decisions, windows of {said['window_hours']} h, {gap}"
    for feature, bins in baseline.body["features"].items():
        rows = sum(bins["counts"]["n"])
        blocks = f"{bins['n_blocks']} blocks"
        if "edges" in bins:
            edges, size = ", ".join(f"{e:.4g}" for e in bins["edges"]), max(0, len(bins["edges"]) - 1)
            yield f"  {feature}: numeric, {size} bins, {rows} rows, {blocks}: {edges}"
        else:
            names = ", ".join(bins["categories"])
            yield f"  {feature}: {len(bins['categories'])} categories, {rows} rows, {blocks}: {names}"


def diff(loaded: Loaded, as_of: datetime) -> Iterator[str]:
    """Each feature's corrected D_JS between the baseline and the newest 7 days that are summed, of the
    policy that decided most in them, with the bins whose share moved by more than 4 standard errors of
    independent rows. Raises ConfigError, StoreError."""
    store, config = store_of(loaded), loaded.config
    baseline = _current(loaded, store)
    end = closed_end(config, as_of, matured=False)
    with opened(store.sums, read_only=True) as connection:
        last = _newest(connection, end)
        if last is None:
            raise ConfigError(["no decision is summed yet; run `monitor run` first"])
        start, end = last + 1 - 24 * DAYS, last + 1
        sheet = sheet_of(connection, config, baseline, start, end, end - start)
        policy = max(sheet.policies(), key=lambda p: sheet.cells("reward", p, "", "", start, end).total("n"))
        period = f"{moment(start):%Y-%m-%d %H:%M} to {moment(end):%Y-%m-%d %H:%M} UTC"
        yield f"{policy}, {period}, against baseline {baseline.hash}"
        for feature in baseline.features:
            yield from _feature(sheet, baseline, feature, policy, start, end)


def _current(loaded: Loaded, store: Store) -> Baseline:
    if store.journal.exists():
        with Journal(store.journal) as journal:
            found = current_baseline(journal, store)
        if found is not None:
            return found
    period = loaded.config.baseline
    needs = "`monitor run` once its period has closed" if period else "a `baseline:` in monitor.yaml"
    raise ConfigError([f"no baseline is frozen yet; it needs {needs}"])


def _newest(connection: duckdb.DuckDBPyConnection, end: int) -> int | None:
    found = connection.execute("SELECT MAX(hour) FROM sums_reward WHERE hour < ?", [end]).fetchone()
    return None if not found or found[0] is None else int(found[0])


def _feature(
    sheet: Sheet, baseline: Baseline, feature: str, policy: str, start: int, end: int
) -> Iterator[str]:
    found = sheet.estimate("state_js", policy, start, end, key=feature)
    if not math.isfinite(found.value):
        yield f"  {feature}: not measured ({found.reason})"
        return
    span = f" ({found.low:.4f} to {found.high:.4f})" if math.isfinite(found.low) else ""
    doubt = f", {found.reason}" if found.reason else ""
    yield f"  {feature}: D_JS {found.value:.4f} nat{span}, n = {found.n:.0f}{doubt}"
    bins = baseline.body["features"][feature]
    names = bin_names(bins)
    then, m = _shares(baseline.sums(feature), len(names))
    now, n = _shares(sheet.cells("state", policy, "", feature, start, end), len(names))
    error = np.sqrt(np.maximum((then * m + now * n) / (m + n), 1 / (m + n)) * (1 / n + 1 / m))
    for place in sorted(range(len(names)), key=lambda i: -abs(now[i] - then[i]))[:SHOWN]:
        if abs(now[place] - then[place]) > MOVED * error[place]:
            yield f"    {names[place]}: {100 * then[place]:.1f} % then, {100 * now[place]:.1f} % now"


def bin_names(bins: Mapping[str, Any]) -> list[str]:
    """The name of every bin of a feature, in the order of `monitor.sums.state.bin_of`."""
    if "edges" not in bins:
        return [*bins["categories"], "(other)", "(never seen before)", "(missing)"]
    edges = [f"{e:.4g}" for e in bins["edges"]]
    if not edges:
        return ["(any)", "(missing)"]
    inside = [f"{a} to {b}" for a, b in pairwise(edges)]
    return [f"under {edges[0]}", *inside, f"over {edges[-1]}", "(missing)"]


def _shares(sums: Sums, size: int) -> tuple[NDArray[np.float64], float]:
    """Share of each bin, and how many decisions there are (at least 1)."""
    counts = np.bincount(sums.key.astype(np.int64), sums.columns["n"], minlength=size).astype(np.float64)
    n = max(float(counts.sum()), 1.0)
    return counts / n, n
