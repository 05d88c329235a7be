"""A cooling plant over months: a policy walks from shadow mode to full deployment, and what was in its way.

Unlike in the other logs, who decides is not fixed: `lines` takes the share of decisions that the candidate
controls from each moment on, as people have granted it by then. Nobody's choice changes weather, load or
what the candidate recommends, so that a log goes on from what was written of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
import pyarrow as pa

from sample_logs import cooling, cooling_plant, cooling_policies
from sample_logs.cooling_plant import DIMENSIONS, HOUR_STEPS, LOOPS, World
from sample_logs.parts import iso, json_lines

START = datetime(2026, 5, 4, tzinfo=UTC)  # a Monday
DAYS, BASELINE_DAYS = 91, 14
SEED = 20260505
CANDIDATE, INCUMBENT = cooling.CANDIDATE, cooling.INCUMBENT
EVERY = 6  # one decision every half hour and loop; an hour of one loop is a unit: one side decides in it
# Coils foul from FOULED on, as in `margin_creep`, and are cleaned at CLEANED.
FOULED, CLEANED = START + timedelta(days=56), START + timedelta(days=65)
FOULING_PER_HOUR = 0.02
STATES = ("it_load", "outside_dry_bulb", "outside_wet_bulb")
COSTS = ("inlet_temp_max", "inlet_temp_high")
# From when on the candidate controls which share of the decisions.
Granted = Sequence[tuple[datetime, float]]


@dataclass(frozen=True)
class Months:
    """The world, what operators and the candidate ask for in it, and a chance for each hour and loop."""

    world: World
    by_hand: np.ndarray
    recommended: np.ndarray
    chance: np.ndarray


@lru_cache(maxsize=1)
def months(seed: int = SEED) -> Months:
    """Everything that does not depend on who decides."""
    world = cooling_plant.world(START, DAYS, np.random.default_rng([seed, 1]))
    since = _hours(world.ts, FOULED)
    fouling = np.where(_hours(world.ts, CLEANED) < 0, np.clip(FOULING_PER_HOUR * since, 0, None), 0.0)
    world = replace(world, fouling=world.fouling + fouling[:, None])
    by_hand = cooling_policies.operators(world, np.random.default_rng([seed, 2]))
    chance = np.random.default_rng([seed, 5]).random((len(world.ts) // HOUR_STEPS, LOOPS))
    return Months(world, by_hand, cooling.learned().propose(world), np.repeat(chance, HOUR_STEPS, axis=0))


def lines(granted: Granted, since: datetime, until: datetime) -> list[str]:
    """The decisions of since ≤ ts < until as JSON lines, in order of time. From the end of the baseline on
    the candidate recommends wherever it does not decide."""
    table = decisions(granted)
    ts = np.asarray(table["moment"])
    low, high = np.searchsorted(ts, [_naive(since), _naive(until)])
    return json_lines(table.slice(low, high - low).drop_columns(["moment"]))


def decisions(granted: Granted) -> pa.Table:
    """The whole log with these shares, one row for each step and loop, and `moment`, its time as a number."""
    m = months()
    live = np.zeros(m.chance.shape, bool)
    for begun, share in granted:
        from_then = _hours(m.world.ts, begun) >= 0
        live[from_then] = m.chance[from_then] < share
    executed = cooling_plant.safety_layer(m.world, np.where(live[..., None], m.recommended, m.by_hand))
    after = cooling_plant.respond(m.world, executed)
    kept = slice(0, None, EVERY)
    began = np.repeat(_hours(m.world.ts[kept], START) >= 24 * BASELINE_DAYS, LOOPS)
    mine = live[kept].ravel()
    load, dry = after["it_load"].sum(axis=1)[kept], after["outside_dry_bulb"].mean(axis=1)[kept]
    n = len(mine)
    advised = began & ~mine
    return pa.table(
        {
            "decision_id": np.char.mod("road-%06d", np.arange(n)),
            "ts": np.repeat(iso(m.world.ts[kept]), LOOPS),
            "moment": np.repeat(m.world.ts[kept].astype("datetime64[us]"), LOOPS),
            "policy_id": np.where(mine, CANDIDATE, INCUMBENT),
            "segment": np.tile([f"loop-{i + 1}" for i in range(LOOPS)], n // LOOPS),
            "unit_id": _units(len(m.world.ts)),
            **{f"state_{s}": np.round(after[s][kept].ravel(), 3) for s in STATES},
            "state_load_class": _classes(cooling.LOAD_CLASSES, load, cooling.LOAD_EDGES),
            "state_weather": _classes(cooling.WEATHER_CLASSES, dry, cooling.WEATHER_EDGES),
            **_set_points("action_", executed[kept]),
            **_set_points("candidate_action_", m.recommended[kept], advised),
            "candidate_id": pa.array(np.full(n, CANDIDATE), mask=~advised),
            **{f"cost_{c}": np.round(cooling_plant.excess(after, c)[kept].ravel(), 3) for c in COSTS},
            "reward": np.round(-after["pue"][kept].ravel(), 4),
            "irreversible": np.zeros(n, bool),
        }
    )


def _classes(names: np.ndarray, values: np.ndarray, edges: list[float]) -> np.ndarray:
    return np.repeat(names[np.digitize(values, edges)], LOOPS)


def _units(steps: int) -> np.ndarray:
    hour = np.arange(0, steps, EVERY) // HOUR_STEPS
    return np.char.mod("hour-%05d", (hour[:, None] * LOOPS + np.arange(LOOPS)).ravel())


def _set_points(prefix: str, values: np.ndarray, known: np.ndarray | None = None) -> dict[str, pa.Array]:
    mask = None if known is None else ~known
    return {
        prefix + name: pa.array(np.round(values[..., i].ravel(), 3), mask=mask)
        for i, name in enumerate(DIMENSIONS)
    }


def _hours(ts: np.ndarray, since: datetime) -> np.ndarray:
    return (ts - _naive(since)) / np.timedelta64(1, "h")


def _naive(at: datetime) -> np.datetime64:
    return np.datetime64(at.astimezone(UTC).replace(tzinfo=None), "us")
