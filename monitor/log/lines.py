"""Bytes to lines: a text file as Arrow tables of (line, raw, broken), a few megabytes at a time.

Splitting happens on whole chunks in C, never line by line. A line that is not UTF-8 is kept with
`\\xNN` in place of its bad bytes and marked as broken, and costs its neighbours nothing.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

CHUNK = 32 << 20
LONGEST = 64 << 20
BATCH = 4096
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
BOM = b"\xef\xbb\xbf"


class FileError(Exception):
    """A file that cannot be read as its source declares: one finished sentence."""


@dataclass(frozen=True)
class Chunk:
    """Whole lines: `table` has line (int64), raw (text), broken (bool), blank lines left out.
    The bytes span `start` to `end` of the (unpacked) file; `lines` is the number of the last line.
    `ended` is False only for a last line without a line end."""

    table: pa.Table
    start: int
    end: int
    lines: int
    ended: bool = True


def compressed(path: Path) -> bool:
    """True for gzip and zstd, told by the first bytes and not by the name."""
    with path.open("rb") as file:
        first = file.read(4)
    return first.startswith(GZIP) or first == ZSTD


def opened(path: Path) -> BinaryIO:
    """The file as a stream of unpacked bytes."""
    with path.open("rb") as file:
        first = file.read(4)
    if first.startswith(GZIP):
        return cast(BinaryIO, gzip.open(path, "rb"))
    if first == ZSTD:
        return cast(BinaryIO, pa.input_stream(str(path), compression="zstd"))
    return path.open("rb")


def first_line(path: Path) -> bytes | None:
    """The first line without its end, None while it has none."""
    with opened(path) as stream:
        first = stream.read(1 << 20)
    head, end, _ = first.partition(b"\n")
    return head.removeprefix(BOM).rstrip(b"\r") if end else None


def chunks(stream: BinaryIO, *, start: int, lines: int, size: int = CHUNK) -> Iterator[Chunk]:
    """Lines of `stream`, which stands at byte `start` after line number `lines`.

    Raises FileError for a line longer than 64 MiB: that is no log in lines.
    """
    rest = b""
    while block := stream.read(size):
        data = rest + block
        cut = data.rfind(b"\n") + 1
        data, rest = data[:cut], data[cut:]
        if data:
            yield (chunk := _chunk(data, start, lines, True))
            start, lines = chunk.end, chunk.lines
        if len(rest) > LONGEST:
            raise FileError(f"line {lines + 1} is longer than {LONGEST >> 20} MiB: this is no log in lines")
    if rest:
        yield _chunk(rest, start, lines, False)


def _chunk(data: bytes, start: int, lines: int, ended: bool) -> Chunk:
    end = start + len(data)
    if start == 0 and data.startswith(BOM):
        data = data[len(BOM) :]
    raw = _split(data)
    broken: Any = pa.nulls(len(raw), pa.bool_()).fill_null(False)
    try:
        raw.validate(full=True)
    except pa.ArrowInvalid:
        parts = data.removesuffix(b"\n").split(b"\n")
        texts = [part.decode("utf-8", "backslashreplace") for part in parts]
        broken = pa.array([t.encode() != part for t, part in zip(texts, parts, strict=True)])
        raw = pa.array(texts, pa.large_string())
    raw = pc.ascii_rtrim(raw, "\r\n")
    table = pa.table({"line": np.arange(lines + 1, lines + 1 + len(raw)), "raw": raw, "broken": broken})
    table = table.filter(pc.greater(pc.binary_length(pc.ascii_trim_whitespace(raw)), 0))
    # DuckDB scans a table with one thread per record batch.
    table = pa.Table.from_batches(table.to_batches(max_chunksize=BATCH), table.schema)
    return Chunk(table, start, end, lines + len(raw), ended)


def _split(data: bytes) -> Any:
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == 10) + 1
    last = [] if data.endswith(b"\n") or not data else [len(data)]
    offsets = np.concatenate([[0], ends, last]).astype(np.int64)
    return pa.LargeStringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))
