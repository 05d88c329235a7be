"""A rollback moves the pointer once per incident, whole or not at all, and says what became of it."""

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest

from alerts.rollback import TARGETS, RollbackError, build, roll_back
from alerts.rollback.file import PointerFile
from monitor.config import Rollback
from monitor.journal import Journal, JournalError

AT = datetime(2026, 1, 21, 16, tzinfo=UTC)
ID = "cooling-v7-reward_drop-20260121T14"
SAID = {"policy": "cooling-v7", "safe": "pid-loop", "stage": "limited_deployment"}
POINTER = {
    "schema": 1, "policy": "pid-loop", "stage": "limited_deployment", "previous": "cooling-v7",
    "incident": ID, "at": "2026-01-21T16:00:00.000000+00:00",
}


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "journal.db") as opened:
        yield opened


@pytest.fixture
def target(tmp_path):
    return build(Rollback(kind="file", path="var/active_policy.json"), tmp_path, {})


class Recording:
    """A target in memory that may fail; `writes` is what it was asked to do."""

    def __init__(self, fail="", forget=False):
        self.standing, self.writes, self.fail, self.forget, self.reads = None, [], fail, forget, True

    def write(self, pointer):
        self.writes.append(dict(pointer))
        if self.fail:
            raise RollbackError(self.fail)
        if not self.forget:
            self.standing = dict(pointer)

    def read(self):
        return self.standing


def story(journal):
    return [(e.key.removeprefix(f"rollback:{ID}:"), e.body["status"]) for e in journal.events("rollback")]


def test_a_rollback_moves_the_pointer_and_journals_before_and_after(journal, target, tmp_path):
    outcome = roll_back(journal, target, ID, at=AT, **SAID)
    assert (outcome.status, outcome.error, outcome.resumed) == ("done", "", False)
    assert json.loads((tmp_path / "var/active_policy.json").read_text()) == POINTER
    assert target.read() == POINTER
    assert story(journal) == [("intent", "intent"), ("done", "done")]
    assert journal.events("rollback")[1].subject == ID
    assert journal.events("rollback")[1].body == {**SAID, "incident": ID, "status": "done", "resumed": False}
    assert journal.verify() == []


def test_the_intent_is_on_disk_before_anything_moves(journal, tmp_path):
    class Looking(Recording):
        def write(self, pointer):
            with Journal(tmp_path / "journal.db") as other:
                self.seen = story(other)
            super().write(pointer)

    target = Looking()
    roll_back(journal, target, ID, at=AT, **SAID)
    assert target.seen == [("intent", "intent")]


def test_a_second_call_for_the_same_incident_does_nothing(journal):
    target = Recording()
    roll_back(journal, target, ID, at=AT, **SAID)
    target.standing = {"schema": 1, "policy": "cooling-v8"}
    again = roll_back(journal, target, ID, at=AT + timedelta(days=1), **SAID)
    assert (again.status, again.at, again.safe) == ("already_done", AT, "pid-loop")
    assert len(target.writes) == 1
    assert target.standing["policy"] == "cooling-v8"
    assert len(story(journal)) == 2


def test_another_incident_is_another_rollback(journal):
    target = Recording()
    roll_back(journal, target, ID, at=AT, **SAID)
    assert roll_back(journal, target, f"{ID}-2", at=AT, **SAID).status == "done"
    assert [w["incident"] for w in target.writes] == [ID, f"{ID}-2"]


def test_a_failure_is_told_and_tried_again_by_the_next_call(journal):
    target = Recording(fail="disk full")
    for _ in range(2):
        outcome = roll_back(journal, target, ID, at=AT, **SAID)
        assert (outcome.status, outcome.error) == ("failed", "disk full")
    target.fail = ""
    assert roll_back(journal, target, ID, at=AT, **SAID).status == "done"
    assert story(journal) == [
        ("intent", "intent"), ("failed:1", "failed"), ("failed:2", "failed"), ("done", "done"),
    ]
    assert journal.events("rollback")[1].body["error"] == "disk full"


def test_a_target_that_takes_the_pointer_and_forgets_it_has_failed(journal):
    outcome = roll_back(journal, Recording(forget=True), ID, at=AT, **SAID)
    assert outcome.status == "failed"
    assert outcome.error == "the pointer was written but reads back as nothing, not as policy pid-loop"
    other = Recording(forget=True)
    other.standing = {**POINTER, "policy": "cooling-v7"}
    assert "reads back as policy cooling-v7" in roll_back(journal, other, ID, at=AT, **SAID).error


def test_a_target_that_breaks_in_an_unknown_way_is_a_failure_and_not_a_crash(journal):
    class Broken(Recording):
        def write(self, pointer):
            raise ZeroDivisionError("odd")

    outcome = roll_back(journal, Broken(), ID, at=AT, **SAID)
    assert (outcome.status, outcome.error) == ("failed", "ZeroDivisionError: odd")


def test_nothing_moves_inside_a_transaction_or_without_a_journal(journal):
    target = Recording()
    with pytest.raises(JournalError, match="cannot be part of a transaction"), journal.transaction():
        roll_back(journal, target, ID, at=AT, **SAID)
    journal.close()
    with pytest.raises(JournalError):
        roll_back(journal, target, ID, at=AT, **SAID)
    assert target.writes == []


CRASH = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from alerts.rollback import roll_back
from alerts.rollback.file import PointerFile
from monitor.journal import Journal

folder, when, incident = Path(sys.argv[1]), sys.argv[2], sys.argv[3]

class Dying(PointerFile):
    def write(self, pointer):
        if when == "inside":
            os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        if when != "before":
            super().write(pointer)
        os.kill(os.getpid(), signal.SIGKILL)

