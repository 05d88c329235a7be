"""Rejects leave as JSON lines for a person to mend, and come back through their own reader."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path

import duckdb
import pyarrow as pa

from monitor import pii
from monitor.config import Loaded, Source
from monitor.log import schema
from monitor.log.account import Account, FileAccount
from monitor.log.books import dirty
from monitor.log.columns import wanted
from monitor.log.fields import Typing
from monitor.log.ingest import load
from monitor.log.lines import FileError
from monitor.log.readers import READERS, Csv, in_memory

KEYS = ("file", "line", "source", "reason", "raw")


@dataclass(frozen=True)
class Mended:
    """One record that comes back: where it stood, and its text now."""

    line: int
    raw: str
    broken: bool


def export(connection: duckdb.DuckDBPyConnection, path: Path) -> int:
    """Write every reject that is not mended yet as a JSON line {file, line, source, reason, raw};
    returns how many. What came after its time was pruned is left out: nothing can mend that."""
    rows = connection.execute(
        f"SELECT {', '.join(KEYS)} FROM rejects WHERE mended_at IS NULL AND reason <> 'pruned' "
        "ORDER BY file, line"
    )
    count = 0
    with path.open("w", encoding="utf-8") as out:
        while chunk := rows.fetchmany(10_000):
            records = (dict(zip(KEYS, row, strict=True)) for row in chunk)
            out.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
            count += len(chunk)
    return count


def load_mended(
    connection: duckdb.DuckDBPyConnection, loaded: Loaded, path: Path, *, as_of: datetime, now: datetime
) -> Account:
    """Load the texts of a mended export with the readers of their sources, in one transaction.

    A record that loads, or whose text was changed, marks its reject as mended; a changed one that
    is rejected again is a new reject. Lines left out of the file stay as they are, and so does a text
    that was not changed and holds hashes of personal columns. Raises FileError when the file is no
    such export, names a source that the configuration no longer has, or has a hash in a changed text.
    """
    connection.execute("SET TimeZone = 'UTC'")
    schema.create(connection, loaded.config)
    pii.arm(connection, loaded)
    account = Account()
    connection.execute("BEGIN")
    try:
        for (kind, file), records in _records(connection, path).items():
            account.files.append(_load(connection, loaded, kind, file, records, as_of, now))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return account


def _records(connection: duckdb.DuckDBPyConnection, path: Path) -> dict[tuple[str, str], list[Mended]]:
    stored = {
        (source, file, line): (reason, raw)
        for file, line, source, reason, raw in connection.execute(
            f"SELECT {', '.join(KEYS)} FROM rejects WHERE mended_at IS NULL"
        ).fetchall()
    }
    found: dict[tuple[str, str], dict[int, Mended]] = defaultdict(dict)
    for number, text in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not text.strip():
            continue
        try:
            record = json.loads(text)
            kind, file, line, raw = record["source"], record["file"], record["line"], record["raw"]
            reason, before = stored[(kind, file, line)]
        except (ValueError, TypeError, KeyError):
            raise FileError(
                f"{path.name}:{number} is not a rejected line of this store; "
                "change only `raw`, or export the rejects again"
            ) from None
        if not isinstance(raw, str):
            raise FileError(f"{path.name}:{number}: `raw` must be the text of the record")
        if re.search(pii.HASHED, raw):
            if raw == before:
                continue
            raise FileError(
                f"{path.name}:{number} still has the hash of a personal value; write the value in its place, "
                f"or mend line {line} of {file} itself"
            )
        found[(kind, file)][line] = Mended(line, raw, reason == "invalid_utf8" and raw == before)
    return {where: list(lines.values()) for where, lines in found.items()}


def _load(
    connection: duckdb.DuckDBPyConnection,
    loaded: Loaded,
    kind: str,
    file: str,
    records: Sequence[Mended],
    as_of: datetime,
    now: datetime,
) -> FileAccount:
    source = _source(loaded, kind, file)
    columns = wanted(loaded.config, source)
    # A Parquet row was kept as JSON, so that is how it comes back.
    reader = READERS["csv" if source.format == "csv" else "jsonl"](
        connection, loaded.folder / file, source, columns
    )
    flat = [m.raw if isinstance(reader, Csv) else " ".join(m.raw.splitlines()) for m in records]
    table = pa.table(
        {
            "line": pa.array([m.line for m in records], pa.int64()),
            "raw": pa.array(flat, pa.large_string()),
            "broken": pa.array([m.broken for m in records], pa.bool_()),
        }
    )
    typing = Typing(loaded.config, source, columns, reader)
    batches = [in_memory(connection, table)]
    account, _ = load(
        connection, loaded, typing, batches, name=file, again=True, as_of=as_of, now=now
    )
    _mark(connection, kind, file, table, now)
    return account


def _mark(
    connection: duckdb.DuckDBPyConnection, kind: str, file: str, table: pa.Table, now: datetime
) -> None:
    connection.register("mended_lines", table)
    mended = """r.mended_at IS NULL AND r.source = ? AND r.file = ? AND EXISTS (
        FROM mended_lines m WHERE m.line = r.line AND (m.raw <> r.raw
            OR m.line NOT IN (SELECT line FROM fates WHERE fate = 'rejected')))"""
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE mended_hours AS SELECT DISTINCT hour FROM rejects r WHERE {mended}",
        [kind, file],
    )
    dirty(connection, "SELECT hour FROM mended_hours")
    connection.execute(
        f"UPDATE rejects AS r SET mended_at = ? WHERE {mended}",
        [now.astimezone(UTC).replace(tzinfo=None), kind, file],
    )
    connection.unregister("mended_lines")


def _source(loaded: Loaded, kind: str, file: str) -> Source:
    for source in loaded.config.log.sources:
        if source.kind == kind and any(fnmatch(file, pattern.removeprefix("./")) for pattern in source.paths):
            return source
    raise FileError(f"no source of {kind} in the configuration matches {file} any more")
