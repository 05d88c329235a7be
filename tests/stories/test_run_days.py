"""What is judged by the day: over-dispersion over three days, and the Goodhart gap once outcomes are in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.stories.building import LAG, STATE, Plant, Row, after, rows
from tests.stories.test_run_signals import firings

ALL = {"sources": [{"paths": ["logs/*.jsonl"], "format": "jsonl"}]}


def clicks(days: range, *, split: bool, seed: int) -> Iterator[Row]:
    """Fifty readers who click half of the time each, or of whom half always do and half never."""
    rng = np.random.default_rng(seed)
    for i, row in enumerate(rows(range(24 * days[0], 24 * days[-1] + 24), "old", per_hour=40)):
        chance = i % 2 if split else 0.5
        yield row | {"unit_id": f"reader-{i % 50}", "reward": float(rng.random() < chance)}


def of_days(plant: Plant) -> dict[int, float]:
    found = plant.query(
        "SELECT window_start // 24 AS day, value FROM readings WHERE metric = 'overdispersion_units'", "sums"
    )
    assert len(found) == len(dict(found))
    return {day - 20454: value for day, value in sorted(found)}


def test_readers_who_fall_apart_are_told_once_a_day_and_late_rows_change_three_days(tmp_path: Path) -> None:
    plant = Plant(tmp_path, **STATE)
    plant.write(clicks(range(4), split=False, seed=1))
    plant.run(after(4 * 24) + LAG)
    assert list(of_days(plant)) == [0, 1, 2, 3] and max(map(abs, of_days(plant).values())) < 0.05
    for day in (4, 5):
        plant.write(clicks(range(day, day + 1), split=True, seed=day))
        plant.run(after(24 * day + 24) + LAG)
    found = firings(plant, "overdispersion")
    assert [(b["window_start"][:10], b["did"]) for b in found] == [
        ("2026-01-05", "escalated"), ("2026-01-06", "escalated"),
    ]  # fmt: skip
    before = of_days(plant)
    late = clicks(range(2, 3), split=True, seed=3)
    plant.write((row | {"decision_id": f"late-{i}"} for i, row in enumerate(late)), "late.jsonl")
    plant.run(after(6 * 24 + 1) + LAG)
    after_late = of_days(plant)
    assert [day for day in before if before[day] != after_late[day]] == [2, 3, 4]


def test_a_gap_is_judged_when_its_outcomes_have_matured_and_then_still_acted_on(tmp_path: Path) -> None:
    week = {**STATE["baseline"], "to": "2026-01-08"}
    slow = {"baseline": week, "log": ALL, "outcome": {"matures_after": "2d"}, "window": "6h"}
    plant = Plant(tmp_path, **{**STATE, **slow})
    rng = np.random.default_rng(5)
    for day in range(8):
        for row in rows(range(24 * day, 24 * day + 24, 6), "old", per_hour=60):
            gained, lost = (1.0, -1.0) if day == 7 else (0.0, 0.0)
            plant.write([row | {"proxy_reward": rng.normal() + gained, "outcome": rng.normal() + lost}])
        plant.run(after(24 * day + 24) + LAG)
    plant.run(after(10 * 24) - LAG)
    assert firings(plant, "goodhart_gap") == []
    plant.run(after(10 * 24) + LAG)
    (found,) = firings(plant, "goodhart_gap")
    assert (found["window_start"][:10], found["did"]) == ("2026-01-08", "escalated")
    assert 1.5 < found["value"] < 2.5
    plant.run(after(10 * 24 + 6) + LAG)
    assert len(firings(plant, "goodhart_gap")) == 1
