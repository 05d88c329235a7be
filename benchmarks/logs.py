"""Seeded logs of the benchmark: N decisions with numeric features over D days, one Parquet file a day,
and three further hours after the first day and after the last.

DuckDB is imported where it is used: the process that measures others stays small, because the peak
memory of a child starts at that of its parent.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

START = datetime(2026, 1, 1, tzinfo=UTC)
LAG = timedelta(minutes=11)
FURTHER_HOURS = 3
ACTIONS = 6
PER_SESSION = 20
TEXTS = ("unit_id", "policy_id", "segment", "action", "candidate_action")
NUMBERS = ("propensity", "candidate_propensity", "reward", "cost_slow")
MONITOR_YAML = """\
store: var/{store}
policies: {{candidate: new, incumbent: old, safe: old}}
log: {{sources: [{{paths: ["{logs}/*.parquet"], format: parquet}}], propensity: probability}}
unit: {{column: unit_id}}
state: {{numeric: [{features}]}}
off_policy: {{ridge: {ridge}}}
reward: {{range: [0, 1], missing_after_maturity: exclude}}
constraints: {{slow: {{limit: 0.05, margin: 0.02}}}}
training: {{until: 2026-01-01}}
baseline: {{policy: old, from: 2026-01-01, to: 2026-01-02}}
expectations: {{off: "a benchmark of sums and readings"}}
"""


def features(count: int) -> list[str]:
    return [f"f{i:02}" for i in range(count)]


def measured(count: int) -> dict[str, str]:
    """What the measuring pass reads of a decision: column of the Parquet files -> sum that touches each
    value of it."""
    numbers = (*NUMBERS, *(f"state_{f}" for f in features(count)))
    return {
        "ts": "sum(epoch_us(ts))",
        **{c: f"sum(strlen({c}))" for c in TEXTS},
        **{c: f"sum({c})" for c in numbers},
    }


def weighed() -> dict[str, str]:
    """What `monitor evaluate` reads without a model of the reward."""
    return {name: touched for name, touched in measured(0).items() if name != "candidate_action"}


def write(folder: Path, rows: int, count: int, days: int) -> None:
    """Write the logs and three configurations: full.yaml reads logs/, early.yaml the first day alone,
    ridge.yaml is full.yaml with a fitted model.

    The further hours lie in further_full/ and further_early/, at the pace of the days before.
    """
    import duckdb

    connection = duckdb.connect(":memory:")
    connection.execute("SET TimeZone = 'UTC'")
    per_day, pace = -(-rows // days), max(1, rows // (days * 24))
    for day in range(days):
        size = min(per_day, rows - day * per_day)
        if size > 0:
            begin = START + timedelta(days=day)
            _file(connection, folder / f"logs/day_{day:02}.parquet", begin, 24, day * per_day, size, count)
    for name, day, first in (("early", 1, 2 * rows), ("full", days, 3 * rows)):
        for hour in range(FURTHER_HOURS):
            begin, at = START + timedelta(days=day, hours=hour), first + hour * pace
            _file(connection, folder / f"further_{name}/hour_{hour}.parquet", begin, 1, at, pace, count)
    connection.close()
    (folder / "early").mkdir()
    shutil.copy(folder / "logs/day_00.parquet", folder / "early")
    listed = ", ".join(features(count))
    wanted = (("full", "full", "logs"), ("early", "early", "early"), ("ridge", "full", "logs"))
    for name, store, logs in wanted:
        ridge = "true" if name == "ridge" else "false"
        text = MONITOR_YAML.format(store=store, logs=logs, features=listed, ridge=ridge)
        (folder / f"{name}.yaml").write_text(text, "utf-8")


def _file(
    connection: duckdb.DuckDBPyConnection, path: Path, begin: datetime, hours: int, first: int, size: int,
    count: int,
) -> None:
    """Rows `first` to `first + size` spread evenly over some hours. Every value is a hash of its row and
    column; a feature is a sum of three uniforms of variance 1, near enough to normal to be binned."""
    path.parent.mkdir(parents=True, exist_ok=True)
    begun, step = int(begin.timestamp()) * 1_000_000, hours * 3_600_000_000 / size
    uniform = "(hash(i, {}) >> 11) / 9007199254740992e0"
    drawn = " + ".join(uniform.format(f"{{0}}, {part}") for part in range(3))
    states = (f"2e0 * ({drawn.format(100 + at)}) - 3e0 AS state_{f}" for at, f in enumerate(features(count)))
    connection.execute(
        f"""COPY (SELECT 'd' || i AS decision_id, 'old' AS policy_id,
                make_timestamp({begun} + CAST((i - {first}) * {step!r} AS BIGINT)) AS ts,
                'u' || (i // {PER_SESSION}) AS unit_id,
                CASE WHEN hash(i, 1) % 3 = 0 THEN 'south' ELSE 'north' END AS segment,
                'a' || (hash(i, 2) % {ACTIONS}) AS action, 1e0 / {ACTIONS} AS propensity,
                'a' || (hash(i, 3) % {ACTIONS}) AS candidate_action,
                (CASE WHEN hash(i, 2) % 2 = 0 THEN 15e-1 ELSE 5e-1 END) / {ACTIONS} AS candidate_propensity,
                CAST({uniform.format(4)} < 1e-1 + 2e-2 * (hash(i, 2) % {ACTIONS}) AS DOUBLE) AS reward,
                CAST({uniform.format(5)} < 2e-2 AS DOUBLE) AS cost_slow, {", ".join(states)}
            FROM range({first}, {first + size}) t(i))
            TO '{path}' (FORMAT parquet)"""
    )
