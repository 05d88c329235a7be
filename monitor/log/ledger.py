"""What was read of each file, so that a run reads only what is new.

A plain text file that only grew is read from its last complete line; its head and the bytes before
that point must still be the same. Anything else that changed is read whole, and its repeats drop
out as duplicates.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from monitor.log.lines import BOM, Chunk

PRINT = 4096
QUIET = 60.0


@dataclass(frozen=True)
class Entry:
    """How far a file was read. `offset` and `lines` count what was read; `open_from` is the first
    byte of a last line that was read although it had no line end (None: there was none)."""

    size: int
    modified: float
    head: str
    tail: str
    offset: int
    lines: int
    open_from: int | None = None


@dataclass(frozen=True)
class Start:
    """Where to begin: byte `offset` after line number `lines`; `again` means that the file was read
    before, in whole, and now changed."""

    offset: int = 0
    lines: int = 0
    again: bool = False


def find(connection: duckdb.DuckDBPyConnection, file: str, kind: str) -> Entry | None:
    """The ledger's entry of a file, None for a new one."""
    rows = connection.execute(
        'SELECT size, modified, head, tail, "offset", lines, open_from FROM files '
        "WHERE file = ? AND source = ?",
        [file, kind],
    ).fetchall()
    return Entry(*rows[0]) if rows else None


def start(path: Path, entry: Entry | None, *, in_lines: bool) -> Start | None:
    """Where to read `path` from; None when there is nothing new. `in_lines`: plain text, which may grow."""
    if entry is None:
        return Start()
    stat = path.stat()
    same = stat.st_size == entry.size and stat.st_mtime == entry.modified
    if not in_lines:
        marks = fingerprints(path, stat.st_size)
        return None if same and marks == (entry.head, entry.tail) else Start(again=True)
    grew = stat.st_size >= entry.offset and fingerprints(path, entry.offset) == (entry.head, entry.tail)
    if not grew or (stat.st_size == entry.size and not same):
        return Start(again=True)
    if stat.st_size == entry.offset:
        return None
    if entry.open_from is not None and not _closed(path, entry.offset):
        return Start(entry.open_from, entry.lines - 1)
    return Start(entry.offset + _line_end(path, entry), entry.lines)


def wait_for_rest(path: Path, chunk: Chunk, now: datetime, *, in_lines: bool, json_lines: bool) -> bool:
    """True for a last line without an end that may still be being written.

    A JSON object that parses is whole. Anything else counts as whole once the file has not been
    modified for a minute, and in a compressed file at once.
    """
    if chunk.ended or not in_lines:
        return False
    if json_lines and _is_object(chunk):
        return False
    return now.astimezone(UTC).timestamp() - path.stat().st_mtime < QUIET


def entry_of(path: Path, stat: os.stat_result, read: Chunk | None, begin: Start, *, in_lines: bool) -> Entry:
    """What to note after reading up to `read` (None: no line was read); `stat` was taken before."""
    if not in_lines:
        return Entry(stat.st_size, stat.st_mtime, *fingerprints(path, stat.st_size), stat.st_size, 0)
    offset, lines = (read.end, read.lines) if read else (begin.offset, begin.lines)
    entry = Entry(stat.st_size, stat.st_mtime, *fingerprints(path, offset), offset, lines)
    return entry if read is None or read.ended else replace(entry, open_from=read.start)


def note(
    connection: duckdb.DuckDBPyConnection, file: str, kind: str, entry: Entry, at: datetime
) -> None:
    """Write the entry of a file, within the transaction that holds its rows."""
    connection.execute("DELETE FROM files WHERE file = ? AND source = ?", [file, kind])
    connection.execute(
        "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [file, kind, entry.size, entry.modified, entry.head, entry.tail, entry.offset, entry.lines,
         entry.open_from, at.astimezone(UTC).replace(tzinfo=None)],
    )  # fmt: skip


def fingerprints(path: Path, end: int) -> tuple[str, str]:
    """Hashes of the first bytes and of the last bytes before `end`."""
    with path.open("rb") as file:
        head = file.read(min(PRINT, end))
        file.seek(max(0, end - PRINT))
        tail = file.read(min(PRINT, end))
    return hashlib.sha256(head).hexdigest()[:32], hashlib.sha256(tail).hexdigest()[:32]


def _closed(path: Path, offset: int) -> bool:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(2).startswith((b"\n", b"\r\n"))


def _line_end(path: Path, entry: Entry) -> int:
    if entry.open_from is None:
        return 0
    with path.open("rb") as file:
        file.seek(entry.offset)
        return 2 if file.read(2) == b"\r\n" else 1


def _is_object(chunk: Chunk) -> bool:
    raw = chunk.table.column("raw")
    try:
        return len(raw) == 1 and isinstance(json.loads(raw[0].as_py().removeprefix(BOM.decode())), dict)
    except (ValueError, RecursionError):
        return False
