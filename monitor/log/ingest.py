"""Ingest: every configured file that has something new, one transaction a file.

Killed at any moment a file is in wholly or not at all. A file that cannot be read leaves the store
as it was, is reported with one sentence, and the others go on.
"""

from __future__ import annotations

import glob
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from monitor import pii, retention
from monitor.config import Loaded, Source
from monitor.log import decisions, late, ledger, recommendations, schema
from monitor.log.account import Account, FileAccount
from monitor.log.books import Batched
from monitor.log.columns import wanted
from monitor.log.fields import Typing
from monitor.log.lines import Chunk, FileError, compressed
from monitor.log.readers import READERS, Batch

Progress = Callable[[str, int, int], None]
AHEAD = timedelta(hours=1)
ORDER = ("decisions", "recommendations", "rewards")
LOADERS = {"decisions": decisions.load, "recommendations": recommendations.load, "rewards": late.load}


def ingest(
    connection: duckdb.DuckDBPyConnection,
    loaded: Loaded,
    *,
    as_of: datetime,
    now: datetime,
    progress: Progress | None = None,
) -> Account:
    """Read what is new in the sources of `loaded`: decisions first, then what belongs to them.

    `as_of` and `now` are aware; a decision more than an hour after the later one is rejected as
    `future`. `progress(file, done, total)` is called after each batch, in bytes (rows of Parquet).
    Raises AccountError when records went missing, which is a defect.
    """
    connection.execute("SET TimeZone = 'UTC'")
    schema.create(connection, loaded.config)
    pii.arm(connection, loaded)
    account = Account()
    read: set[tuple[str, str]] = set()
    for kind in ORDER:
        for source in (s for s in loaded.config.log.sources if s.kind == kind):
            for pattern in source.paths:
                files = _matching(loaded.folder, pattern)
                if not files:
                    account.unmatched.append(pattern)
                for file in files:
                    if (kind, file) not in read:
                        read.add((kind, file))
                        told = _read(connection, loaded, source, file, as_of, now, progress)
                        account.files += [told] if told else []
    return account


def load(
    connection: duckdb.DuckDBPyConnection,
    loaded: Loaded,
    typing: Typing,
    batches: Iterable[Batch],
    *,
    name: str,
    again: bool,
    as_of: datetime,
    now: datetime,
    progress: Callable[[int], None] | None = None,
) -> tuple[FileAccount, Chunk | None]:
    """Load batches of the file `name` within the open transaction; returns the account, checked, and
    the last lines read. Raises FileError, AccountError."""
    kind = typing.source.kind
    account = FileAccount(name, kind)
    typing = replace(typing, floor=retention.floor(connection))
    limit = max(as_of, now).astimezone(UTC) + AHEAD
    work: Batched | None = None
    last: Chunk | None = None
    for batch in batches:
        account.rows_in += _count(connection, f"SELECT COUNT(*) FROM {batch.relation}")
        first_hour = work.first_hour if work else None
        work = Batched(
            connection, loaded.config, typing, batch, name, kind, as_of, limit, again, first_hour
        )
        LOADERS[kind](work, account)
        last = batch.chunk
        if progress:
            progress(batch.done)
    account.check()
    return account, last


def _read(
    connection: duckdb.DuckDBPyConnection,
    loaded: Loaded,
    source: Source,
    file: str,
    as_of: datetime,
    now: datetime,
    progress: Progress | None,
) -> FileAccount | None:
    """One file in one transaction; None when it has nothing new."""
    path = loaded.folder / file
    name = os.path.relpath(path, loaded.folder)
    connection.execute("BEGIN")
    try:
        stat = path.stat()
        if stat.st_size > loaded.config.max_file_bytes:
            raise FileError(f"{name} has {stat.st_size} bytes, more than max_file_bytes allows")
        in_lines = source.format != "parquet" and not compressed(path)
        begin = ledger.start(path, ledger.find(connection, name, source.kind), in_lines=in_lines)
        if begin is None:
            connection.execute("ROLLBACK")
            return None
        columns = wanted(loaded.config, source)
        reader = READERS[source.format](connection, path, source, columns)
        whole = _whole(reader.batches(connection, begin), path, source, now, in_lines)
        total = getattr(reader, "rows", None) or stat.st_size
        account, last = load(
            connection, loaded, Typing(loaded.config, source, columns, reader), whole, name=name,
            again=begin.again, as_of=as_of, now=now,
            progress=(lambda done: progress(name, done, total)) if progress else None,
        )  # fmt: skip
        entry = ledger.entry_of(path, stat, last, begin, in_lines=in_lines)
        ledger.note(connection, name, source.kind, entry, now)
        connection.execute("COMMIT")
        return account
    except duckdb.FatalException:
        raise
    except (FileError, duckdb.Error, pa.ArrowException, OSError, EOFError, zlib.error) as error:
        connection.execute("ROLLBACK")
        return FileAccount(name, source.kind, problem=_sentence(name, error, bool(loaded.config.pii)))
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _whole(
    batches: Iterable[Batch], path: Path, source: Source, now: datetime, in_lines: bool
) -> Iterator[Batch]:
    """The batches, without a last line that may still be being written."""
    for batch in batches:
        if batch.chunk and ledger.wait_for_rest(
            path, batch.chunk, now, in_lines=in_lines, json_lines=source.format == "jsonl"
        ):
            return
        yield batch


def _matching(folder: Path, pattern: str) -> list[str]:
    found = glob.glob(pattern, root_dir=folder, recursive=True)
    return sorted(f for f in found if (folder / f).is_file())


def _count(connection: duckdb.DuckDBPyConnection, select: str) -> int:
    return int(connection.execute(select).fetchall()[0][0])


def _sentence(name: str, error: Exception, personal: bool) -> str:
    """What went wrong; a database's own words may quote values, so not where some are personal."""
    quotes = personal and isinstance(error, (duckdb.Error, pa.ArrowException))
    text = str(error).splitlines()[0] if str(error) and not quotes else type(error).__name__
    return text if isinstance(error, FileError) else f"{name} cannot be read: {text}"
