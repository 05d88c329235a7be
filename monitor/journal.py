"""The journal: what was decided, when and by whom, in one append-only SQLite file.

`events` is a hash chain: hash = sha256(prev + canonical JSON of at, kind, subject, key, body).
Stages, incidents and sign-offs are folds of it and are never updated. Beside it stand `outbox`
and `heartbeat`, which change and are not chained. The chain finds accidents and plain edits; it
cannot find somebody who rewrites every hash after the edit.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from monitor.chain import FIRST, canonical, chain_hash, instant, iso, plain_json

KINDS = frozenset(
    {
        "run", "verdict", "firing", "incident", "rollback", "override", "promote", "adopt",
        "arm", "attest", "waive", "drill", "test_page", "dashboard", "baseline",
    }
)
BUSY_SECONDS = 30.0
SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, key TEXT UNIQUE,
    body TEXT NOT NULL, prev TEXT NOT NULL, hash TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS events_by_kind ON events (kind, seq);
CREATE TRIGGER IF NOT EXISTS events_in_order BEFORE INSERT ON events
    WHEN NEW.seq != (SELECT coalesce(max(seq), 0) + 1 FROM events)
      OR NEW.prev != coalesce((SELECT hash FROM events ORDER BY seq DESC LIMIT 1), '{first}')
      OR EXISTS (SELECT 1 FROM events WHERE key = NEW.key)
    BEGIN SELECT RAISE(ABORT, 'an event is only added at the end of the chain'); END;
CREATE TRIGGER IF NOT EXISTS events_not_changed BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'events are never changed'); END;
CREATE TRIGGER IF NOT EXISTS events_not_removed BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'events are never removed'); END;
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, channel TEXT NOT NULL, message TEXT NOT NULL,
    at TEXT NOT NULL, delivered_at TEXT, attempts INTEGER NOT NULL DEFAULT 0, last_error TEXT,
    next_at TEXT, claimed_until TEXT, dead_at TEXT,
    UNIQUE (key, channel)
);
CREATE INDEX IF NOT EXISTS outbox_waiting ON outbox (id) WHERE delivered_at IS NULL;
CREATE TABLE IF NOT EXISTS threads (
    channel TEXT NOT NULL, incident TEXT NOT NULL, receipt TEXT NOT NULL, PRIMARY KEY (channel, incident)
);
CREATE TABLE IF NOT EXISTS heartbeat (name TEXT PRIMARY KEY, at TEXT NOT NULL);
""".replace("{first}", FIRST)


ADDED = ("next_at", "claimed_until", "dead_at")
GUARDS = ("events_in_order", "events_not_changed", "events_not_removed")


