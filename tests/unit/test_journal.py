"""The journal keeps everything, changes nothing, and says so when somebody else did."""

import hashlib
import json
import math
import sqlite3
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from monitor.journal import Journal, JournalError

AT = datetime(2026, 1, 21, 14, tzinfo=UTC)


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "journal.db") as opened:
        yield opened


@pytest.fixture
def raw(journal, tmp_path):
    connection = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    yield connection
    connection.close()


@pytest.fixture
def unlocked(raw):
    for name in ("events_in_order", "events_not_changed", "events_not_removed"):
        raw.execute(f"DROP TRIGGER {name}")
    return raw


def test_an_event_comes_back_as_it_was_written(journal):
    written = journal.append("run", "store", {"windows": 3, "note": "größer < 4"}, at=AT, key="run:1")
    assert (written.seq, written.at, written.kind) == (1, AT, "run")
    assert (written.subject, written.key) == ("store", "run:1")
    assert journal.events() == [written]
    assert written.body == {"windows": 3, "note": "größer < 4"}


def test_the_hash_is_sha256_over_the_previous_hash_and_the_canonical_event(journal, raw):
    first = journal.append("run", "a", {"z": 1, "a": [1.5, None]}, at=AT)
    second = journal.append("firing", "b", {}, at=AT, key="k")
    content = (
        '{"at":"2026-01-21T14:00:00.000000+00:00","body":{"a":[1.5,null],"z":1},'
        '"key":null,"kind":"run","subject":"a"}'
    )
    assert first.hash == hashlib.sha256(("0" * 64 + content).encode()).hexdigest()
    assert raw.execute("SELECT prev FROM events WHERE seq = 2").fetchone() == (first.hash,)
    assert second.hash != first.hash


def test_a_key_is_written_once_and_the_second_append_says_none(journal):
    assert journal.append("firing", "a", {"n": 1}, at=AT, key="w1") is not None
    assert journal.append("firing", "a", {"n": 2}, at=AT, key="w1") is None
    assert [e.body for e in journal.events("firing")] == [{"n": 1}]
    assert journal.verify() == []


def test_events_without_a_key_may_repeat(journal):
    for _ in range(2):
        journal.append("run", "a", {}, at=AT)
    assert len(journal.events("run")) == 2


def test_events_are_chosen_by_kind_subject_and_time(journal):
    journal.append("run", "a", {}, at=AT)
    journal.append("firing", "b", {}, at=AT + timedelta(hours=1))
    journal.append("verdict", "b", {}, at=AT + timedelta(hours=2))
    assert [e.kind for e in journal.events("run", "verdict")] == ["run", "verdict"]
    assert [e.kind for e in journal.events(subject="b")] == ["firing", "verdict"]
    assert [e.kind for e in journal.events(until=AT + timedelta(hours=1))] == ["run", "firing"]
    assert [e.kind for e in journal.events("verdict", subject="b", until=AT)] == []


def test_the_newest_event_of_a_kind_is_found_by_subject_and_condition(journal: Journal) -> None:
    assert journal.newest("verdict") is None
    for n, (kind, subject) in enumerate([("verdict", "a"), ("verdict", "b"), ("verdict", "a"), ("run", "a")]):
        journal.append(kind, subject, {"n": n}, at=AT)
    assert [journal.newest(kind).body["n"] for kind in ("verdict", "run")] == [2, 3]
    assert journal.newest("verdict", subject="b").body == {"n": 1}
    assert journal.newest("verdict", subject="a", having=lambda e: e.body["n"] < 2).body == {"n": 0}
    assert journal.newest("verdict", subject="b", having=lambda e: e.body["n"] > 1) is None
    journal.append("run", "a", {"n": 9}, at=AT)
    assert journal.newest("run").body == {"n": 9} and journal.verify() == []


def test_an_unknown_kind_is_refused_when_written_and_when_asked_for(journal):
    with pytest.raises(JournalError, match=r"'rollbak' is not a kind of event; the kinds are .*rollback"):
        journal.append("rollbak", "a", {}, at=AT)
    with pytest.raises(JournalError, match="'verdicts' is not a kind"):
        journal.events("verdicts")


