"""The readers: each turns one file into batches of cells. A further format is one more class here
and one line in READERS."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import duckdb
import pyarrow as pa

from monitor.config import Source
from monitor.log.columns import Column, steps
from monitor.log.ledger import Start
from monitor.log.lines import Chunk, FileError, chunks, first_line, opened
from monitor.store import literal, quoted

LONGEST_LINE = 1 << 20
ROWS = 1_000_000
STAGED = "log_lines"
NUMBER = "(file_row_number + 1)"


@dataclass(frozen=True)
class Batch:
    """Some records of a file: a relation for the reader's SQL, how far the file was read in bytes
    or rows, and the chunk of lines it came from (None for Parquet)."""

    relation: str
    done: int
    chunk: Chunk | None = None


class Reader(Protocol):
    """`batches` yields the file piece by piece. Of a batch, `cells` is a SELECT of line, bad (the
    reason why a record cannot be read, or NULL), raw and one cell per column, `originals` a SELECT
    of line and raw; `only` names a table of the lines to keep. `objects`: raw is a JSON object where
    it can be read, and `steps` leads to a path in it. `types` gives the SQL type of every cell. `nested`
    is a condition that is true where a cell is a list or an object and not a plain text (None where
    that cannot be)."""

    types: Mapping[str, str]
    objects: bool

    def steps(self, path: str) -> tuple[str | int, ...]: ...
    def batches(self, connection: duckdb.DuckDBPyConnection, begin: Start) -> Iterator[Batch]: ...
    def cells(self, batch: Batch, only: str | None = None) -> str: ...
    def originals(self, batch: Batch, only: str | None = None) -> str: ...
    def nested(self, column: Column) -> str | None: ...


class JsonLines:
    """One JSON object a line. Where a line does not parse, what a single-row rule needs is still
    looked for in its text, so that a torn line does not hide a violation."""

    objects = True

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, path: Path, source: Source, columns: Sequence[Column]
    ) -> None:
        self.path, self.columns = path, columns
        self.types: Mapping[str, str] = {c.name: "VARCHAR" for c in columns}
        self.paths = list(dict.fromkeys(p for c in columns for p in c.paths))

    def steps(self, path: str) -> tuple[str | int, ...]:
        return tuple(steps(path))

    def batches(self, connection: duckdb.DuckDBPyConnection, begin: Start) -> Iterator[Batch]:
        return _line_batches(connection, self.path, begin)

    def cells(self, batch: Batch, only: str | None = None) -> str:
        extracted = ", ".join(literal(_json_path(p)) for p in self.paths)
        salvaged = ", ".join(_salvaged(p) for p in self.paths)
        cells = _cells(self.columns, lambda p: f"x[{self.paths.index(p) + 1}]")
        return f"""
            SELECT line, bad, raw, {cells} FROM (
                SELECT line, raw, bad, CASE WHEN bad IS NULL THEN json_extract_string(raw, [{extracted}])
                    ELSE [{salvaged}] END AS x
                FROM (
                    SELECT line, raw, CASE {_UNREADABLE}
                        WHEN json_valid(raw) THEN
                            CASE WHEN left(ltrim(raw), 1) = '{{' THEN NULL ELSE 'not_an_object' END
                        WHEN left(ltrim(raw), 1) = '{{' AND right(rtrim(raw), 1) <> '}}' THEN 'truncated'
                        ELSE 'not_json' END AS bad
                    FROM {batch.relation} {_where('line', only)}))"""

    def originals(self, batch: Batch, only: str | None = None) -> str:
        return f"SELECT line, raw FROM {batch.relation} {_where('line', only)}"

    def nested(self, column: Column) -> str | None:
        if len(column.paths) != 1:
            return None
        cell = quoted(column.name)
        path = literal(_json_path(column.paths[0]))
        # Only where the line is JSON: what was salvaged from another one may begin with a bracket too.
        kind = f"CASE WHEN bad IS NULL THEN json_type(raw, {path}) END"
        return f"(left({cell}, 1) IN ('{{', '[') AND coalesce({kind} IN ('OBJECT', 'ARRAY'), false))"


class Csv:
    """One record a line, after a header. Fields may be quoted; a quoted line break is not supported:
    such a record is rejected and its neighbours are not touched."""

    objects = False

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, path: Path, source: Source, columns: Sequence[Column]
    ) -> None:
        self.path, self.delimiter = path, source.delimiter
        self.header = _header(path, source.delimiter)
        self.columns = _found(columns, set(self.header), path)
        self.types: Mapping[str, str] = {c.name: "VARCHAR" for c in columns}
        twice = {p for c in self.columns for p in c.paths if self.header.count(p) > 1}
        if twice:
            raise FileError(f"{path.name} has two columns named '{min(twice)}' in its header")

    def steps(self, path: str) -> tuple[str | int, ...]:
        return (path,)

    def batches(self, connection: duckdb.DuckDBPyConnection, begin: Start) -> Iterator[Batch]:
        for batch in _line_batches(connection, self.path, begin):
            yield Batch(f"(SELECT * FROM {STAGED} WHERE line > 1)", batch.done, batch.chunk)

    def cells(self, batch: Batch, only: str | None = None) -> str:
        d = literal(self.delimiter)
        other = f'[^"{_escaped(self.delimiter)}]'
        field = f'{_escaped(self.delimiter)}("(?:[^"]|"")*"|{other}*)'
        well_formed = literal(f"(?:{field})*".replace("(\"", '(?:"'))
        cells = _cells(self.columns, lambda p: _unquoted(f"x[{self.header.index(p) + 1}]"))
        return f"""
            SELECT line, bad, raw, {cells} FROM (
                SELECT line, raw, x, CASE {_UNREADABLE} WHEN x IS NULL THEN 'not_csv'
                    WHEN len(x) <> {len(self.header)} THEN 'wrong_field_count' END AS bad
                FROM (
                    SELECT line, raw, broken, CASE WHEN NOT contains(raw, '"') THEN string_split(raw, {d})
                        WHEN regexp_full_match({d} || raw, {well_formed})
                        THEN regexp_extract_all({d} || raw, {literal(field)}, 1) END AS x
                    FROM {batch.relation} {_where('line', only)}))"""

    def originals(self, batch: Batch, only: str | None = None) -> str:
        return f"SELECT line, raw FROM {batch.relation} {_where('line', only)}"

    def nested(self, column: Column) -> str | None:
        return None


class Parquet:
    """Typed columns, read natively; `line` is the row number from 1."""

    objects = True

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, path: Path, source: Source, columns: Sequence[Column]
    ) -> None:
        self.file = f"read_parquet({literal(str(path))}, file_row_number = true)"
        described = connection.execute(f"DESCRIBE SELECT * FROM {self.file}").fetchall()
        self.known = {name: type_ for name, type_, *_ in described}
        tops = {p: p if p in self.known else str(steps(p)[0]) for c in columns for p in c.paths}
        self.columns = _found(columns, {p for p, top in tops.items() if top in self.known}, path)
        listing = _cells(self.columns, self._part, text=False)
        try:
            cells = connection.execute(f"DESCRIBE SELECT {listing} FROM {self.file}").fetchall()
        except duckdb.BinderException as error:
            raise FileError(f"{path.name} lacks a mapped column: {str(error).splitlines()[0]}") from None
        self.types: Mapping[str, str] = {name: type_ for name, type_, *_ in cells}
        ((self.rows,),) = connection.execute(f"SELECT COUNT(*) FROM {self.file}").fetchall()

    def steps(self, path: str) -> tuple[str | int, ...]:
        return (path,) if path in self.known else tuple(steps(path))

    def batches(self, connection: duckdb.DuckDBPyConnection, begin: Start) -> Iterator[Batch]:
        for first in range(0, self.rows, ROWS):
            last = min(first + ROWS, self.rows)
            span = f"file_row_number >= {first} AND file_row_number < {last}"
            yield Batch(f"(SELECT * FROM {self.file} WHERE {span})", last)

    def cells(self, batch: Batch, only: str | None = None) -> str:
        cells = _cells(self.columns, self._part, text=False)
        return (
            f"SELECT {NUMBER} AS line, NULL::VARCHAR AS bad, NULL::VARCHAR AS raw, {cells} "
            f"FROM {batch.relation} {_where(NUMBER, only)}"
        )

    def originals(self, batch: Batch, only: str | None = None) -> str:
        fields = ", ".join(f"{quoted(n)} := {quoted(n)}" for n in self.known if n != "file_row_number")
        return (
            f"SELECT {NUMBER} AS line, to_json(struct_pack({fields}))::VARCHAR AS raw "
            f"FROM {batch.relation} {_where(NUMBER, only)}"
        )

    def nested(self, column: Column) -> str | None:
        return None

    def _part(self, path: str) -> str:
        if path in self.known:
            return quoted(path)
        top, *rest = steps(path)
        return quoted(str(top)) + "".join(
            f"[{step + 1}]" if isinstance(step, int) else f"[{literal(step)}]" for step in rest
        )


def in_memory(connection: duckdb.DuckDBPyConnection, table: pa.Table) -> Batch:
    """Lines that are at hand (line, raw, broken) as one batch for a reader of lines."""
    connection.register(STAGED, table)
    return Batch(STAGED, len(table))


READERS: dict[str, Callable[..., Reader]] = {"jsonl": JsonLines, "csv": Csv, "parquet": Parquet}

_UNREADABLE = f"""WHEN broken THEN 'invalid_utf8' WHEN contains(raw, chr(0)) THEN 'nul_byte'
    WHEN strlen(raw) > {LONGEST_LINE} THEN 'line_too_long'"""


def _where(line: str, only: str | None) -> str:
    return f"WHERE {line} IN (SELECT line FROM {quoted(only)})" if only else ""


def _line_batches(connection: duckdb.DuckDBPyConnection, path: Path, begin: Start) -> Iterator[Batch]:
    with opened(path) as stream:
        if begin.offset:
            stream.seek(begin.offset)
        for chunk in chunks(stream, start=begin.offset, lines=begin.lines):
            connection.register(STAGED, chunk.table)
            yield Batch(STAGED, chunk.end, chunk)


def _cells(columns: Sequence[Column], part: Callable[[str], str], *, text: bool = True) -> str:
    """The select list of one cell per column: its part of the record, else its constant."""
    return ", ".join(f"{_cell(c, part, text)} AS {quoted(c.name)}" for c in columns)


def _cell(column: Column, part: Callable[[str], str], text: bool) -> str:
    if len(column.paths) > 1:
        parts = [f"CAST({part(p)} AS VARCHAR)" for p in column.paths]
        joined = " || '/' || ".join(f"coalesce({p}, '')" for p in parts)
        return f"CASE WHEN coalesce({', '.join(parts)}) IS NOT NULL THEN {joined} END"
    cell = part(column.paths[0]) if column.paths else None
    if column.constant is None:
        return cell or "NULL::VARCHAR"
    constant = literal(_constant(column.constant))
    if cell is None:
        return constant
    return f"coalesce({cell if text else f'CAST({cell} AS VARCHAR)'}, {constant})"


def _constant(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _json_path(path: str) -> str:
    keys = (f"[{s}]" if isinstance(s, int) else '."' + s.replace('"', '\\"') + '"' for s in steps(path))
    return "$" + "".join(keys)


def _salvaged(path: str) -> str:
    """The plain value after the last key of `path`, wherever it stands in an unreadable line."""
    key = [s for s in steps(path) if isinstance(s, str)][-1]
    pattern = f'"{_escaped(key)}"\\s*:\\s*(?:"([^"\\\\]*)"|([-+.\\w]+))'
    found = f"regexp_extract(raw, {literal(pattern)}, {{}})"
    return f"coalesce(nullif({found.format(1)}, ''), nullif(nullif({found.format(2)}, ''), 'null'))"


def _unquoted(field: str) -> str:
    plain = f"CASE WHEN left({field}, 1) = '\"' THEN replace({field}[2:-2], '\"\"', '\"') ELSE {field} END"
    return f"nullif({plain}, '')"


def _header(path: Path, delimiter: str) -> list[str]:
    line = first_line(path)
    if line is None:
        return []
    try:
        return [name.strip() for name in next(csv.reader([line.decode("utf-8")], delimiter=delimiter), [])]
    except (UnicodeDecodeError, csv.Error):
        raise FileError(f"{path.name} has no readable header in its first line") from None


def _found(columns: Sequence[Column], present: set[str], path: Path) -> list[Column]:
    """The columns with the paths that the file has. Raises FileError for one the config names."""
    needed = (p for c in columns if c.named and c.constant is None for p in c.paths)
    missing = sorted(p for p in needed if p not in present)
    if missing and present:
        raise FileError(
            f"{path.name} has no column '{missing[0]}', which the configuration maps; "
            f"it has {', '.join(sorted(present)[:8]) or 'none'}"
        )
    return [replace(c, paths=tuple(p for p in c.paths if p in present)) for c in columns]


def _escaped(text: str) -> str:
    return "".join(c if c.isalnum() or c == "_" else f"\\x{{{ord(c):x}}}" for c in text)

