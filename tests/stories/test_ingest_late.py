"""Rewards and recommendations come later, from files of their own."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from monitor import config as configuration
from monitor.config import Loaded
from monitor.log.account import Account
from monitor.log.ingest import ingest

NOW = datetime(2026, 3, 9, tzinfo=UTC)
CONFIG = """\
policies: {{candidate: new, incumbent: old, safe: old}}
log:
  combine: {combine}
  sources:
    - {{paths: ["logs/*.jsonl"], format: jsonl}}
    - {{paths: ["rewards/*.csv"], format: csv, kind: rewards,
       columns: {{decision_id: id, reward: value, outcome: happy, reward_ts: at}}}}
    - {{paths: ["shadow/*.jsonl"], format: jsonl, kind: recommendations,
       columns: {{decision_id: id, candidate_action: arm, candidate_propensity: p, candidate_probs: ps}}}}
reward: {{range: [0, 10], matures_after: 24h, missing_after_maturity: exclude}}
outcome: {{matures_after: 5d}}
"""


class Plant:
    """A folder of logs and a store in memory."""

    def __init__(self, folder: Path, combine: str = "latest") -> None:
        self.folder = folder
        for name in ("logs", "rewards", "shadow"):
            (folder / name).mkdir(parents=True)
        (folder / "monitor.yaml").write_text(CONFIG.format(combine=combine), "utf-8")
        self.loaded: Loaded = configuration.load(folder / "monitor.yaml")
        self.connection = duckdb.connect()

    def decide(self, file: str, *rows: dict[str, Any]) -> None:
        self._append("logs", file, rows)

    def recommend(self, file: str, *rows: dict[str, Any]) -> None:
        self._append("shadow", file, rows)

    def reward(self, file: str, *rows: str) -> None:
        path = self.folder / "rewards" / f"{file}.csv"
        head = "" if path.exists() else "id,value,happy,at\n"
        with path.open("a") as out:
            out.write(head + "".join(f"{r}\n" for r in rows))

    def run(self) -> Account:
        account = ingest(self.connection, self.loaded, as_of=NOW, now=NOW)
        assert account.problems == []
        return account

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql).fetchall()

    def _append(self, folder: str, file: str, rows: tuple[dict[str, Any], ...]) -> None:
        with (self.folder / folder / f"{file}.jsonl").open("a") as out:
            out.write("".join(json.dumps(r) + "\n" for r in rows))


def decision(number: int, **other: Any) -> dict[str, Any]:
    ts = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=number)
    return {"decision_id": f"d{number}", "ts": ts.isoformat(), "policy_id": "old", "action": "x",
            "propensity": 0.5, **other}  # fmt: skip


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path)


def test_late_rewards_reach_their_decisions_and_make_only_their_hours_dirty(plant: Plant) -> None:
    plant.decide("a", *(decision(n) for n in range(10)))
    plant.run()
    plant.connection.execute("DELETE FROM dirty_hours")
    plant.reward("r", "d3,4,,2026-03-02T05:00:00", "d7,5,1,2026-03-02T05:00:00+02:00")
    account = plant.run()
    assert (account.rows_in, account.late_rewards, account.waiting) == (2, 2, 0)
    found = plant.ask(
        """SELECT decision_id, reward, outcome, reward_ts FROM decisions WHERE reward IS NOT NULL
            ORDER BY decision_id"""
    )
    assert found == [
        ("d3", 4.0, None, datetime(2026, 3, 2, 5)),
        ("d7", 5.0, 1.0, datetime(2026, 3, 2, 3)),
    ]
    first = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp() // 3600)
    assert plant.ask("SELECT hour FROM dirty_hours ORDER BY 1") == [(first + 3,), (first + 7,)]


def test_a_reward_whose_decision_has_not_arrived_waits_for_it(plant: Plant) -> None:
    plant.decide("a", decision(0))
    plant.reward("r", "d5,4,,2026-03-02T00:00:00", "d0,1,,2026-03-02T00:00:00")
    account = plant.run()
    assert (account.late_rewards, account.waiting) == (2, 1)
    plant.decide("a", decision(5))
    assert plant.run().loaded == 1
    assert plant.ask("SELECT decision_id, reward FROM decisions ORDER BY 1") == [("d0", 1.0), ("d5", 4.0)]
    assert plant.ask("SELECT COUNT(*) FROM waiting") == [(0,)]


def test_a_reward_file_read_again_changes_nothing(plant: Plant) -> None:
    plant.decide("a", decision(0))
    plant.reward("r", "d0,1,,2026-03-02T00:00:00", "d9,1,,2026-03-02T00:00:00")
    plant.run()
    plant.reward("copy", "d0,1,,2026-03-02T00:00:00", "d9,1,,2026-03-02T00:00:00")
    account = plant.run()
    assert (account.rows_in, account.duplicates) == (2, 2)
    assert plant.ask("SELECT COUNT(*) FROM waiting") == [(1,)]


@pytest.mark.parametrize(("combine", "expected"), [("latest", 2.0), ("max", 6.0), ("sum", 12.0)])
def test_of_several_rewards_the_declared_one_counts(tmp_path: Path, combine: str, expected: float) -> None:
    plant = Plant(tmp_path / combine, combine)
    plant.decide("a", decision(0, reward=1.0))
    plant.reward("r", "d0,6,,2026-03-02T03:00:00", "d0,3,,2026-03-02T01:00:00", "d0,2,,2026-03-02T04:00:00")
    assert plant.run().late_rewards == 3
    assert plant.ask("SELECT reward FROM decisions") == [(expected,)]
    plant.reward("copy", "d0,6,,2026-03-02T03:00:00", "d0,2,,2026-03-02T04:00:00")
    plant.decide("copy", decision(0, reward=1.0))
    account = plant.run()
    assert (account.rows_in, account.duplicates) == (3, 3)
    assert plant.ask("SELECT reward FROM decisions") == [(expected,)]


def test_two_rewards_of_one_time_that_differ_are_a_conflict_and_the_first_stays(plant: Plant) -> None:
    plant.decide("a", decision(0))
    plant.reward("r", "d0,6,,2026-03-02T03:00:00", "d0,5,,2026-03-02T03:00:00")
    account = plant.run()
    assert (account.late_rewards, account.rejected) == (1, 1)
    plant.reward("s", "d0,4,,2026-03-02T03:00:00")
    assert plant.run().rejected == 1
    assert plant.ask("SELECT reward FROM decisions") == [(6.0,)]
    assert plant.ask("SELECT line, reason, raw FROM rejects ORDER BY file") == [
        (3, "conflicting_repeat", "d0,5,,2026-03-02T03:00:00"),
        (2, "conflicting_repeat", "d0,4,,2026-03-02T03:00:00"),
    ]


def test_a_reward_too_late_for_the_look_back_waits_and_is_counted(plant: Plant) -> None:
    plant.decide("a", decision(0))
    plant.run()
    plant.connection.execute("DELETE FROM dirty_hours")
    plant.reward("r", "d0,6,,2026-03-08T03:00:00")
    account = plant.run()
    assert (account.late_rewards, account.waiting) == (1, 1)


def test_a_reward_that_cannot_be_used_is_a_fault_and_does_not_wait(plant: Plant) -> None:
    plant.decide("a", decision(0))
    plant.reward("r", "d0,lots,,2026-03-02T03:00:00", ",1,,2026-03-02T03:00:00")
    account = plant.run()
    assert (account.late_rewards, account.rejected, account.faults, account.waiting) == (1, 1, 1, 0)
    found = plant.ask("SELECT decision_id, column_name, reason, value FROM faults")
    assert found == [("d0", "reward", "wrong_type", "lots")]


def test_a_repeat_that_only_brings_the_reward_is_a_late_reward(plant: Plant) -> None:
    plant.decide("a", decision(0), decision(1))
    plant.run()
    plant.decide("a", decision(0, reward=3), decision(1, reward=3, propensity=0.25))
    account = plant.run()
    assert (account.late_rewards, account.rejected, account.loaded) == (1, 1, 0)
    assert plant.ask("SELECT decision_id, propensity, reward FROM decisions ORDER BY 1") == [
        ("d0", 0.5, 3.0),
        ("d1", 0.5, None),
    ]


def test_a_record_among_decisions_with_only_id_and_reward_is_a_late_reward(plant: Plant) -> None:
    plant.decide("a", decision(0), {"decision_id": "d0", "reward": 2, "reward_ts": "2026-03-01T09:00:00Z"},
                 {"decision_id": "d1", "reward": 2, "action": "y"})  # fmt: skip
    account = plant.run()
    assert (account.loaded, account.late_rewards, account.rejected) == (1, 1, 1)
    assert plant.ask("SELECT reward, reward_ts FROM decisions") == [(2.0, datetime(2026, 3, 1, 9))]
    assert plant.ask("SELECT reason FROM rejects") == [("no_ts",)]


def test_a_decision_file_read_again_after_its_rewards_is_all_duplicates(plant: Plant) -> None:
    plant.decide("a", *(decision(n, reward=1) for n in range(3)))
    plant.reward("r", "d1,4,,2026-03-02T03:00:00")
    plant.recommend("s", {"id": "d2", "arm": "y", "p": 0.1})
    plant.run()
    plant.decide("copy", *(decision(n, reward=1) for n in range(3)))
    account = plant.run()
    assert (account.rows_in, account.duplicates) == (3, 3)
    assert plant.ask("SELECT reward FROM decisions WHERE decision_id = 'd1'") == [(4.0,)]


def test_recommendations_come_from_their_own_file_also_before_their_decision(plant: Plant) -> None:
    plant.decide("a", decision(0, action_probs=[0.5, 0.5]))
    first = {"id": "d0", "arm": "y", "p": 0.25, "ps": [0.25, 0.75]}
    plant.recommend("s", first, {"id": "d1", "arm": "x", "p": 1})
    account = plant.run()
    assert (account.recommendations, account.waiting) == (2, 1)
    plant.decide("a", decision(1))
    plant.run()
    rows = plant.ask(
        """SELECT candidate_id, candidate_action, candidate_propensity, cross_agreement, total_variation
            FROM decisions ORDER BY decision_id"""
    )
    assert rows == [("new", "y", 0.25, 0.5, 0.25), ("new", "x", 1.0, None, None)]
    plant.recommend("s", {"id": "d0", "arm": "x", "p": 0.25}, {"id": "d1", "arm": "x", "p": 1})
    account = plant.run()
    assert (account.rejected, account.duplicates) == (1, 1)
    assert plant.ask("SELECT candidate_action FROM decisions ORDER BY decision_id") == [("y",), ("x",)]


def test_logged_distributions_are_compared_as_written_down_by_hand(plant: Plant) -> None:
    row = decision(0, action_probs=[0.5, 0.25, 0.25], candidate_action="x", candidate_probs=[0.0, 0.5, 0.5])
    plant.decide("a", row)
    plant.run()
    ((entropy, agreement, cross, tv, who),) = plant.ask(
        "SELECT probs_entropy, probs_agreement, cross_agreement, total_variation, candidate_id FROM decisions"
    )
    assert entropy == pytest.approx(1.5 * math.log(2), rel=1e-12)
    assert (agreement, cross, tv, who) == (0.375, 0.25, 0.5, "new")
