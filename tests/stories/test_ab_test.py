"""Ten days of an experiment: sound, then with another split than planned."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gates.outcome import Outcome
from tests.stories.building import LAG, STATE, Plant, after, rows

DAYS = 10
EXPERIMENT = {"share": 0.5, "from": "2026-01-04", "days": 5}


def test_the_gate_of_limited_deployment_reads_the_experiment(tmp_path: Path) -> None:
    plant = Plant(tmp_path, **STATE, experiment=EXPERIMENT)
    rng = np.random.default_rng(2)
    made = rows(range(DAYS * 24), "old", per_hour=15)
    made += rows(range(3 * 24, DAYS * 24), "new", per_hour=15, seed=5)
    for row in made:
        row["unit_id"] = f"{row['policy_id']}-{rng.integers(0, 800)}"
        row["reward"] = float(rng.random() < (0.75 if row["policy_id"] == "new" else 0.5))
    plant.write(sorted(made, key=lambda r: r["ts"]))
    plant.run(after(DAYS * 24) + LAG)
    verdict = plant.gate(after(DAYS * 24) + LAG, "limited")
    found = {f.metric: f for f in verdict.findings if f.item == "ab_test"}
    for metric in ("sample_ratio_e", "traffic_p", "units_in_both", "experiment_days", "ab_lift"):
        assert found[metric].outcome is Outcome.PASS, found[metric].message
    assert found["ab_lift"].value == np.float64(found["ab_lift"].value) > 0.2
    assert found["experiment_days"].value == 7.0

    plant.configure(**STATE, experiment={**EXPERIMENT, "share": 0.4})
    plant.run(after(DAYS * 24) + LAG)
    verdict = plant.gate(after(DAYS * 24) + LAG, "limited")
    found = {f.metric: f for f in verdict.findings if f.item == "ab_test"}
    ratio = found["sample_ratio_e"]
    assert (ratio.outcome, ratio.reason) == (Outcome.FAIL, "sample_ratio")
