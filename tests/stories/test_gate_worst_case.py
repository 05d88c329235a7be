"""Offline validation: a candidate that is better on average and worse where it hurts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gates.evaluate import Verdict
from gates.outcome import Finding, Outcome
from tests.stories.building import LAG, STATE, Plant, Row, after, rows

LAST = 10 * 24
DECLARED: dict[str, Any] = {
    "training": {"until": "2026-01-04"}, "held_out": {"from": "2026-01-05", "to": "2026-01-11"},
}  # fmt: skip
LIKES = {"a": 0.6, "b": 0.25, "c": 0.15}
MARGIN = 0.05


def validated(folder: Path, *, tail: bool = False, south: bool = False, speed: float = 0.5) -> Verdict:
    """Action a pays .8 and the others .3, and the candidate takes it twice as often; in the `tail` of load
    a pays nothing and the others .8, in the `south` .15 and .5. Segment east has a decision a day."""
    plant = Plant(folder, window="6h", **DECLARED, **STATE)
    checklist = folder / "checklists/offline_validation.yaml"
    text = checklist.read_text("utf-8")
    changed = text.replace("    n: 200\n", f"    n: 200\n    margin: {MARGIN}\n", 1)
    head, rest = changed.split("check: worst_case", 1)
    checklist.write_text(f"{head}check: worst_case{rest.replace('    margin: 0.0', '', 1)}", "utf-8")
    rng = np.random.default_rng(7)
    logged: list[Row] = []
    for i, row in enumerate(rows(range(LAST), "old", per_hour=80)):
        segment = "east" if i % 1920 == 7 else ("north", "south")[i % 2]
        pays = (0.8, 0.3)
        if tail and row["state_load"] > 1.2:
            pays = (0.0, 0.8)
        elif south and segment == "south":
            pays = (0.15, 0.5)
        chance = pays[row["action"] != "a"]
        logged.append(row | {
            "segment": segment, "reward": float(rng.random() < chance), "candidate_id": "new",
            "candidate_action": str(rng.choice(list(LIKES), p=list(LIKES.values()))),
            "candidate_propensity": LIKES[row["action"]], "candidate_action_speed": speed,
        })  # fmt: skip
    plant.write(logged)
    plant.run(after(LAST) + LAG)
    return plant.gate(after(LAST) + LAG, "offline")


def worst(verdict: Verdict) -> dict[str, Finding]:
    return {f.metric: f for f in verdict.findings if f.item == "worst_case"}


def test_a_candidate_that_is_better_everywhere_passes_in_its_worst_places(tmp_path: Path) -> None:
    found = worst(validated(tmp_path))
    assert {name: f.outcome.name for name, f in found.items()} == {
        "offpolicy_cvar10": "PASS", "state_tail_lift": "PASS", "recommended_outside": "PASS",
        "segment_lift": "PASS",
    }, [f.message for f in found.values()]  # fmt: skip
    assert "It is the worst of 2 segments; 2 would pass. Not judged: east (" in found["segment_lift"].message


@pytest.mark.parametrize(
    ("bad", "metric", "key"),
    [({"tail": True}, "state_tail_lift", "load high"), ({"south": True}, "segment_lift", "south")],
)
def test_one_bad_place_fails_a_candidate_that_is_better_on_the_whole(
    tmp_path: Path, bad: dict[str, bool], metric: str, key: str
) -> None:
    verdict = validated(tmp_path, **bad)
    lift = next(f for f in verdict.findings if f.item == "beats_baseline")
    found = worst(verdict)[metric]
    assert lift.value > 0, lift.message
    assert (found.outcome, found.key) == (Outcome.FAIL, key), found.message
    assert verdict.exit_code == 1


def test_recommendations_outside_the_envelope_fail_although_nothing_was_executed(tmp_path: Path) -> None:
    found = worst(validated(tmp_path, speed=1.5))
    outside = [f for name, f in found.items() if name.endswith("outside")]
    assert [f.outcome for f in outside] == [Outcome.FAIL] and outside[0].value == 1.0
    assert found["segment_lift"].outcome is Outcome.PASS
