"""The documentation is executed: whatever the code knows is in it, and the quick path of the README runs."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from ruamel.yaml import YAML

from gates import outcome
from gates.needs import REASONS
from monitor import config as configuration
from monitor.cli import app
from monitor.metrics import METRICS
from monitor.triggers import NUMBERS, TRIGGERS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
CONFIGURATION = (ROOT / "docs/configuration.md").read_text("utf-8")
MEASURES = (ROOT / "docs/metrics.md").read_text("utf-8")
CHECKLISTS = (ROOT / "checklists/README.md").read_text("utf-8")
QUICK_PATH = README.split("## From a log file to your first gate")[1].split("\n## ")[0]


def test_every_command_has_a_row_with_all_its_options() -> None:
    rows = _rows(README)
    for name, options in _commands():
        row = " ".join(rows.get(name, []))
        assert row, f"`{name}` is not in the table of commands of README.md"
        missing = [option for option in options if f"`{option}" not in row]
        assert not missing, f"the row of `{name}` lacks {missing}"


def test_the_table_of_commands_names_no_command_that_is_gone() -> None:
    told = {key for key in _rows(README) if key.startswith("monitor ")}
    assert told == {name for name, _ in _commands()}


def test_every_exit_code_has_a_row() -> None:
    codes = {str(v) for name, v in vars(outcome).items() if name.startswith("EXIT_")}
    assert codes == set(re.findall(r"^\| (\d) \|", README, flags=re.MULTILINE))


def test_the_metrics_are_those_of_the_registry() -> None:
    assert set(_rows(MEASURES, 6)) == set(METRICS)


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_is_told_with_its_maturity_and_a_unit(metric: str) -> None:
    _what, formula, unit, interval, waits, reasons = _rows(MEASURES, 6)[metric]
    assert formula and unit and interval and reasons
    assert waits == ("yes" if METRICS[metric].matures else "no")


def test_every_trigger_is_told_with_its_metrics_and_numbers() -> None:
    rows = _rows(MEASURES, 4)
    for name, numbers in NUMBERS.items():
        reads, _rule, listed, confirmed = rows[name]
        metrics = TRIGGERS[name].metrics if name in TRIGGERS else ()
        assert [m for m in metrics if f"`{m}`" not in reads] == [], name
        assert [n for n in numbers if f"`{n}`" not in listed + confirmed] == [], name


def test_every_reason_of_a_number_is_explained() -> None:
    code = "".join(file.read_text("utf-8") for file in (ROOT / "monitor/metrics").glob("*.py"))
    given = set(re.findall(r'(?:missing|because)\(\s*"([a-z_]+)"', code))
    given |= {reason for reason in REASONS if f'"{reason}"' in code}
    assert {"low_ess", "missing_cost", "n_actions_unknown", "low_units"} <= given
    assert given <= set(_rows(MEASURES, 1))


def test_the_keys_of_the_configuration_are_those_of_the_model() -> None:
    assert set(_rows(CONFIGURATION, 4)) == set(dict(_keys(configuration.Config)))


def test_the_defaults_of_the_documentation_are_those_of_the_model() -> None:
    told = {key: cells[1] for key, cells in _rows(CONFIGURATION, 4).items()}
    assert told == dict(_keys(configuration.Config))


def test_the_full_example_loads_and_uses_every_key_it_may(tmp_path: Path) -> None:
    (tmp_path / "monitor.yaml").write_text(_fenced(CONFIGURATION, "yaml")[0], "utf-8")
    configuration.load(tmp_path / "monitor.yaml")
    alternatives = {"unit.block", "training.ids", "training.none", "expectations.suite"}
    switched = ("command", "read", "env", "time_limit", "url", "read_url", "unsigned", "path")
    alternatives |= {f"{by}.{key}" for by in ("rollback", "pause_training") for key in switched}
    used = set(_used(YAML(typ="safe").load(_fenced(CONFIGURATION, "yaml")[0])))
    assert {key for key, _ in _keys(configuration.Config)} - used <= alternatives


def test_every_canonical_column_is_explained() -> None:
    told = set(_rows(CONFIGURATION, 2))
    prefixes = {prefix + "<name>" for prefix in configuration.CANONICAL_PREFIXES}
    assert [c for c in configuration.CANONICAL if c not in told] == []
    assert [p for p in prefixes if f"`{p}`" not in CONFIGURATION] == []
    assert told <= {*configuration.CANONICAL, *prefixes}


def test_keys_that_are_refused_for_now_are_told() -> None:
    refused = CONFIGURATION.split("### Refused for now")[1]
    assert [key for key in configuration.NOT_YET if f"`{key}`" not in refused] == []


@pytest.mark.parametrize("file", sorted((ROOT / "checklists").glob("*.yaml")), ids=lambda f: f.stem)
def test_every_item_check_and_number_of_a_checklist_is_explained(file: Path) -> None:
    content = YAML(typ="safe").load(file)
    if file.name == "triggers.yaml":
        names = {n for trigger, numbers in content.items() for n in (trigger, *numbers)}
    else:
        names = {n for item in content["items"] for n in (item["item"], item["check"], item["role"])}
        names |= {n for item in content["items"] for n in item} - {"item", "check", "role"}
    assert [n for n in sorted(names) if f"`{n}`" not in CHECKLISTS] == []


def test_the_quick_path_of_the_readme_runs_and_ends_as_it_says(tmp_path: Path) -> None:
    example = json.loads(_fenced(QUICK_PATH, "json")[0])
    (tmp_path / "logs").mkdir()
    rows = [json.dumps(row) + "\n" for row in _tickets()]
    assert _shape(json.loads(rows[-1])) == _shape(example)
    (tmp_path / "logs/tickets.jsonl").write_text("".join(rows), "utf-8")
    (tmp_path / "monitor.yaml").write_text(_fenced(QUICK_PATH, "yaml")[0], "utf-8")
    (tmp_path / "review.csv").write_text("ticket,sensible\n", "utf-8")
    said = {}
    for line in "".join(_fenced(QUICK_PATH, "sh")).splitlines():
        expected = re.search(r"# exit code (\d)", line)
        command = shlex.split(line, comments=True)
        done = _run(command, tmp_path)
        assert done.returncode == int(expected[1] if expected else 0), f"{line}\n{done.stdout}\n{done.stderr}"
        said[line] = done.stdout
    holds, passes = [text for line, text in said.items() if "gate" in line]
    shown = _fenced(QUICK_PATH, "")
    for row in next(block for block in shown if block.startswith("INCONCLUSIVE")).splitlines():
        assert row in holds.splitlines(), f"README shows {row!r}, the gate says\n{holds}"
    assert passes.startswith("PASS")


def test_the_pointer_of_the_readme_has_the_fields_of_a_pointer() -> None:
    from alerts.rollback.target import pointer_to

    at = datetime(2026, 1, 31, tzinfo=UTC)
    pointer = pointer_to("old", stage="full_deployment", previous="new", incident="new-js-1", at=at)
    assert set(json.loads(_fenced(QUICK_PATH, "json")[1])) == set(pointer)


@pytest.mark.parametrize("file", ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "docs/configuration.md"])
def test_links_and_make_targets_lead_somewhere(file: str) -> None:
    text = (ROOT / file).read_text("utf-8")
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert ((ROOT / file).parent / link).exists(), link
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"`make ([a-z-]+)`|^make ([a-z-]+)", text, flags=re.MULTILINE):
        assert re.search(rf"^{''.join(target)}:", makefile, flags=re.MULTILINE), target


def _commands() -> Iterator[tuple[str, list[str]]]:
    """Every command that does something, with the long and short names of its options."""

    def walk(command: Any, words: list[str]) -> Iterator[tuple[str, list[str]]]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield " ".join(words), [o for p in command.params for o in p.opts if o.startswith("-")]
            return
        for name, one in inner.items():
            yield from walk(one, [*words, name])

    yield from walk(typer.main.get_command(app), ["monitor"])


def _rows(text: str, width: int | None = None) -> dict[str, list[str]]:
    """Rows of tables whose first cell is one name in backticks: name -> the other cells, `width` of them."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        first, *cells = [cell.strip() for cell in line.split("|")[1:-1]] or [""]
        name = re.fullmatch(r"`([^`]+)`", first)
        if name and width in (None, len(cells)):
            assert name[1] not in found or width is None, f"{name[1]} has two rows"
            found[name[1]] = cells
    return found


