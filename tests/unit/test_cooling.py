"""The simulated cooling plant: healthy where it should be, and each fault planted where it says."""

import csv
from dataclasses import fields, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from monitor.config import load
from sample_logs import cooling, make
from sample_logs import cooling_plant as plant
from sample_logs.cooling_faults import CREEP_THRESHOLD, FAULTS, FOULING_CEILING
from sample_logs.cooling_policies import learn, operators, readings
from sample_logs.make import COOLING_LOGS

STAGES = ("shadow", "live")
PLANTED_STEP = int((cooling.PLANTED - cooling.START) / plant.STEP)
BEGUN = cooling.BASELINE_DAYS * plant.DAY_STEPS


def _config(stage):
    return load(Path(make.__file__).parent / f"cooling_{stage}.yaml").config


def _outside_envelope(set_points):
    low, high = np.array([plant.ENVELOPE[d] for d in plant.DIMENSIONS]).T
    return ((set_points < low) | (set_points > high)).any(axis=-1)


def _daily(read, limit):
    return (plant.excess(read, limit) > 0).reshape(cooling.DAYS, -1).mean(axis=1)


def _logged(world, run):
    """Everything that a log tells of each step and loop, as numbers."""
    told = [run.executed[..., i] for i in range(3)] + [run.proposed[..., i] for i in range(3)]
    told += [*run.before.values(), *run.after.values(), world.reward_wait, world.irreversible]
    return np.nan_to_num(np.stack(told, axis=-1), nan=-1e9)


@pytest.fixture(scope="module")
def healthy():
    return {stage: cooling.simulated(stage, None) for stage in STAGES}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return COOLING_LOGS["cooling_shadow_healthy"].write(tmp_path_factory.mktemp("cooling_shadow_healthy"))


def test_the_catalogue_has_every_fault_and_a_healthy_plant_in_both_stages():
    assert set(COOLING_LOGS) == {f"cooling_{stage}_{f}" for stage in STAGES for f in ["healthy", *FAULTS]}
    assert all(log.name == name for name, log in COOLING_LOGS.items())
    assert not set(COOLING_LOGS) & set(make.LOGS)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_changes_the_world_from_its_hour_on_and_nothing_before(fault, healthy):
    world, hours = healthy["live"][0], (np.arange(len(healthy["live"][0].ts)) - PLANTED_STEP) / 12
    faulty = FAULTS[fault].apply(world, hours)
    changed = [
        getattr(world, field.name) != getattr(faulty, field.name)
        for field in fields(world)
        if field.name != "noise"
    ]
    steps = np.concatenate([np.flatnonzero(c.reshape(len(c), -1).any(axis=1)) for c in changed])
    assert PLANTED_STEP <= steps.min() < PLANTED_STEP + plant.HOUR_STEPS


def test_nothing_in_the_log_knows_of_a_fault_to_come(healthy):
    ours, theirs = (_logged(*pair) for pair in (cooling.simulated("live", "heat_wave"), healthy["live"]))
    np.testing.assert_array_equal(ours[:PLANTED_STEP], theirs[:PLANTED_STEP])
    assert (ours != theirs)[PLANTED_STEP:].any()


def test_noise_has_the_spread_and_the_memory_that_it_is_asked_for():
    noise = plant.wander(np.random.default_rng(1), (40_000, 20), 2.0, 3.0)
    assert noise.std() == pytest.approx(2.0, rel=0.03)
    after = (noise[36:] * noise[:-36]).mean() / noise.var()
    assert after == pytest.approx(np.exp(-1), abs=0.03)


def test_a_lag_follows_a_step_by_two_thirds_in_its_time_constant():
    target = np.where(np.arange(48) < 12, 0.0, 1.0)
    followed = plant.lagged(target, 0.5)
    assert (followed[:12] == 0).all()
    assert followed[17] == pytest.approx(1 - np.exp(-1))


def test_energy_is_not_lost_between_load_and_return_water(healthy):
    world, run = healthy["live"]
    true = plant.respond(world, run.executed)
    noise = world.noise
    lifted = true["return_temp"] - noise["return_temp"] - true["supply_temp"] + noise["supply_temp"]
    carried = 4.19 * (true["coolant_flow"] - noise["coolant_flow"]) * lifted
    np.testing.assert_allclose(carried, world.load)


def test_colder_water_costs_power_and_cools_the_racks(healthy):
    world, run = healthy["shadow"]
    colder = run.executed - np.array([0.0, 1.0, 0.0])
    cold, warm = plant.respond(world, colder), plant.respond(world, run.executed)
    np.testing.assert_allclose(cold["inlet_temp"] - warm["inlet_temp"], -1.0)
    assert (cold["pue"] > warm["pue"]).all()


