"""`monitor evaluate`: the numbers side by side, and a word on each."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from monitor import verdicts
from monitor.evaluate import table, to_json
from tests.stories.building import LAG, Plant, after, rows
from tests.stories.test_gate_offline import LAST, believable

TRUE = 0.45 * 0.5 + 0.55 / 3


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    return believable(tmp_path_factory.mktemp("evaluate"))


def test_estimators_of_every_kind_hold_the_true_value_and_say_whether_to_believe_them(plant: Plant) -> None:
    found = verdicts.evaluate(plant.loaded, stage="offline", as_of=after(LAST) + LAG, every=True)
    lines = {one.metric: one for one in found.values if not one.key}
    for name in ("ips", "snips", "dm", "dr", "sndr", "switch_dr", "dros", "clipped_ips"):
        assert lines[name].estimate.low < TRUE < lines[name].estimate.high, name
    assert {name for name, one in lines.items() if one.believe == "yes"} >= {"snips", "dr", "sndr", "lift"}
    assert lines["ips"].believe == lines["dm"].believe == "shown"
    assert found.agreement.startswith("Two estimators of different kind agree")
    assert {one.key for one in found.values if one.metric == "offpolicy_cost"} == {"slow", "crash"}


def test_the_table_and_the_json_say_the_same_and_the_command_line_prints_them(plant: Plant) -> None:
    found = verdicts.evaluate(plant.loaded, stage="offline", as_of=after(LAST) + LAG, every=False)
    plain = to_json(found)
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    text = table(found, width=120)
    for one in plain["estimates"] + plain["diagnostics"]:
        assert one["metric"] in text and (one["value"] is None or math.isfinite(one["value"]))
    asked = ("evaluate", "--as-of", (after(LAST) + LAG).isoformat())
    printed = json.loads(plant.monitor(*asked, "--format", "json").stdout)
    reasons = [[one["because"] for one in each["estimates"]] for each in (printed, plain)]
    assert reasons[0] == reasons[1]
    assert printed["agreement"] == plain["agreement"]
    assert plant.monitor(*asked).stdout.startswith("What would")
    assert plant.monitor("evaluate", "--stage", "full").returncode == 2


def test_without_propensities_the_value_is_grade_b_with_its_bounds(tmp_path: Path) -> None:
    plant = Plant(tmp_path, window="6h")
    plant.write(row | {"propensity": None, "candidate_propensity": None, "segment": "s"} for row in rows(
        range(48), "old", per_hour=40, candidate="new"
    ))  # fmt: skip
    plant.run(after(48) + LAG)
    found = verdicts.evaluate(plant.loaded, stage="shadow", as_of=after(48) + LAG, every=False)
    assert {one.believe for one in found.values} == {"no"}
    value, low, high, fit = (one.estimate for one in found.grade_b)
    assert low.value < value.value < high.value and value.low < 0.5 < value.high
    assert fit.value < 2 and len(found.tenths) >= 2
    assert "grade B" in table(found, width=120) and "a logged propensity" in " ".join(found.advice)
