"""Per policy and hour the 200 decisions of smallest hash with the bins of all their state features, as text
in the key: where the features go together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb

from monitor.config import Config
from monitor.store import literal, quoted
from monitor.sums.family import Family, Frozen
from monitor.sums.state import bin_of

SIZE = 200
FROZEN_SIZE = 2000


def _select(config: Config, baseline: Frozen | None) -> str | None:
    if baseline is None or not baseline.bins:
        return None
    columns = ", ".join(quoted("state_" + feature) for feature in baseline.bins)
    return f"""
        SELECT policy_id, '' AS candidate_id, hour, bucket, {codes(baseline.bins)} AS key, row_hash,
            {literal(baseline.hash)} AS baseline
        FROM (SELECT policy_id, hour, unit_hash % 64 AS bucket, row_hash, {columns},
                  ROW_NUMBER() OVER (PARTITION BY policy_id, hour ORDER BY row_hash) AS place
              FROM decisions) AS ranked
        WHERE place <= {SIZE}"""


def codes(bins: Mapping[str, Mapping[str, Any]]) -> str:
    """SQL of the bins of all features in their order, such as '3,17,2'."""
    places = (f"CAST({bin_of(quoted('state_' + f), b)} AS VARCHAR)" for f, b in bins.items())
    return "CONCAT(" + ", ',', ".join(places) + ")"


def frozen_sample(
    connection: duckdb.DuckDBPyConnection, bins: Mapping[str, Mapping[str, Any]], within: str
) -> dict[str, list[Any]]:
    """Hour, bucket and bins of the 2 000 decisions of the baseline of smallest hash."""
    if not bins:
        return {}
    found = connection.execute(
        f"SELECT hour, unit_hash % 64, {codes(bins)} FROM decisions WHERE {within} "
        f"ORDER BY row_hash LIMIT {FROZEN_SIZE}"
    ).fetchall()
    columns = zip(*found, strict=True) if found else ([], [], [])
    return dict(zip(("hour", "bucket", "codes"), (list(c) for c in columns), strict=True))


FAMILY = Family("state_sample", ("row_hash",), _select, inner="key", sampled=True)
