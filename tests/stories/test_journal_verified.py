"""A row of the journal changed by hand, with the tools an attacker has, is found and named."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from monitor import acts
from monitor.verdicts import store_of
from tests.stories.building import HOUR, START, Plant


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """Four sign-offs in a journal."""
    plant = Plant(tmp_path)
    for day in range(4):
        acts.attest(
            plant.loaded, "review", by="Ada", reason=f"day {day}", evidence=str(tmp_path / "monitor.yaml"),
            expires="30d", approved=day > 0, at=START + day * 24 * HOUR,
        )  # fmt: skip
    return plant


def edit(plant: Plant, *statements: str) -> None:
    with closing(sqlite3.connect(store_of(plant.loaded).journal, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def test_a_journal_that_nobody_touched_is_whole(plant: Plant) -> None:
    done = plant.monitor("doctor", "--verify-journal")
    assert (done.returncode, done.stdout) == (0, "journal.db: the chain of 4 events is whole\n")


def test_one_row_changed_with_sqlite3_is_named(plant: Plant) -> None:
    change = """UPDATE events SET body = replace(body, '"refused"', '"approved"') WHERE seq = 1"""
    with pytest.raises(sqlite3.Error, match="events are never changed"):
        edit(plant, change)
    edit(plant, "DROP TRIGGER events_not_changed", change)
    done = plant.monitor("doctor", "--verify-journal")
    assert done.returncode == 4
    assert done.stdout.splitlines()[0] == (
        "journal.db: row 1 was changed: its hash does not match its content"
    )
    assert "row 2" not in done.stdout


def test_a_guard_that_was_taken_away_is_named_though_the_chain_is_whole(plant: Plant) -> None:
    edit(plant, "DROP TRIGGER events_not_changed")
    done = plant.monitor("doctor", "--verify-journal")
    assert done.returncode == 4 and "its guard events_not_changed was taken away" in done.stdout


def test_a_row_that_was_taken_out_is_named(plant: Plant) -> None:
    edit(plant, "DROP TRIGGER events_not_removed", "DELETE FROM events WHERE seq = 3")
    done = plant.monitor("doctor", "--verify-journal")
    assert done.returncode == 4 and "journal.db: row 3 is missing" in done.stdout


def test_a_journal_that_is_gone_is_not_whole(plant: Plant) -> None:
    store_of(plant.loaded).journal.unlink()
    done = plant.monitor("doctor", "--verify-journal")
    assert done.returncode == 4 and "there is no journal.db" in done.stdout
