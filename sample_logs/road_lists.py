"""The checklists of the walk: those that ship, with what a plant of six loops cannot give switched off, each
with its reason, and numbers for an experiment of weeks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from gates.stages import STAGES

# What operators' logs cannot tell without propensities: an evaluation from outside is signed (grade C).
GRADE_C = ("held_out_value", "beats_baseline", "constraint_value", "worst_case")
GREEDY = "a greedy controller: no distribution to explore with"
ONE_PLANT = "the share of the candidate changes with the ramp: no experiment with one planned share"
# stage -> item -> because
OFF: dict[str, dict[str, str]] = {
    "offline_validation": {"reward_hacking": "the reward is metered: there is no proxy"},
    "limited_deployment": {
        "ab_test": ONE_PLANT,
        "offline_online_gap": "no offline value was promised",
        "exploration": GREEDY,
    },
    "full_deployment": {
        "offline_reevaluation": "operators log no propensities",
        "exploration": GREEDY,
    },
}
NUMBERS: dict[str, dict[str, dict[str, object]]] = {
    "shadow_mode": {
        "disagreement": {"margin": 0.3},
        "large_disagreement": {"share": 0.05},
        "duration_and_coverage": {"days": 14},
    },
    "limited_deployment": {
        "blast_radius": {"ramp": "[0.2, 0.5]", "step_days": 7, "stage_days": 14},
        "hard_constraints": {"limit": 0.12},  # what a week of a fifth of six loops can tell
    },
    "full_deployment": {"state_shift": {"limit": 0.3}, "rollback_armed": {"baseline_windows": 14}},
}


def write(folder: Path) -> None:
    """Write the four checklists and the triggers of the walk into `folder`."""
    own(folder, OFF, NUMBERS)


def own(
    folder: Path,
    off: Mapping[str, Mapping[str, str]],
    numbers: Mapping[str, Mapping[str, Mapping[str, object]]],
) -> None:
    """Write the checklists that ship into `folder` with these items switched off, and these numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*STAGES, "triggers"):
        text = (files("checklists") / f"{name}.yaml").read_text("utf-8")
        for item, because in off.get(name, {}).items():
            text = _changed(text, item, "role", f"off\n    because: {_quoted(because)}")
        for item, changed in numbers.get(name, {}).items():
            for number, value in changed.items():
                text = _changed(text, item, number, str(value))
        (folder / f"{name}.yaml").write_text(text, "utf-8")


def _changed(text: str, item: str, key: str, value: str) -> str:
    """The text with one key of one item changed. Raises ValueError where the item has no such key."""
    pattern = rf"(  - item: {item}\n(?:    \w.*\n)*?    {key}: ).*\n"
    found, count = re.subn(pattern, lambda m: f"{m[1]}{value}\n", text)
    if count != 1:
        raise ValueError(f"the checklist has no '{key}' of item '{item}'")
    return found


def _quoted(words: str) -> str:
    return '"' + words + '"'
