"""`monitor waive`: what may be waived, by whom, and that the gate then opens in the open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from monitor.config import ConfigError
from monitor.waiving import waive
from tests.stories.building import STATE, Plant, after, finding

NOW = after(24 * 20)
SAID = {"by": "Ada", "reason": "labels come on Monday", "expires": "7d", "at": NOW}


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path, **STATE)


def test_a_waiver_is_an_event_that_says_who_why_and_until_when(plant: Plant) -> None:
    said = waive(plant.loaded, item="review", stage="shadow", **SAID)
    assert said == "review of shadow_mode is waived for new until 2026-01-28 00:00 UTC, by Ada"
    (event,) = plant.events("waive")
    assert (event.subject, event.at) == ("new", NOW)
    assert event.body == {
        "item": "review", "stage": "shadow_mode", "policy": "new", "by": "Ada",
        "reason": "labels come on Monday", "expires": "2026-01-28T00:00:00.000000+00:00",
    }  # fmt: skip
    review = finding(plant.gate(NOW), "review")
    assert review.reason == "signoff_missing" and review.waived is not None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"item": "reviews"}, "shadow_mode has no item 'reviews'; did you mean 'review'"),
        ({"stage": "shade"}, "stage 'shade' is not known; did you mean 'shadow'"),
        ({"item": "data_contract"}, "data_contract of shadow_mode cannot be waived: what it judges never"),
        ({"item": "hard_constraints", "stage": "limited"}, "hard_constraints of limited_deployment cannot"),
        ({"item": "support", "stage": "full"}, "its role is signal, so it decides nothing"),
        ({"by": " "}, "--by is empty"),
        ({"reason": ""}, "--reason is empty"),
        ({"expires": "soon"}, "--expires must be a duration such as 92d, not 'soon'"),
    ],
)
def test_what_cannot_be_waived_is_refused_and_written_nowhere(
    plant: Plant, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        waive(plant.loaded, **{"item": "review", "stage": "shadow", **SAID, **changed})
    assert plant.events("waive") == []


def test_an_item_that_the_checklist_keeps_shut_is_refused(plant: Plant) -> None:
    file = plant.folder / "checklists" / "shadow_mode.yaml"
    text = file.read_text("utf-8").replace("check: review\n", "check: review\n    no_waiver: true\n")
    file.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match="the checklist says `no_waiver: true`"):
        waive(plant.loaded, item="review", stage="shadow", **SAID)


def test_the_command_waives_and_the_json_of_the_gate_carries_it(plant: Plant) -> None:
    asked = ["--item", "review", "--stage", "shadow", "--by", "Ada", "--reason", "labels come on Monday"]
    done = plant.monitor("waive", *asked, "--expires", "2d", "--as-of", NOW.isoformat())
    assert (done.returncode, done.stderr) == (0, "")
    gate = plant.monitor("gate", "--stage", "shadow", "--as-of", NOW.isoformat(), "--format", "json")
    told = {f["item"]: f.get("waived") for f in json.loads(gate.stdout)["findings"]}
    assert told["review"] == "by Ada until 2026-01-23 00:00 UTC: labels come on Monday"
    assert told["data_contract"] is None and gate.returncode == 3
    assert plant.monitor("waive", *asked[2:], "--item", "data_contract").returncode == 2
