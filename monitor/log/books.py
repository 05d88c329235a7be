"""The books beside the decisions: rejects, faults and dirty hours of one batch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb

from monitor import pii
from monitor.config import Config
from monitor.log.fields import Typing, faults
from monitor.log.readers import Batch
from monitor.store import literal


@dataclass
class Batched:
    """One batch in work: where it comes from, and the times that judge it. `limit`: a later ts is
    `future`. `again`: the file was read before, so what its books hold is not entered twice.
    `first_hour`: hour of the file's first good record, for records whose own time cannot be used."""

    connection: duckdb.DuckDBPyConnection
    config: Config
    typing: Typing
    batch: Batch
    file: str
    kind: str
    as_of: datetime
    limit: datetime
    again: bool = False
    first_hour: int | None = None

    @property
    def hour(self) -> int:
        """Hour for a record whose own time cannot be used."""
        return self.first_hour if self.first_hour is not None else self.arrival

    @property
    def arrival(self) -> int:
        """Hour in which the batch is read, in event time."""
        return int(self.as_of.timestamp() // 3600)


def keep_rejects(work: Batched, any_fate: bool) -> None:
    """Write the rejected records of the batch, whole, each with its reason and hour."""
    if not any_fate:
        return
    hour = "CASE WHEN f.reason = 'future' THEN NULL ELSE t.hour END" if work.kind == "decisions" else "NULL"
    work.connection.execute(
        "CREATE OR REPLACE TEMP TABLE thrown AS SELECT line, reason FROM fates WHERE fate = 'rejected'"
    )
    work.connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE new_rejects AS
            SELECT {literal(work.file)} AS file, f.line, {literal(work.kind)} AS source, f.reason,
                CASE WHEN f.reason = 'pruned' THEN '' ELSE {_kept(work, "o.raw", "f.line")} END AS raw,
                coalesce({hour}, {work.hour}) AS hour, NULL::TIMESTAMP AS mended_at
            FROM thrown f JOIN ({work.typing.reader.originals(work.batch, "thrown")}) o USING (line)
            JOIN typed t USING (line)"""
    )
    known = (
        "WHERE NOT EXISTS (FROM rejects r WHERE r.file = n.file AND r.line = n.line AND r.raw = n.raw)"
        if work.again
        else ""
    )
    work.connection.execute(f"INSERT INTO rejects BY NAME SELECT * FROM new_rejects n {known} ORDER BY line")
    dirty(work.connection, f"SELECT DISTINCT hour FROM new_rejects n {known}")


def keep_faults(work: Batched) -> int:
    """Write the faults of the records that were neither rejected nor seen before; returns how many."""
    whose = "policy_id, hour" if work.kind == "decisions" else "'' AS policy_id, NULL::BIGINT AS hour"
    work.connection.execute(
        """CREATE OR REPLACE TEMP TABLE unsound AS SELECT line FROM typed
            WHERE NOT ok AND line NOT IN (SELECT line FROM fates WHERE fate IN ('rejected', 'duplicates'))"""
    )
    work.connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE new_faults AS
            SELECT {literal(work.file)} AS file, line, decision_id, policy_id,
                coalesce(hour, {work.hour}) AS hour, fault.column_name AS column_name,
                fault.reason AS reason, {_fault_value(work.config)} AS value
            FROM ({faults(work.typing, work.batch, "unsound")}) f
            JOIN (SELECT line, decision_id, {whose} FROM typed) t USING (line)"""
    )
    known = (
        """WHERE NOT EXISTS (FROM faults k WHERE k.file = n.file AND k.line = n.line
            AND k.column_name = n.column_name AND k.value IS NOT DISTINCT FROM n.value)"""
        if work.again
        else ""
    )
    work.connection.execute(f"INSERT INTO faults BY NAME SELECT * FROM new_faults n {known} ORDER BY line")
    dirty(work.connection, f"SELECT DISTINCT hour FROM new_faults n {known}")
    return int(work.connection.execute("SELECT COUNT(*) FROM new_faults").fetchall()[0][0])


def dirty(connection: duckdb.DuckDBPyConnection, hours: str) -> None:
    """Mark the hours of a SELECT as dirty: their sums are computed again. Never an hour whose
    decisions were pruned: its sums cannot be had from what is left."""
    connection.execute(
        f"""INSERT INTO dirty_hours SELECT hour FROM ({hours}) found(hour)
            WHERE hour IS NOT NULL AND hour NOT IN (SELECT hour FROM dirty_hours)
            AND NOT EXISTS (FROM pruned WHERE before_hour > found.hour)"""
    )


def _kept(work: Batched, raw: str, line: str) -> str:
    """The text of a rejected record, without the values of personal columns."""
    if not work.config.pii:
        return raw
    reader, fields = work.typing.reader, dict[pii.Steps, bool]()
    for column in work.typing.columns if reader.objects else ():
        for path in map(reader.steps, column.paths):
            fields[path] = fields.get(path, False) or column.name in work.config.pii
    return pii.masked(raw, fields, f"{literal(work.file + ':')} || {line}")


def _fault_value(config: Config) -> str:
    if not config.pii:
        return "fault.value"
    personal = ", ".join(literal(c) for c in config.pii)
    value = pii.hashed("fault.value")
    return f"CASE WHEN fault.column_name IN ({personal}) THEN {value} ELSE fault.value END"