def test_a_body_becomes_plain_json(journal):
    body = {
        "nan": math.nan, "inf": -math.inf,
        "at": datetime(2026, 1, 21, 16, tzinfo=timezone(timedelta(hours=2))),
        "naive": datetime(2026, 1, 21, 14), "np": np.float64("nan"), "count": np.int64(7), "list": (1, {2}),
        "took": timedelta(minutes=1), "array": np.array([1.0, np.inf]),
    }
    assert journal.append("run", "a", body, at=AT).body == {
        "nan": None, "inf": None, "at": "2026-01-21T14:00:00.000000+00:00",
        "naive": "2026-01-21T14:00:00.000000+00:00", "np": None, "count": 7, "list": [1, [2]],
        "took": 60.0, "array": [1.0, None],
    }
    assert journal.events()[0].body["list"] == [1, [2]]
    assert journal.verify() == []


def test_a_value_that_json_cannot_hold_is_refused_and_nothing_is_written(journal):
    with pytest.raises(TypeError, match="a object cannot be written"):
        journal.append("run", "a", {"x": object()}, at=AT)
    assert journal.events() == []


def test_text_that_is_not_unicode_is_kept_escaped(journal):
    journal.append("run", "a\ud800", {"raw": "b\udcff"}, at=AT, key="k\udcff")
    assert journal.events()[0].subject == "a\\ud800"
    assert journal.append("run", "a", {}, at=AT, key="k\udcff") is None
    assert journal.verify() == []


def test_times_are_stored_in_utc_and_naive_times_are_utc(journal, raw):
    journal.append("run", "a", {}, at=datetime(2026, 1, 21, 16, tzinfo=timezone(timedelta(hours=2))))
    journal.append("run", "a", {}, at=datetime(2026, 1, 21, 14))
    assert [e.at for e in journal.events()] == [AT, AT]
    stored = raw.execute("SELECT DISTINCT at FROM events").fetchall()
    assert stored == [("2026-01-21T14:00:00.000000+00:00",)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET body = '{}' WHERE seq = 1",
        "DELETE FROM events WHERE seq = 2",
        "INSERT OR REPLACE INTO events SELECT * FROM events WHERE seq = 1",
        "INSERT OR REPLACE INTO events "
        "SELECT 4, at, kind, subject, 'k1', body, hash, hash FROM events WHERE seq = 3",
        "INSERT INTO events SELECT 9, at, kind, subject, NULL, body, hash, hash FROM events WHERE seq = 3",
        "INSERT INTO events SELECT 4, at, kind, subject, NULL, body, prev, hash FROM events WHERE seq = 2",
    ],
)
def test_the_file_itself_refuses_to_change_an_event(journal, raw, statement):
    for n in range(3):
        journal.append("run", "a", {"n": n}, at=AT, key=f"k{n}")
    with pytest.raises(sqlite3.IntegrityError, match=r"never|only added at the end"):
        raw.execute(statement)
    assert journal.verify() == []
    assert [e.body["n"] for e in journal.events()] == [0, 1, 2]


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE events SET body = '{\"n\":99}' WHERE seq = 3", ["row 3 was changed: its hash"]),
        ("UPDATE events SET at = '2026-01-22T14:00:00.000000+00:00' WHERE seq = 3", ["row 3 was changed"]),
        ("UPDATE events SET subject = 'else' WHERE seq = 1", ["row 1 was changed"]),
        ("UPDATE events SET body = 'x' WHERE seq = 3", ["row 3 is damaged: its body is not JSON"]),
        ("DELETE FROM events WHERE seq = 3", ["row 3 is missing"]),
        ("DELETE FROM events WHERE seq IN (2, 3)", ["rows 2 to 3 are missing"]),
        ("DELETE FROM events WHERE seq = 5", ["row 5 is missing at the end"]),
        ("UPDATE events SET hash = 'fee' WHERE seq = 2", ["row 2 was changed", "row 3 does not follow"]),
    ],
)
def test_a_tampered_row_is_found_and_named(journal, unlocked, statement, named):
    for n in range(5):
        journal.append("run", "a", {"n": n}, at=AT)
    assert journal.verify() == []
    unlocked.execute(statement)
    found = journal.verify()
    assert len(found) == len(named)
    assert all(sentence.startswith(start) for sentence, start in zip(found, named, strict=True)), found


