"""Rewards by bin of a state feature and action: of the baseline, frozen; of a window, when it fired."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import duckdb
import numpy as np

from monitor.config import Config
from monitor.metrics.attribution import attribution
from monitor.pii import with_categories
from monitor.store import quoted
from monitor.sums.family import reward, texts
from monitor.sums.state import bin_of

NAMED_ACTIONS = 20
OTHER = ""
Table = dict[str, list[Any]]


def frozen_rewards(
    connection: duckdb.DuckDBPyConnection, config: Config, bins: Mapping[str, Mapping[str, Any]], within: str
) -> dict[str, Any]:
    """Of the baseline: its most frequent actions, and for each feature the rewards by bin and action."""
    found = connection.execute(
        f"SELECT action FROM decisions WHERE {within} AND action IS NOT NULL "
        f"GROUP BY 1 ORDER BY COUNT(*) DESC, 1 LIMIT {NAMED_ACTIONS}"
    ).fetchall()
    actions = [name for (name,) in found]
    tables = {f: rewards_by(connection, config, f, b, actions, within) for f, b in bins.items()}
    return {"actions": actions, "features": tables}


def rewards_by(
    connection: duckdb.DuckDBPyConnection,
    config: Config,
    feature: str,
    bins: Mapping[str, Any],
    actions: Sequence[str],
    condition: str,
) -> Table:
    """`bin`, `action` (others, and continuous ones, under ''), `n` rewarded decisions, `reward` their sum."""
    action = f"CASE WHEN action IN ({texts(list(actions))}) THEN action ELSE '{OTHER}' END"
    rows = connection.execute(
        f"SELECT {bin_of(quoted('state_' + feature), bins)} AS bin, {action} AS action, "
        f"COUNT({reward(config)}) AS n, COALESCE(SUM({reward(config)}), 0e0) AS reward "
        f"FROM decisions WHERE {condition} GROUP BY 1, 2 ORDER BY 1, 2"
    ).fetchall()
    columns = zip(*rows, strict=True) if rows else ([], [], [], [])
    return dict(zip(("bin", "action", "n", "reward"), (list(c) for c in columns), strict=True))


def of_window(
    connection: duckdb.DuckDBPyConnection, config: Config, body: Mapping[str, Any], condition: str
) -> dict[str, dict[str, float]]:
    """For each feature how the reward of the decisions that meet `condition` differs from the baseline's
    (`body`); empty where the baseline was frozen by an older version or nothing has a reward."""
    frozen = body.get("rewards")
    if not frozen:
        return {}
    found = {}
    for feature, bins in with_categories(connection, config, body["features"]).items():
        base = frozen["features"].get(feature)
        if base is None:
            continue
        now = rewards_by(connection, config, feature, bins, frozen["actions"], condition)
        places = {a: i for i, a in enumerate([*frozen["actions"], OTHER])}
        size = 1 + max([*now["bin"], *base["bin"]], default=0)
        split = attribution(_cells(now, places, size), _cells(base, places, size))
        if split is not None:
            found[feature] = asdict(split)
    return found


def _cells(table: Mapping[str, Sequence[Any]], places: Mapping[str, int], size: int) -> np.ndarray:
    cells = np.zeros((size, len(places), 2))
    for place, action, n, total in zip(*(table[c] for c in ("bin", "action", "n", "reward")), strict=True):
        cells[int(place), places[action]] += (n, total)
    return cells
