"""The files of a sample log as lines that arrive one by one, so that a log can grow."""

from __future__ import annotations

import io
from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv


@dataclass(frozen=True)
class Part:
    """One file: `path` in the log's folder, its `header` line if it has one, its lines in the order in
    which they arrive, and `at`, the time of each, in ISO 8601."""

    path: str
    header: str
    lines: list[str]
    at: list[str]

    def seen(self, until: datetime) -> int:
        """How many lines have arrived before `until`."""
        return bisect_left(self.at, written(until))

    def write(self, directory: Path, until: datetime) -> None:
        """Write the file as it stood at `until`."""
        file = directory / self.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.header + "".join(self.lines[: self.seen(until)]), "utf-8")


def csv_part(path: str, table: pa.Table, at: str, since: datetime | None = None) -> Part:
    """The table as CSV with a header; `at` is the column, ascending, that says when a row arrives.
    Rows that arrived before `since` are left out."""
    table = arrived(table, at, since)
    text = io.BytesIO()
    pyarrow.csv.write_csv(table, text)
    header, *lines = text.getvalue().decode().splitlines(keepends=True)
    return Part(path, header, lines, table[at].to_pylist())


def arrived(table: pa.Table, at: str, since: datetime | None) -> pa.Table:
    """The rows of a table in order of `at` from `since` on; all without one."""
    return table if since is None else table.slice(bisect_left(table[at].to_pylist(), written(since)))


def json_lines(table: pa.Table) -> list[str]:
    """The rows as JSON objects, a line each, without the columns that are empty in all of them."""
    given = table.select([c for c in table.column_names if table[c].null_count < len(table)])
    if not len(given):
        return []
    with duckdb.connect() as connection:
        connection.register("given", given)
        lines = connection.sql("SELECT to_json(given) FROM given").to_arrow_table().column(0)
    return [line + "\n" for line in lines.to_pylist()]


def iso(ts: np.ndarray) -> np.ndarray:
    """datetime64 times as ISO 8601 text with milliseconds and Z."""
    return np.char.add(np.datetime_as_string(ts.astype("datetime64[ms]"), unit="ms"), "Z")


def written(moment: datetime) -> str:
    """One aware time as `iso` writes it."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"
