"""A gate knows no more than the last run judged: what is not up to date is no data."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from gates.evaluate import Verdict
from gates.outcome import Outcome
from monitor import acts
from tests.stories.building import LAG, STATE, Plant, after, finding, rows

LAST = 72 + 15 * 24


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    folder = tmp_path_factory.mktemp("healthy")
    plant = Plant(folder, **STATE)
    plant.write(rows(range(72), "old"))
    plant.write(rows(range(72, LAST), "old", candidate="new"))
    plant.run(after(LAST) + LAG)
    (folder / "review.csv").write_text("50 labelled, 48 sensible\n", "utf-8")
    acts.attest(
        plant.loaded, "review", by="Ada", reason="looked at 50", evidence=str(folder / "review.csv"),
        expires="30d", approved=True, at=after(LAST),
    )  # fmt: skip
    return plant


@pytest.fixture
def plant(made: Plant, tmp_path: Path) -> Plant:
    """A healthy shadow log, read, judged and signed off up to `LAST`."""
    return made.copy(tmp_path)


def stale(verdict: Verdict) -> bool:
    reasons = {f.reason for f in verdict.findings if f.metric == "recommended_share"}
    return verdict.outcome >= Outcome.NO_DATA and reasons == {"stale"}


@pytest.mark.parametrize(
    ("at", "passes"),
    [
        (after(LAST, 11), True),
        (after(LAST, 69), True),
        (after(LAST + 1, 11), False),
        (after(LAST + 24), False),
        (after(LAST + 24 * 60), False),
    ],
)
def test_a_gate_later_than_the_last_run_is_stale(plant: Plant, at: datetime, passes: bool) -> None:
    verdict = plant.gate(at)
    assert (verdict.exit_code == 0, stale(verdict)) == (passes, not passes)
    assert passes or finding(verdict, "recommendations_logged").value == 1.0


def test_runs_without_new_decisions_do_not_keep_the_evidence_fresh(plant: Plant) -> None:
    outcomes = []
    for hour in range(1, 5):
        plant.run(after(LAST + hour) + LAG)
        outcomes.append(stale(plant.gate(after(LAST + hour) + LAG)))
    assert outcomes == [False, True, True, True]


def test_closed_windows_that_were_not_judged_are_stale_although_their_rows_are_read(plant: Plant) -> None:
    plant.write(rows([LAST], "old", candidate="new"))
    plant.run(after(LAST, 59))
    assert stale(plant.gate(after(LAST + 1) + LAG))
    plant.run(after(LAST + 1) + LAG)
    assert plant.gate(after(LAST + 1) + LAG).exit_code == 0


def test_the_command_line_holds_when_the_last_run_is_long_ago(plant: Plant) -> None:
    done = plant.monitor("gate", "--stage", "shadow", "--format", "json")
    assert done.returncode in (1, 3)
    assert "stale" in {f["reason"] for f in json.loads(done.stdout)["findings"]}


def test_a_dry_run_does_not_make_a_gate_fresh(plant: Plant) -> None:
    plant.write(rows([LAST], "old", candidate="new"))
    at = after(LAST + 1) + LAG
    plant.run(at, dry=True)
    assert stale(plant.gate(at))


def test_a_gate_in_the_past_sees_only_what_was_then(plant: Plant) -> None:
    verdict = plant.gate(after(LAST - 48) + LAG)
    assert finding(verdict, "duration_and_coverage", "evidence_days").value == 13
    assert finding(verdict, "review").reason == "signoff_missing"
