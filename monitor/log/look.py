"""A first look at log files that no configuration describes yet: a sample of their records.

At most 20 000 records are read, some from the beginning of every file and, where it can be reached
without reading all before it, some from its end. Nothing is guessed here; see `monitor/first_hour`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from monitor.log.lines import FileError, chunks, compressed, first_line, opened

SAMPLE = 20_000
FEWEST = 500
HEAD = 4 << 20
TAIL = 1 << 18
DELIMITERS = ",;\t|"
Record = dict[str, Any]


@dataclass(frozen=True)
class Look:
    """What one file shows. `records` by dotted path, the first ones first; `rows` is how many the file
    holds, estimated from its size (None where that cannot be told); `unread` counts sampled lines
    that are no record."""

    path: Path
    format: str
    delimiter: str
    records: Sequence[Record]
    rows: float | None
    unread: int = 0

    @property
    def columns(self) -> list[str]:
        """Every path of the sample, in the order of first sight."""
        return list(dict.fromkeys(name for record in self.records for name in record))


def look(paths: Sequence[Path], sample: int = SAMPLE) -> list[Look]:
    """A look at each file. Raises FileError for a file that is none of JSON lines, CSV, Parquet."""
    each = max(FEWEST, sample // max(1, len(paths)))
    return [_look(path, each) for path in paths]


def log_files(given: Path) -> list[Path]:
    """The file itself, or the log files of a folder, sorted. Raises FileError where there is none."""
    if given.is_file():
        return [given]
    known = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
    inside = given.rglob("*") if given.is_dir() else []
    found = sorted(
        p for p in inside if p.is_file() and p.name.removesuffix(".gz").removesuffix(".zst").endswith(known)
    )
    if not found:
        what = "holds no file that ends in .jsonl, .csv or .parquet" if given.is_dir() else "does not exist"
        if "*" in given.name:
            what += f"; name the folder {given.parent} instead"
        raise FileError(f"{given} {what}")
    return found


def flat(record: Mapping[str, Any], prefix: str = "") -> Record:
    """Nested objects as dotted paths. A key with a dot in it has no path and is left out."""
    found: Record = {}
    for key, value in record.items():
        if "." in key or not key:
            continue
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def _look(path: Path, sample: int) -> Look:
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        if not magic:
            raise FileError(f"{path.name} is empty; give a log file with decisions in it")
        if magic == b"PAR1":
            return _parquet(path, sample)
        return _lines(path, sample)
    except (OSError, EOFError, pa.ArrowException) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileError(f"{path.name} cannot be read: {text}") from None


def _parquet(path: Path, sample: int) -> Look:
    with pq.ParquetFile(path) as file:
        rows = file.metadata.num_rows
        head = next(file.iter_batches(batch_size=sample), None)
        records = head.to_pylist() if head is not None else []
        if rows > sample:
            last = file.read_row_group(file.num_row_groups - 1)
            records += last.slice(max(0, last.num_rows - FEWEST)).to_pylist()
    return Look(path, "parquet", ",", [flat(r) for r in records], rows)


def _lines(path: Path, sample: int) -> Look:
    lines = list(islice(_text(path), sample))
    if not lines:
        raise FileError(f"{path.name} holds no line of text")
    whole = len(lines) < sample
    size = sum(len(line.encode()) + 1 for line in lines)
    packed = compressed(path)
    rows = float(len(lines)) if whole else None if packed else path.stat().st_size / size * len(lines)
    tail = [] if whole or packed else _tail(path)
    if lines[0].lstrip()[:1] in "{[":
        records = list(_json([*lines, *tail]))
        return Look(path, "jsonl", ",", records, rows, len(lines) + len(tail) - len(records))
    header = first_line(path)
    text = header.decode("utf-8", "backslashreplace") if header is not None else lines[0]
    delimiter = max(DELIMITERS, key=text.count)
    names = [name.strip() for name in next(csv.reader([text], delimiter=delimiter), [])]
    records = list(_csv([*lines[1:], *tail], names, delimiter))
    if len(names) < 2 or not records:
        raise FileError(f"{path.name} is neither JSON lines, CSV with a header nor Parquet")
    return Look(path, "csv", delimiter, records, rows, len(lines) - 1 + len(tail) - len(records))


def _text(path: Path) -> Iterator[str]:
    with opened(path) as stream:
        for chunk in chunks(stream, start=0, lines=0, size=HEAD):
            yield from chunk.table.column("raw").to_pylist()


def _tail(path: Path) -> list[str]:
    """The last whole lines of a plain text file."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        parts = file.read().split(b"\n")[1:]
    return [t for part in parts if (t := part.decode("utf-8", "backslashreplace").strip("\r"))][-FEWEST:]


def _json(lines: Iterable[str]) -> Iterator[Record]:
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            yield flat(record)


def _csv(lines: Iterable[str], names: Sequence[str], delimiter: str) -> Iterator[Record]:
    for row in csv.reader(lines, delimiter=delimiter):
        if len(row) == len(names):
            yield {name: cell if cell != "" else None for name, cell in zip(names, row, strict=True) if name}