def test_a_damaged_row_is_an_error_and_never_skipped(journal, unlocked):
    journal.append("run", "a", {}, at=AT)
    unlocked.execute("UPDATE events SET body = 'x'")
    with pytest.raises(JournalError, match=r"journal\.db: row 1 is damaged"):
        journal.events()


def test_a_row_edited_with_a_matching_hash_still_breaks_the_chain(journal, unlocked):
    for n in range(3):
        journal.append("run", "a", {"n": n}, at=AT)
    at, prev = unlocked.execute("SELECT at, prev FROM events WHERE seq = 2").fetchone()
    content = {"at": at, "kind": "run", "subject": "a", "key": None, "body": {"n": 50}}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    forged = hashlib.sha256((prev + text).encode()).hexdigest()
    unlocked.execute("UPDATE events SET body = '{\"n\":50}', hash = ? WHERE seq = 2", (forged,))
    assert journal.verify() == ["row 3 does not follow row 2: its prev is not that row's hash"]


def test_a_transaction_is_all_or_nothing(journal):
    with pytest.raises(RuntimeError), journal.transaction():
        journal.append("incident", "i", {}, at=AT, key="i:open")
        journal.enqueue("i", "console", {"title": "x"}, AT)
        raise RuntimeError
    assert journal.events() == []
    assert journal.undelivered() == []
    with journal.transaction():
        journal.append("incident", "i", {}, at=AT, key="i:open")
        journal.enqueue("i", "console", {"title": "x"}, AT)
    assert len(journal.events()) == len(journal.undelivered()) == 1
    assert journal.verify() == []


def test_an_alert_is_enqueued_once_a_channel(journal):
    assert journal.enqueue("i", "console", {"title": "first"}, AT)
    assert not journal.enqueue("i", "console", {"title": "second"}, AT)
    assert journal.enqueue("i", "slack:#a", {"title": "first"}, AT)
    assert [(r.channel, r.message["title"]) for r in journal.undelivered()] == [
        ("console", "first"), ("slack:#a", "first"),
    ]


def test_a_failed_delivery_counts_and_keeps_its_error_until_the_row_is_delivered(journal):
    journal.enqueue("i", "slack:#a", {"value": math.nan}, AT)
    journal.not_delivered(journal.undelivered()[0].id, "timed out", AT)
    journal.not_delivered(journal.undelivered()[0].id, "timed out again", AT)
    row = journal.undelivered()[0]
    assert (row.attempts, row.message) == (2, {"value": None})
    assert row.last_error.endswith("timed out again")
    journal.delivered(row, AT)
    assert journal.undelivered() == []
    assert not journal.enqueue("i", "slack:#a", {}, AT)


def claimed(journal, at=AT, besides=()):
    row = journal.claim(at, at + timedelta(minutes=2), besides)
    return row.key if row else None


def test_a_claimed_row_is_nobody_elses_until_its_claim_runs_out(journal):
    journal.enqueue("i", "console", {"severity": "info"}, AT)
    assert (claimed(journal), claimed(journal)) == ("i", None)
    assert claimed(journal, AT + timedelta(minutes=2)) == "i"


def test_pages_are_claimed_first_and_what_follows_on_an_incident_waits_for_its_first_message(journal):
    asked = (("a", "info", ""), ("b", "warning", "x"), ("c", "info", "x"), ("d", "page", "x"))
    for key, severity, incident in asked:
        journal.enqueue(key, "console", {"severity": severity, "incident": incident}, AT)
    assert [claimed(journal) for _ in range(4)] == ["d", "a", "b", None]
    first = next(row for row in journal.undelivered() if row.key == "b")
    journal.delivered(first, AT, {"ts": "1"})
    assert claimed(journal) == "c"
    assert journal.thread("console", "x") == {"ts": "1"}


