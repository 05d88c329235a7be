"""Means and spreads of the decisions of the baseline, frozen with it."""

from __future__ import annotations

import math

import duckdb
import numpy as np

from monitor.config import Config
from monitor.store import quoted
from monitor.sums.episode_cost import costs, measured
from monitor.sums.family import reward
from monitor.sums.goodhart import BOTH


def moments(connection: duckdb.DuckDBPyConnection, config: Config, within: str) -> dict[str, list[float]]:
    """[mean, sd] (n − 1), weighted by 1/k, of the reward, and of proxy and outcome where both are known;
    a value that is known on fewer than two rows is left out. `within` says which decisions."""
    found = {}
    paired = f"CASE WHEN {BOTH} THEN {{}} END"
    values = {"reward": reward(config)} | {c: paired.format(c) for c in ("proxy_reward", "outcome")}
    for name, value in values.items():
        values_of = f"SELECT {value} AS x, 1e0 / keep_prob AS k FROM decisions WHERE {within}"
        rows = f"({values_of}) WHERE x IS NOT NULL"
        ((n, mean),) = connection.execute(f"SELECT COUNT(*), SUM(x * k) / SUM(k) FROM {rows}").fetchall()
        if n < 2:
            continue
        ((square,),) = connection.execute(
            f"SELECT SUM((x - ?) * (x - ?) * k) / SUM(k) FROM {rows}", [mean, mean]
        ).fetchall()
        found[name] = [float(mean), math.sqrt(square * n / (n - 1))]
    return found


def cost_spreads(
    connection: duckdb.DuckDBPyConnection, config: Config, within: str, window: int
) -> dict[str, dict[str, float]]:
    """sd (n − 1) of the mean cost Σ(cost/k)/Σ(1/k) of windows of `window` hours, and their number, of each
    soft constraint that has two or more; of whole episodes where they are measured so."""
    spreads = {}
    for constraint in config.soft:
        if constraint in measured(config):
            rows = f"SELECT hour, k, c0 AS cost FROM ({costs(config, [constraint])})"
            rows = f"WITH decisions AS (SELECT * FROM main.decisions WHERE {within}) {rows}"
        else:
            cost = quoted(f"cost_{constraint}")
            rows = f"SELECT hour, 1e0 / keep_prob AS k, {cost} AS cost FROM decisions WHERE {within}"
        found = connection.execute(
            f"SELECT SUM(cost * k) / SUM(k) AS v FROM ({rows}) WHERE cost IS NOT NULL "
            f"GROUP BY hour // {window}"
        ).fetchnumpy()["v"]
        if len(found) > 1:
            spread = float(np.asarray(found, dtype=np.float64).std(ddof=1))
            spreads[constraint] = {"sd": spread, "windows": len(found)}
    return spreads
