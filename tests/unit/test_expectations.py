"""Suites: built from the configuration, read from a file, validated by Great Expectations."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from monitor import config as configuration
from monitor import suite
from monitor.config import ConfigError, Loaded
from monitor.expectations import validate
from monitor.suite import BETWEEN, IN_SET, NOT_NULL, Expectation
from tests.conftest import CONFIG

REFERENCE = {
    "columns": {
        "state_load": {
            "null_share": 0.03, "min": 0.0, "max": 1.0, "mean_low": 0.4, "mean_high": 0.5, "sd": 0.2,
            "sd_low": 0.15, "sd_high": 0.25,
        },
        "propensity": {"null_share": 0.0},
        "cost_slow": {"null_share": 0.7},
    },
    "hours": [100.0] * 24, "season": 24, "duplicate_share": 0.001, "volume": 0.9, "quietest": 0.6,
}  # fmt: skip


def rules(loaded: Loaded, reference: object = None) -> list[str]:
    return [f"{e.key} ({e.severity})" for e in suite.built(loaded.config, reference)]


def test_without_a_baseline_only_what_the_configuration_declares_is_expected(loaded: Loaded) -> None:
    assert rules(loaded) == [
        "decision_id: null_share at most 0 (critical)",
        "ts: null_share at most 0 (critical)",
        "policy_id: null_share at most 0 (critical)",
        "reward: min at least 0 (critical)",
        "reward: max at most 2 (critical)",
        "batch: reward_lag_hours at most 0.1667 (warning)",
        "batch: late_share at most 0.05 (warning)",
        "action_speed: min at least 0.2 (critical)",
        "action_speed: max at most 1 (critical)",
        "batch: weight_check at most 1.05 (critical)",
        "batch: propensity_check at least 0.95 (critical)",
    ]


def test_the_baseline_adds_nulls_units_duplicates_and_volume(loaded: Loaded) -> None:
    assert rules(loaded, REFERENCE)[11:] == [
        "state_load: null_share at most 0.08 (critical)",
        "propensity: null_share at most 0.02 (critical)",
        "state_load: mean between -0.4 and 1.3 (critical)",
        "state_load: sd between 0.015 and 2.5 (critical)",
        "state_load: min at least -1 (warning)",
        "state_load: max at most 2 (warning)",
        "batch: duplicate_share at most 0.012 (critical)",
        "batch: volume at least 0.45 (critical)",
        "batch: quietest at least 0.3 (critical)",
    ]


def test_every_built_expectation_is_about_a_column_of_the_profile(loaded: Loaded) -> None:
    known = suite.columns(loaded.config)
    assert [e.column for e in suite.built(loaded.config, REFERENCE) if e.column not in known] == []


def test_great_expectations_names_the_days_that_do_not_meet_a_rule() -> None:
    mean = Expectation("load.mean", BETWEEN, {"column": "load.mean", "min_value": 0.0, "max_value": 1.0})
    there = Expectation("load.mean", NOT_NULL, {"column": "load.mean"}, "warning")
    frame = {day: {"load.mean": v} for day, v in enumerate((0.5, 50.0, math.nan, math.inf), 1)}
    assert validate(frame, [there, mean]) == {2: [mean], 3: [there], 4: [mean]}


def written(folder: Path, body: object) -> Path:
    (folder / "own.json").write_text(body if isinstance(body, str) else json.dumps(body), "utf-8")
    path = folder / "monitor.yaml"
    path.write_text(f"{CONFIG}expectations: {{suite: own.json}}\n", "utf-8")
    return path


def entry(
    column: str = "state_load.mean", type_: str = BETWEEN, severity: str = "critical", **kwargs: object
) -> dict[str, object]:
    return {"type": type_, "kwargs": {"column": column, **kwargs}, "severity": severity}


def test_a_suite_file_is_read(tmp_path: Path) -> None:
    body = {"expectations": [entry(max_value=1), entry("reward.null_share", NOT_NULL, "info")]}
    loaded = configuration.load(written(tmp_path, body))
    found = suite.read(loaded.path("own.json"), suite.columns(loaded.config))
    assert [(e.key, e.severity) for e in found] == [
        ("state_load: mean at most 1", "critical"), ("reward: null_share not missing", "warning"),
    ]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("{", "own.json: is not JSON"),
        ({"expectations": []}, "own.json: needs a list `expectations`"),
        ({"expectations": [entry("state_lood.mean", max_value=1)]}, "did you mean 'state_load.mean'?"),
        ({"expectations": [entry(max_valu=1)]}, "did you mean 'max_value'?"),
        ({"expectations": [entry(max_value=math.nan)]}, "are numbers"),
        ({"expectations": [entry()]}, "one of them is needed"),
        ({"expectations": [entry(severity="fatal", max_value=1)]}, "not 'fatal'"),
        ({"expectations": [entry(type_=BETWEEN.replace("ween", "wen"))]}, f"did you mean '{BETWEEN}'?"),
        ({"expectations": [entry(type_=IN_SET, value_set="x")]}, "list of numbers"),
    ],
)
def test_a_mistake_in_a_suite_file_is_refused_and_the_file_named(tmp_path: Path, body, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configuration.load(written(tmp_path, body))
    assert all(line.startswith("own.json: ") for line in caught.value.errors) and says in str(caught.value)


def test_a_suite_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, {})
    (tmp_path / "own.json").unlink()
    with pytest.raises(ConfigError, match=r"own\.json: cannot be read"):
        configuration.load(path)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("off", "needs a reason"),
        ("{}", "is {off: REASON} or {suite: FILE}"),
        ("{off: x, suite: own.json}", "is {off: REASON} or {suite: FILE}"),
    ],
)
def test_off_needs_a_reason_and_excludes_a_suite(tmp_path: Path, value: str, says: str) -> None:
    path = tmp_path / "monitor.yaml"
    path.write_text(f"{CONFIG}expectations: {value}\n", "utf-8")
    with pytest.raises(ConfigError) as caught:
        configuration.load(path)
    assert says in str(caught.value)


def test_importing_the_jobs_imports_no_great_expectations() -> None:
    heavy = "('great_expectations', 'pandas')"
    code = f"import sys, monitor.jobs; print([m for m in sys.modules if m in {heavy}])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
