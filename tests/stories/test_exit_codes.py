"""Every exit code of `monitor gate` from a real command line, and which of them wins."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.stories.building import LAG, STATE, Plant, after, rows

LAST = 96
AT = "2026-01-05T00:11"
# Of the item: what the log of the story, or the checklist, makes it say.
LOGGED = "  - {item: recommendations_logged, check: recommendations_logged, role: guardrail}\n"
REVIEW = "  - {item: review, check: review, role: sign_off}\n"
BREAKS = "  - {item: breaks, check: large_disagreement, role: guardrail}\n"
LATER = "  - {item: later, check: duration_and_coverage, role: guardrail}\n"
# The command line with one check that raises.
WITH_A_BROKEN_CHECK = """
import sys
from dataclasses import replace
from gates.checks import CHECKS
from monitor.cli import main

def broken(params, evidence):
    raise ZeroDivisionError("a mistake in the check")

CHECKS["large_disagreement"] = replace(CHECKS["large_disagreement"], function=broken)
main()
"""


def plant_of(folder: Path, name: str) -> Plant:
    """A day of shadow mode. "half": every second hour lacks recommendations; "crashed": the candidate was
    in control for an hour and broke a hard constraint."""
    plant = Plant(folder, **STATE)
    plant.write(rows(range(72), "old"))
    for hour in range(72, LAST):
        logged = hour % 2 or "half" not in name
        plant.write(rows([hour], "old", candidate="new" if logged else ""))
    if "crashed" in name:
        plant.write(rows([LAST - 1], "new", cost_crash=1.0))
    plant.run(after(LAST) + LAG)
    return plant


@pytest.fixture(scope="module")
def plants(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Plant]:
    names = ("good", "half", "crashed", "half and crashed")
    return {name: plant_of(tmp_path_factory.mktemp("plant"), name) for name in names}


def judged_by(plant: Plant, items: str) -> None:
    text = f"stage: shadow_mode\nitems:\n{items}"
    (plant.folder / "checklists" / "shadow_mode.yaml").write_text(text, "utf-8")


def broken(plant: Plant, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITH_A_BROKEN_CHECK, *arguments]
    return subprocess.run(
        command, cwd=plant.folder, env=dict(os.environ), capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


def gate(plant: Plant, run: Any = Plant.monitor) -> subprocess.CompletedProcess[str]:
    done = run(plant, "gate", "--stage", "shadow", "--as-of", AT, "--format", "json")
    assert isinstance(done, subprocess.CompletedProcess)
    return done


@pytest.mark.parametrize(
    ("log", "items", "code", "outcomes"),
    [
        ("good", LOGGED, 0, ["PASS"]),
        ("good", LOGGED + REVIEW, 3, ["PASS", "INCONCLUSIVE"]),
        ("half", LOGGED, 1, ["FAIL"]),
        ("half", LOGGED + REVIEW, 1, ["FAIL", "INCONCLUSIVE"]),
        ("crashed", LOGGED, 5, ["PASS"]),
        ("crashed", LOGGED + REVIEW, 5, ["PASS", "INCONCLUSIVE"]),
        ("half and crashed", LOGGED + REVIEW, 5, ["FAIL", "INCONCLUSIVE"]),
    ],
)
def test_the_exit_code_is_that_of_the_worst_thing_found(
    plants: dict[str, Plant], log: str, items: str, code: int, outcomes: list[str]
) -> None:
    judged_by(plants[log], items)
    done = gate(plants[log])
    body = json.loads(done.stdout)
    assert [f["outcome"] for f in body["findings"]] == outcomes
    assert (done.returncode, body["exit_code"]) == (code, code)


@pytest.mark.parametrize(
    ("log", "code"), [("good", 4), ("half", 1), ("crashed", 5), ("half and crashed", 5)]
)
def test_a_check_that_breaks_is_one_error_and_hides_neither_fail_nor_rollback(
    plants: dict[str, Plant], log: str, code: int
) -> None:
    judged_by(plants[log], BREAKS + LOGGED + REVIEW)
    done = gate(plants[log], broken)
    body = json.loads(done.stdout)
    first, *others = body["findings"]
    assert (first["item"], first["outcome"], first["reason"]) == ("breaks", "ERROR", "error")
    assert "ZeroDivisionError: a mistake in the check" in first["message"]
    assert [f["outcome"] for f in others] == ["FAIL" if "half" in log else "PASS", "INCONCLUSIVE"]
    assert done.returncode == code


def test_what_breaks_is_an_error_only_where_it_breaks(plants: dict[str, Plant]) -> None:
    judged_by(plants["good"], BREAKS + LOGGED)
    said = [f["outcome"] for f in json.loads(gate(plants["good"]).stdout)["findings"]]
    assert "ERROR" not in said and len(said) == 2


MISTAKES: list[tuple[tuple[str, ...], str]] = [
    ((), "--stage is missing"),
    (("--stage", "shadw"), "stage 'shadw' is not known; did you mean 'shadow'?"),
    (("--stage", "shadow", "--format", "junti"), "--format junti is not known; did you mean 'junit'?"),
    (("--stage", "shadow", "--output", "gone/v.xml"), "there is no folder gone"),
    (("--stage", "shadow", "--as-of", "soon"), "--as-of soon is not a time"),
    (("--stage", "shadow", "--explain", "reviw"), "did you mean 'review'?"),
    (("--stage", "shadow", "--colour"), "No such option"),
]


@pytest.mark.parametrize(("arguments", "says"), MISTAKES)
def test_a_mistake_in_the_command_is_2_and_judges_nothing(
    plants: dict[str, Plant], arguments: tuple[str, ...], says: str
) -> None:
    judged_by(plants["good"], LOGGED + REVIEW)
    before = len(plants["good"].events("verdict"))
    done = plants["good"].monitor("gate", *arguments)
    assert (done.returncode, done.stdout) == (2, "") and says in done.stderr
    assert len(plants["good"].events("verdict")) == before


@pytest.mark.parametrize(
    ("items", "says"),
    [
        ("  - {item: a, check: reveiw, role: sign_off}\n", "shadow_mode.yaml:3: check 'reveiw' is not known"),
        ("  - {item: a, check: review, role: signal}\n", "shadow_mode.yaml:2: no item is a guardrail"),
        ("  - {item: a, check: review, role: sign_off, lablled: 3}\n", "shadow_mode.yaml:3: 'lablled' is"),
    ],
)
def test_a_mistake_in_a_checklist_is_2_with_its_line(
    plants: dict[str, Plant], items: str, says: str
) -> None:
    judged_by(plants["good"], items)
    done = gate(plants["good"])
    assert (done.returncode, done.stdout) == (2, "") and says in done.stderr


def test_a_mistake_in_the_configuration_is_2_with_its_line(tmp_path: Path) -> None:
    plant = Plant(tmp_path, **STATE)
    text = (tmp_path / "monitor.yaml").read_text("utf-8")
    (tmp_path / "monitor.yaml").write_text(text.replace('"rewa' + 'rd"', '"rewrad"', 1), "utf-8")
    done = gate(plant)
    assert done.returncode == 2 and "did you mean 'reward'?" in done.stderr and "monitor.yaml:" in done.stderr


def test_a_store_that_cannot_be_read_is_4(tmp_path: Path) -> None:
    plant = Plant(tmp_path, **STATE)
    (tmp_path / "var" / "monitor").mkdir(parents=True)
    (tmp_path / "var" / "monitor" / "journal.db").write_text("no journal", "utf-8")
    done = gate(plant)
    assert (done.returncode, done.stdout) == (4, "") and "journal.db" in done.stderr


def test_markdown_goes_to_a_summary_as_it_is(plants: dict[str, Plant]) -> None:
    judged_by(plants["good"], LOGGED + REVIEW)
    asked = ("--stage", "shadow", "--as-of", AT, "--format", "markdown", "--dry-run")
    done = plants["good"].monitor("gate", *asked)
    assert done.stdout.splitlines()[:6] == [
        "## INCONCLUSIVE shadow_mode of new as of 2026-01-05 00:11 UTC",
        "",
        "Hold and collect what is needed below. It hangs on: review. A dry run: this verdict opens no stage. "
        "(exit code 3)",
        "",
        "| outcome | item | what it says | needs |",
        "|---|---|---|---|",
    ]
    assert plants["good"].events("verdict")[-1].body["dry"] is True


def test_quiet_leaves_everything_to_the_exit_code(plants: dict[str, Plant]) -> None:
    judged_by(plants["half"], LOGGED)
    done = plants["half"].monitor("gate", "--stage", "shadow", "--as-of", AT, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_an_item_is_explained_with_its_history_and_nothing_is_written_down(plants: dict[str, Plant]) -> None:
    plant = plants["good"]
    judged_by(plant, LOGGED + REVIEW)
    gate(plant)
    before = plant.events()
    done = plant.monitor("gate", "--stage", "shadow", "--as-of", AT, "--explain", "recommendations_logged")
    assert done.returncode == 0 and plant.events() == before
    lines = done.stdout.splitlines()
    assert lines[0] == "recommendations_logged of shadow_mode for new, as of 2026-01-05 00:11 UTC"
    assert "  turns: its lower end, 1, on the other side of the limit 0.999" in lines
    assert any(line.startswith("    2026-01-05 00:11") and "PASS, value 1" in line for line in lines)
    assert "its numbers" in lines and "  share: 0.999" in lines
