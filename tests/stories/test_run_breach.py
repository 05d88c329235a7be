"""One row is enough: hard constraints, the envelope, actions that cannot be undone."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.stories.building import Plant, Row, after, did, rows

BREACHES: dict[str, tuple[dict[str, Any], str, str]] = {
    "hard": ({"cost_crash": 1.0}, "constraint", "crash"),
    "envelope": ({"action_speed": 1.7}, "constraint", "speed"),
    "irreversible": ({"irreversible": True}, "irreversible", ""),
}
BREACH = BREACHES["hard"][0]


@pytest.fixture
def live(tmp_path: Path) -> Plant:
    """A candidate that has controlled everything for ten healthy hours, with the monitor running."""
    plant = Plant(tmp_path)
    plant.write(rows(range(10), "new", per_hour=5))
    plant.run(after(10, 11))
    return plant


def one(hour: int = 10, policy: str = "new", **fields: Any) -> Row:
    """One decision at a quarter past the hour."""
    (row,) = rows([hour], policy, per_hour=1, **fields)
    return row | {"decision_id": f"one-{hour}-{policy}", "ts": after(hour, 15).isoformat()} | fields


@pytest.mark.parametrize("rule", BREACHES)
def test_one_breach_rolls_back_once_and_every_step_is_written_down(live: Plant, rule: str) -> None:
    fields, trigger, key = BREACHES[rule]
    live.write([one(**fields)])
    at = after(10, 20)
    report = live.run(at)
    assert did(report.firings) == ["rolled_back"]
    (incident,) = live.events("incident")
    pointer = live.pointer()
    assert pointer == {
        "schema": 1, "policy": "old", "stage": "full_deployment", "previous": "new",
        "incident": incident.subject, "at": "2026-01-01T10:20:00.000000+00:00",
    }  # fmt: skip
    assert (incident.body["trigger"], incident.body["key"]) == (trigger, key)
    assert [d["decision_id"] for d in incident.body["trigger_state"]["decisions"]] == ["one-10-new"]
    steps = [e.body["status"] for e in live.events("rollback")]
    assert steps == ["intent", "done"]
    order = [e.kind for e in live.events("firing", "incident", "rollback")]
    assert order == ["firing", "incident", "rollback", "rollback"]
    assert live.told() == ["new was rolled back to old"]
    with live.journal() as journal:
        assert journal.verify() == [] and journal.undelivered() == []
    before, count = live.pointer(), len(live.events("firing", "incident", "rollback"))
    assert live.run(at).firings == [] and live.run(after(10, 40)).firings == []
    assert (live.pointer(), len(live.events("firing", "incident", "rollback"))) == (before, count)
    assert live.gate(after(10, 41), "full").exit_code == 5


def test_more_rows_of_the_same_hour_are_one_firing(live: Plant) -> None:
    live.write([one(decision_id=f"b{n}", **BREACH) for n in range(5)])
    (firing,) = live.run(after(10, 20)).firings
    assert "5 times in this hour" in firing.body["message"]
    live.write([one(decision_id="b9", **BREACH)])
    (again,) = live.run(after(10, 25)).firings
    assert again.body["incident"] == firing.body["incident"]
    assert [e.body["status"] for e in live.events("rollback")] == ["intent", "done"]


@pytest.mark.parametrize("repeat", ["the same", "another file", "with other content"])
def test_the_same_decision_again_does_nothing_twice(live: Plant, repeat: str) -> None:
    row = one(**BREACH)
    live.write([row])
    live.run(after(10, 20))
    changed = {"reward": 0.25} if repeat == "with other content" else {}
    live.write([row | changed], name="more.jsonl" if repeat == "another file" else "log.jsonl")
    report = live.run(after(10, 40))
    assert report.account.duplicates + report.account.rejected == 1
    assert report.firings == [] and len(live.events("firing")) == 1
    assert live.query("SELECT COUNT(*) FROM breaches WHERE judged_at IS NULL") == [(0,)]


def test_a_replaced_file_is_read_again_and_fires_nothing_again(live: Plant) -> None:
    live.write([one(**BREACH)])
    live.run(after(10, 20))
    path = live.folder / "logs" / "log.jsonl"
    path.write_text(json.dumps(one(9, decision_id="first")) + "\n" + path.read_text("utf-8"), "utf-8")
    assert live.run(after(10, 40)).firings == []


def test_a_breach_by_the_incumbent_escalates_and_moves_nothing(live: Plant) -> None:
    live.write([one(policy="old", **BREACH)])
    assert did(live.run(after(10, 20)).firings) == ["escalated"]
    assert live.pointer() is None and live.events("rollback") == []
    assert live.told() == ["constraint (crash) fired on old"]
    assert live.outbox()[-1].message["severity"] == "page"


LINES: dict[str, Callable[[Row], str]] = {
    "without an id": lambda row: json.dumps(row | {"decision_id": None}),
    "without a time": lambda row: json.dumps(row | {"ts": "soon"}),
    "from the future": lambda row: json.dumps(row | {"ts": after(400).isoformat()}),
}


@pytest.mark.parametrize(
    ("how", "rule"), [*((how, "hard") for how in LINES), ("without an id", "irreversible")]
)
def test_a_breach_in_a_rejected_line_still_rolls_back(live: Plant, how: str, rule: str) -> None:
    live.lines([LINES[how](one(**BREACHES[rule][0]))])
    at = after(10, 20)
    report = live.run(at)
    assert report.account.rejected == 1
    assert did(report.firings) == ["rolled_back"]
    assert live.pointer() is not None
    assert live.run(after(10, 40)).firings == []
    assert live.gate(after(10, 41), "full").exit_code == 5


@pytest.mark.parametrize(
    "fault", [{"propensity": 1.5}, {"propensity": "x"}, {"reward": "NaN"}, {"action": 7}]
)
def test_a_bad_field_does_not_hide_a_breach(live: Plant, fault: dict[str, Any]) -> None:
    live.write([one(**BREACH, **fault)])
    assert did(live.run(after(10, 20)).firings) == ["rolled_back"]


def test_a_breach_that_arrives_later_than_act_within_is_only_told(live: Plant) -> None:
    live.write([one(**BREACH)])
    assert did(live.run(after(35, 0)).firings) == ["historical"]
    assert live.pointer() is None and live.events("incident") == []
    assert len(live.told()) == 1


def test_a_breach_from_before_acting_was_armed_is_only_told(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    plant.write([*rows(range(10), "new"), one(9, **BREACH)])
    assert did(plant.run(after(10, 11)).firings) == ["historical"]
    assert plant.pointer() is None


def test_another_rule_broken_after_the_rollback_is_an_incident_of_its_own(live: Plant) -> None:
    live.write([one(**BREACH)])
    live.run(after(10, 20))
    live.write([one(11, action_speed=9.0)])
    live.run(after(11, 20))
    assert [e.body["status"] for e in live.events("rollback")] == ["intent", "done", "intent", "done"]
    assert live.told() == ["new was rolled back to old"] * 2


def test_a_rollback_that_fails_pages_and_is_tried_again(live: Plant) -> None:
    blocked = live.folder / "var" / "active_policy.json"
    blocked.mkdir(parents=True)
    live.write([one(**BREACH)])
    live.run(after(10, 20))
    live.run(after(10, 30))
    assert live.told() == ["Rollback of new failed: new may still be in control"]
    blocked.rmdir()
    live.run(after(10, 40))
    assert live.told()[1:] == ["new was rolled back to old"]
    pointer = live.pointer()
    assert pointer is not None and pointer["policy"] == "old"
    first, *tries, last = [e.body["status"] for e in live.events("rollback")]
    assert (first, set(tries), last) == ("intent", {"failed"}, "done")
    assert live.run(after(10, 50)).done == []


def test_a_breach_by_a_third_policy_escalates(live: Plant) -> None:
    live.write([one(policy="other", **BREACH)])
    assert did(live.run(after(10, 20)).firings) == ["escalated"]
    assert live.pointer() is None


def test_a_decision_that_is_still_to_come_waits_for_its_time(live: Plant) -> None:
    live.write([one(decision_id="soon", ts=(after(10, 20) + timedelta(minutes=30)).isoformat(), **BREACH)])
    assert live.run(after(10, 20)).firings == []
    assert did(live.run(after(10, 51)).firings) == ["rolled_back"]
