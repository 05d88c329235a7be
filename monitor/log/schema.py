"""The tables of decisions.duckdb: one row a decision, and the books kept beside it."""

from __future__ import annotations

import duckdb

from monitor.config import Config
from monitor.store import quoted

TYPES = {
    "text": "VARCHAR",
    "number": "DOUBLE",
    "whole": "BIGINT",
    "flag": "BOOLEAN",
    "time": "TIMESTAMP",
    "numbers": "DOUBLE[]",
}
LOGGED = {
    "decision_id": "text", "ts": "time", "policy_id": "text", "policy_version": "text",
    "candidate_id": "text", "unit_id": "text", "episode_id": "text", "step": "whole", "terminal": "flag",
    "segment": "text", "action": "text", "propensity": "number", "action_probs": "numbers",
    "n_actions": "whole", "candidate_action": "text", "candidate_propensity": "number",
    "candidate_probs": "numbers", "proposed_action": "text", "q_value": "number",
    "candidate_value": "number", "uncertainty": "number", "reward": "number", "reward_ts": "time",
    "proxy_reward": "number", "outcome": "number", "shaping": "number", "intrinsic": "number",
    "keep_prob": "number", "overridden": "flag", "irreversible": "flag", "activated": "flag",
}
DERIVED = {
    "hour": "whole", "unit_hash": "whole", "row_hash": "whole", "probs_entropy": "number",
    "probs_agreement": "number", "cross_agreement": "number", "total_variation": "number",
    "unsupported_mass": "number",
}
OF_DISTRIBUTIONS = {
    "greedy": ("flag", ("action_probs",)),
    "candidate_kl": ("number", ("action_probs", "candidate_probs")),
    "unsupported_mass": ("number", ("action_probs", "candidate_probs")),
}
LATE = ("reward", "outcome", "proxy_reward", "reward_ts")
BOOKS = """
    CREATE TABLE IF NOT EXISTS rejects (file VARCHAR, line BIGINT, source VARCHAR, reason VARCHAR,
        raw VARCHAR, hour BIGINT, mended_at TIMESTAMP);
    CREATE TABLE IF NOT EXISTS faults (file VARCHAR, line BIGINT, decision_id VARCHAR, policy_id VARCHAR,
        hour BIGINT, column_name VARCHAR, reason VARCHAR, value VARCHAR);
    CREATE TABLE IF NOT EXISTS breaches (decision_id VARCHAR, ts TIMESTAMP, policy_id VARCHAR,
        rule VARCHAR, "key" VARCHAR, value DOUBLE, file VARCHAR, line BIGINT, rejected BOOLEAN,
        judged_at TIMESTAMP);
    CREATE TABLE IF NOT EXISTS files (file VARCHAR, source VARCHAR, size BIGINT, modified DOUBLE,
        head VARCHAR, tail VARCHAR, "offset" BIGINT, lines BIGINT, open_from BIGINT, read_at TIMESTAMP);
    CREATE TABLE IF NOT EXISTS dirty_hours (hour BIGINT);
    CREATE TABLE IF NOT EXISTS pruned (before_hour BIGINT, terms VARCHAR);
    CREATE TABLE IF NOT EXISTS reward_parts (decision_id VARCHAR, reward DOUBLE, reward_ts TIMESTAMP);
"""


def logged(config: Config) -> dict[str, str]:
    """Every column that a decision may be logged with, and its kind (a key of TYPES)."""
    return {
        **LOGGED,
        **{f"state_{f}": "number" for f in config.state.numeric},
        **{f"state_{f}": "text" for f in config.state.categorical},
        **{
            prefix + dim: "number"
            for prefix in ("action_", "candidate_action_", "proposed_action_")
            for dim in config.action_dims
        },
        **{f"cost_{k}": "number" for k in config.constraints},
        **{f"predicted_{f}": "number" for f in config.predicted},
    }


def derived(config: Config) -> dict[str, str]:
    """Every column that ingest works out, and its kind. An unused column costs as much to write as a
    used one, so those of distributions are there only where the log may have them."""
    extra = {c: kind for c, (kind, given) in OF_DISTRIBUTIONS.items() if all(config.maps(g) for g in given)}
    return {**DERIVED, **extra}


def expected(config: Config) -> list[str]:
    """Columns that are read under their own names where the mapping does not name them."""
    return [
        "decision_id",
        "ts",
        *(f"state_{f}" for f in config.state.features),
        *(f"cost_{k}" for k in config.constraints),
        *(f"action_{dim}" for dim in config.action_dims),
    ]


def recommended(config: Config) -> list[str]:
    """The columns of a recommendation, beside the id of its decision."""
    return [c for c in logged(config) if c.startswith("candidate_")]


def create(connection: duckdb.DuckDBPyConnection, config: Config) -> None:
    """Create the tables, and add the columns that the config has gained. No primary keys: on
    millions of rows their index costs more than the load."""
    columns = {**logged(config), **derived(config)}
    connection.execute(BOOKS)
    _extend(connection, "decisions", columns)
    waiting = {"decision_id": "text", **{c: columns[c] for c in LATE}}
    waiting |= {c: columns[c] for c in recommended(config)}
    where = {"source": "text", "file": "text", "line": "whole", "hour": "whole"}
    _extend(connection, "waiting", {**where, **waiting})


def _extend(connection: duckdb.DuckDBPyConnection, table: str, columns: dict[str, str]) -> None:
    declared = {name: TYPES[kind] for name, kind in columns.items()}
    listing = ", ".join(f"{quoted(name)} {type_}" for name, type_ in declared.items())
    connection.execute(f"CREATE TABLE IF NOT EXISTS {quoted(table)} ({listing})")
    found = connection.execute(
        "SELECT column_name FROM duckdb_columns() WHERE table_name = ? AND NOT internal "
        "AND database_name = current_database()",
        [table],
    ).fetchall()
    for name in declared.keys() - {n for (n,) in found}:
        connection.execute(f"ALTER TABLE {quoted(table)} ADD COLUMN {quoted(name)} {declared[name]}")
