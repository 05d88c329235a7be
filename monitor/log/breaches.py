"""Single-row rules: every record that breaks one is written down, rejected ones too.

A hard cost above 0, an executed action outside its envelope, an irreversible action. Duplicates and
late rewards say nothing new and are left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from monitor.config import Config
from monitor.log.books import Batched
from monitor.store import literal, quoted


def record(connection: duckdb.DuckDBPyConnection, work: Batched) -> None:
    """Write the breaches of the typed batch."""
    file = literal(work.file)
    for rule, key, condition, value in _rules(work.config, work.typing.present):
        found = f"""SELECT decision_id, ts, policy_id, {literal(rule)} AS rule, {literal(key)} AS "key",
                CAST({value} AS DOUBLE) AS value, {file} AS file, line,
                line IN (SELECT line FROM fates WHERE fate = 'rejected') AS rejected
            FROM typed WHERE {condition}
            AND line NOT IN (SELECT line FROM fates WHERE fate <> 'rejected')"""
        known = (
            """WHERE NOT EXISTS (FROM breaches k WHERE k.file = n.file AND k.line = n.line AND k.rule = n.rule
                AND k."key" = n."key" AND k.decision_id IS NOT DISTINCT FROM n.decision_id)"""
            if work.again
            else ""
        )
        connection.execute(f"INSERT INTO breaches BY NAME SELECT * FROM ({found}) n {known}")


def _rules(config: Config, present: Sequence[str]) -> list[tuple[str, str, str, str]]:
    """(rule, key, condition, value) of every single-row rule that the columns present can break."""
    costs = {k: quoted(f"cost_{k}") for k in config.hard if f"cost_{k}" in present}
    hard = [("hard", k, f"{cost} > 0", cost) for k, cost in costs.items()]
    envelope = [
        (
            "envelope",
            dim,
            f"({quoted('action_' + dim)} < {low!r}::DOUBLE OR {quoted('action_' + dim)} > {high!r}::DOUBLE)",
            quoted("action_" + dim),
        )
        for dim, (low, high) in config.envelope.items()
        if f"action_{dim}" in present
    ]
    return [*hard, *envelope, ("irreversible", "", "irreversible", "1")]