def _fenced(text: str, kind: str) -> list[str]:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [block for name, block in blocks if name == kind]


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every dotted key of the model with its default as the documentation writes it."""
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        yield key, _default(field)
        inner = _model_in(field.annotation)
        if inner is not None:
            yield from _keys(inner, f"{key}.")


def _default(field: Any) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "required"
    return "none" if value is None else f"`{_written(value)}`"


def _written(value: Any) -> str:
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
        unit = next((u for u in ("h", "m", "s") if seconds and seconds % configuration.UNITS[u] == 0), "s")
        text = f"{seconds / configuration.UNITS[unit]:g}{unit}"
        return "7d" if text == "168h" else text
    if isinstance(value, BaseModel):
        return _written({k: getattr(value, k) for k in value.model_fields_set})
    if isinstance(value, list):
        return f"[{', '.join(_written(v) for v in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{k}: {_written(v)}' for k, v in value.items())}}}"
    if isinstance(value, float) and not isinstance(value, bool):
        return "0" if value == 0 else repr(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for a in getattr(annotation, "__args__", ()) if (m := _model_in(a))), None)


def _used(node: Any, prefix: str = "", model: Any = configuration.Config) -> Iterator[str]:
    """Dotted keys in a document; names that the user chooses (of a constraint …) are left out."""
    if isinstance(node, list):
        for one in node:
            yield from _used(one, prefix, model)
    if not isinstance(node, dict) or model is None:
        return
    fields = {f.alias or name: f for name, f in model.model_fields.items()}
    for key, value in node.items():
        if key not in fields:
            yield from _used(value, prefix, model)
            continue
        yield prefix + key
        yield from _used(value, f"{prefix}{key}.", _model_in(fields[key].annotation))


def _tickets() -> Iterator[dict[str, Any]]:
    """A log of the README's shape: 1 200 tickets a day, rules decide, a bandit recommends from day 8."""
    rng = random.Random(20250901)
    start, days, daily = datetime(2025, 9, 1, tzinfo=UTC), 33, 1200
    kinds, teams = ("invoice", "bug", "offer"), ("billing", "tech", "sales", "general")
    for i in range(days * daily):
        at = start + timedelta(days=(i + rng.random()) / daily)
        best = rng.randrange(3)
        ours = [0.6 if team == best else 0.4 / 3 for team in range(4)]
        theirs = [0.85 if team == best else 0.05 for team in range(4)]
        team = rng.choices(range(4), ours)[0]
        row: dict[str, Any] = {
            "ticket": f"t{i:05d}", "created": f"{at:%Y-%m-%dT%H:%M:%SZ}",
            "customer": f"c{rng.randrange(900)}", "kind": kinds[best],
            "waiting": round(rng.lognormvariate(1, 0.5), 2),
            "route": {"by": "rules", "team": teams[team], "p": round(ours[team], 6)},
        }
        if at >= start + timedelta(days=7):
            row["shadow"] = {"team": teams[rng.choices(range(4), theirs)[0]], "p": theirs[team]}
        chance = 0.55 if team == best else 0.3
        yield {**row, "solved": int(rng.random() < chance), "breach": int(rng.random() < 0.01)}


def _shape(row: dict[str, Any]) -> dict[str, Any]:
    return {k: _shape(v) if isinstance(v, dict) else type(v) for k, v in row.items()}


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    assert command[0] == "monitor", f"the quick path runs only monitor, not {command[0]}"
    return subprocess.run(
        [sys.executable, "-m", "monitor.cli", *command[1:]],
        cwd=folder, env={**os.environ, "COLUMNS": "100"}, capture_output=True, text=True, timeout=120,
        check=False,
    )
