"""With nothing to judge from, and with a configuration that is wrong: the real command line."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from tests.stories.building import STATE, Plant, after

SCHEMA = json.loads((files("gates") / "verdict.schema.json").read_text("utf-8"))
WRONG = """\
policies: {candidate: new, incumbent: old, safe: old}
log: {sources: [{paths: ["logs/*.jsonl"], format: jsonl}]}
reward: {range: [0, 1], missing_after_maturity: exclude}
actng: observe
window: 90m
constraints:
  crash: {limit: 0.1, hard: true}
"""


@pytest.mark.parametrize("stage", ["offline", "shadow", "limited", "full"])
def test_an_empty_store_holds(tmp_path: Path, stage: str) -> None:
    verdict = Plant(tmp_path, **STATE).gate(after(24), stage)
    assert verdict.exit_code == 3 and verdict.outcome.name == "NO_DATA"
    assert not [f for f in verdict.findings if f.outcome.name == "PASS" and f.metric != "expectations_met"]


def test_the_command_line_holds_on_an_empty_store_and_its_json_is_valid(tmp_path: Path) -> None:
    plant = Plant(tmp_path, **STATE)
    done = plant.monitor("gate", "--stage", "shadow", "--format", "json")
    assert (done.returncode, done.stderr) == (3, "")
    body = json.loads(done.stdout)
    jsonschema.validate(body, SCHEMA, format_checker=jsonschema.FormatChecker())
    assert (body["outcome"], body["exit_code"], body["stage"]) == ("NO_DATA", 3, "shadow_mode")
    table = plant.monitor("gate", "--stage", "shadow")
    assert table.returncode == 3 and "NO_DATA" in table.stdout
    assert "nothing has run" in Plant(tmp_path / "other").monitor("status").stdout


def test_a_run_without_a_single_log_file_says_so_and_the_gate_holds(tmp_path: Path) -> None:
    plant = Plant(tmp_path, **STATE)
    done = plant.monitor("run")
    assert done.returncode == 0 and "no file matches logs/*.jsonl" in done.stdout
    assert plant.events("firing", "incident", "rollback") == [] and plant.pointer() is None
    done = plant.monitor("gate", "--stage", "shadow", "--format", "json")
    assert done.returncode == 3
    jsonschema.validate(json.loads(done.stdout), SCHEMA)


@pytest.mark.parametrize("command", [("run",), ("gate", "--stage", "shadow"), ("status",)])
def test_three_mistakes_are_three_errors_with_file_and_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    plant = Plant(tmp_path)
    (tmp_path / "monitor.yaml").write_text(WRONG, "utf-8")
    done = plant.monitor(*command)
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert [line.split(": ")[0] for line in lines] == ["monitor.yaml:4", "monitor.yaml:5", "monitor.yaml:7"]
    assert "did you mean 'acting'?" in lines[0] and "whole hours" in lines[1] and "limit 0.0" in lines[2]
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("gate", "--stage", "shado"), "did you mean 'shadow'?"),
        (("gate", "--stage", "shadow", "--format", "xml"), "one of table, json, junit, markdown, github"),
        (("gate", "--stage", "shadow", "--as-of", "yesterday"), "is not a time"),
        (("gate", "--stage", "shadow", "--as-of", "2999-01-01"), "in the future"),
    ],
)
def test_a_wrong_use_exits_2_and_says_what_is_right(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = Plant(tmp_path).monitor(*arguments)
    assert (done.returncode, done.stdout) == (2, "") and said in done.stderr


def test_a_journal_that_cannot_be_read_is_an_error_and_no_verdict(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    (tmp_path / "var" / "monitor").mkdir(parents=True)
    (tmp_path / "var" / "monitor" / "journal.db").write_bytes(b"not a database" * 100)
    done = plant.monitor("gate", "--stage", "shadow", "--format", "json")
    assert (done.returncode, done.stdout) == (4, "") and "journal.db" in done.stderr


def test_sums_that_are_no_database_are_an_error_and_no_verdict(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    (tmp_path / "var" / "monitor").mkdir(parents=True)
    (tmp_path / "var" / "monitor" / "sums.duckdb").write_bytes(b"not a database" * 1000)
    done = plant.monitor("gate", "--stage", "shadow", "--format", "json")
    assert (done.returncode, done.stdout) == (4, "") and "sums.duckdb" in done.stderr
