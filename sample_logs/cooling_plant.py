"""A data-centre hall with six cooling loops: weather, IT load, and what set points do to them.

`world` draws everything that nobody controls for the whole calendar at once; a fault changes these
arrays from its hour on and nothing before. `respond` is the physics: quasi-static heat balances
behind first-order lags, so that a calendar is computed without a loop over its steps. Arrays have
the shape (steps, loops) unless said otherwise; temperatures in °C, power and heat in kW, flow in
kg/s, pressure in bar (air filters: Pa), humidity in %.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

LOOPS = 6
STEP = timedelta(minutes=5)
HOUR_STEPS, DAY_STEPS = 12, 288
NOMINAL_LOAD = 400.0
LOOP_SIZES = np.array([1.06, 0.97, 1.02, 0.94, 1.03, 0.98])
FIXED_POWER = 14.0
CONDENSER_HELD = 32.0  # what the towers hold; above it they are at their end

DIMENSIONS = ("pump_speed", "chiller_setpoint", "fan_speed")
ENVELOPE = {"pump_speed": (0.50, 0.85), "chiller_setpoint": (8.0, 13.0), "fan_speed": (0.50, 0.85)}
INTERLOCK_INLET = 30.0

# Each sensor's own noise: standard deviation and memory in hours (time to fall to 1/e).
SENSORS: dict[str, tuple[float, float]] = {
    "it_load": (3.0, 1.0),
    "outside_dry_bulb": (0.15, 2.0),
    "outside_wet_bulb": (0.15, 2.0),
    "supply_temp": (0.15, 2.0),
    "return_temp": (0.20, 2.0),
    "air_supply_temp": (0.25, 3.0),
    "inlet_temp": (0.70, 3.0),
    "hot_aisle_temp": (0.50, 3.0),
    "condenser_temp": (0.40, 2.0),
    "coolant_flow": (0.25, 1.0),
    "coolant_pressure": (0.06, 1.0),
    "valve_position": (0.02, 4.0),
    "inlet_humidity": (1.20, 6.0),
    "dew_point": (0.30, 6.0),
    "filter_pressure": (4.00, 6.0),
    "pump_power": (0.10, 1.0),
    "chiller_power": (1.00, 1.0),
    "fan_power": (0.20, 1.0),
    "vibration": (0.12, 4.0),
    "basin_level": (0.03, 6.0),
}
OUTSIDE = ("it_load", "outside_dry_bulb", "outside_wet_bulb")  # read before a decision, moved by no action
HUMIDITY_PROBE = ("inlet_humidity", "dew_point")
PUE_NOISE = (0.015, 2.0)

# 15 limits on states: (sensor, +1 for at most and −1 for at least, limit). With the six ends of
# ENVELOPE they are the 21 hard operating limits.
HARD: dict[str, tuple[str, int, float]] = {
    "inlet_temp_max": ("inlet_temp", 1, 32.0),
    "inlet_temp_min": ("inlet_temp", -1, 14.0),
    "air_supply_min": ("air_supply_temp", -1, 9.0),
    "hot_aisle_max": ("hot_aisle_temp", 1, 50.0),
    "supply_temp_max": ("supply_temp", 1, 20.0),
    "supply_temp_min": ("supply_temp", -1, 4.0),
    "return_temp_max": ("return_temp", 1, 28.0),
    "flow_min": ("coolant_flow", -1, 7.0),
    "flow_max": ("coolant_flow", 1, 27.0),
    "pressure_min": ("coolant_pressure", -1, 0.8),
    "pressure_max": ("coolant_pressure", 1, 4.5),
    "humidity_min": ("inlet_humidity", -1, 10.0),
    "humidity_max": ("inlet_humidity", 1, 85.0),
    "condenser_max": ("condenser_temp", 1, 48.0),
    "chiller_power_max": ("chiller_power", 1, 320.0),
}
SOFT: dict[str, tuple[str, int, float]] = {
    "inlet_temp_high": ("inlet_temp", 1, 27.0),
    "coolant_pressure_high": ("coolant_pressure", 1, 3.35),
    "humidity_high": ("inlet_humidity", 1, 62.0),
}
LIMITS = HARD | SOFT


@dataclass(frozen=True)
class World:
    """What nobody controls. `ts` (steps,); `dry`, `wet` outside temperatures (steps,); `load` IT load.

    `noise` holds each sensor's own error, `pue_noise` the meter's. For planted faults: `fouling` K
    added to the rack inlet, `efficiency` factor on the chillers' coefficient of performance,
    `bypassed` the safety layer does nothing, `fan_gain` what the fan drives make of their set
    point, `dead` the humidity probe reads nothing, `irreversible`, `reward_wait` minutes until the
    meter's value arrives, `chance` uniform numbers.
    """

    ts: np.ndarray
    dry: np.ndarray
    wet: np.ndarray
    load: np.ndarray
    noise: Mapping[str, np.ndarray]
    pue_noise: np.ndarray
    fouling: np.ndarray
    efficiency: np.ndarray
    bypassed: np.ndarray
    fan_gain: np.ndarray
    dead: np.ndarray
    irreversible: np.ndarray
    reward_wait: np.ndarray
    chance: np.ndarray

    @property
    def hour_of_day(self) -> np.ndarray:
        return np.arange(len(self.ts)) % DAY_STEPS / HOUR_STEPS


def world(start: datetime, days: int, rng: np.random.Generator) -> World:
    """A healthy world of `days` days from `start`, a Monday 00:00.

    Load: ± 15 % over the day with its top at 15:00, 10 % less at weekends. Weather: ± 5 K over the
    day around a mean that wanders with a memory of two days, standard deviation 1.5 K.
    """
    n = days * DAY_STEPS
    steps = np.arange(n)
    day_wave = np.cos(2 * np.pi * (steps / HOUR_STEPS - 15) / 24)
    weekend = steps // DAY_STEPS % 7 >= 5
    weather = wander(rng, (n, 2), np.array([1.5, 0.5]), np.array([48.0, 12.0]))
    dry = 18 + 5 * day_wave + weather[:, 0]
    swing = wander(rng, (n, LOOPS), 0.04, 6.0)
    load = NOMINAL_LOAD * LOOP_SIZES * ((1 + 0.15 * day_wave - 0.10 * weekend)[:, None] + swing)
    sd, memory = (np.array(x)[:, None] for x in zip(*SENSORS.values(), PUE_NOISE, strict=True))
    errors = wander(rng, (n, len(SENSORS) + 1, LOOPS), sd, memory)
    return World(
        ts=np.datetime64(start.replace(tzinfo=None), "ms") + steps * np.timedelta64(STEP),
        dry=dry,
        wet=dry - 4 - 1.5 * day_wave + weather[:, 1],
        load=load,
        noise={sensor: errors[:, i] for i, sensor in enumerate(SENSORS)},
        pue_noise=errors[:, -1],
        fouling=np.zeros((n, LOOPS)),
        efficiency=np.ones((n, LOOPS)),
        bypassed=np.zeros(n, bool),
        fan_gain=np.ones((n, LOOPS)),
        dead=np.zeros((n, LOOPS), bool),
        irreversible=np.zeros((n, LOOPS), bool),
        reward_wait=5 + 7 * rng.random((n, LOOPS)),
        chance=rng.random((n, LOOPS)),
    )


def safety_layer(w: World, proposed: np.ndarray) -> np.ndarray:
    """What the actuators execute of proposed set points, both (steps, loops, dimensions).

    The layer clips each set point to ENVELOPE, and runs pump and fan at their upper ends where the
    heat balance would let the rack inlet pass INTERLOCK_INLET. Bypassed, it does nothing.
    """
    low, high = (np.array(ends) for ends in zip(*(ENVELOPE[d] for d in DIMENSIONS), strict=True))
    safe = np.clip(proposed, low, high)
    hot = _balance(w, safe)["inlet_temp"] > INTERLOCK_INLET
    safe[..., [0, 2]] = np.where(hot[..., None], high[[0, 2]], safe[..., [0, 2]])
    executed = np.where(w.bypassed[:, None, None], proposed, safe)
    executed[..., 2] *= w.fan_gain
    return executed


def respond(w: World, executed: np.ndarray) -> dict[str, np.ndarray]:
    """Every sensor at the end of each step, and `pue`, for executed set points.

    PUE of a loop = (IT load + pump + chiller + fan + fixed power) / IT load.
    """
    true = _balance(w, executed)
    read = {sensor: true[sensor] + error for sensor, error in w.noise.items()}
    for sensor in HUMIDITY_PROBE:
        read[sensor] = np.where(w.dead, np.nan, read[sensor])
    return read | {"pue": true["pue"] + w.pue_noise}


def excess(read: Mapping[str, np.ndarray], limit: str) -> np.ndarray:
    """By how much a limit is passed, 0 inside it, NaN where its sensor reads nothing."""
    sensor, side, bound = LIMITS[limit]
    return np.maximum(0.0, side * (read[sensor] - bound))


def wander(
    rng: np.random.Generator, shape: tuple[int, ...], sd: float | np.ndarray, hours: float | np.ndarray
) -> np.ndarray:
    """Stationary AR(1) noise along the first axis, of that standard deviation; its autocorrelation is
    1/e after `hours`."""
    keep = np.exp(-1 / (HOUR_STEPS * np.asarray(hours)))
    noise = rng.standard_normal(shape)
    noise[1:] *= np.sqrt(1 - keep**2)
    for step in range(1, len(noise)):
        noise[step] += keep * noise[step - 1]
    return noise * sd


def lagged(target: np.ndarray, hours: float) -> np.ndarray:
    """What follows `target` along the first axis with a first-order lag of that time constant."""
    keep = np.exp(-1 / (HOUR_STEPS * hours))
    out = target * (1 - keep)
    out[0] = target[0]
    for step in range(1, len(out)):
        out[step] += keep * out[step - 1]
    return out


def _balance(w: World, executed: np.ndarray) -> dict[str, np.ndarray]:
    """True values without any sensor's error."""
    pump, chiller, fan = np.moveaxis(executed, -1, 0)
    heat, wet = w.load / NOMINAL_LOAD, w.wet[:, None] + np.zeros(LOOPS)
    supply = lagged(chiller, 0.25)
    flow = 26 * pump
    air_supply = supply + 6 * heat * np.sqrt(0.62 / pump)
    inlet = lagged(air_supply + 6 * heat * (0.6 / fan) ** 1.2, 0.5) + w.fouling
    condenser = np.maximum(CONDENSER_HELD, wet + 7 + 4 * heat)
    performance = 0.45 * (supply + 270) / (condenser - supply + 3) * w.efficiency
    power = {"pump_power": 12 * pump**3, "fan_power": 30 * fan**3}
    power["chiller_power"] = (w.load + power["pump_power"] + power["fan_power"]) / performance
    dew = 9 + 0.3 * (wet - 14)
    return {
        "it_load": w.load,
        "outside_dry_bulb": w.dry[:, None] + np.zeros(LOOPS),
        "outside_wet_bulb": wet,
        "supply_temp": supply,
        "return_temp": supply + w.load / (4.19 * flow),
        "air_supply_temp": air_supply,
        "inlet_temp": inlet,
        "hot_aisle_temp": inlet + w.load / (1.005 * 60 * fan),
        "condenser_temp": condenser,
        "coolant_flow": flow,
        "coolant_pressure": 0.9 + 3.2 * pump**2,
        "valve_position": np.clip(0.3 + 0.35 * heat, 0, 1),
        "inlet_humidity": 100 * np.exp(17.62 * (dew / (243 + dew) - inlet / (243 + inlet))),
        "dew_point": dew,
        "filter_pressure": 40 + 220 * fan**2,
        "vibration": 1.2 + 1.5 * pump,
        "basin_level": np.full_like(heat, 0.8),
        **power,
        "pue": 1 + (sum(power.values()) + FIXED_POWER) / w.load,
    }
