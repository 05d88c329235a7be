"""What a rule sees of the other keys of a window: every feature's own series, judged as one family."""

from __future__ import annotations

from pathlib import Path

from monitor.judge import Bench
from monitor.metrics.families import holm
from monitor.readings import hour_of
from monitor.rules import load
from monitor.store import opened
from monitor.triggers import TRIGGERS
from monitor.verdicts import current_baseline, store_of
from tests.stories.building import LAG, STATE, Plant, after, rows


def test_each_feature_is_judged_with_the_p_values_of_the_others(tmp_path: Path) -> None:
    plant = Plant(tmp_path, **{**STATE, "baseline": {**STATE["baseline"], "to": "2026-01-05"}})
    plant.write(rows(range(4 * 24), "old", per_hour=40))
    plant.write(row | {"state_load": row["state_load"] + 3} for row in rows([96, 97], "old", per_hour=40))
    plant.run(after(98) + LAG)
    store = store_of(plant.loaded)
    with plant.journal() as journal:
        baseline = current_baseline(journal, store)
    start, row = hour_of(after(97)), TRIGGERS["state_shift"]
    with opened(store.sums, read_only=True) as sums:
        on = {"state_shift": row}
        bench = Bench(sums, plant.loaded.config, baseline, load(), [], on, start, start + 1, history=24)
        beside = bench._beside(row, "state_shift", "old", start)
        found = sums.execute(
            "SELECT \"key\", value FROM readings WHERE metric = 'state_js_p' AND window_start = ?", [start]
        ).fetchall()
    p = {key: series["state_js_p"][-1].estimate.value for key, (series, _) in beside.items()}
    assert p == dict(found) and set(p) == {"load", "season"}
    assert holm(list(p.values()), 0.001).tolist() == [key == "load" for key in p]
    fired = [e.body for e in plant.events("firing") if e.body["trigger"] == "state_shift"]
    assert {b["key"] for b in fired} == {"load"}