def test_an_excess_is_how_far_a_reading_lies_beyond_its_limit():
    read = {"inlet_temp": np.array([26.0, 27.5, 33.0]), "supply_temp": np.array([3.0, 4.0, 5.0])}
    assert plant.excess(read, "inlet_temp_high").tolist() == [0.0, 0.5, 6.0]
    assert plant.excess(read, "inlet_temp_max").tolist() == [0.0, 0.0, 1.0]
    assert plant.excess(read, "supply_temp_min").tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("stage", STAGES)
def test_a_healthy_plant_keeps_every_hard_limit_and_its_soft_margins(stage, healthy):
    _, run = healthy[stage]
    assert not _outside_envelope(run.executed).any()
    assert not any((plant.excess(run.after, limit) > 0).any() for limit in plant.HARD)
    assert max(_daily(run.after, limit).max() for limit in plant.SOFT) < 0.02


@pytest.mark.parametrize("stage", STAGES)
def test_the_safety_layer_has_something_to_clip_and_clips_no_more_than_that(stage, healthy):
    _, run = healthy[stage]
    clipped = (run.executed != run.proposed).any(axis=-1)
    assert 0.001 < clipped.mean() < 0.05
    assert np.array_equal(clipped, _outside_envelope(run.proposed))


def test_the_safety_layer_cools_at_its_ends_before_the_racks_are_too_hot(healthy):
    world, run = healthy["live"]
    overheated = replace(world, fouling=world.fouling + 9)
    executed = plant.safety_layer(overheated, run.proposed)
    assert (executed[..., [0, 2]] == 0.85).all(axis=-1).mean() > 0.8


def test_the_learned_controller_is_more_efficient_than_the_operators_it_learned_from(healthy):
    pue = {stage: run.after["pue"][BEGUN:] for stage, (_, run) in healthy.items()}
    gain = (pue["shadow"] - pue["live"]).reshape(cooling.DAYS - cooling.BASELINE_DAYS, -1).mean(axis=1)
    assert (gain > 0).all()
    assert 0.004 < gain.mean() < 0.02


def test_the_learned_controller_stays_where_operators_have_been(healthy):
    _, run = healthy["shadow"]
    sd = run.executed[:BEGUN].std(axis=(0, 1), ddof=1)
    apart = np.abs(run.recommended - run.executed)[BEGUN:] / sd
    assert 0.3 < (apart > 1).any(axis=-1).mean() < 0.7
    assert (apart > 3).any(axis=-1).mean() < 0.003


def test_the_habit_that_is_learned_is_what_operators_do_but_for_their_moods():
    past = plant.world(cooling.START, 14, np.random.default_rng(7))
    executed = plant.safety_layer(past, operators(past, np.random.default_rng(8)))
    model = learn(past, executed)
    usual = np.concatenate([np.ones((len(past.ts), plant.LOOPS, 1)), readings(past)], axis=-1) @ model.habit
    assert ((executed - usual).std(axis=(0, 1)) < executed.std(axis=(0, 1))).all()
    np.testing.assert_allclose((executed - usual).std(axis=(0, 1)), model.spread, rtol=0.05)


def test_the_two_configs_name_the_21_limits_of_the_plant():
    for stage in STAGES:
        config = _config(stage)
        assert {k: tuple(v) for k, v in config.envelope.items()} == plant.ENVELOPE
        assert set(config.hard) == set(plant.HARD)
        assert set(config.soft) == set(plant.SOFT)
        assert 2 * len(config.envelope) + len(config.hard) == 21


def test_shadow_watches_all_sensors_and_live_those_that_no_set_point_moves(healthy):
    assert set(_config("shadow").state.numeric) == set(plant.SENSORS)
    world, run = healthy["live"]
    pushed = plant.respond(world, run.executed + np.array([0.05, 0.5, 0.05]))
    unmoved = {s for s in plant.SENSORS if np.array_equal(pushed[s], run.after[s])}
    assert set(_config("live").state.numeric) == unmoved
    assert len(plant.SENSORS) == 20


def test_a_heat_wave_makes_the_plant_less_efficient_without_breaking_a_hard_limit():
    _, run = cooling.simulated("live", "heat_wave")
    daily = run.after["pue"].reshape(cooling.DAYS, -1).mean(axis=1)
    assert daily[32:].min() > daily[14:30].max()
    assert not any((plant.excess(run.after, limit) > 0).any() for limit in plant.HARD)


