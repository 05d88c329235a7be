"""Fixtures that several kinds of tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import settings

from monitor import config as configuration
from monitor.config import Loaded
from monitor.log import schema

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")
CONFIG = """\
store: var/monitor
policies: {candidate: new, incumbent: old, safe: old}
log:
  sources:
    - {paths: ["logs/*.jsonl"], format: jsonl}
unit: {column: unit_id}
state: {numeric: [load], categorical: [season]}
reward: {range: [0, 2], missing_after_maturity: exclude}
constraints:
  slow: {limit: 0.02, margin: 0.01}
  crash: {limit: 0.0, margin: 0.0, hard: true}
envelope: {speed: [0.2, 1.0]}
baseline: {policy: old, from: 2026-01-01, to: 2026-01-04}
training: {until: 2026-01-01}
held_out: {from: 2026-01-04, to: 2026-01-20}
rollback: {kind: file, path: var/active_policy.json}
"""


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    """A small configuration in a folder of its own."""
    path = tmp_path / "monitor.yaml"
    path.write_text(CONFIG, "utf-8")
    return configuration.load(path)


@pytest.fixture
def decisions(loaded: Loaded) -> Callable[..., duckdb.DuckDBPyConnection]:
    """Fill `decisions` of a database in memory with seeded rows of two policies and one candidate."""

    def fill(seed: int, n: int = 4000) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(":memory:")
        schema.create(connection, loaded.config)
        rows = rows_of(seed, n)
        connection.register("rows", rows if loaded.config.predicted else rows.drop(["predicted_load"]))
        connection.execute("INSERT INTO decisions BY NAME SELECT * FROM rows")
        return connection

    return fill


def rows_of(seed: int, n: int):  # type: ignore[no-untyped-def]
    """Decisions with everything that can be missing missing somewhere."""
    import pyarrow as pa

    rng, rng_ts = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    hour = 490_000 + rng.integers(0, 72, n)
    holes = lambda share: rng.random(n) < share  # noqa: E731
    unit = rng.integers(0, 300, n)
    recommended = rng.random(n) < 0.8
    action = rng.choice(["a", "b", "c"], n)
    suggestion = rng.choice(["a", "b", "c"], n)
    p = rng.uniform(0.05, 1, n)
    return pa.table(
        {
            **_behaviour(np.random.default_rng(seed + 1000), n),
            "decision_id": [f"{seed}-{i}" for i in range(n)],
            "hour": hour,
            "ts": pa.array(hour * 3_600_000_000 + rng_ts.integers(0, 3_600_000_000, n), pa.timestamp("us")),
            "policy_id": rng.choice(["old", "new"], n, p=[0.8, 0.2]),
            "candidate_id": np.where(recommended, "new", ""),
            "unit_hash": unit * 7919 + 13,
            "row_hash": rng.integers(0, 2**62, n),
            "segment": rng.choice(["north", "south"], n),
            "action": pa.array(action, mask=holes(0.02)),
            "propensity": pa.array(p, mask=holes(0.05)),
            "candidate_action": pa.array(suggestion, mask=~recommended | holes(0.05)),
            "candidate_propensity": pa.array(rng.uniform(0, 1, n), mask=~recommended | holes(0.05)),
            "candidate_probs": pa.array(
                list(rng.dirichlet([1, 1, 1], n)), mask=~recommended | holes(0.5)
            ),
            "candidate_value": pa.array(rng.normal(1, 0.3, n), mask=holes(0.001)),
            "reward": pa.array(rng.choice([0.0, 1.0, 2.0, 0.3], n), mask=holes(0.1)),
            "keep_prob": rng.choice([1.0, 0.5], n, p=[0.9, 0.1]),
            "overridden": pa.array(rng.random(n) < 0.05, mask=holes(0.5)),
            "activated": pa.array(rng.random(n) < 0.95, mask=holes(0.5)),
            "probs_entropy": pa.array(rng.uniform(0, 1, n), mask=holes(0.6)),
            "probs_agreement": pa.array(rng.uniform(0, 1, n)),
            "cross_agreement": pa.array(rng.uniform(0, 1, n), mask=holes(0.6)),
            "total_variation": pa.array(rng.uniform(0, 1, n)),
            "state_load": pa.array(rng.normal(0, 1, n), mask=holes(0.03)),
            "state_season": pa.array(rng.choice(["low", "mid", "high", "rare"], n), mask=holes(0.03)),
            "cost_slow": pa.array((rng.random(n) < 0.05).astype(float), mask=holes(0.03)),
            "cost_crash": pa.array((rng.random(n) < 0.001).astype(float)),
            "action_speed": pa.array(rng.uniform(0.1, 1.1, n), mask=holes(0.03)),
        }
    )


def _behaviour(rng, n: int):  # type: ignore[no-untyped-def]
    """What only some logs have: distributions, overrides, proposals."""
    import pyarrow as pa

    holes = lambda share: rng.random(n) < share  # noqa: E731
    return {
        "n_actions": pa.array(rng.integers(1, 6, n), mask=holes(0.05)),
        "greedy": pa.array(rng.random(n) < 0.8, mask=holes(0.1)),
        "candidate_kl": pa.array(rng.uniform(0, 2, n), mask=holes(0.3)),
        "unsupported_mass": pa.array(np.where(holes(0.1), rng.uniform(0, 1, n), 0.0)),
        "proposed_action": pa.array(rng.choice(["a", "b", "c"], n), mask=holes(0.3)),
        "q_value": pa.array(rng.normal(1, 1, n), mask=holes(0.2)),
        "proxy_reward": pa.array(rng.normal(0, 1, n), mask=holes(0.2)),
        "outcome": pa.array(rng.uniform(0, 1, n).round(2), mask=holes(0.6)),
        "predicted_load": pa.array(rng.normal(0, 1, n), mask=holes(0.3)),
        "step": rng.integers(0, 1000, n),
    }
