"""Offline validation where the log has episodes: returns are compared, and the worst of them looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gates.outcome import Finding, Outcome
from tests.stories.building import CONFIG, LAG, STATE, Plant, after, logged, rows

LAST = 9 * 24
STEPS = 2
LIKES = {"a": 0.5, "b": 0.3, "c": 0.2}
DECLARED: dict[str, Any] = {
    "training": {"until": "2026-01-04"}, "held_out": {"from": "2026-01-04", "to": "2026-01-10"},
    "reward": {"range": [0, 2], "missing_after_maturity": "exclude"},
}  # fmt: skip


def validated(folder: Path, low: tuple[float, float], speed: float = 0.5) -> dict[str, Finding]:
    """Episodes of two steps in which action a pays 1.2 and the others .9; in one episode of eight they pay
    `low` instead, and the candidate recommends `speed` there."""
    body = {**CONFIG, **DECLARED, **STATE}
    source = logged(body)["sources"][0]
    source["columns"] |= {name: name for name in ("episode_id", "step", "terminal")}
    plant = Plant(folder, window="6h", **DECLARED, **STATE, log={"sources": [source]})
    rng, made = np.random.default_rng(11), []
    for i, row in enumerate(rows(range(LAST), "old", per_hour=80)):
        a = row["action"] == "a"
        bad = (i // STEPS) % 8 == 0
        mean = low[0 if a else 1] if bad else (1.2 if a else 0.9)
        reward = round(float(mean + rng.uniform(-0.1, 0.1)), 4)
        made.append(row | {
            "episode_id": f"e{i // STEPS}", "step": i % STEPS, "terminal": i % STEPS == STEPS - 1,
            "unit_id": f"user-{(i // STEPS) % 2999}", "reward": reward,
            "candidate_id": "new", "candidate_propensity": LIKES[row["action"]],
            "candidate_action": str(rng.choice(list(LIKES), p=list(LIKES.values()))),
            "candidate_action_speed": speed if bad else 0.5,
        })  # fmt: skip
    plant.write(made)
    plant.run(after(LAST) + LAG)
    verdict = plant.gate(after(LAST) + LAG, "offline")
    return {f.metric: f for f in verdict.findings if f.item == "worst_case"}


def test_returns_are_compared_where_episodes_are_logged(tmp_path: Path) -> None:
    found = validated(tmp_path, (0.5, 0.1))
    assert "offpolicy_cvar10" not in found
    assert found["candidate_return_cvar10"].outcome is Outcome.PASS, found["candidate_return_cvar10"].message
    assert found["worst_episodes_lift"].outcome is Outcome.PASS, found["worst_episodes_lift"].message


def test_a_candidate_that_makes_the_worst_episodes_worse_is_found(tmp_path: Path) -> None:
    found = validated(tmp_path, (0.1, 0.5), speed=1.5)
    assert found["segment_lift"].value > 0
    assert found["worst_episodes_lift"].outcome is Outcome.FAIL, found["worst_episodes_lift"].message
    assert found["candidate_return_cvar10"].outcome is Outcome.FAIL
    outside = found["worst_episodes_outside"]
    assert (outside.outcome, outside.value) == (Outcome.FAIL, 1.0)
