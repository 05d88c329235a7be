"""Sign-offs by the real command line: what they keep, and what ends them."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from gates.stages import SHADOW
from monitor import acts
from tests.stories.building import STATE, Plant, after, finding

NOW = after(24 * 20)
DAY = timedelta(days=1)


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    plant = Plant(tmp_path, **STATE)
    (tmp_path / "report.md").write_text("nobody could game it\n", "utf-8")
    return plant


def attest(plant: Plant, item: str, *more: str, by: str = "Ada") -> None:
    asked = ["--item", item, "--by", by, "--reason", "looked", "--evidence", "report.md"]
    done = plant.monitor("attest", *asked, *more, "--as-of", NOW.isoformat())
    assert done.returncode == 0, done.stderr


def reason(plant: Plant, item: str, stage: str = "shadow") -> str | None:
    return finding(plant.gate(NOW + DAY, stage), item).reason


def test_a_sign_off_keeps_the_verdict_it_was_given_on_and_no_path_of_the_machine(plant: Plant) -> None:
    attest(plant, "review")
    plant.gate(NOW, "shadow")
    plant.gate(NOW, "full")
    attest(plant, "review")
    first, second = plant.events("attest")
    (on,) = [e for e in plant.events("verdict") if e.body["stage"] == SHADOW]
    assert (first.body["verdict_seq"], second.body["verdict_seq"]) == (None, on.seq)
    assert second.body["evidence"] == "report.md"
    assert re.fullmatch("file:[0-9a-f]{64}", second.body["evidence_digest"])
    assert second.body["reward_hash"] == plant.loaded.config.reward_hash


def test_a_report_that_was_changed_or_taken_away_voids_the_sign_off(plant: Plant, tmp_path: Path) -> None:
    attest(plant, "review")
    assert reason(plant, "review") is None
    report = tmp_path / "report.md"
    report.write_text("somebody gamed it\n", "utf-8")
    assert reason(plant, "review") == "signoff_void"
    report.unlink()
    assert reason(plant, "review") == "signoff_void"
    report.write_text("nobody could game it\n", "utf-8")
    assert reason(plant, "review") is None


def test_a_red_team_report_ends_when_the_reward_is_defined_in_another_way(plant: Plant) -> None:
    attest(plant, "red_team")
    assert reason(plant, "red_team", "full") is None
    plant.configure(**STATE, reward={"range": [0, 2], "missing_after_maturity": "exclude"})
    assert reason(plant, "red_team", "full") == "signoff_void"


def test_two_persons_sign_where_the_checklist_asks_for_two(plant: Plant) -> None:
    file = plant.folder / "checklists" / "shadow_mode.yaml"
    text = file.read_text("utf-8").replace("check: review\n", "check: review\n    two_person: true\n")
    file.write_text(text, "utf-8")
    attest(plant, "review")
    assert reason(plant, "review") == "proposer_unknown"
    attest(plant, "review", "--proposer", "Ben")
    assert reason(plant, "review") is None
    since = {"since": "2026-01-10", "by": "ada", "reason": "was there", "at": NOW}
    acts.adopt(plant.loaded, stage="shadow", **since)
    assert reason(plant, "review") == "signoff_one_person"
    attest(plant, "review", by="Cleo")
    assert reason(plant, "review") is None
