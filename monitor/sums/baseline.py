"""The frozen baseline: bins, counts and spreads of a period in which the policy was healthy.

Frozen once into `baselines/<hash>.json`; the hash stands on every state sum, reading and verdict.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from monitor import pii
from monitor.config import Config
from monitor.metrics.constraint import variance_inflation
from monitor.metrics.divergence import block_maxima
from monitor.metrics.sums import Sums
from monitor.store import StoreError, literal, quoted
from monitor.sums.attribution import frozen_rewards
from monitor.sums.family import Frozen
from monitor.sums.moments import cost_spreads, moments
from monitor.sums.offpolicy import KEPT
from monitor.sums.state import bin_of
from monitor.sums.state_sample import frozen_sample

MIN_ROWS = 1000
HASH = re.compile("[0-9a-f]{16}")
QUANTILE_BINS = 20
NAMED_CATEGORIES = 50
USUAL_SHARE = 0.1
USUAL_ROWS = 100


@dataclass(frozen=True)
class Baseline:
    """A baseline as it was frozen; `body` is the content of its file."""

    hash: str
    body: Mapping[str, Any]

    @cached_property
    def frozen(self) -> Frozen:
        """What the SQL of the families needs."""
        body = self.body
        return Frozen(
            self.hash, body["features"], body["usual"], body["action_sd"], self.weight_clip,
            self.rows_per_day,
        )

    @property
    def weight_clip(self) -> float | None:
        """The .99 quantile of its importance weights; None where it had none."""
        return self.body.get("weight_clip")

    @property
    def rows_per_day(self) -> float:
        period = self.body.get("specification") or {}
        if not period:
            return 0.0
        begin, end = (datetime.fromisoformat(period[name]) for name in ("from", "to"))
        return float(self.body["rows"]) / max(1.0, (end - begin) / timedelta(days=1))

    @property
    def features(self) -> list[str]:
        return list(self.body["features"])

    def interior_bins(self, feature: str) -> int:
        return max(0, len(self.body["features"][feature].get("edges", [])) - 1)

    def block_maxima(self, feature: str) -> dict[int, float]:
        return {int(k): float(v) for k, v in self.body["features"][feature]["block_maxima"].items()}

    def n_blocks(self, feature: str) -> int:
        return int(self.body["features"][feature]["n_blocks"])

    @property
    def cost_spread(self) -> dict[str, tuple[float, int]]:
        """sd of the mean cost of windows, and their number, of each constraint; a baseline that was frozen
        by an older version has none."""
        return {k: (float(v["sd"]), int(v["windows"])) for k, v in self.body.get("cost_spread", {}).items()}

    @property
    def moments(self) -> dict[str, tuple[float, float]]:
        """Mean and sd of the reward, and of proxy and outcome where both are known; none in a baseline that
        was frozen by an older version."""
        return {k: (float(mean), float(sd)) for k, (mean, sd) in self.body.get("moments", {}).items()}

    def feature_sd(self, feature: str) -> float:
        """sd of a numeric feature, NaN where there is none."""
        sd = self.body["features"].get(feature, {}).get("sd")
        return math.nan if sd is None else float(sd)

    @cached_property
    def sample(self) -> Sums | None:
        """A sample of states, the bins of all features in the key; None in a baseline that was frozen by an
        older version or has no features."""
        rows = self.body.get("state_sample")
        if not rows or not rows["hour"]:
            return None
        hour = np.asarray(rows["hour"], dtype=np.int64)
        bucket = np.asarray(rows["bucket"], dtype=np.int64)
        return Sums(hour, bucket, np.asarray(rows["codes"], dtype=object), {"n": np.ones(len(hour))})

    @cached_property
    def _sums(self) -> dict[str, Sums]:
        return {f: _counts_as_sums(b["counts"]) for f, b in self.body["features"].items()}

    def sums(self, feature: str) -> Sums:
        """Counts of the feature by hour and bin."""
        return self._sums[feature]


def specification(config: Config) -> dict[str, Any] | None:
    """What a frozen baseline is bound to: a change of it asks for a new freeze."""
    if config.baseline is None:
        return None
    hidden = [c for c in config.pii if c.startswith("state_")]
    return {
        **({"hidden": hidden} if hidden else {}),
        "policy": config.baseline.policy,
        "from": config.baseline.start.isoformat(),
        "to": config.baseline.end.isoformat(),
        "numeric": list(config.state.numeric),
        "categorical": list(config.state.categorical),
        "window_hours": int(config.window.total_seconds() // 3600),
    }


def load(folder: Path, baseline_hash: str) -> Baseline:
    """Read a frozen baseline. Raises StoreError when it is gone or not what its hash says."""
    name = f"baselines/{baseline_hash}.json"
    try:
        body = json.loads((folder / f"{baseline_hash}.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        sentence = f"{name} cannot be read ({error}); put it back or freeze the baseline again"
        raise StoreError(sentence) from None
    if _hash(body) != baseline_hash:
        raise StoreError(f"{name} was changed after it was frozen; put it back or freeze the baseline again")
    return Baseline(baseline_hash, body)


def of(body: Mapping[str, Any]) -> Baseline:
    """A baseline from the content of its file. Raises ValueError where it is none."""
    if not isinstance(body, Mapping) or not isinstance(body.get("specification"), Mapping):
        raise ValueError("it is no frozen baseline")
    return Baseline(_hash(body), body)


def named_after(file: Path, baseline: Baseline) -> bool:
    """Whether a file holds what its name says; True where its name is no hash."""
    return not HASH.fullmatch(file.stem) or file.stem == baseline.hash


def due(connection: duckdb.DuckDBPyConnection, config: Config, as_of: datetime) -> bool:
    """Whether the period has closed and matured by `as_of` and holds enough rows."""
    period = config.baseline
    if period is None or as_of < period.end + config.log.lag + config.reward.matures_after:
        return False
    (rows,) = connection.execute(f"SELECT COUNT(*) FROM decisions WHERE {_within(config)}").fetchone() or (0,)
    return int(rows) >= MIN_ROWS


def freeze(connection: duckdb.DuckDBPyConnection, config: Config, folder: Path) -> Baseline:
    """Compute the baseline from decisions.duckdb and write its file."""
    window = int(config.window.total_seconds() // 3600)
    (rows,) = connection.execute(f"SELECT COUNT(*) FROM decisions WHERE {_within(config)}").fetchone() or (0,)
    features = {f: _numeric(connection, config, f, window) for f in config.state.numeric}
    features |= {f: _categorical(connection, config, f, window) for f in config.state.categorical}
    body = {
        "schema": 1,
        "specification": specification(config),
        "rows": int(rows),
        "features": features,
        "phi": {k: _phi(connection, config, k, window) for k in config.soft},
        "cost_spread": cost_spreads(connection, config, _within(config), window),
        "state_sample": frozen_sample(connection, features, _within(config)),
        "rewards": frozen_rewards(connection, config, features, _within(config)),
        "moments": moments(connection, config, _within(config)),
        "usual": _usual(connection, config),
        "action_sd": _action_sd(connection, config),
        "actions": _column(connection, config, "COUNT(DISTINCT action)"),
        "n_actions": _column(connection, config, "MAX(n_actions)"),
        "longest_gap_hours": _longest_gap(connection, config),
        "weight_clip": _weight_clip(connection, config),
    }
    body = json.loads(json.dumps(body))
    pii.hide_categories(connection, config, body["features"])
    found = Baseline(_hash(body), body)
    temporary = folder / f".{found.hash}.tmp"
    temporary.write_text(json.dumps(body), "utf-8")
    os.replace(temporary, folder / f"{found.hash}.json")
    return found


def _within(config: Config) -> str:
    period = config.baseline
    assert period is not None
    start, end = (int(t.timestamp() // 3600) for t in (period.start, period.end))
    return f"policy_id = {literal(period.policy)} AND hour >= {start} AND hour < {end}"


def _numeric(
    connection: duckdb.DuckDBPyConnection, config: Config, feature: str, window: int
) -> dict[str, Any]:
    column = quoted("state_" + feature)
    shares = ", ".join(f"{i / QUANTILE_BINS!r}" for i in range(QUANTILE_BINS + 1))
    edges, sd = connection.execute(
        f"SELECT quantile_disc({column}, [{shares}]), stddev_samp({column}) "
        f"FROM decisions WHERE {_within(config)}"
    ).fetchone() or ([], None)
    distinct = sorted(set(edges or []))
    if distinct:
        distinct[-1] = math.nextafter(distinct[-1], math.inf)
    bins: dict[str, Any] = {"edges": distinct, "sd": sd}
    return _counted(connection, config, feature, bins, window, max(0, len(distinct) - 1))


def _categorical(
    connection: duckdb.DuckDBPyConnection, config: Config, feature: str, window: int
) -> dict[str, Any]:
    column = quoted("state_" + feature)
    seen = [
        name
        for (name,) in connection.execute(
            f"SELECT {column} FROM decisions WHERE {_within(config)} AND {column} IS NOT NULL "
            "GROUP BY 1 ORDER BY COUNT(*) DESC, 1"
        ).fetchall()
    ]
    bins = {"categories": seen[:NAMED_CATEGORIES], "seen": seen[NAMED_CATEGORIES:]}
    return _counted(connection, config, feature, bins, window, 0)


def _counted(
    connection: duckdb.DuckDBPyConnection,
    config: Config,
    feature: str,
    bins: dict[str, Any],
    window: int,
    interior: int,
) -> dict[str, Any]:
    rows = connection.execute(
        f"SELECT hour, {bin_of(quoted('state_' + feature), bins)} AS bin, COUNT(*) AS n "
        f"FROM decisions WHERE {_within(config)} GROUP BY 1, 2 ORDER BY 1, 2"
    ).fetchnumpy()
    counts = {name: [int(v) for v in values] for name, values in rows.items()}
    size = len(bins["edges"]) + 2 if "edges" in bins else len(bins["categories"]) + 3
    blocks = _blocks(counts, window, size)
    maxima = block_maxima(blocks, interior)
    return {
        **bins,
        "counts": counts,
        "block_maxima": {str(k): float(v) for k, v in maxima.items()},
        "n_blocks": len(blocks),
    }


def _blocks(counts: Mapping[str, list[int]], window: int, size: int) -> np.ndarray:
    hours = np.asarray(counts["hour"], dtype=np.int64) // window
    labels, place = np.unique(hours, return_inverse=True)
    blocks = np.zeros((len(labels), size))
    np.add.at(blocks, (place, np.asarray(counts["bin"], dtype=np.int64)), counts["n"])
    return blocks


def _phi(connection: duckdb.DuckDBPyConnection, config: Config, constraint: str, window: int) -> float:
    cost = quoted(f"cost_{constraint}")
    found = connection.execute(
        f"SELECT CAST(SUM(CASE WHEN {cost} > 0e0 THEN 1 ELSE 0 END) AS DOUBLE) AS x, "
        f"CAST(COUNT({cost}) AS DOUBLE) AS n FROM decisions WHERE {_within(config)} "
        f"GROUP BY hour // {window} HAVING COUNT({cost}) > 0"
    ).fetchnumpy()
    n = np.asarray(found["n"])
    return variance_inflation(np.asarray(found["x"]) / n, n)


def _usual(connection: duckdb.DuckDBPyConnection, config: Config) -> dict[str, list[str]]:
    """Per segment the actions taken in at least a tenth of an even share of its decisions."""
    found = connection.execute(
        f"""WITH counts AS (SELECT segment, action, COUNT(*) AS n FROM decisions
                WHERE {_within(config)} AND action IS NOT NULL GROUP BY 1, 2),
            actions AS (SELECT COUNT(DISTINCT action) AS size FROM counts)
            SELECT segment, action FROM
                (SELECT *, SUM(n) OVER (PARTITION BY segment) AS rows FROM counts), actions
            WHERE rows >= {USUAL_ROWS} AND n >= {USUAL_SHARE}e0 * rows / size ORDER BY 1, 2"""
    ).fetchall()
    usual: dict[str, list[str]] = {}
    for segment, action in found:
        usual.setdefault(segment, []).append(action)
    return usual


def _action_sd(connection: duckdb.DuckDBPyConnection, config: Config) -> dict[str, float]:
    """sd of each dimension of a continuous action; a dimension that never moved has none."""
    found = {}
    for dimension in config.action_dims:
        column = quoted(f"action_{dimension}")
        rows = connection.execute(
            f"SELECT stddev_samp({column}) FROM decisions WHERE {_within(config)}"
        ).fetchall()
        if rows[0][0]:
            found[dimension] = float(rows[0][0])
    return found


def _weight_clip(connection: duckdb.DuckDBPyConnection, config: Config) -> float | None:
    """The .99 quantile of the weights that off-policy estimates use."""
    (value,) = connection.execute(
        "SELECT CASE WHEN COUNT(candidate_propensity) >= 100 "
        "THEN quantile_cont(candidate_propensity / propensity, 99e-2) END FROM decisions "
        f"WHERE {_within(config)} AND {KEPT} AND propensity > 0e0"
    ).fetchone() or (None,)
    return float(value) if value is not None and math.isfinite(value) else None


def _column(connection: duckdb.DuckDBPyConnection, config: Config, expression: str) -> int | None:
    (value,) = connection.execute(
        f"SELECT {expression} FROM decisions WHERE {_within(config)}"
    ).fetchone() or (None,)
    return None if value is None else int(value)


def _longest_gap(connection: duckdb.DuckDBPyConnection, config: Config) -> int:
    """Hours without a decision between two hours with one."""
    (gap,) = connection.execute(
        "SELECT MAX(hour - before) - 1 FROM (SELECT hour, LAG(hour) OVER (ORDER BY hour) AS before "
        f"FROM (SELECT DISTINCT hour FROM decisions WHERE {_within(config)}) AS hours) AS steps"
    ).fetchone() or (None,)
    return int(gap or 0)


def _counts_as_sums(counts: Mapping[str, list[int]]) -> Sums:
    hour = np.asarray(counts["hour"], dtype=np.int64)
    return Sums(
        hour,
        np.full(len(hour), -1, dtype=np.int64),
        np.asarray(counts["bin"], dtype=object),
        {"n": np.asarray(counts["n"], dtype=np.float64)},
    )


def _hash(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]
