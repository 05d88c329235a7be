"""The planted faults: each changes a healthy world from its hour on, and nothing before it.

A fault is a pure function (world, hours) → world, where `hours` counts the hours since the fault
began: 1 in the planted hour, 2 in the next, 0 or less before. What a fault adds to the reader's
world shows in shadow logs as well as in live ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from sample_logs.news import COMPLAINT_RATE, World

CREEP_PER_HOUR = 0.0025
CREEP_CEILING = 0.15


@dataclass(frozen=True)
class Fault:
    """What goes wrong, in a sentence; the trigger that should see it first (None: none does), what it does
    in a live log, and the trigger of the shadow log where it is another one."""

    apply: Callable[[World, np.ndarray], World]
    what: str
    trigger: str | None
    action: Literal["rollback", "escalate"] = "rollback"
    in_shadow: str | None = None


def reward_collapse(world: World, hours: np.ndarray) -> World:
    """Clicks fall to a fifth: articles no longer load for most readers."""
    return replace(world, click_factor=np.where(hours > 0, 0.2, world.click_factor))


def constraint_creep(world: World, hours: np.ndarray) -> World:
    """The true complaint rate rises from .01 by .0025 an hour, to at most .15."""
    risen = np.minimum(COMPLAINT_RATE + CREEP_PER_HOUR * np.maximum(hours, 0), CREEP_CEILING)
    return replace(world, complaint_rate=np.where(hours > 0, risen, world.complaint_rate))


def hard_violation(world: World, hours: np.ndarray) -> World:
    """One decision in the planted hour breaks the hard constraint `unsafe`."""
    return replace(world, unsafe=world.unsafe | _tenth_decision(hours))


def audience_shift(world: World, hours: np.ndarray) -> World:
    """An older audience arrives: every reader is 30 years older, 2.2 sd of the healthy spread."""
    return replace(world, age=np.where(hours > 0, world.age + 30, world.age))


def irreversible(world: World, hours: np.ndarray) -> World:
    """One decision in the planted hour sends a push message, which nobody can take back."""
    return replace(world, irreversible=world.irreversible | _tenth_decision(hours))


def action_collapse(world: World, hours: np.ndarray) -> World:
    """The candidate shows the first article to everybody, with probability 1: exploration is gone."""
    return replace(world, stuck=world.stuck | (hours > 0))


def two_mode_reward(world: World, hours: np.ndarray) -> World:
    """Users split in two: every second one clicks nearly twice as often, the others hardly ever."""
    factor = np.where(world.user % 2 == 0, 1.9, 0.1)
    return replace(world, click_factor=np.where(hours > 0, factor, world.click_factor))


def missing_propensity(world: World, hours: np.ndarray) -> World:
    """Three in ten decisions lose their propensity, and in shadow the candidate's too."""
    lost = (hours > 0) & (world.fault_chance < 0.3)
    return replace(world, propensity_lost=world.propensity_lost | lost)


def proxy_up_outcome_down(world: World, hours: np.ndarray) -> World:
    """Clickbait: clicks rise by a third while readers' satisfaction days later falls by .25."""
    return replace(
        world,
        click_factor=np.where(hours > 0, 4 / 3, world.click_factor),
        delight=np.where(hours > 0, -0.25, world.delight),
    )


def _tenth_decision(hours: np.ndarray) -> np.ndarray:
    """True for the tenth decision of the planted hour only."""
    return np.arange(len(hours)) == np.searchsorted(hours, 1) + 9


FAULTS: dict[str, Fault] = {
    "reward_collapse": Fault(reward_collapse, "clicks fall to a fifth", "reward_drop"),
    "constraint_creep": Fault(constraint_creep, "complaints rise hour by hour", "constraint"),
    "hard_violation": Fault(hard_violation, "one decision breaks the hard constraint", "constraint"),
    "audience_shift": Fault(audience_shift, "an older audience arrives", "state_shift"),
    "irreversible": Fault(irreversible, "one action that cannot be undone", "irreversible"),
    "action_collapse": Fault(
        action_collapse,
        "the candidate picks one article for everybody",
        "entropy_collapse",
        "escalate",
        "recommendation_collapse",
    ),
    "two_mode_reward": Fault(
        two_mode_reward, "half of the users click, half hardly ever", "overdispersion", "escalate"
    ),
    "missing_propensity": Fault(
        missing_propensity,
        "three in ten propensities are not logged",
        "missing_propensity",
        "escalate",
        "support",
    ),
    "proxy_up_outcome_down": Fault(
        proxy_up_outcome_down, "clicks rise, satisfaction falls", "goodhart_gap", "escalate"
    ),
}