target = Dying(Path("active.json"), folder)
roll_back(Journal(folder / "journal.db"), target, incident, policy="cooling-v7", safe="pid-loop",
          stage="limited_deployment", at=datetime(2026, 1, 21, 16, tzinfo=UTC))
"""


@pytest.mark.parametrize(("when", "moved"), [("before", False), ("inside", False), ("after", True)])
def test_a_kill_between_intent_and_outcome_is_finished_by_the_next_run(tmp_path, when, moved):
    (tmp_path / "active.json").write_text(json.dumps({**POINTER, "policy": "cooling-v7", "incident": ""}))
    died = subprocess.run([sys.executable, "-c", CRASH, str(tmp_path), when, ID])
    assert died.returncode == -signal.SIGKILL
    target = PointerFile(Path("active.json"), tmp_path)
    assert (target.read()["policy"] == "pid-loop") is moved
    with Journal(tmp_path / "journal.db") as journal:
        assert story(journal) == [("intent", "intent")]
        before = (tmp_path / "active.json").stat().st_ino
        outcome = roll_back(journal, target, ID, at=AT + timedelta(hours=1), **SAID)
        assert (outcome.status, outcome.resumed) == ("done", True)
        assert (target.read()["policy"], target.read()["incident"]) == ("pid-loop", ID)
        assert ((tmp_path / "active.json").stat().st_ino == before) is moved
        assert roll_back(journal, target, ID, at=AT, **SAID).status == "already_done"
        assert story(journal) == [("intent", "intent"), ("done", "done")]
        assert journal.verify() == []


def test_an_intent_over_a_pointer_that_cannot_be_read_is_finished_by_writing_it(journal, target, tmp_path):
    journal.append("rollback", ID, {**SAID, "status": "intent"}, at=AT, key=f"rollback:{ID}:intent")
    (tmp_path / "var").mkdir()
    (tmp_path / "var/active_policy.json").write_text("{")
    assert roll_back(journal, target, ID, at=AT, **SAID).status == "done"
    assert target.read()["policy"] == "pid-loop"


def test_the_service_may_read_the_pointer_and_nothing_is_left_beside_it(target, tmp_path):
    old = os.umask(0o077)
    try:
        target.write(POINTER)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "var/active_policy.json").stat().st_mode) == 0o644
    assert [p.name for p in (tmp_path / "var").iterdir()] == ["active_policy.json"]


def test_a_reader_never_sees_half_a_pointer(target, tmp_path):
    target.write({**POINTER, "stage": "x" * 20000})
    stop, seen, broken = threading.Event(), set(), []

    def read():
        while not stop.is_set():
            try:
                seen.add(json.loads((tmp_path / "var/active_policy.json").read_text())["policy"])
            except ValueError as error:
                broken.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for n in range(5000):
        target.write({**POINTER, "policy": f"p{n}", "stage": "x" * 20000})
        if n > 60 and len(seen) > 5:
            break
    stop.set()
    reader.join()
    assert broken == []
    assert len(seen) > 1


def test_a_failed_write_leaves_the_old_pointer_and_no_temporary_file(target, tmp_path, monkeypatch):
    target.write(POINTER)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RollbackError, match=r"active_policy\.json cannot be written: No space left"):
        target.write({**POINTER, "policy": "other"})
    assert target.read() == POINTER
    assert [p.name for p in (tmp_path / "var").iterdir()] == ["active_policy.json"]


def test_where_there_is_no_pointer_yet_there_is_none_and_not_an_error(target):
    assert target.read() is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "is not JSON"), (b"\xff", "is not JSON"), (b"[]", "not a pointer of schema 1"),
        (b'{"schema": 2, "policy": "p"}', "not a pointer of schema 1"), (b'{"schema": 1}', "names no policy"),
    ],
)
def test_a_file_that_is_no_pointer_is_never_read_as_one(target, tmp_path, content, said):
    (tmp_path / "var").mkdir()
    (tmp_path / "var/active_policy.json").write_bytes(content)
    with pytest.raises(RollbackError, match=said):
        target.read()


OUTSIDE = ["../outside.json", "/tmp/outside.json", "link.json", "linked/active.json", "."]


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_path_that_leaves_the_folder_is_refused_in_one_sentence(tmp_path, path):
    folder, outside = tmp_path / "config", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (outside / "target.json").write_text("untouched")
    (folder / "link.json").symlink_to(outside / "target.json")
    (folder / "linked").symlink_to(outside)
    target = PointerFile(Path(path), folder)
    for act in (lambda: target.write(POINTER), target.read):
        with pytest.raises(RollbackError, match="leads out of the folder of the configuration"):
            act()
    assert [(p.name, p.read_text()) for p in outside.iterdir()] == [("target.json", "untouched")]


def test_a_link_inside_the_folder_is_followed_and_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "active.json").symlink_to(tmp_path / "real/pointer.json")
    PointerFile(Path("active.json"), tmp_path).write(POINTER)
    assert (tmp_path / "active.json").is_symlink()
    assert json.loads((tmp_path / "real/pointer.json").read_text()) == POINTER


def test_a_link_that_leads_in_a_circle_is_refused(tmp_path):
    (tmp_path / "a.json").symlink_to(tmp_path / "b.json")
    (tmp_path / "b.json").symlink_to(tmp_path / "a.json")
    with pytest.raises(RollbackError, match="cannot be followed"):
        PointerFile(Path("a.json"), tmp_path).write(POINTER)


def test_every_kind_of_the_registry_is_one_that_the_configuration_takes():
    kinds = Rollback.model_fields["kind"].annotation
    assert set(get_args(kinds)) == set(TARGETS)
