"""The simulated news logs: healthy where they should be, and each fault planted where it says."""

import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from monitor.config import load
from sample_logs import make, news
from sample_logs.faults import CREEP_PER_HOUR, FAULTS
from sample_logs.make import LOGS, PLANTED, simulated

PLANTED_HOUR = int((PLANTED - news.START) / timedelta(hours=1))
STAGES = ("shadow", "live")


def _candidate_decided(world):
    return world.hour >= 24 * news.BASELINE_DAYS


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return LOGS["shadow_healthy"].write(tmp_path_factory.mktemp("shadow_healthy"))


def test_the_catalogue_has_every_fault_and_a_healthy_log_in_both_stages():
    assert set(LOGS) == {f"{stage}_{fault}" for stage in STAGES for fault in ["healthy", *FAULTS]}
    assert all(log.name == name for name, log in LOGS.items())


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("stage", STAGES)
def test_a_faulty_log_equals_the_healthy_one_before_its_hour_and_differs_after(stage, fault):
    healthy, faulty = (make.decisions(*simulated(stage, f)) for f in (None, fault))
    before = int(np.searchsorted(simulated(stage, fault)[0].hour, PLANTED_HOUR))
    assert faulty.slice(0, before).equals(healthy.slice(0, before))
    last = faulty["ts"][before].as_py()
    assert last >= PLANTED.strftime("%Y-%m-%dT%H:%M")
    assert not faulty.slice(before).equals(healthy.slice(before))


@pytest.mark.parametrize("stage", STAGES)
def test_nothing_is_recommended_in_the_baseline_and_the_incumbent_decides(stage):
    world, played = simulated(stage, None)
    begun = _candidate_decided(world)
    assert not played.live[~begun].any()
    assert played.live[begun].all() == (stage == "live")
    assert (played.candidate_action[~begun] == -1).all()
    assert (played.candidate_action[begun] >= 0).all() == (stage == "shadow")


def test_the_logged_propensities_weigh_the_live_log_to_one():
    world, played = simulated("live", None)
    weights = (1 / len(news.ARTICLES)) / played.propensity[_candidate_decided(world)]
    assert abs(weights.mean() - 1) < 4 * weights.std() / np.sqrt(len(weights))


def test_the_shadow_log_sees_the_candidate_as_the_live_log_shows_it():
    world, shadow = simulated("shadow", None)
    begun = _candidate_decided(world)
    weights = shadow.candidate_propensity[begun] / shadow.propensity[begun]
    assert abs(weights.mean() - 1) < 4 * weights.std() / np.sqrt(len(weights))
    expected = (weights * shadow.click[begun]).sum() / weights.sum()
    live = simulated("live", None)[1].click[begun].mean()
    assert abs(expected - live) < 0.02
    assert live > shadow.click[begun].mean() + 0.02


def test_a_healthy_log_is_as_busy_and_as_quiet_as_its_readme_says():
    world, played = simulated("live", None)
    counts = np.bincount(world.hour)
    assert len(counts) == 24 * news.DAYS
    assert counts.min() >= 40
    assert 97 < counts.mean() < 103
    assert 0.1 < played.click.mean() < 0.15
    assert abs(played.complaint.mean() - news.COMPLAINT_RATE) < 0.002
    assert not world.unsafe.any()
    assert not world.irreversible.any()


def test_clicks_of_one_user_are_correlated():
    world, played = simulated("shadow", None)
    n = np.bincount(world.user).astype(float)
    clicks = np.bincount(world.user, played.click)
    rate = played.click.mean()
    between = ((clicks - n * rate) ** 2).sum() / (n * rate * (1 - rate)).sum()
    assert between > 1.3  # 1 for independent clicks, and some 18 decisions a user


def test_clicks_do_not_drift_while_the_candidate_learns_on():
    world, played = simulated("live", None)
    days = world.hour // 24
    daily = np.array([played.click[days == day].mean() for day in range(news.BASELINE_DAYS, news.DAYS)])
    assert abs(daily[:7].mean() - daily[-7:].mean()) < 0.015


def test_a_reward_collapse_is_far_below_the_noise_of_an_hour():
    world, played = simulated("live", "reward_collapse")
    before = played.click[_candidate_decided(world) & (world.hour < PLANTED_HOUR)].mean()
    for hour in range(PLANTED_HOUR, PLANTED_HOUR + 4):
        clicks = played.click[world.hour == hour]
        assert (clicks.mean() - before) / np.sqrt(before * (1 - before) / len(clicks)) < -2.5


def test_the_complaint_rate_passes_its_bound_at_the_threshold_hour():
    world, _ = simulated("live", "constraint_creep")
    threshold = int((LOGS["live_constraint_creep"].threshold_hour - news.START) / timedelta(hours=1))
    rate = {hour: world.complaint_rate[world.hour == hour].max() for hour in (threshold - 1, threshold)}
    assert rate[threshold - 1] <= make.COMPLAINT_BOUND + 1e-12
    assert rate[threshold] == pytest.approx(make.COMPLAINT_BOUND + CREEP_PER_HOUR)


@pytest.mark.parametrize("stage", STAGES)
def test_the_bound_of_the_creep_is_the_one_in_the_config(stage):
    config = load(Path(make.__file__).parent / f"news_{stage}.yaml").config
    complaint = config.constraints["complaint"]
    assert complaint.limit + complaint.margin == pytest.approx(make.COMPLAINT_BOUND)


