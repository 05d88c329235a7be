"""A log of rules, without propensities: what a person's word may open, and what it may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gates.evaluate import Verdict
from gates.outcome import Outcome
from tests.stories.building import LAG, STATE, Plant, after, rows

LAST = 10 * 24
NOW = after(LAST) + LAG
DECLARED: dict[str, Any] = {
    "training": {"until": "2026-01-04"}, "held_out": {"from": "2026-01-04", "to": "2026-01-11"},
}  # fmt: skip
LIKES = {"a": 0.45, "b": 0.3, "c": 0.25}
GRADED = ("held_out_value", "beats_baseline", "constraint_value", "worst_case")


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """Rules decide and log no propensity; action a pays in half of its decisions, others in a third."""
    plant = Plant(tmp_path, window="6h", **DECLARED, **STATE)
    rng = np.random.default_rng(4)
    plant.write(
        row | {
            "propensity": None, "reward": float(rng.random() < (0.5 if row["action"] == "a" else 1 / 3)),
            "candidate_id": "new", "candidate_propensity": LIKES[row["action"]],
            "candidate_action": str(rng.choice(list(LIKES), p=list(LIKES.values()))),
        }
        for row in rows(range(LAST), "old", per_hour=20)
    )  # fmt: skip
    plant.run(NOW)
    return plant


def attest(plant: Plant, item: str, *more: str) -> Any:
    said = ("--by", "ana", "--reason", "replayed in the simulator", "--evidence", "report.pdf")
    return plant.monitor("attest", "--item", item, *said, "--as-of", NOW.isoformat(), *more)


def of(verdict: Verdict, item: str) -> list[Any]:
    return [f for f in verdict.findings if f.item == item]


def test_a_log_without_propensities_opens_shadow_mode_by_signed_evidence_of_grade_b_and_c(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = plant.gate(NOW, "offline")
    assert {(f.outcome.name, f.reason) for item in GRADED for f in of(before, item)} == {
        ("INCONCLUSIVE", "missing_propensity")
    }
    assert "Grade B is possible" in of(before, "held_out_value")[0].message
    assert "Grade C is possible" in of(before, "worst_case")[0].message

    report = plant.folder / "report.pdf"
    report.write_bytes(b"the candidate in the simulator")
    for item in GRADED:
        done = attest(plant, item)
        assert done.returncode == 0, done.stderr
    verdict = plant.gate(NOW, "offline")
    grades = {item: {f.message.split("Evidence grade ")[1][0] for f in of(verdict, item)} for item in GRADED}
    assert {f.outcome for item in GRADED for f in of(verdict, item)} == {Outcome.PASS}, verdict
    assert grades == {
        "held_out_value": {"B"}, "beats_baseline": {"C"}, "constraint_value": {"C"}, "worst_case": {"C"},
    }  # fmt: skip
    value = of(verdict, "held_out_value")[0]
    assert value.metric == "estimated_snips" and value.low < 0.45 * 0.5 + 0.55 / 3 < value.high

    report.write_bytes(b"another report")
    assert {f.reason for item in GRADED for f in of(plant.gate(NOW, "offline"), item)} == {"signoff_void"}


def test_a_refusal_fails_and_items_that_take_no_word_are_not_signed(plant: Plant) -> None:
    (plant.folder / "report.pdf").write_bytes(b"it lost")
    assert attest(plant, "beats_baseline", "--refuse").returncode == 0
    [found] = of(plant.gate(NOW, "offline"), "beats_baseline")
    assert (found.outcome.name, found.reason) == ("FAIL", "signoff_refused")
    refused = attest(plant, "reward_hacking")
    assert refused.returncode == 2 and "item 'reward_hacking' takes no sign-off" in refused.stderr