class JournalError(Exception):
    """The journal cannot be opened, read or written; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the chain. `at` is aware UTC; `body` holds plain JSON values, times as ISO text."""

    seq: int
    at: datetime
    kind: str
    subject: str
    key: str | None
    body: dict[str, Any]
    hash: str


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A message for one channel; `attempts` counts the tries so far. `next_at` is when it is tried again,
    `dead_at` when it was given up."""

    id: int
    key: str
    channel: str
    message: dict[str, Any]
    at: datetime
    delivered_at: datetime | None
    attempts: int
    last_error: str | None
    next_at: datetime | None = None
    dead_at: datetime | None = None


def copied(source: Path, target: Path) -> None:
    """Copy a journal as it stands. `source` is only read, and no file is made beside it: without a log of
    writes beside it nobody has it open, and it is read as it lies there. Raises JournalError."""
    if not source.is_file():
        raise JournalError(f"{source.name} cannot be read: there is no such file")
    aside = source.with_name(f"{source.name}-wal").exists()
    address = f"{source.resolve().as_uri()}?mode=ro{'' if aside else '&immutable=1'}"
    try:
        with closing(sqlite3.connect(address, uri=True)) as there, closing(sqlite3.connect(target)) as here:
            there.execute("SELECT 1 FROM events")
            there.backup(here)
    except (OSError, sqlite3.Error) as error:
        raise JournalError(f"{source.name} is no journal that can be read: {_reason(error)}") from None


class Journal:
    """One connection to `journal.db`; the file is made, mode 0600, when it is not there.

    Several processes may append at once: every write takes the write lock first (BEGIN IMMEDIATE)
    and waits up to `busy_seconds` for it. Naive times are UTC. Raises JournalError.
    """

    def __init__(self, path: Path, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self._name = path.name
        self._inside = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _private(path)
            self._connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise JournalError(f"{self._name} cannot be opened: {_reason(error)}") from None
        try:
            self._prepare(busy_seconds)
        except JournalError:
            self._connection.close()
            raise

    def append(
        self, kind: str, subject: str, body: Mapping[str, Any], *, at: datetime, key: str | None = None
    ) -> Event | None:
        """Add one event at the end of the chain; None, and nothing written, when `key` is there already.

        NaN and infinity in `body` become null, times ISO text in UTC. Raises JournalError for a
        kind outside `KINDS` and TypeError for a value that JSON has no form for.
        """
        _known(kind)
        plain = plain_json(body)
        when, subject, key = iso(at), _text(subject), None if key is None else _text(key)
        with self.transaction():
            if key is not None and self._rows("SELECT 1 FROM events WHERE key = ?", key):
                return None
            last = self._rows("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1")
            seq, prev = (last[0][0] + 1, last[0][1]) if last else (1, FIRST)
            digest = chain_hash(prev, when, kind, subject, key, plain)
            self._rows(
                "INSERT INTO events (seq, at, kind, subject, key, body, prev, hash) VALUES (?,?,?,?,?,?,?,?)",
                seq, when, kind, subject, key, canonical(plain), prev, digest,
            )
        return Event(seq, instant(when), kind, subject, key, plain, digest)

    def events(
        self,
        *kinds: str,
        subject: str | None = None,
        besides: str | None = None,
        until: datetime | None = None,
    ) -> list[Event]:
        """Events in the order they were written: of these kinds (all when none is named), about
        `subject`, not about `besides`, with `at` not after `until`. Raises JournalError for a damaged
        row."""
        for kind in kinds:
            _known(kind)
        where, values = ["1"], list[Any](kinds)
        if kinds:
            where.append(f"kind IN ({','.join('?' * len(kinds))})")
        if subject is not None:
            where.append("subject = ?")
            values.append(_text(subject))
        if besides is not None:
            where.append("subject <> ?")
            values.append(_text(besides))
        if until is not None:
            where.append("at <= ?")
            values.append(iso(until))
        rows = self._rows(
            f"SELECT seq, at, kind, subject, key, body, hash FROM events WHERE {' AND '.join(where)} "
            "ORDER BY seq",
            *values,
        )
        return [self._event(row) for row in rows]

    def newest(
        self,
        kind: str,
        *,
        subject: str | None = None,
        having: Callable[[Event], bool] | None = None,
        by_time: bool = False,
    ) -> Event | None:
        """The last event of a kind (about `subject`) that meets a condition, None where there is none: the
        last that was written or, `by_time`, the one of the latest time. Reads backwards and stops there."""
        _known(kind)
        order = "at DESC, seq DESC" if by_time else "seq DESC"
        try:
            rows = self._cursor(
                "SELECT seq, at, kind, subject, key, body, hash FROM events WHERE kind = ? "
                f"AND (? IS NULL OR subject = ?) ORDER BY {order}",
                kind, subject, subject,
            )
            return next((e for e in map(self._event, rows) if having is None or having(e)), None)
        except sqlite3.Error as error:
            raise JournalError(f"{self._name}: {_reason(error)}") from None

    def count(self) -> int:
        """How many events there are."""
        return int(self._rows("SELECT count(*) FROM events")[0][0])

    def unguarded(self) -> list[str]:
        """The triggers that keep events as they are and that somebody has taken away."""
        there = {name for (name,) in self._rows("SELECT name FROM sqlite_master WHERE type = 'trigger'")}
        return [name for name in GUARDS if name not in there]

    def verify(self) -> list[str]:
        """A sentence for every row that does not follow from the row before it; empty when the chain
        is whole. Each break is named once: later rows are judged against the stored hashes."""
        try:
            return list(self._breaks())
        except (JournalError, sqlite3.Error) as error:
            return [f"the journal cannot be read: {error}"]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Several appends and outbox rows at once: all of them or none. May be nested; the outermost
        one commits."""
        if self._inside:
            yield
            return
        self._rows("BEGIN IMMEDIATE")
        self._inside = True
        try:
            yield
            self._rows("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.rollback()
            raise
        finally:
            self._inside = False

    @property
    def in_transaction(self) -> bool:
        """True inside `transaction()`: nothing written there is on disk yet."""
        return self._inside

    def enqueue(self, key: str, channel: str, message: Mapping[str, Any], at: datetime) -> bool:
        """Put a message for one channel in the outbox; False when (key, channel) is there already."""
        with self.transaction():
            return bool(
                self._rows(
                    "INSERT INTO outbox (key, channel, message, at) VALUES (?,?,?,?) "
                    "ON CONFLICT (key, channel) DO NOTHING RETURNING id",
                    _text(key), _text(channel), canonical(plain_json(message)), iso(at),
                )
            )

    def note_told(self, keys: Iterable[str], at: datetime) -> None:
        """Note that alerts were told in the message of another: they are not sent on their own any more."""
        with self.transaction():
            for key in keys:
                self._rows(
                    "INSERT INTO outbox (key, channel, message, at, delivered_at) VALUES (?, '', '{}', ?, ?) "
                    "ON CONFLICT (key, channel) DO NOTHING",
                    _text(key), iso(at), iso(at),
                )

    def told(self, keys: Iterable[str]) -> set[str]:
        """Which of these alerts are in the outbox, delivered or not."""
        asked = json.dumps([_text(key) for key in keys])
        found = self._rows(
            "SELECT DISTINCT key FROM outbox WHERE key IN (SELECT value FROM json_each(?))", asked
        )
        return {key for (key,) in found}

    def told_of(self, incident: str) -> bool:
        """Whether a message of its own about this incident is in the outbox."""
        where = "json_extract(message, '$.incident') = ? LIMIT 1"
        return bool(self._rows(f"SELECT 1 FROM outbox WHERE {where}", incident))

    def paged(self) -> dict[str, tuple[datetime, str]]:
        """When each incident was first paged, and the title of that page."""
        rows = self._rows(
            "SELECT json_extract(message, '$.incident') AS incident, MIN(at), "
            "json_extract(message, '$.title') FROM outbox WHERE json_extract(message, '$.severity') = 'page' "
            "AND incident <> '' GROUP BY 1"
        )
        return {incident: (instant(at), title) for incident, at, title in rows}

    def undelivered(self) -> list[OutboxRow]:
        """Outbox rows no channel has taken yet, oldest first, also those that were given up."""
        return self._outbox("delivered_at IS NULL ORDER BY id")

    def claim(self, at: datetime, until: datetime, besides: Collection[str] = ()) -> OutboxRow | None:
        """The next row to be tried, held by the caller until `until`: due, not given up, not held by another,
        on no channel of `besides`, and, but for pages, after every earlier message of its incident on its
        channel. Pages come first, then those with the fewest tries. None where nothing is due."""
        with self.transaction():
            found = self._outbox(
                f"""delivered_at IS NULL AND dead_at IS NULL AND coalesce(next_at, '') <= ?
                    AND coalesce(claimed_until, '') <= ? AND channel NOT IN ({_marks(besides)})
                    AND (json_extract(message, '$.severity') = 'page' OR NOT EXISTS (
                        SELECT 1 FROM outbox AS earlier WHERE earlier.channel = outbox.channel
                        AND earlier.id < outbox.id AND earlier.delivered_at IS NULL
                        AND earlier.dead_at IS NULL
                        AND json_extract(earlier.message, '$.incident') <> ''
                        AND json_extract(earlier.message, '$.incident')
                            = json_extract(outbox.message, '$.incident')))
                    ORDER BY json_extract(message, '$.severity') <> 'page', attempts, id LIMIT 1""",
                iso(at), iso(at), *besides,
            )
            for row in found:
                self._rows("UPDATE outbox SET claimed_until = ? WHERE id = ?", iso(until), row.id)
        return found[0] if found else None

    def delivered(self, row: OutboxRow, at: datetime, receipt: Mapping[str, Any] | None = None) -> None:
        """Note that the channel took the message, and what it gave for the first one of an incident."""
        incident = str(row.message.get("incident") or "")
        with self.transaction():
            self._rows(
                "UPDATE outbox SET delivered_at = ?, attempts = attempts + 1, last_error = NULL, "
                "claimed_until = NULL WHERE id = ? AND delivered_at IS NULL",
                iso(at), row.id,
            )
            if incident and receipt is not None:
                self._rows(
                    "INSERT INTO threads VALUES (?, ?, ?) ON CONFLICT (channel, incident) "
                    "DO UPDATE SET receipt = excluded.receipt",
                    row.channel, incident, canonical(plain_json(receipt)),
                )

    def not_delivered(
        self, id: int, error: str, at: datetime, *, next_at: datetime | None = None, dead: bool = False
    ) -> None:
        """Note a try that failed, why, and when the next one is; `dead`: there is none."""
        with self.transaction():
            self._rows(
                "UPDATE outbox SET attempts = attempts + 1, last_error = ?, next_at = ?, dead_at = ?, "
                "claimed_until = NULL WHERE id = ? AND delivered_at IS NULL",
                f"{iso(at)} {_text(error)}", iso(next_at) if next_at else None, iso(at) if dead else None, id,
            )

    def thread(self, channel: str, incident: str) -> dict[str, Any] | None:
        """What a channel gave for the first message of an incident, None before."""
        rows = self._rows(
            "SELECT receipt FROM threads WHERE channel = ? AND incident = ?", channel, incident
        )
        return json.loads(rows[0][0]) if rows else None

    def revive(self) -> int:
        """Try again at once what waits or was given up; how many rows."""
        with self.transaction():
            return len(
                self._rows(
                    "UPDATE outbox SET next_at = NULL, dead_at = NULL WHERE delivered_at IS NULL RETURNING id"
                )
            )

    def beat(self, name: str, at: datetime) -> None:
        """Note that `name` was alive at `at`."""
        with self.transaction():
            self._rows(
                "INSERT INTO heartbeat VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET at = excluded.at",
                _text(name), iso(at),
            )

    def heartbeat(self, name: str) -> datetime | None:
        """When `name` was last alive; None when it never was."""
        rows = self._rows("SELECT at FROM heartbeat WHERE name = ?", _text(name))
        return instant(rows[0][0]) if rows else None

    def close(self) -> None:
        """Close the connection; an open transaction is rolled back."""
        self._connection.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _prepare(self, busy_seconds: float) -> None:
        # Changing to WAL does not wait for the lock by itself when two processes make the file at once.
        deadline = time.monotonic() + busy_seconds
        while True:
            try:
                self._rows("PRAGMA journal_mode = WAL")
                break
            except JournalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        self._rows("PRAGMA synchronous = FULL")
        self._rows("PRAGMA recursive_triggers = ON")
        if not self._rows("SELECT 1 FROM sqlite_master WHERE name = 'threads'"):
            with self.transaction():
                for statement in _statements(SCHEMA):
                    self._rows(statement)
                there = {row[1] for row in self._rows("PRAGMA table_info(outbox)")}
                for column in ADDED:
                    if column not in there:
                        self._rows(f"ALTER TABLE outbox ADD COLUMN {column} TEXT")

    def _outbox(self, where: str, *values: Any) -> list[OutboxRow]:
        columns = "id, key, channel, message, at, delivered_at, attempts, last_error, next_at, dead_at"
        rows = self._rows(f"SELECT {columns} FROM outbox WHERE {where}", *values)
        times = [[instant(r[n]) if r[n] else None for n in (5, 8, 9)] for r in rows]
        return [
            OutboxRow(r[0], r[1], r[2], json.loads(r[3]), instant(r[4]), t[0], r[6], r[7], t[1], t[2])
            for r, t in zip(rows, times, strict=True)
        ]

    def _breaks(self) -> Iterator[str]:
        written = self._rows("SELECT seq FROM sqlite_sequence WHERE name = 'events'")
        seq, prev = 0, FIRST
        columns = "seq, at, kind, subject, key, body, prev, hash"
        for row in self._cursor(f"SELECT {columns} FROM events ORDER BY seq"):
            if row[0] != seq + 1:
                yield f"{_span(seq + 1, row[0] - 1)} missing"
            elif row[6] != prev:
                yield f"row {row[0]} does not follow row {seq}: its prev is not that row's hash"
            fault = _fault(row)
            if fault:
                yield f"row {row[0]} {fault}"
            seq, prev = row[0], row[7]
        last = written[0][0] if written else seq
        if last > seq:
            yield f"{_span(seq + 1, last)} missing at the end"

    def _event(self, row: Any) -> Event:
        seq, at, kind, subject, key, body, digest = row
        try:
            return Event(seq, instant(at), kind, subject, key, json.loads(body), digest)
        except ValueError:
            raise JournalError(f"{self._name}: row {seq} is damaged: it cannot be read") from None

    def _cursor(self, sql: str, *values: Any) -> sqlite3.Cursor:
        return self._connection.execute(sql, values)

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        try:
            return self._cursor(sql, *values).fetchall()
        except sqlite3.Error as error:
            raise JournalError(f"{self._name}: {_reason(error)}") from None


def _fault(row: Any) -> str:
    _, at, kind, subject, key, body, prev, digest = row
    try:
        expected = chain_hash(prev, at, kind, subject, key, json.loads(body))
    except (TypeError, ValueError):
        return "is damaged: its body is not JSON"
    return "" if expected == digest else "was changed: its hash does not match its content"


def _known(kind: str) -> None:
    if kind not in KINDS:
        raise JournalError(f"'{kind}' is not a kind of event; the kinds are {', '.join(sorted(KINDS))}")


def _span(first: int, last: int) -> str:
    return f"row {first} is" if first == last else f"rows {first} to {last} are"


def _private(path: Path) -> None:
    handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        if os.fstat(handle).st_mode & 0o077:
            os.fchmod(handle, 0o600)
    finally:
        os.close(handle)


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _text(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode()


def _reason(error: Exception) -> str:
    return error.strerror or "it cannot be used" if isinstance(error, OSError) else str(error)


def _marks(values: Collection[str]) -> str:
    return ",".join("?" * len(values)) or "''"
