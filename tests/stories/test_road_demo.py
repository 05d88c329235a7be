"""The road that `monitor demo` shows: it goes as it should, and it would be told if it did not."""

from __future__ import annotations

from pathlib import Path

from gates.stages import FULL, LIMITED, SHADOW
from sample_logs import road_demo


def test_the_road_of_the_demo_goes_to_full_deployment_and_back_on_80_columns(tmp_path: Path) -> None:
    told, wrong = road_demo.play(tmp_path / "road")
    assert wrong == []
    entered = [line.split(" is in ")[1].split()[0] for line in told if " is in " in line]
    assert [name.rstrip(",") for name in entered] == [SHADOW, LIMITED, LIMITED, FULL, LIMITED]
    assert any("LIMITED step 0.5 since 06-11" in line for line in told)
    assert sum("was not promoted" in line for line in told) == 2
    assert any("FULL since" in line for line in told) and any("rolled back 20" in line for line in told)
    assert all(len(line) <= 90 and line.isprintable() for line in told), told


def test_a_road_that_goes_another_way_is_told(tmp_path: Path) -> None:
    walk = road_demo._begun(tmp_path / "road")
    walk.day(15)
    walk.gate("offline")
    walk.refused("shadow")
    assert walk.wrong == ["offline exits 3 on 2026-05-19, not 0"]
