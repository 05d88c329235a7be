"""A candidate scored from a table and from a callable: the numbers, what is refused, and that it loads."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import duckdb
import numpy as np
import pytest

from monitor.score.rules import ScoreError, distributions, drawn
from monitor.score.score import Asked, score
from monitor.store import opened
from tests.stories.building import LAG, STATE, Plant, after, rows

TABLE = {"low": (0.7, 0.2, 0.1), "high": (0.1, 0.3, 0.6)}
POLICY = """
import json, math, os, sys, time
TABLE = {"low": [0.7, 0.2, 0.1], "high": [0.1, 0.3, 0.6]}
def good(states):
    print("this goes to stderr")
    return [TABLE[s] for s in states["season"]]
def crash(states):
    raise RuntimeError("no model here")
def narrow(states):
    return [TABLE[s][:2] for s in states["season"]]
def nan(states):
    return [[math.nan, 0.5, 0.5] for s in states["season"]]
def loose(states):
    return [[0.5, 0.5, 0.5] for s in states["season"]]
def slow(states):
    time.sleep(60)
def leave(states):
    os._exit(3)
"""


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    """Two days of decisions that were run and summed before anybody scored them."""
    found = Plant(tmp_path_factory.mktemp("scored"), **{k: v for k, v in STATE.items() if k != "baseline"})
    found.write(rows(range(48), "old", per_hour=30))
    found.run(after(48) + LAG)
    (found.folder / "policy.py").write_text(POLICY, "utf-8")
    lines = [f"{season},{','.join(map(str, p))}" for season, p in TABLE.items()]
    (found.folder / "policy.csv").write_text("\n".join(["season,a,b,c", *lines, ""]), "utf-8")
    return found


def naive(plant: Plant) -> dict[str, float]:
    """The probability of each executed action, one decision after the other."""
    found = plant.query("SELECT decision_id, state_season, action FROM decisions")
    return {d: TABLE[season]["abc".index(action)] for d, season, action in found}


def asked(plant: Plant, name: str, **more) -> Asked:
    return Asked(function=f"policy:{name}", actions=["a", "b", "c"], folders=[plant.folder], **more)


def test_a_table_and_a_callable_give_the_naive_probabilities(plant: Plant) -> None:
    expected = naive(plant)
    assert len(expected) == 48 * 30
    output = plant.folder / "out" / "scored.parquet"
    for question in (Asked(table=plant.folder / "policy.csv"), asked(plant, "good", batch=500)):
        found = score(plant.loaded, question, output)
        assert (found.rows, found.unknown_state, found.unknown_action) == (1440, 0, 0)
        written = rows_of(f"SELECT * FROM '{output}'")
        assert {row[0]: row[3] for row in written} == pytest.approx(expected, abs=1e-12)
        assert {row[0]: row[4] for row in written}["old-0-0"] == list(TABLE["low"])
    drawn_first = {row[0]: row[2] for row in written}
    share = np.mean([a == "a" for d, a in drawn_first.items() if int(d.rsplit("-", 1)[1]) % 2 == 0])
    assert share == pytest.approx(0.7, abs=0.06)


def test_a_scored_file_is_read_although_its_decisions_are_old(plant: Plant) -> None:
    done = plant.monitor(
        "score", "--table", str(plant.folder / "policy.csv"), "-o", str(plant.folder / "scored.jsonl")
    )
    assert done.returncode == 0, done.stderr
    assert "1440 decisions scored" in done.stderr and "kind: recommendations" in done.stdout
    source = {
        "paths": ["scored.jsonl"], "format": "jsonl", "kind": "recommendations",
        "columns": {c: c for c in ("decision_id", "ts", "candidate_action", "candidate_propensity",
                                   "candidate_probs")},
    }  # fmt: skip
    config = json.loads((plant.folder / "monitor.yaml").read_text("utf-8"))
    plant.configure(**{**plant.changes, "log": {"sources": [*config["log"]["sources"], source]}})
    report = plant.run(after(48 * 30) + LAG)
    assert report.account.recommendations == 1440 and report.account.rejected == 0
    expected = naive(plant)
    with opened(plant.folder / "var/monitor/decisions.duckdb", read_only=True) as connection:
        select = "SELECT decision_id, candidate_propensity FROM decisions"
        stored = dict(connection.execute(select).fetchall())
    assert stored == pytest.approx(expected, abs=1e-12)
    assert plant.query("SELECT SUM(n_missing_q), SUM(n) FROM sums_offpolicy", "sums") == [(0, 1440)]


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("crash", r"batch 1 \(rows 1 to 1440\): policy:crash ended: RuntimeError: no model here"),
        ("narrow", r"batch 1 .*: probabilities have the shape \(1440, 2\), not \(1440, 3\)"),
        ("nan", "batch 1 .*: row 1 has a probability that is not finite"),
        ("loose", "batch 1 .*: the probabilities of row 1 sum to 1.5, not to 1"),
        ("leave", "batch 1 .*: policy:leave ended: exit code 3"),
        ("missing", "policy:missing ended: AttributeError"),
    ],
)
def test_a_callable_that_is_not_sound_leaves_no_file(plant: Plant, function: str, said: str) -> None:
    output = plant.folder / f"{function}.parquet"
    with pytest.raises(ScoreError, match=said):
        score(plant.loaded, asked(plant, function), output)
    assert not output.exists() and not list(plant.folder.glob(".*part"))


def test_a_callable_that_hangs_is_stopped(plant: Plant) -> None:
    with pytest.raises(ScoreError, match="took longer than 1 s and was stopped"):
        score(plant.loaded, asked(plant, "slow", limit=1.0), plant.folder / "slow.parquet")


def test_an_interpreter_that_is_not_there_is_named(plant: Plant) -> None:
    with pytest.raises(ScoreError, match="/no/python cannot be started"):
        score(plant.loaded, asked(plant, "good", python="/no/python"), plant.folder / "none.parquet")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("season,a,b,c\nlow,.7,.2,.1\nlow,.7,.2,.1\n", "the state state_season low is there twice"),
        ("season,a,b,c\nlow,.7,.2,.2\n", "sum to 1"),
        ("season,a,b,c\nlow,.7,.3,\n", "missing, not finite"),
        ("season,a,b,c\nlow,1.2,-.1,-.1\n", "outside"),
        ("season,action,probability\nlow,a,1\nhigh,b,.5\nhigh,a,.5\n", "state_season low lacks an action"),
        ("colour,a,b\nred,.5,.5\n", "no column of a state; known are load, season, segment"),
        ("season\nlow\n", "no column of an action"),
    ],
)
def test_a_table_that_is_no_policy_is_refused(plant: Plant, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "t.csv").write_text(text, "utf-8")
    with pytest.raises(ScoreError, match=said):
        score(plant.loaded, Asked(table=tmp_path / "t.csv"), tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()


def test_states_and_actions_that_are_not_in_the_table_are_counted(plant: Plant, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("season,action,probability\nlow,a,.5\nlow,b,.5\n", "utf-8")
    found = score(plant.loaded, Asked(table=tmp_path / "t.csv"), tmp_path / "out.parquet")
    with_c = plant.query("SELECT COUNT(*) FROM decisions WHERE state_season = 'low' AND action = 'c'")
    assert (found.unknown_state, found.unknown_action) == (720, with_c[0][0])
    zeros = rows_of(f"SELECT COUNT(*) FROM '{tmp_path}/out.parquet' WHERE candidate_propensity = 0")
    assert zeros == with_c


def test_draws_follow_their_probabilities_and_repeat() -> None:
    rng = np.random.default_rng(1)
    p = np.tile([0.5, 0.0, 0.3, 0.2], (40_000, 1))
    hashes = rng.integers(0, 2**63 - 1, 40_000)
    counts = np.bincount(drawn(p, hashes), minlength=4)
    assert counts / 40_000 == pytest.approx([0.5, 0, 0.3, 0.2], abs=0.01) and counts[1] == 0
    assert (drawn(p, hashes) == drawn(p, hashes)).all()
    assert (drawn(np.array([[0.0, 1.0]]), np.array([2**63 - 1])) == 1).all()


def test_ragged_answers_are_refused() -> None:
    with pytest.raises(ScoreError, match="differ in length"):
        distributions([[0.5, 0.5], [1.0]], 2, 2, "batch 1")


def test_the_worker_needs_nothing_but_the_standard_library() -> None:
    code = (Path(__file__).parents[2] / "monitor/score/worker.py").read_text("utf-8")
    lines = [line for line in code.splitlines() if line.startswith(("import ", "from "))]
    imported = {line.split()[1].split(".")[0] for line in lines}
    assert imported <= {*sys.stdlib_module_names, "__future__"}


def rows_of(query: str) -> list[tuple]:
    with duckdb.connect() as connection:
        return connection.execute(query).fetchall()
