"""Offline validation: what must not be taken for evidence that the candidate is better."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gates.outcome import Outcome
from tests.stories.building import LAG, STATE, Plant, Row, after, finding, rows

LAST = 10 * 24
HELD_OUT = {"from": "2026-01-06", "to": "2026-01-11"}
DECLARED: dict[str, Any] = {"training": {"until": "2026-01-06"}, "held_out": HELD_OUT}


def better(row: Row) -> Row:
    """Action a pays, and the candidate takes it in 8 of 10 decisions."""
    action = row["action"]
    return row | {
        "reward": float(action == "a"), "propensity": 1 / 3, "candidate_id": "new",
        "candidate_propensity": 0.8 if action == "a" else 0.1,
    }  # fmt: skip


def offline(folder: Path, change: dict[str, Any] | None = None, every: int = 1, **config: Any) -> Plant:
    plant = Plant(folder, window="6h", **DECLARED | config)
    logged = [better(row) for row in rows(range(LAST), "old", per_hour=10)]
    plant.write(row | (change or {}) if i % every == 0 else row for i, row in enumerate(logged))
    plant.run(after(LAST) + LAG)
    return plant


def believable(folder: Path, wrong: float = 0.0) -> Plant:
    """Action a pays in half of its decisions, others in a third; the candidate takes it a little more often.

    `wrong` is how much of its recommendations is action a in truth, whatever its propensities say.
    """
    plant = Plant(folder, window="6h", **DECLARED, **STATE)
    rng, likes = np.random.default_rng(4), {"a": 0.45, "b": 0.3, "c": 0.25}
    logged = []
    for row in rows(range(LAST), "old", per_hour=20):
        drawn = "a" if rng.random() < wrong else str(rng.choice(list(likes), p=list(likes.values())))
        logged.append(row | {
            "reward": float(rng.random() < (0.5 if row["action"] == "a" else 1 / 3)), "candidate_id": "new",
            "candidate_action": drawn, "candidate_propensity": likes[row["action"]],
        })  # fmt: skip
    plant.write(logged)
    plant.run(after(LAST) + LAG)
    return plant


def test_a_believable_candidate_passes_when_two_estimators_agree_on_its_value(tmp_path: Path) -> None:
    found = finding(believable(tmp_path).gate(after(LAST) + LAG, "offline"), "held_out_value")
    assert found.outcome is Outcome.PASS, found.message
    assert found.low < 0.45 * 0.5 + 0.55 / 3 < found.high and "they agree" in found.message


def test_recommendations_unlike_the_propensities_are_no_second_estimator(tmp_path: Path) -> None:
    found = finding(believable(tmp_path, 0.5).gate(after(LAST) + LAG, "offline"), "held_out_value")
    assert (found.outcome, found.reason) == (Outcome.INCONCLUSIVE, "no_candidate_distribution")


def test_a_candidate_that_is_far_too_good_is_shown_with_its_value_and_held(tmp_path: Path) -> None:
    verdict = offline(tmp_path).gate(after(LAST) + LAG, "offline")
    value, lift = finding(verdict, "held_out_value"), finding(verdict, "beats_baseline")
    assert (value.outcome, value.reason) == (Outcome.INCONCLUSIVE, "too_good")
    assert value.low < 0.8 < value.high and value.n == 5 * 24 * 10
    assert lift.outcome is Outcome.PASS and lift.low < 0.8 - 1 / 3 < lift.high
    assert verdict.exit_code == 3


def test_an_old_held_out_period_stays_good_evidence(tmp_path: Path) -> None:
    plant = offline(tmp_path)
    verdict = plant.gate(after(LAST + 1000), "offline")
    assert finding(verdict, "beats_baseline").outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("config", "outcome", "reason"),
    [
        ({"training": None}, "INCONCLUSIVE", "training_undeclared"),
        ({"held_out": None, "training": {"until": "2026-01-01"}}, "INCONCLUSIVE", "held_out_undeclared"),
        ({"training": {"until": "2026-01-06T01:00"}}, "FAIL", "leakage"),
        ({"training": {"until": "2026-01-06T00:30"}}, "FAIL", "leakage"),
        ({"held_out": {"from": "2026-01-05", "to": "2026-01-11"}}, "FAIL", "leakage"),
        ({"training": {"none": "rules written by hand"}}, "INCONCLUSIVE", "too_good"),
    ],
)
def test_what_the_candidate_was_trained_on_must_be_told(
    tmp_path: Path, config: dict[str, Any], outcome: str, reason: str
) -> None:
    verdict = offline(tmp_path, **config).gate(after(LAST) + LAG, "offline")
    found = finding(verdict, "held_out_value")
    assert (found.outcome.name, found.reason) == (outcome, reason), found.message
    assert verdict.exit_code == (1 if outcome == "FAIL" else 3)


def test_a_held_out_period_that_begins_within_an_hour_leaves_that_hour_out(tmp_path: Path) -> None:
    half_past = "2026-01-06T00:30"
    held_out = {"from": half_past, "to": "2026-01-11"}
    plant = offline(tmp_path, held_out=held_out, training={"until": half_past})
    found = finding(plant.gate(after(LAST) + LAG, "offline"), "held_out_value")
    assert (found.reason, found.n) == ("too_good", (5 * 24 - 1) * 10)


@pytest.mark.parametrize(("unit", "leaks"), [("user-1234", True), ("user-9999", False)])
def test_a_unit_that_was_trained_on_is_leakage(tmp_path: Path, unit: str, leaks: bool) -> None:
    (tmp_path / "trained.txt").write_text(f"user-4998\n{unit}\n", "utf-8")
    plant = offline(tmp_path, training={"ids": "trained.txt"})
    found = finding(plant.gate(after(LAST) + LAG, "offline"), "held_out_value")
    assert found.reason == ("leakage" if leaks else "too_good")


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_a_list_that_names_no_trained_unit_declares_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "trained.txt").write_text(text, "utf-8")
    plant = offline(tmp_path, training={"ids": "trained.txt"})
    found = finding(plant.gate(after(LAST) + LAG, "offline"), "held_out_value")
    assert (found.outcome, found.reason) == (Outcome.INCONCLUSIVE, "training_undeclared"), found.message


def test_a_list_of_trained_units_that_is_gone_is_an_error(tmp_path: Path) -> None:
    plant = offline(tmp_path, training={"ids": "trained.txt"})
    verdict = plant.gate(after(LAST) + LAG, "offline")
    assert finding(verdict, "held_out_value").outcome is Outcome.ERROR
    assert verdict.exit_code == 4


@pytest.mark.parametrize(
    ("change", "every", "reason"),
    [
        ({"propensity": None}, 20, "missing_propensity"),
        ({"candidate_propensity": None, "candidate_action": "b"}, 20, "missing_propensity"),
        ({"propensity": 1e-9}, 400, "propensity"),
        ({"candidate_propensity": 0.0}, 2, "propensity"),
    ],
)
def test_a_value_that_cannot_be_estimated_is_not_compared(
    tmp_path: Path, change: dict[str, Any], every: int, reason: str
) -> None:
    verdict = offline(tmp_path, change, every).gate(after(LAST) + LAG, "offline")
    for item in ("held_out_value", "beats_baseline"):
        found = finding(verdict, item)
        assert found.outcome in (Outcome.NO_DATA, Outcome.INCONCLUSIVE) and found.needs, found.message
        assert found.reason in (reason, "low_ess"), found.message
    assert verdict.exit_code == 3


def test_too_small_an_effective_sample_is_held_and_says_how_many_more(tmp_path: Path) -> None:
    period = {"from": "2026-01-10T12:00", "to": "2026-01-11"}
    verdict = offline(tmp_path, held_out=period).gate(after(LAST) + LAG, "offline")
    found = finding(verdict, "held_out_value")
    assert found.reason == "low_ess" and "of 100" in found.needs
    assert verdict.exit_code == 3


def test_a_worse_candidate_fails(tmp_path: Path) -> None:
    plant = Plant(tmp_path, window="6h", **DECLARED)
    logged = [better(row) for row in rows(range(LAST), "old", per_hour=10)]
    plant.write(row | {"reward": 1 - row["reward"]} for row in logged)
    plant.run(after(LAST) + LAG)
    verdict = plant.gate(after(LAST) + LAG, "offline")
    assert (finding(verdict, "beats_baseline").outcome, verdict.exit_code) == (Outcome.FAIL, 1)