@pytest.mark.parametrize("fault, column", [("hard_violation", "unsafe"), ("irreversible", "irreversible")])
def test_a_single_row_fault_is_one_row_of_the_planted_hour(fault, column):
    world, _ = simulated("live", fault)
    (row,) = np.flatnonzero(getattr(world, column))
    assert world.hour[row] == PLANTED_HOUR


def test_an_audience_shift_moves_the_age_by_two_sd_and_an_hour_by_far_more_than_a_tenth_of_a_nat():
    world, _ = simulated("live", "audience_shift")
    baseline = world.age[~_candidate_decided(world)]
    edges = np.unique(np.quantile(baseline, np.linspace(0, 1, 11)))[1:-1]
    for hour in range(PLANTED_HOUR, PLANTED_HOUR + 4):
        age = world.age[world.hour == hour]
        assert age.mean() - baseline.mean() > 2 * baseline.std()
        now, then = (np.bincount(np.searchsorted(edges, x, "right"), minlength=10) for x in (age, baseline))
        assert jensenshannon(now / now.sum(), then / then.sum()) ** 2 > 0.2


def test_a_collapsed_candidate_takes_one_action_with_certainty():
    world, played = simulated("live", "action_collapse")
    after = world.hour >= PLANTED_HOUR
    assert set(played.action[after]) == {0}
    assert (played.propensity[after] == 1).all()


def test_a_two_mode_reward_splits_the_users_and_keeps_the_mean():
    world, played = simulated("live", "two_mode_reward")
    after = world.hour >= PLANTED_HOUR
    rates = [played.click[after & (world.user % 2 == side)].mean() for side in (0, 1)]
    healthy = simulated("live", None)[1].click[after].mean()
    assert rates[0] > 8 * rates[1]
    assert abs(np.mean(rates) - healthy) < 0.02


@pytest.mark.parametrize("stage", STAGES)
def test_three_in_ten_propensities_go_missing(stage):
    log = make.decisions(*simulated(stage, "missing_propensity"))
    after = int(np.searchsorted(simulated(stage, "missing_propensity")[0].hour, PLANTED_HOUR))
    missing = log["propensity"].slice(after).null_count / (len(log) - after)
    assert 0.27 < missing < 0.33
    assert log["propensity"].slice(0, after).null_count == 0


def test_clickbait_raises_the_proxy_and_lowers_the_outcome():
    world, played = simulated("live", "proxy_up_outcome_down")
    healthy = simulated("live", None)
    after = world.hour >= PLANTED_HOUR
    assert played.click[after].mean() > 1.2 * healthy[1].click[after].mean()

    def mean_outcome(pair):
        table = make.outcomes(*pair, news.END)
        first = f"news-{np.flatnonzero(after)[0]:06d}"
        late = np.array(table["decision_id"].to_pylist()) >= first
        return table["outcome"].to_numpy()[late].mean()

    assert mean_outcome((world, played)) < mean_outcome(healthy) - 0.15


def test_a_written_folder_has_a_valid_config_and_a_line_a_decision(written):
    config = load(written / "monitor.yaml").config
    rows = [json.loads(line) for line in (written / "logs" / "decisions.jsonl").read_text().splitlines()]
    assert len(rows) == len(simulated("shadow", None)[0].ts)
    assert len({row["decision_id"] for row in rows}) == len(rows)
    assert {row["policy_id"] for row in rows} == {config.policies.incumbent}
    assert {row.get("candidate_id") for row in rows} == {config.policies.candidate, None}
    assert all(f"state_{feature}" in rows[0] for feature in config.state.features)
    assert all(f"cost_{constraint}" in rows[0] for constraint in config.constraints)
    assert "candidate_id" not in rows[0]


def test_an_earlier_look_at_a_log_is_the_beginning_of_the_later_one(written, tmp_path):
    until = datetime(2026, 1, 13, 5, tzinfo=UTC)
    early = LOGS["shadow_healthy"].write(tmp_path, until=until)
    for part in ("logs/decisions.jsonl", "outcomes/outcomes.csv"):
        begun = (early / part).read_bytes()
        assert (written / part).read_bytes().startswith(begun)
        assert 0 < len(begun) < (written / part).stat().st_size
    last = (early / "logs" / "decisions.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["ts"].startswith("2026-01-13T04:5")


def test_an_outcome_arrives_one_to_three_days_after_its_decision(written):
    made = {}
    for line in (written / "logs" / "decisions.jsonl").read_text().splitlines():
        row = json.loads(line)
        made[row["decision_id"]] = datetime.fromisoformat(row["ts"])
    with (written / "outcomes" / "outcomes.csv").open() as file:
        answers = list(csv.DictReader(file))
    waits = [datetime.fromisoformat(a["reward_ts"]) - made[a["decision_id"]] for a in answers]
    assert len(waits) > 10_000
    assert timedelta(days=1) <= min(waits) <= max(waits) <= timedelta(days=3)


def test_another_algorithm_can_be_the_candidate(tmp_path):
    assert make.main(["live_healthy", "--candidate", "ucb1", "-o", str(tmp_path)]) == 0
    config = load(tmp_path / "live_healthy" / "monitor.yaml").config
    last = (tmp_path / "live_healthy" / "logs" / "decisions.jsonl").read_text().splitlines()[-1]
    assert config.policies.candidate == json.loads(last)["policy_id"] == "ucb1"


def test_an_unknown_name_is_refused_with_a_suggestion(tmp_path, capsys):
    assert make.main(["live_helthy", "-o", str(tmp_path)]) == 2
    assert "did you mean 'live_healthy'?" in capsys.readouterr().err