def test_a_row_that_waits_or_was_given_up_is_not_claimed_until_it_is_revived(journal):
    journal.enqueue("i", "console", {"severity": "page"}, AT)
    row = journal.claim(AT, AT + timedelta(minutes=2))
    journal.not_delivered(row.id, "full", AT, next_at=AT + timedelta(minutes=5))
    assert claimed(journal, AT + timedelta(minutes=4)) is None
    assert claimed(journal, AT + timedelta(minutes=5)) == "i"
    journal.not_delivered(row.id, "full", AT, dead=True)
    assert claimed(journal, AT + timedelta(days=9)) is None
    assert [r.dead_at for r in journal.undelivered()] == [AT]
    assert journal.revive() == 1 and claimed(journal) == "i"


def test_a_journal_of_before_gets_the_new_columns_and_keeps_its_rows(tmp_path):
    path = tmp_path / "journal.db"
    with Journal(path) as journal:
        journal.append("run", "run", {}, at=AT)
        journal.enqueue("i", "console", {"severity": "page"}, AT)
    with sqlite3.connect(path) as raw:
        raw.execute("DROP TABLE threads")
        for column in ("next_at", "claimed_until", "dead_at"):
            raw.execute(f"ALTER TABLE outbox DROP COLUMN {column}")
    raw.close()
    with Journal(path) as journal:
        assert journal.verify() == [] and claimed(journal) == "i"


def test_a_heartbeat_is_the_latest_one(journal):
    assert journal.heartbeat("schedule") is None
    journal.beat("schedule", AT)
    journal.beat("schedule", AT + timedelta(minutes=1))
    assert journal.heartbeat("schedule") == AT + timedelta(minutes=1)
    assert journal.events() == []


def test_the_files_are_for_their_owner_only(journal, tmp_path):
    journal.append("run", "a", {}, at=AT)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()}
    assert modes["journal.db"] == 0o600
    assert set(modes.values()) == {0o600}


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path):
    path = tmp_path / "journal.db"
    path.touch()
    path.chmod(0o644)
    Journal(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_commit_reaches_the_disk_before_it_returns(journal):
    pragma = journal._rows
    assert (pragma("PRAGMA journal_mode"), pragma("PRAGMA synchronous")) == ([("wal",)], [(2,)])


def test_a_file_that_is_not_a_journal_is_refused_in_a_sentence(tmp_path):
    path = tmp_path / "journal.db"
    path.write_bytes(b"not a database, " * 100)
    with pytest.raises(JournalError, match=r"journal\.db: file is not a database"):
        Journal(path)


def test_a_file_with_damaged_pages_does_not_verify(tmp_path):
    path = tmp_path / "journal.db"
    with Journal(path) as journal:
        for n in range(100):
            journal.append("run", "a", {"n": n, "text": "x" * 500}, at=AT)
    content = bytearray(path.read_bytes())
    for offset in range(len(content) // 2, len(content), 4096):
        content[offset : offset + 64] = b"\xff" * 64
    path.write_bytes(content)
    with Journal(path) as journal:
        assert journal.verify() != []


def test_a_writer_that_holds_the_lock_is_waited_for_and_then_named(journal, tmp_path):
    second = Journal(tmp_path / "journal.db", busy_seconds=0.05)
    with journal.transaction(), pytest.raises(JournalError, match=r"journal\.db: database is locked"):
        second.append("run", "a", {}, at=AT)
    assert second.append("run", "a", {}, at=AT).seq == 1
    second.close()


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from monitor.journal import Journal
journal, name, at = Journal(Path(sys.argv[1])), sys.argv[2], datetime(2026, 1, 21, tzinfo=UTC)
for n in range(200):
    journal.append("run", name, {"n": n}, at=at, key=f"{name}:{n}")
    journal.append("run", name, {"n": n}, at=at, key=f"shared:{n}")
"""


def test_two_processes_that_append_at_once_keep_one_chain(tmp_path):
    path = tmp_path / "journal.db"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), name]) for name in "ab"]
    assert [w.wait(60) for w in writers] == [0, 0]
    with Journal(path) as journal:
        events = journal.events()
        assert [e.seq for e in events] == list(range(1, 601))
        assert {e.key for e in events} == {f"{who}:{n}" for who in ("a", "b", "shared") for n in range(200)}
        for name in "ab":
            own = [e.body["n"] for e in events if e.key.startswith(f"{name}:")]
            assert own == list(range(200))
        assert journal.verify() == []
