"""The checklists of the walk: those that ship, with what a plant of six loops cannot give switched off, each
with its reason, and numbers for an experiment of weeks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from gates.stages import STAGES

NO_PROPENSITIES = "operators log no propensities; a person signs external_evaluation instead"
ONE_PLANT = "the share of the candidate changes with the ramp: no experiment with one planned share"
LATER = "not judged by this version yet"
# stage -> item -> because
OFF: dict[str, dict[str, str]] = {
    "offline_validation": {
        "held_out_value": NO_PROPENSITIES,
        "beats_baseline": NO_PROPENSITIES,
        "constraint_value": NO_PROPENSITIES,
        "reward_hacking": "the reward is metered: there is no proxy",
        "worst_case": NO_PROPENSITIES,
    },
    "limited_deployment": {
        "blast_radius": LATER,
        "override_ready": LATER,
        "dashboard_fresh": LATER,
        "hard_constraints": LATER,
        "ab_test": ONE_PLANT,
        "offline_online_gap": "no offline value was promised",
        "exploration": "a greedy controller, no propensities",
    },
    "full_deployment": {
        "continuous_monitoring": LATER,
        "offline_reevaluation": NO_PROPENSITIES,
        "rollback_armed": LATER,
        "on_call_path": LATER,
        "exploration": "a greedy controller, no propensities",
    },
}
NUMBERS: dict[str, dict[str, dict[str, object]]] = {
    "shadow_mode": {
        "disagreement": {"margin": 0.3},
        "large_disagreement": {"share": 0.05},
        "duration_and_coverage": {"days": 14},
    },
    "limited_deployment": {"blast_radius": {"ramp": "[0.2, 0.5]", "step_days": 7, "stage_days": 14}},
    "full_deployment": {"state_shift": {"limit": 0.3}},
}
SIGNED = """
  # Operators log no propensities: somebody outside evaluated the candidate, and signs it.
  - item: external_evaluation
    check: sign_off
    role: sign_off
"""


def write(folder: Path) -> None:
    """Write the four checklists and the triggers of the walk into `folder`."""
    own(folder, OFF, NUMBERS, {STAGES[0]: SIGNED})


def own(
    folder: Path,
    off: Mapping[str, Mapping[str, str]],
    numbers: Mapping[str, Mapping[str, Mapping[str, object]]],
    added: Mapping[str, str],
) -> None:
    """Write the checklists that ship into `folder` with these items switched off, numbers and items."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*STAGES, "triggers"):
        text = (files("checklists") / f"{name}.yaml").read_text("utf-8")
        for item, because in off.get(name, {}).items():
            text = _changed(text, item, "role", f"off\n    because: {_quoted(because)}")
        for item, changed in numbers.get(name, {}).items():
            for number, value in changed.items():
                text = _changed(text, item, number, str(value))
        (folder / f"{name}.yaml").write_text(text + added.get(name, ""), "utf-8")


def _changed(text: str, item: str, key: str, value: str) -> str:
    """The text with one key of one item changed. Raises ValueError where the item has no such key."""
    pattern = rf"(  - item: {item}\n(?:    \w.*\n)*?    {key}: ).*\n"
    found, count = re.subn(pattern, lambda m: f"{m[1]}{value}\n", text)
    if count != 1:
        raise ValueError(f"the checklist has no '{key}' of item '{item}'")
    return found


def _quoted(words: str) -> str:
    return '"' + words + '"'
