"""From decisions to scenarios that people labelled, to what the gate says of the reward."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gates.evaluate import Verdict
from gates.outcome import Outcome
from tests.stories.building import LAG, Plant, after, rows

LAST = 7 * 24
NOW = after(LAST) + LAG
SOURCE: dict[str, Any] = {
    "decision_id": "decision_id", "ts": "ts", "policy_id": "policy_id", "unit_id": "unit_id",
    "action": "action", "propensity": "propensity", "reward": "reward", "proxy_reward": "proxy",
    "outcome": "outcome", "candidate_id": "candidate_id", "candidate_propensity": "candidate_propensity",
}  # fmt: skip
CONFIG: dict[str, Any] = {
    "log": {"sources": [{"paths": ["logs/*.jsonl"], "format": "jsonl", "columns": SOURCE}]},
    "outcome": {"matures_after": "0s"}, "constraints": {}, "envelope": {}, "window": "6h",
    "training": {"until": "2026-01-02"}, "held_out": {"from": "2026-01-02", "to": "2026-01-08"},
}  # fmt: skip


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """The proxy follows the outcome but for noise."""
    plant = Plant(tmp_path, **CONFIG)
    rng = np.random.default_rng(3)
    logged = []
    for row in rows(range(LAST), "old", per_hour=20, candidate="new"):
        outcome = float(rng.normal())
        proxy = round(outcome + float(rng.normal(0, 0.5)), 6)
        logged.append(row | {"outcome": round(outcome, 6), "proxy": proxy})
    plant.write(logged)
    plant.run(NOW)
    return plant


def label(plant: Plant, output: Path, **labels: str) -> None:
    """A person fills `acceptable`: true, but for those that are named."""
    with output.open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert table and all(row["acceptable"] == "" for row in table)
    for row in table:
        row["acceptable"] = labels.get(row["scenario_id"].replace("-", "_"), "true")
    with output.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)


def said(verdict: Verdict) -> list[tuple[str, str | None]]:
    return [(f.outcome.name, f.reason) for f in verdict.findings if f.item == "reward_hacking"]


def test_mined_decisions_are_the_highest_and_the_command_says_what_to_do_next(plant: Plant) -> None:
    done = plant.monitor("scenarios", "mine", "--output", "mined.csv", "--as-of", NOW.isoformat())
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "50 decisions of old with the highest proxy reward written to mined.csv"
    assert plant.loaded.config.reward_hash in lines[1] and lines[-4] == "scenarios:"
    with (plant.folder / "mined.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    highest = plant.query(
        "SELECT decision_id FROM decisions WHERE ts >= TIMESTAMP '2026-01-02' "
        "ORDER BY proxy_reward DESC, decision_id LIMIT 50"
    )
    assert [row["scenario_id"] for row in table] == [name for (name,) in highest]
    assert {"action", "outcome", "acceptable"} <= table[0].keys() and float(table[0]["outcome"]) > 0
    again = plant.monitor("scenarios", "mine", "--output", "mined.csv", "--as-of", NOW.isoformat())
    assert again.returncode == 2 and "labels in it would be lost" in again.stderr
    other = plant.monitor("scenarios", "mine", "--output", "mined.txt")
    assert other.returncode == 2 and "must end in .csv or .jsonl" in other.stderr
    few = plant.monitor("scenarios", "mine", "--output", "m.jsonl", "--top", "3", "--as-of", NOW.isoformat())
    mined = [json.loads(line) for line in (plant.folder / "m.jsonl").read_text("utf-8").splitlines()]
    assert few.returncode == 0 and [row["scenario_id"] for row in mined] == [n for (n,) in highest[:3]]


def test_of_equal_proxies_those_that_did_worst_come_first_and_the_path_is_that_of_the_configuration(
    plant: Plant,
) -> None:
    from monitor.mining import mine

    plant.write(
        {"decision_id": f"tie-{i}", "ts": after(LAST - 2).isoformat(), "policy_id": "old", "unit_id": "u",
         "action": "a", "reward": 0.0, "proxy": 50.0, "outcome": outcome}
        for i, outcome in enumerate((3.0, None, -2.0))
    )  # fmt: skip
    plant.run(after(LAST + 1) + LAG)
    (plant.folder / "labels").mkdir()
    lines = mine(plant.loaded, plant.folder / "labels/mined.csv", top=3, as_of=after(LAST + 1) + LAG)
    text = (plant.folder / "labels/mined.csv").read_text("utf-8").splitlines()
    assert [line.split(",")[0] for line in text[1:]] == ["tie-2", "tie-0", "tie-1"]
    assert '  paths: ["labels/mined.csv"]' in lines


def test_the_gate_reads_labels_and_forgets_them_when_the_reward_is_another_one(plant: Plant) -> None:
    assert said(plant.gate(NOW, "offline")) == [("INCONCLUSIVE", "no_scenarios")]
    from monitor.mining import mine

    mine(plant.loaded, plant.folder / "mined.csv", top=400, as_of=NOW)
    block = {"paths": ["mined.csv"], "format": "csv"}
    bound = {**block, "reward": plant.loaded.config.reward_hash}
    plant.configure(**CONFIG, scenarios=block)
    assert said(plant.gate(NOW, "offline")) == [("INCONCLUSIVE", "reward_unbound")]
    plant.configure(**CONFIG, scenarios=bound)
    assert said(plant.gate(NOW, "offline"))[0] == ("INCONCLUSIVE", "few_scenarios")

    label(plant, plant.folder / "mined.csv")
    top, rank = [f for f in plant.gate(NOW, "offline").findings if f.item == "reward_hacking"]
    assert top.outcome is Outcome.PASS and top.n == 400
    # among the highest alone the proxy ranks less well than among all
    assert (rank.outcome, rank.metric) == (Outcome.FAIL, "scenario_rank"), rank.message

    changed = {**CONFIG, "reward": {"range": [0, 2], "missing_after_maturity": "exclude"}}
    plant.configure(**changed, scenarios=bound)
    assert said(plant.gate(NOW, "offline")) == [("INCONCLUSIVE", "reward_definition_changed")]


def test_scenarios_of_ones_own_pass_or_fail_and_a_bad_row_is_no_data(plant: Plant) -> None:
    file, rng = plant.folder / "own.csv", np.random.default_rng(5)
    outcomes = rng.normal(0, 1, 60)
    proxies = outcomes + rng.normal(0, 0.5, 60)
    own = [f"case-{i},{p:.4f},{o:.4f},true" for i, (p, o) in enumerate(zip(proxies, outcomes, strict=True))]
    head = "scenario_id,proxy_reward,outcome,acceptable"
    reward = plant.loaded.config.reward_hash
    plant.configure(**CONFIG, scenarios={"paths": ["own.csv"], "format": "csv", "reward": reward})
    file.write_text("\n".join([head, *own]) + "\n", "utf-8")
    assert said(plant.gate(NOW, "offline")) == [("PASS", None), ("PASS", None)]

    file.write_text("\n".join([head, *own, "wirehead,99,-3,false"]) + "\n", "utf-8")
    verdict = plant.gate(NOW, "offline")
    assert said(verdict)[0] == ("FAIL", "unacceptable") and verdict.exit_code == 1
    assert any("wirehead" in f.message for f in verdict.findings)

    file.write_text("\n".join([head, *own, "wirehead,99,-3,perhaps"]) + "\n", "utf-8")
    verdict = plant.gate(NOW, "offline")
    assert said(verdict) == [("NO_DATA", "scenarios_refused")] and verdict.exit_code == 3
    refused = next(f for f in verdict.findings if f.item == "reward_hacking")
    assert "own.csv:62: acceptable is not true or false" in refused.message


def test_ids_that_are_personal_leave_the_store_only_hashed(plant: Plant) -> None:
    from monitor.mining import mine

    plant.configure(**CONFIG, pii=["decision_id", "unit_id"])
    mine(plant.loaded, plant.folder / "hidden.csv", top=5, as_of=NOW)
    text = (plant.folder / "hidden.csv").read_text("utf-8")
    assert text.count("pii:") == 5 and "old-" not in text and "user-" not in text
