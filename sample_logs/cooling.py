"""The cooling plant's logs: two weeks of operators, then a month of shadow or live operation.

One decision is one loop's set points for five minutes. Operators or the learned controller propose,
the safety layer executes, the plant answers. Neither side logs a propensity.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
import pyarrow as pa

from sample_logs import cooling_plant as plant
from sample_logs import cooling_policies as policies
from sample_logs.cooling_faults import FAULTS
from sample_logs.cooling_plant import DAY_STEPS, DIMENSIONS, LIMITS, LOOPS, OUTSIDE, SENSORS, World
from sample_logs.news import Stage
from sample_logs.parts import Part, csv_part, iso

START = datetime(2026, 5, 4, tzinfo=UTC)  # a Monday
DAYS, BASELINE_DAYS, TRAINING_DAYS = 44, 14, 42
END = START + timedelta(days=DAYS)
PLANTED = datetime(2026, 6, 3, 10, tzinfo=UTC)
SEED = 20260504
CANDIDATE, INCUMBENT = "autopilot", "operators"

LOAD_CLASSES, LOAD_EDGES = np.array(["low", "mid", "high"]), [2150.0, 2500.0]
WEATHER_CLASSES, WEATHER_EDGES = np.array(["cool", "mild", "warm", "hot"]), [15.0, 21.0, 27.0]


@dataclass(frozen=True)
class Run:
    """What was proposed and executed, (steps, loops, dimensions), and what came of it, (steps, loops).

    `recommended` is what the candidate asked for, which in live logs is `proposed`. `before` are the
    sensors as they stood when a step was decided, `after` at its end, with `pue`.
    """

    live: np.ndarray
    proposed: np.ndarray
    executed: np.ndarray
    recommended: np.ndarray
    before: dict[str, np.ndarray]
    after: dict[str, np.ndarray]


@lru_cache(maxsize=2)
def simulated(stage: Stage, fault: str | None, seed: int = SEED) -> tuple[World, Run]:
    """The world with its fault, and what was done in it; the same for the same arguments."""
    world = plant.world(START, DAYS, np.random.default_rng([seed, 1]))
    if fault:
        hours = (world.ts - np.datetime64(PLANTED.replace(tzinfo=None))) / np.timedelta64(1, "h")
        world = FAULTS[fault].apply(world, hours)
    recommended = learned(seed).propose(world)
    live = (np.arange(len(world.ts)) >= BASELINE_DAYS * DAY_STEPS) & (stage == "live")
    by_hand = policies.operators(world, np.random.default_rng([seed, 2]))
    proposed = np.where(live[:, None, None], recommended, by_hand)
    executed = plant.safety_layer(world, proposed)
    after = plant.respond(world, executed)
    before = {s: after[s] if s in OUTSIDE else np.vstack([after[s][:1], after[s][:-1]]) for s in SENSORS}
    return world, Run(live, proposed, executed, recommended, before, after)


@lru_cache(maxsize=2)
def learned(seed: int = SEED) -> policies.Learned:
    """The controller, from the operators' logs of the six weeks before START."""
    past = plant.world(START - timedelta(days=TRAINING_DAYS), TRAINING_DAYS, np.random.default_rng([seed, 3]))
    by_hand = policies.operators(past, np.random.default_rng([seed, 4]))
    return policies.learn(past, plant.safety_layer(past, by_hand))


def parts(
    stage: Stage, fault: str | None, seed: int = SEED, since: datetime | None = None
) -> list[Part]:
    """The files of a log: decisions, and the meters' rewards, which come later in a file of their own;
    only lines that arrive from `since` on, where it is given."""
    world, run = simulated(stage, fault, seed)
    return [
        csv_part("logs/decisions.csv", decisions(world, run), "ts", since),
        csv_part("rewards/rewards.csv", rewards(world, run), "reward_ts", since),
    ]


def decisions(world: World, run: Run) -> pa.Table:
    """One row a step and loop, in order of time, under the monitor's own column names."""
    n = len(world.ts) * LOOPS
    shadow = np.repeat(~run.live & (np.arange(len(world.ts)) >= BASELINE_DAYS * DAY_STEPS), LOOPS)
    if run.live.any():
        shadow[:] = False
    hall_load = run.before["it_load"].sum(axis=1)
    outside = run.before["outside_dry_bulb"].mean(axis=1)
    return pa.table(
        {
            "decision_id": _ids(np.arange(n)),
            "ts": np.repeat(iso(world.ts), LOOPS),
            "policy_id": np.repeat(np.where(run.live, CANDIDATE, INCUMBENT), LOOPS),
            "segment": np.tile([f"loop-{i + 1}" for i in range(LOOPS)], len(world.ts)),
            **{f"state_{s}": _number(read) for s, read in run.before.items()},
            "state_load_class": np.repeat(LOAD_CLASSES[np.digitize(hall_load, LOAD_EDGES)], LOOPS),
            "state_weather": np.repeat(WEATHER_CLASSES[np.digitize(outside, WEATHER_EDGES)], LOOPS),
            **_set_points("action_", run.executed),
            **_set_points("proposed_action_", run.proposed),
            **_set_points("candidate_action_", run.recommended, shadow),
            "candidate_id": pa.array(np.full(n, CANDIDATE), mask=~shadow),
            **{f"cost_{limit}": _number(plant.excess(run.after, limit)) for limit in LIMITS},
            "irreversible": world.irreversible.ravel(),
        }
    )


def rewards(world: World, run: Run) -> pa.Table:
    """−PUE of each step and loop, in the order in which the meters' values arrive."""
    arrival = world.ts[:, None] + (world.reward_wait * 60_000).astype("timedelta64[ms]")
    order = np.argsort(arrival.ravel(), kind="stable")
    return pa.table(
        {
            "decision_id": _ids(order),
            "reward": np.round(-run.after["pue"].ravel()[order], 4),
            "reward_ts": iso(arrival.ravel()[order]),
        }
    )


def _set_points(prefix: str, values: np.ndarray, known: np.ndarray | None = None) -> dict[str, pa.Array]:
    mask = None if known is None else ~known
    return {
        prefix + name: pa.array(np.round(values[..., i].ravel(), 3), mask=mask)
        for i, name in enumerate(DIMENSIONS)
    }


def _number(values: np.ndarray) -> pa.Array:
    flat = np.round(values.ravel(), 3)
    return pa.array(flat, mask=np.isnan(flat))


def _ids(rows: np.ndarray) -> np.ndarray:
    return np.char.mod("cooling-%06d", rows)