@pytest.mark.parametrize("stage", STAGES)
def test_the_creep_passes_its_bound_on_the_day_that_the_catalogue_says(stage):
    world, run = cooling.simulated(stage, "margin_creep")
    soft = _config(stage).constraints["inlet_temp_high"]
    above = np.flatnonzero(_daily(run.after, "inlet_temp_high") > soft.limit + soft.margin)
    assert cooling.START + timedelta(days=int(above[0])) == CREEP_THRESHOLD
    assert world.fouling.max() == FOULING_CEILING
    assert not any((plant.excess(run.after, limit) > 0).any() for limit in plant.HARD)


@pytest.mark.parametrize("stage", STAGES)
def test_a_failing_safety_layer_executes_outside_the_envelope_within_its_first_hour(stage):
    _, run = cooling.simulated(stage, "layer_failure")
    outside = _outside_envelope(run.executed)
    assert outside[PLANTED_STEP : PLANTED_STEP + plant.HOUR_STEPS].any()
    assert not outside[:PLANTED_STEP].any()


def test_a_chiller_fault_has_two_modes():
    _, run = cooling.simulated("live", "chiller_fault")
    faulty = run.after["pue"][PLANTED_STEP:, :4].ravel()
    counts, _ = np.histogram(faulty, bins=np.arange(1.15, 1.6, 0.02))
    middle = int(np.argmin(counts[4:12])) + 4
    assert counts[middle] < counts[:middle].max() / 4
    assert counts[middle] < counts[middle:].max() / 4
    assert not any((plant.excess(run.after, limit) > 0).any() for limit in plant.HARD)


def test_a_dead_probe_reads_nothing_and_its_limits_cannot_be_told():
    world, run = cooling.simulated("live", "sensor_death")
    table = cooling.decisions(world, run)
    after = (PLANTED_STEP + 1) * plant.LOOPS
    for column in ("state_dew_point", "state_inlet_humidity", "cost_humidity_max", "cost_humidity_high"):
        assert table[column].slice(after).null_count == len(table) - after
        assert table[column].slice(0, PLANTED_STEP * plant.LOOPS).null_count == 0


def test_late_rewards_all_come_before_they_are_counted_as_matured():
    world, _ = cooling.simulated("live", "late_rewards")
    late = world.reward_wait[PLANTED_STEP:]
    assert late.min() > 180
    assert timedelta(minutes=float(late.max())) < _config("live").reward.matures_after
    assert world.reward_wait[:PLANTED_STEP].max() < 15


def test_one_decision_is_irreversible_in_the_planted_hour():
    world, _ = cooling.simulated("live", "irreversible")
    ((step, _),) = np.argwhere(world.irreversible)
    assert PLANTED_STEP <= step < PLANTED_STEP + plant.HOUR_STEPS


def test_a_written_plant_has_a_valid_config_and_no_propensities(written):
    config = load(written / "monitor.yaml").config
    with (written / "logs" / "decisions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == cooling.DAYS * plant.DAY_STEPS * plant.LOOPS
    assert len({row["decision_id"] for row in rows}) == len(rows)
    assert {row["policy_id"] for row in rows} == {config.policies.incumbent}
    assert {row["candidate_id"] for row in rows} == {"", config.policies.candidate}
    assert not any("propensity" in column or column == "reward" for column in rows[0])
    assert all(f"state_{feature}" in rows[0] for feature in config.state.features)
    assert all(f"cost_{constraint}" in rows[0] for constraint in config.constraints)
    recommended = [row["candidate_action_fan_speed"] != "" for row in rows]
    assert recommended == [row["ts"] >= "2026-05-18" for row in rows]


def test_a_healthy_shadow_sees_every_declared_condition_often(healthy):
    table = cooling.decisions(*healthy["shadow"])
    columns = {"segment": "segment", "load_class": "state_load_class", "weather": "state_weather"}
    for condition, names in _config("shadow").conditions.items():
        seen = table[columns[condition]].slice(BEGUN * plant.LOOPS).value_counts().to_pylist()
        counts = {entry["values"]: entry["counts"] for entry in seen}
        assert all(counts[name] >= 100 for name in names)


def test_an_earlier_look_at_a_plant_is_the_beginning_of_the_later_one(written, tmp_path):
    until = datetime.fromisoformat("2026-05-20T05:00:00+00:00")
    early = COOLING_LOGS["cooling_shadow_healthy"].write(tmp_path, until=until)
    for part in ("logs/decisions.csv", "rewards/rewards.csv"):
        begun = (early / part).read_bytes()
        assert (written / part).read_bytes().startswith(begun)
        assert 1000 < len(begun) < (written / part).stat().st_size
    last = (early / "logs" / "decisions.csv").read_text().splitlines()[-1]
    assert '"2026-05-20T04:55:00.000Z"' in last
