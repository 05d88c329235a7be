"""Means and spreads of the decisions of the baseline, frozen with it."""

from __future__ import annotations

import math

import duckdb
import numpy as np

from monitor.config import Config
from monitor.store import quoted
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
    soft constraint that has two or more."""
    spreads = {}
    for constraint in config.soft:
        cost = quoted(f"cost_{constraint}")
        found = connection.execute(
            f"SELECT SUM({cost} / keep_prob) / SUM(1e0 / keep_prob) AS v FROM decisions "
            f"WHERE {within} AND {cost} IS NOT NULL GROUP BY hour // {window}"
        ).fetchnumpy()["v"]
        if len(found) > 1:
            spread = float(np.asarray(found, dtype=np.float64).std(ddof=1))
            spreads[constraint] = {"sd": spread, "windows": len(found)}
    return spreads
