"""What the journal hashes: canonical JSON, UTC times as text, and the hash that chains events."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

FIRST = "0" * 64


def chain_hash(prev: str, at: str, kind: str, subject: str, key: str | None, body: Any) -> str:
    """sha256, in hex, of the previous hash and the canonical JSON of the event."""
    content = canonical({"at": at, "kind": kind, "subject": subject, "key": key, "body": body})
    return hashlib.sha256((prev + content).encode()).hexdigest()


def canonical(value: Any) -> str:
    """JSON with sorted keys, no spaces and ASCII only: the same value is always the same text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def plain_json(value: Any) -> Any:
    """`value` as JSON can hold it: NaN and infinity null, times ISO in UTC, durations in seconds,
    enums by name, sets sorted. Raises TypeError for anything else."""
    match value:
        case Enum():
            return value.name
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case datetime():
            return iso(value)
        case date():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Mapping():
            return {str(k): plain_json(v) for k, v in value.items()}
        case list() | tuple():
            return [plain_json(v) for v in value]
        case set() | frozenset():
            return sorted((plain_json(v) for v in value), key=canonical)
        case Path():
            return str(value)
    if hasattr(value, "tolist"):
        return plain_json(value.tolist())
    raise TypeError(f"a {type(value).__name__} cannot be written to the journal")


def file_digest(path: Path) -> str:
    """What an event keeps of a file: `file:` and the sha256 of its content. Raises OSError."""
    with path.open("rb") as file:
        return "file:" + hashlib.file_digest(file, "sha256").hexdigest()


def iso(at: datetime) -> str:
    """UTC, always with microseconds, so that text sorts as time does. A naive time is UTC."""
    aware = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return aware.isoformat(timespec="microseconds")


def instant(text: str) -> datetime:
    """The aware UTC time of an ISO text; without an offset it is UTC."""
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
