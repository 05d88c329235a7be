"""The two DuckDB files: opened late, closed early, with a bounded wait for the lock.

A process that writes a DuckDB file shuts out every other one, readers too. So ingest writes
`decisions.duckdb`, which only jobs open, and gate and report read `sums.duckdb`, which is
written in one short transaction.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

LOCK_WAIT = 30.0
PRIVATE = 0o700
SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    # Room to work in. More would only keep blocks of the file that the system keeps already.
    "memory_limit": "1280MiB",
}


class StoreError(Exception):
    """A store that cannot be opened or used, with what to do."""


class StoreHeld(StoreError):
    """Another run holds the store. Nothing is wrong: the next pass does what this one would have done."""


class Store:
    """Where the files of one installation are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.decisions = folder / "decisions.duckdb"
        self.sums = folder / "sums.duckdb"
        self.journal = folder / "journal.db"
        self.baselines = folder / "baselines"

    def create(self) -> None:
        """Make the folders: nobody else may look into the store. What lies above it is as open as usual, for
        a service reads the pointer there."""
        if not self.folder.parent.exists():
            before = os.umask(0o022)
            try:
                self.folder.parent.mkdir(parents=True, exist_ok=True)
            finally:
                os.umask(before)
        self.folder.mkdir(mode=PRIVATE, exist_ok=True)
        if self.folder.stat().st_mode & 0o077:
            self.folder.chmod(PRIVATE)
        self.baselines.mkdir(mode=PRIVATE, exist_ok=True)


def quoted(name: str) -> str:
    """An SQL identifier, quoted."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """An SQL text literal."""
    return "'" + value.replace("'", "''") + "'"


def has_table(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    """Whether the file that is open has a table of this name."""
    found = connection.execute(
        "SELECT 1 FROM duckdb_tables() WHERE table_name = ? AND database_name = current_database()", [table]
    ).fetchall()
    return bool(found)


@contextmanager
def opened(
    path: Path, *, read_only: bool = False, wait: float = LOCK_WAIT
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to one file, closed at the end. Raises StoreError that names the lock's holder.

    The file is attached to the process's one DuckDB instance under its own stem: making an instance
    takes 12 ms, attaching a file less than one.
    """
    connection = _instance().cursor()
    name = quoted(path.stem)
    try:
        _attach(connection, path, name, read_only, wait)
        try:
            connection.execute(f"USE {name}")
            connection.execute("SET TimeZone = 'UTC'")
            _spill_beside(connection, path)
            yield connection
        finally:
            _detach(connection, name)
    finally:
        connection.close()


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Hold the run lock of a store. Raises StoreHeld when another run holds it.

    The lock is the kernel's, so a killed run leaves none behind.
    """
    handle = os.open(folder / "run.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 32, 0).decode() or "unknown"
            raise StoreHeld(
                f"another run holds this store (process {holder}); wait for it to end"
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)


@functools.cache
def _instance() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(":memory:", config=SETTINGS)


def on_one_thread() -> None:
    """Have DuckDB use one thread, for one of as many processes as there are processors."""
    _instance().execute("SET threads = 1")


def _attach(
    connection: duckdb.DuckDBPyConnection, path: Path, name: str, read_only: bool, wait: float
) -> None:
    if read_only and not path.exists():
        raise StoreError(f"{path.name} does not exist yet; run `monitor run` first")
    deadline = time.monotonic() + wait
    pause = 0.01
    while True:
        try:
            mode = "(READ_ONLY)" if read_only else "(READ_WRITE)"
            connection.execute(f"ATTACH {literal(str(path))} AS {name} {mode}")
            return
        except duckdb.IOException as error:
            if "lock" not in str(error).lower():
                raise StoreError(f"{path.name} cannot be opened: {_first_line(error, path)}") from None
            if time.monotonic() > deadline:
                raise StoreError(
                    f"{path.name} is in use by {_holder(str(error))} and was not free within {wait:g} s; "
                    "try again when it has finished"
                ) from None
        except duckdb.Error as error:
            raise StoreError(f"{path.name} cannot be opened: {_first_line(error, path)}") from None
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)


def _spill_beside(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """What does not fit into memory goes beside the store, not into the folder one happens to be in.
    Once something was spilled the place cannot be changed any more."""
    with contextlib.suppress(duckdb.Error):
        connection.execute(f"SET temp_directory = {literal(str(path.parent / 'spill'))}")


def _detach(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Give the file back; what an exception left open is rolled back first."""
    with contextlib.suppress(duckdb.Error):
        connection.execute("ROLLBACK")
    connection.execute("USE memory")
    connection.execute(f"DETACH {name}")


def _holder(text: str) -> str:
    match = re.search(r"PID (\d+)", text)
    return f"process {match[1]}" if match else "another process"


def _first_line(error: Exception, path: Path) -> str:
    return str(error).splitlines()[0].replace(str(path), path.name)
