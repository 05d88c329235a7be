"""What the metrics of modes say of the sample logs: two modes where they were planted, none in health."""

import numpy as np

from monitor.metrics.modes import dip
from monitor.metrics.overdispersion import overdispersion_units
from monitor.metrics.sums import Settings
from sample_logs import cooling, make
from sample_logs import cooling_plant as plant
from tests.naive_sums import reward_sums, sample_sums, sums

PLANT = Settings(reward_low=-2.5, reward_high=-1.0, time_blocks=True)
LOOPS = np.array([f"loop-{i + 1}" for i in range(plant.LOOPS)], dtype=object)


def daily_dips(fault, first, last):
    """The dip of each day from `first` to before `last` of the live cooling log, from all of its rows."""
    _, run = cooling.simulated("live", fault)
    reward = np.round(-run.after["pue"], 4).reshape(cooling.DAYS, -1)[first:last]
    hour = np.repeat(np.arange(24), plant.HOUR_STEPS * plant.LOOPS)
    key = np.tile(LOOPS, plant.DAY_STEPS)
    rng = np.random.default_rng(1)
    hashes = [rng.integers(0, 2**62, len(hour)) for _ in reward]
    return [
        dip(sample_sums(day, hour, np.zeros(len(hour), int), key=key, row_hash=h), PLANT)
        for day, h in zip(reward, hashes, strict=True)
    ]


def test_a_healthy_plant_has_one_mode_on_every_day_by_either_policy():
    assert not [found for found in daily_dips(None, 0, cooling.DAYS) if found.bimodal]


def test_a_failing_chiller_gives_two_modes_and_the_loops_it_feeds_are_named():
    found = daily_dips("chiller_fault", 31, cooling.DAYS)
    bimodal = [f for f in found if f.bimodal]
    assert len(bimodal) >= len(found) / 2
    for one in bimodal:
        worse, better = one.modes
        assert -1.47 < worse.location < -1.40 and -1.27 < better.location < -1.22
        assert 0.25 < worse.share < 0.40
        assert len(worse.segments) >= 2 and set(worse.segments) <= {"loop-1", "loop-2", "loop-3", "loop-4"}
        assert {"loop-5", "loop-6"} <= set(better.segments)


def test_readers_of_two_kinds_are_clicks_that_vary_more_than_chance():
    found = {}
    for fault in (None, "two_mode_reward"):
        world, played = make.simulated("live", fault)
        later = world.ts >= np.datetime64(make.PLANTED.replace(tzinfo=None))
        unit, click = world.user[later], played.click[later].astype(float)
        users, code, m = np.unique(unit, return_inverse=True, return_counts=True)
        x = np.bincount(code, click)
        cells = sums(np.zeros(len(users), int), users % 64, "",
                     g=np.ones(len(users)), m1=m, m2=m**2, x1=x, x2m=x**2 / m)
        rewards = reward_sums(np.zeros(len(unit), int), unit, click)
        states = {"reward": rewards, "unit_rewards": cells}
        found[fault] = overdispersion_units(states, Settings())
        assert dip(sample_sums(click, unit=unit), Settings()).reason == "discrete"
    assert found[None].high < 0.05 and found["two_mode_reward"].low > 0.15
