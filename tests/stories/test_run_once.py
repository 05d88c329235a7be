"""A window is judged once; late data corrects numbers; the past is looked at and not acted on."""

from __future__ import annotations

import json
from pathlib import Path

from tests.stories.building import HOUR, LAG, STATE, Plant, after, did, rows

READING = (
    "SELECT value, n FROM readings WHERE metric = 'violation_rate' AND \"key\" = 'slow' "
    "AND policy_id = 'new' AND window_start = {}"
)


def reading(plant: Plant, hour: int) -> tuple[float, float]:
    start = int(after(hour).timestamp() // 3600)
    (found,) = plant.query(READING.format(start), "sums")
    return tuple(found)


def counts(plant: Plant) -> tuple[int, ...]:
    kinds = ("firing", "incident", "rollback", "baseline", "arm")
    decided = plant.query("SELECT COUNT(*), COUNT(DISTINCT decision_id) FROM decisions")[0]
    return (*(len(plant.events(k)) for k in kinds), len(plant.outbox()), *decided)


def test_a_second_run_finds_nothing_new(tmp_path: Path) -> None:
    plant = Plant(tmp_path, **STATE)
    plant.write(rows(range(80), "new", per_hour=30))
    plant.write(rows(range(80), "old", per_hour=30))
    plant.write(rows(range(80, 82), "new", per_hour=30, cost_slow=1.0))
    plant.run(after(80) + LAG)
    first = plant.run(after(82) + LAG)
    assert first.firings
    before = counts(plant)
    for minutes in (0, 1, 20):
        again = plant.run(after(82, minutes) + LAG)
        assert (again.firings, again.done, again.windows, again.account.rows_in) == ([], [], 0, 0)
    assert counts(plant) == before


def test_late_rows_correct_a_reading_and_the_window_is_not_judged_again(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    plant.write(rows(range(48), "new", per_hour=40))
    plant.run(after(48) + LAG)
    assert reading(plant, 47) == (0.0, 40.0)
    late = rows([47], "new", per_hour=60, cost_slow=1.0)
    plant.write([row | {"decision_id": f"late-{i}"} for i, row in enumerate(late)])
    plant.write(rows([48], "new", per_hour=4))
    report = plant.run(after(48, 30))
    assert report.account.loaded == 64 and report.windows == 1
    assert reading(plant, 47) == (0.6, 100.0)
    assert report.firings == [] and plant.pointer() is None
    firings = plant.run(after(49) + LAG).firings
    assert [e.body["window_start"][:13] for e in firings] == ["2026-01-03T00"]


def test_a_firing_stays_when_late_rows_make_its_window_healthy(tmp_path: Path) -> None:
    plant = Plant(tmp_path, acting="observe")
    plant.write(rows(range(48), "new", per_hour=40))
    plant.run(after(48) + LAG)
    plant.write(rows([48], "new", per_hour=10, cost_slow=1.0))
    assert did(plant.run(after(49) + LAG).firings) == ["observed"]
    plant.write([r | {"decision_id": f"late-{i}"} for i, r in enumerate(rows([48], "new", per_hour=990))])
    assert plant.run(after(49, 30)).firings == []
    assert reading(plant, 48) == (0.01, 1000.0)
    assert len(plant.events("firing")) == 1


def test_rewards_wait_until_they_are_mature(tmp_path: Path) -> None:
    reward = {"range": [0, 1], "missing_after_maturity": "exclude", "matures_after": "6h"}
    plant = Plant(tmp_path, reward=reward)
    plant.write(rows(range(48), "new", per_hour=40))
    plant.run(after(48) + LAG)
    plant.write(rows(range(48, 51), "new", per_hour=40, reward=0.0))
    assert plant.run(after(51) + LAG).firings == []
    plant.write(rows(range(51, 57), "new", per_hour=40))
    done = [did(plant.run(after(h) + LAG).firings) for h in (54, 55, 56, 57)]
    assert done == [[], [], [], ["rolled_back"]]


def test_the_past_is_dry_unless_told_to_act(tmp_path: Path) -> None:
    plant = Plant(tmp_path, **STATE)
    plant.write(rows(range(72), "old"))
    plant.write(rows(range(72, 96), "new"))
    plant.write(rows([96], "new", cost_crash=1.0, irreversible=True))
    plant.write(rows([97], "new", cost_slow=1.0))
    at = after(98) + LAG
    done = plant.monitor("run", "--as-of", at.isoformat())
    assert done.returncode == 0 and "dry: --as-of is in the past" in done.stdout
    assert plant.events() == [] and plant.outbox() == [] and plant.pointer() is None
    assert plant.query("SELECT COUNT(*) FROM breaches WHERE judged_at IS NOT NULL") == [(0,)]

    done = plant.monitor("run", "--as-of", at.isoformat(), "--act")
    assert done.returncode == 0, done.stderr
    assert {e.kind for e in plant.events()} == {"arm", "baseline", "firing", "run", "verdict"}
    assert {e.body["did"] for e in plant.events("firing")} == {"historical"}

    plant.write(rows([98], "new", action_speed=3.0))
    done = plant.monitor("run", "--as-of", (at + HOUR).isoformat(), "--act")
    assert "rolled_back" in done.stdout and plant.pointer() is not None


def test_acting_in_the_past_loses_no_row_of_the_log(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    plant.write(rows(range(48), "new"))
    assert plant.monitor("run", "--as-of", after(24).isoformat(), "--act").returncode == 0
    assert plant.monitor("run", "--as-of", after(48).isoformat(), "--act").returncode == 0
    assert plant.query("SELECT COUNT(*) FROM decisions") == [(48 * 20,)]
    assert plant.query("SELECT COUNT(*) FROM rejects") == [(0,)]


def test_a_dry_run_says_what_it_would_record(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    plant.write(rows(range(48), "new", per_hour=40))
    plant.run(after(48) + LAG)
    plant.write(rows([48], "new", per_hour=40, cost_slow=1.0))
    report = plant.run(after(200), as_of=after(49) + LAG, dry=True)
    assert [line for line in report.done if line.startswith("would record: Constraint slow")]
    assert plant.events("firing") == []
    assert did(plant.run(after(49) + LAG).firings) == ["rolled_back"]


def test_what_the_journal_holds_is_plain_json(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    plant.write(rows(range(3), "new", cost_crash=1.0))
    plant.run(after(3) + LAG)
    for event in plant.events():
        json.dumps(event.body, allow_nan=False)


def test_a_gate_about_the_past_does_not_stand_for_what_the_next_run_says(tmp_path: Path) -> None:
    plant = Plant(tmp_path, **STATE)
    plant.write(rows(range(80), "old"))
    plant.run(after(80) + LAG)
    [said] = plant.events("verdict")
    passed = {**said.body, "outcome": "PASS", "exit_code": 0, "as_of": (after(80, 13)).isoformat()}
    with plant.journal() as journal:
        journal.append("verdict", said.subject, passed, at=after(80, 13))
        journal.append("verdict", said.subject, said.body, at=after(80, 12))
    plant.run(after(80, 20))
    newest = plant.events("verdict")[-1]
    assert (newest.at, newest.body["outcome"]) == (after(80, 20), said.body["outcome"]) != (newest.at, "PASS")
    plant.run(after(80, 25))
    assert plant.events("verdict")[-1].seq == newest.seq, "the same again is not written"
