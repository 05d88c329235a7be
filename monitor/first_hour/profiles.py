"""Three sets of the checklists' numbers, by what a wrong decision costs; the user's to change.

`standard` is what the package's own checklists say. A profile is written as the user's own copy of the
checklists, with its numbers in place, so that what is judged stands in one file and not in two.
"""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from gates.stages import STAGES

# profile -> file -> item or trigger -> number -> value, where it differs from the package's
PROFILES: dict[str, dict[str, dict[str, dict[str, object]]]] = {
    "low_stakes": {
        "offline_validation": {"constraint_value": {"hard_limit": 0.01}, "policy_age": {"days": 180}},
        "shadow_mode": {
            "recommendations_logged": {"share": 0.99},
            "disagreement": {"margin": 0.1},
            "large_disagreement": {"share": 0.05},
            "review": {"labelled": 20, "sensible": 0.8},
            "duration_and_coverage": {"days": 7, "coverage": 0.8, "times": 50},
        },
        "limited_deployment": {
            "blast_radius": {"ramp": "[0.05, 0.2, 0.5]", "step_days": 3, "stage_days": 14},
            "override_ready": {"drill_days": 90, "seconds": 60},
            "hard_constraints": {"limit": 0.01},
            "exploration": {"share": 0.05},
        },
        "full_deployment": {
            "rollback_armed": {"drill_days": 90},
            "on_call_path": {"days": 90, "minutes": 60},
            "red_team": {"max_age_days": 184},
            "exploration": {"share": 0.05},
        },
    },
    "standard": {},
    "high_stakes": {
        "offline_validation": {
            "constraint_value": {"hard_limit": 0.0001},
            "reward_hacking": {"top": 50, "correlation_margin": 0.1},
            "policy_age": {"days": 30},
        },
        "shadow_mode": {
            "recommendations_logged": {"share": 0.9999},
            "disagreement": {"margin": 0.02},
            "large_disagreement": {"share": 0.001},
            "review": {"labelled": 200, "sensible": 0.95},
            "duration_and_coverage": {"days": 28, "coverage": 0.95, "times": 300},
        },
        "limited_deployment": {
            "blast_radius": {"ramp": "[0.005, 0.01, 0.05, 0.2, 0.5]", "step_days": 14, "stage_days": 56},
            "override_ready": {"drill_days": 14},
            "hard_constraints": {"limit": 0.0001},
            "exploration": {"share": 0.001},
        },
        "full_deployment": {
            "rollback_armed": {"drill_days": 14},
            "on_call_path": {"days": 14, "minutes": 5},
            "red_team": {"max_age_days": 46},
            "exploration": {"share": 0.001},
        },
    },
}


def write(profile: str, folder: Path) -> list[str]:
    """Write a copy of every checklist with the numbers of a profile into `folder`; returns what changed.

    Raises FileExistsError where `folder` holds a checklist already: those are somebody's numbers.
    """
    texts = {
        f"{name}.yaml": (files("checklists") / f"{name}.yaml").read_text("utf-8")
        for name in (*STAGES, "triggers")
    }
    there = [name for name in texts if (folder / name).exists()]
    if there:
        raise FileExistsError(f"{folder.name}/{there[0]}")
    folder.mkdir(parents=True, exist_ok=True)
    told = []
    for name, text in texts.items():
        for item, numbers in PROFILES[profile].get(name.removesuffix(".yaml"), {}).items():
            for number, value in numbers.items():
                text = _replaced(text, item, number, value)
                told.append(f"{item}.{number}: {value}")
        (folder / name).write_text(text, "utf-8")
    return told


def _replaced(text: str, item: str, number: str, value: object) -> str:
    """The text with one number of one item changed. Raises ValueError where it has no such number."""
    pattern = rf"(  - item: {item}\n(?:    \w.*\n)*?    {number}: ).*\n"
    found, count = re.subn(pattern, lambda m: f"{m[1]}{value}\n", text)
    if count != 1:
        raise ValueError(f"the checklist has no number '{number}' of item '{item}'")
    return found
