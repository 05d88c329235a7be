"""Offline validation: what the candidate would cost, and how it was trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gates.evaluate import Verdict
from gates.outcome import Outcome
from tests.stories.building import LAG, Plant, after, rows

LAST = 10 * 24
DECLARED: dict[str, Any] = {
    "training": {"until": "2026-01-06"}, "held_out": {"from": "2026-01-06", "to": "2026-01-11"},
}  # fmt: skip


def validated(folder: Path, costly: str, *, hard_limit: float = 0.02, **config: Any) -> Verdict:
    """Action `costly` is slow in a quarter of its decisions, so a twelfth of all are; the limit is a tenth.
    The candidate takes action a in 8 of 10 decisions, the others in one each."""
    plant = Plant(folder, window="6h", **DECLARED | config)
    checklist = folder / "checklists/offline_validation.yaml"
    text = checklist.read_text("utf-8")
    assert "hard_limit: 0.001" in text
    checklist.write_text(text.replace("hard_limit: 0.001", f"hard_limit: {hard_limit}"), "utf-8")
    plant.write(
        row | {
            "cost_slow": float(row["action"] == costly and i % 4 == 0), "candidate_id": "new",
            "candidate_propensity": 0.8 if row["action"] == "a" else 0.1,
        }
        for i, row in enumerate(rows(range(LAST), "old", per_hour=20))
    )  # fmt: skip
    plant.run(after(LAST) + LAG)
    return plant.gate(after(LAST) + LAG, "offline")


def of_constraints(verdict: Verdict) -> dict[str, Any]:
    return {f.key: f for f in verdict.findings if f.item == "constraint_value"}


def test_a_candidate_that_seeks_what_is_costly_fails_although_the_log_keeps_the_constraint(
    tmp_path: Path,
) -> None:
    found = of_constraints(validated(tmp_path, "a"))
    assert found["slow"].outcome is Outcome.FAIL, found["slow"].message
    assert found["slow"].low < 0.8 / 4 < found["slow"].high and found["slow"].limit == 0.1
    assert found["crash"].outcome is Outcome.PASS


def test_a_candidate_that_avoids_what_is_costly_passes(tmp_path: Path) -> None:
    found = of_constraints(validated(tmp_path, "b"))
    assert [f.outcome for f in found.values()] == [Outcome.PASS] * 2, found
    assert found["slow"].low < 0.1 / 4 < found["slow"].high


def test_no_hard_violation_at_all_is_not_enough_for_a_tight_limit(tmp_path: Path) -> None:
    found = of_constraints(validated(tmp_path, "b", hard_limit=0.001))["crash"]
    assert (found.outcome, found.reason) == (Outcome.INCONCLUSIVE, "straddles") and found.value == 0
    assert found.needs.startswith("about ")


@pytest.mark.parametrize(
    ("how", "outcomes"),
    [
        (
            {"algorithm": "linucb", "hyperparameters": {"alpha": 1}, "transitions": 20_000,
             "trained_at": "2026-01-06", "behaviour_cloning": True},
            {"hyperparameters": Outcome.PASS, "data_volume": Outcome.PASS, "policy_age": Outcome.PASS},
        ),
        (
            {"algorithm": "linucb", "hyperparameters": {"alpha": 30}, "transitions": 20,
             "trained_at": "2025-01-06", "behaviour_cloning": True},
            {"hyperparameters": Outcome.FAIL, "data_volume": Outcome.FAIL, "policy_age": Outcome.FAIL},
        ),
        ({}, dict.fromkeys(("hyperparameters", "data_volume", "policy_age"), Outcome.INCONCLUSIVE)),
    ],
)  # fmt: skip
def test_what_the_configuration_says_of_the_training_is_shown_and_decides_nothing(
    tmp_path: Path, how: dict[str, Any], outcomes: dict[str, Outcome]
) -> None:
    plant = Plant(tmp_path, **DECLARED | {"training": {"until": "2026-01-06", **how}})
    verdict = plant.gate(after(LAST), "offline")
    said = {name: [f for f in verdict.findings if f.item == name] for name in outcomes}
    assert {name: max(f.outcome for f in found) for name, found in said.items()} == outcomes
    assert {f.role for found in said.values() for f in found} == {"signal"}
    assert verdict.exit_code == 3
