"""The planted faults of the cooling plant: each changes a healthy world from its hour on, nothing before.

A fault is a pure function (world, hours) → world, where `hours` (steps,) counts the hours since the
fault began and is negative before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

import numpy as np

from sample_logs.cooling_plant import HOUR_STEPS, World

FOULING_PER_HOUR, FOULING_CEILING = 0.02, 2.5
HEAT_WAVE_DRY, HEAT_WAVE_WET, HEAT_WAVE_RISE = 9.0, 7.0, 24.0
FAULTY_CHILLERS = slice(0, 4)
RUNAWAY_FAN, RUNAWAY_GAIN = 1, 1.6
CYCLE_STEPS = 3
CREEP_THRESHOLD = datetime(2026, 6, 8, tzinfo=UTC)  # first day above .03 of inlet_temp_high, in both stages


@dataclass(frozen=True)
class Fault:
    """What goes wrong, in a sentence; the trigger that should see it first and what it does in a live
    log (None: nothing should fire), and `also` the trigger that rolls back some days after."""

    apply: Callable[[World, np.ndarray], World]
    what: str
    trigger: str | None
    action: Literal["rollback", "escalate"] | None
    also: str | None = None


def heat_wave(world: World, hours: np.ndarray) -> World:
    """Within a day it gets 9 K hotter (wet bulb: 7 K) and stays so. The world changes, not the policy."""
    risen = np.clip(hours / HEAT_WAVE_RISE, 0, 1)
    return replace(world, dry=world.dry + HEAT_WAVE_DRY * risen, wet=world.wet + HEAT_WAVE_WET * risen)


def margin_creep(world: World, hours: np.ndarray) -> World:
    """Coils foul: every rack inlet gets .02 K warmer an hour, to at most 2.5 K; hard limits still hold."""
    fouling = np.clip(FOULING_PER_HOUR * hours, 0, FOULING_CEILING)
    return replace(world, fouling=world.fouling + fouling[:, None])


def layer_failure(world: World, hours: np.ndarray) -> World:
    """The safety layer is bypassed, and the fan drive of loop 2 makes 1.6 times its set point of it."""
    gain = world.fan_gain.copy()
    gain[hours >= 0, RUNAWAY_FAN] = RUNAWAY_GAIN
    return replace(world, bypassed=world.bypassed | (hours >= 0), fan_gain=gain)


def chiller_fault(world: World, hours: np.ndarray) -> World:
    """The compressors of loops 1 to 4 cycle: half of their quarters of an hour at half the performance."""
    quarter = np.arange(len(hours)) // CYCLE_STEPS * CYCLE_STEPS
    poor = (hours[:, None] >= 0) & (world.chance[quarter] < 0.5)
    poor[:, FAULTY_CHILLERS.stop :] = False
    return replace(world, efficiency=np.where(poor, 0.5, world.efficiency))


def sensor_death(world: World, hours: np.ndarray) -> World:
    """The humidity probes' gateway fails: no humidity, no dew point, and their limits cannot be checked."""
    return replace(world, dead=world.dead | (hours >= 0)[:, None])


def late_rewards(world: World, hours: np.ndarray) -> World:
    """The meters' gateway holds values back: rewards come 3 to 6 hours late, all within maturity."""
    late = np.where(hours[:, None] >= 0, 180 + 165 * world.chance, 0.0)
    return replace(world, reward_wait=world.reward_wait + late)


def irreversible(world: World, hours: np.ndarray) -> World:
    """One decision for loop 3, 45 minutes into the planted hour, vents refrigerant: nobody can undo it."""
    vented = world.irreversible.copy()
    vented[np.searchsorted(hours, 0) + 3 * HOUR_STEPS // 4, 2] = True
    return replace(world, irreversible=vented)


FAULTS: dict[str, Fault] = {
    "heat_wave": Fault(
        heat_wave, "a heat wave: the world changed", "state_shift", "escalate", also="reward_drop"
    ),
    "margin_creep": Fault(margin_creep, "rack inlets creep into the soft margin", "constraint", "rollback"),
    "layer_failure": Fault(layer_failure, "executed outside the envelope", "constraint", "rollback"),
    "chiller_fault": Fault(chiller_fault, "chillers cycle: two modes of PUE", "reward_drop", "rollback"),
    "sensor_death": Fault(sensor_death, "the humidity probes read nothing", "state_shift", "escalate"),
    "late_rewards": Fault(late_rewards, "rewards come hours late", None, None),
    "irreversible": Fault(irreversible, "one action that cannot be undone", "irreversible", "rollback"),
}
