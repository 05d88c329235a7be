"""Who sets the cooling: operators by rule of thumb, and a controller learned from their logs.

Both see the readings of IT load and outside air before they decide and return proposed set points,
shape (steps, loops, 3) in the order of DIMENSIONS. Neither has a propensity.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement, product

import numpy as np

from sample_logs.cooling_plant import DIMENSIONS, HOUR_STEPS, LOOPS, NOMINAL_LOAD, World, lagged, respond

# Habits of the four crews, added to the rule: pump speed, chiller set point (°C), fan speed.
CREWS = np.array([[0.04, -0.5, 0.03], [-0.03, 0.5, -0.02], [0.01, -0.2, 0.05], [-0.02, 0.3, -0.04]])
MOOD = np.array([0.04, 0.55, 0.04])  # largest deviation of one shift on one loop
ROUNDING = np.array([0.02, 0.25, 0.02])
SHIFT_HOURS, FIRST_SHIFT = 8, 6

RIDGE = 1.0
INLET_TARGET = 24.9
TOO_HOT_COST = 0.1  # PUE per K of predicted inlet above the target
REACH = (-0.8, -0.4, 0.0, 0.4, 0.8)
QUARTER, SMOOTHING_HOURS = HOUR_STEPS // 4, 0.5


def readings(w: World) -> np.ndarray:
    """What a policy sees, (steps, loops, 3): IT load over nominal, outside dry, wet bulb less 18, 14."""
    load = (w.load + w.noise["it_load"]) / NOMINAL_LOAD
    dry = w.dry[:, None] + w.noise["outside_dry_bulb"] - 18
    wet = w.wet[:, None] + w.noise["outside_wet_bulb"] - 14
    return np.stack([load, dry, wet], axis=-1)


def operators(w: World, rng: np.random.Generator) -> np.ndarray:
    """The rule of thumb: more pump and fan with the load, colder water on hot days, all rather safe.

    Three shifts a day, four crews in turn, each with its habits; they look once an hour and turn
    their dials in coarse steps.
    """
    n = len(w.ts)
    seen = readings(w)[np.arange(n) // HOUR_STEPS * HOUR_STEPS]
    load, dry = seen[..., 0], seen[..., 1]
    rule = np.stack([0.32 + 0.30 * load, 11.4 - 0.05 * dry, 0.33 + 0.31 * load + 0.002 * dry], axis=-1)
    shift = (np.arange(n) // HOUR_STEPS - FIRST_SHIFT) // SHIFT_HOURS + 1
    mood = MOOD * rng.uniform(-1, 1, (shift[-1] + 1, LOOPS, len(DIMENSIONS)))
    wanted = rule + CREWS[shift % len(CREWS)][:, None, :] + mood[shift]
    return np.round(wanted / ROUNDING) * ROUNDING


@dataclass(frozen=True)
class Learned:
    """A greedy controller on two ridge models, of PUE and of the rack inlet, from the operators' logs.

    `habit` (4, 3) predicts the operators' set points from the readings, `spread` (3,) is what they
    vary around that; the controller searches REACH spreads around the habit, where the logs can
    support it. `pue`, `inlet` are weights of the quadratic features of readings and set points.
    """

    habit: np.ndarray
    spread: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    pue: np.ndarray
    inlet: np.ndarray

    def propose(self, w: World) -> np.ndarray:
        """Set points with the lowest predicted PUE, plus TOO_HOT_COST for each K of predicted inlet
        above INLET_TARGET; thought over every quarter of an hour and smoothed over half an hour."""
        seen = readings(w)[::QUARTER]
        usual = _with_one(seen) @ self.habit
        best = np.full(seen.shape[:2], np.inf)
        chosen = usual.copy()
        state = (seen - self.centre[:3]) / self.scale[:3]
        for steps in product(REACH, repeat=len(DIMENSIONS)):
            wanted = usual + np.array(steps) * self.spread
            x = quadratic(np.concatenate([state, (wanted - self.centre[3:]) / self.scale[3:]], axis=-1))
            cost = x @ self.pue + TOO_HOT_COST * np.maximum(0, x @ self.inlet - INLET_TARGET)
            better = cost < best
            best = np.where(better, cost, best)
            chosen = np.where(better[..., None], wanted, chosen)
        return lagged(np.repeat(chosen, QUARTER, axis=0), SMOOTHING_HOURS)


def learn(w: World, executed: np.ndarray) -> Learned:
    """Fit a controller on a past in which the operators decided: one row every quarter of an hour."""
    read = respond(w, executed)
    rows = slice(HOUR_STEPS, None, QUARTER)
    seen = readings(w)[rows].reshape(-1, 3)
    actions = executed[rows].reshape(-1, len(DIMENSIONS))
    habit = _ridge(_with_one(seen), actions)
    both = np.hstack([seen, actions])
    centre, scale = both.mean(axis=0), both.std(axis=0)
    x = quadratic((both - centre) / scale)
    return Learned(
        habit=habit,
        spread=(actions - _with_one(seen) @ habit).std(axis=0),
        centre=centre,
        scale=scale,
        pue=_ridge(x, read["pue"][rows].ravel()),
        inlet=_ridge(x, read["inlet_temp"][rows].ravel()),
    )


def quadratic(x: np.ndarray) -> np.ndarray:
    """1, every feature and every product of two, along the last axis."""
    pairs = [x[..., i] * x[..., j] for i, j in combinations_with_replacement(range(x.shape[-1]), 2)]
    return np.concatenate([_with_one(x), np.stack(pairs, axis=-1)], axis=-1)


def _with_one(x: np.ndarray) -> np.ndarray:
    return np.concatenate([np.ones_like(x[..., :1]), x], axis=-1)


def _ridge(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ y)
