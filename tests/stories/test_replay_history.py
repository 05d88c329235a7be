"""Six healthy days are replayed: no alarm, a planted change is seen, and nothing is touched."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from monitor.replay import play, words
from tests.stories.building import LAG, STATE, Plant, after, rows

DAYS = 6


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    found = Plant(tmp_path_factory.mktemp("replayed"), **STATE)
    rng = np.random.default_rng(4)
    healthy = rows(range(DAYS * 24), "old", per_hour=40)
    for row in healthy:
        row["reward"], row["cost_slow"] = float(rng.random() < 0.5), float(rng.random() < 0.05)
    found.write(healthy)
    found.run(after(DAYS * 24) + LAG)
    return found


def digests(folder: Path) -> dict[str, str]:
    files = [f for f in folder.rglob("*") if f.is_file() and f.suffix not in (".db-shm", ".db-wal")]
    return {str(f): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def test_a_replay_sees_what_was_planted_and_touches_nothing(plant: Plant) -> None:
    events, waiting, before = plant.events(), plant.outbox(), digests(plant.folder / "var")
    plants = ["state.load:+2sd@2026-01-05", "constraint.slow:x6@2026-01-05T06:30"]
    asked = play.Asked(plants=plants, gate="full")
    found = play.replay(plant.loaded, asked, as_of=after(9 * 24), progress=None)
    plain, shifted, violated = json.loads(json.dumps(words.to_json(found), allow_nan=False))["stretches"]
    assert plain["from"].startswith("2026-01-04") and plain["unchanged"] == "assumed to be unchanged"
    assert {t["trigger"]: t["alarms"] for t in plain["triggers"]}["state_shift"] == 0
    assert len(plain["gate"]) == 3 and {d["exit_code"] for d in plain["gate"]} == {3}
    by_name = {t["trigger"]: t for t in shifted["triggers"]}
    assert by_name["state_shift"]["first_confirmed"]["windows"] <= 3
    assert by_name["constraint"]["first_trip"] is None
    assert shifted["plant"]["decisions"] == 2 * 24 * 40
    seen = {t["trigger"]: t for t in violated["triggers"]}["constraint"]["first_confirmed"]
    assert seen["windows"] <= 3 and seen["hours"] == pytest.approx(seen["windows"] - 0.5 + 1 / 6)
    assert plant.events() == events and plant.outbox() == waiting
    assert digests(plant.folder / "var") == before


def test_a_known_change_divides_the_log_into_unchanged_and_changed(plant: Plant) -> None:
    done = plant.monitor("replay", "--change", "2026-01-05", "--trigger", "reward_drop", "--to", "2026-01-06")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == (
        "2026-01-04 00:00 to 2026-01-06 00:00 UTC (2 days, windows of 1 h), "
        "unchanged before 2026-01-05 00:00 UTC, as declared"
    )
    assert lines[2].split()[:2] == ["reward_drop", "24"]
    assert any(line.startswith("trigger") and "first confirmation" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--plant", "reward:-10%@2027-01-01"), "is not before the end"),
        (("--plant", "reward:lots@2026-01-05"), "'lots' is not a change of reward"),
        (("--trigger", "reward_dorp"), "did you mean 'reward_drop'"),
        (("--gate", "shadwo"), "--gate: stage 'shadwo' is not known; did you mean 'shadow'"),
        (("--from", "2026-02-01"), "there is no window to replay"),
    ],
)
def test_a_mistake_is_one_sentence_with_exit_code_2(plant: Plant, arguments, said) -> None:
    done = plant.monitor("replay", *arguments)
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1
    assert done.stdout == ""
