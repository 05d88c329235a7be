"""How a policy behaves: sums and metrics together equal naive numpy over the raw rows, to 1e-9."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.config import Constraint
from monitor.sheet import Sheet
from monitor.sums import FAMILIES
from monitor.sums.baseline import Baseline
from monitor.sums.build import restricted
from monitor.sums.read import read
from tests.conftest import rows_of
from tests.laws.test_merge import FROZEN

START, END = 490_000, 490_072
BODY = {"features": {}, "usual": {}, "action_sd": {}, "n_actions": 5, "actions": 3, "phi": {}}


def sheet_on(connection, config, body=BODY) -> Sheet:
    """The sums of every family of the decisions of a connection, as `build` writes them."""
    for name, family in FAMILIES.items():
        select = family.select(config, FROZEN)
        if select is not None:
            connection.execute(f'CREATE OR REPLACE TABLE "sums_{name}" AS {restricted(select, "TRUE")}')
    return Sheet(
        lambda family: read(connection, family, START, END, END - START), config, Baseline("h", body)
    )


@pytest.fixture
def sheet(decisions, loaded) -> Sheet:
    return sheet_on(decisions(5, 6000), loaded.config)


@pytest.fixture
def rows():
    frame = rows_of(5, 6000).to_pandas()
    return frame[frame.policy_id == "old"].assign(k=lambda f: 1 / f.keep_prob)


def measure(sheet, metric, key=""):
    return sheet.estimate(metric, "old", START, END, "new", key)


def test_exploration_equals_naive_numpy(sheet, rows) -> None:
    r = rows[rows.greedy.notna() & (rows.n_actions > 1)]
    explored = ~r.greedy.astype(bool)
    rate = np.average(explored * r.n_actions / (r.n_actions - 1), weights=r.k)
    assert measure(sheet, "exploration_rate").value == pytest.approx(rate, abs=1e-9)
    paid = r[r.reward.notna()]
    greedy, other = (paid[paid.greedy.astype(bool) == flag] for flag in (True, False))
    difference = np.average(greedy.reward, weights=greedy.k) - np.average(other.reward, weights=other.k)
    cost = np.average(explored, weights=r.k) * difference
    assert measure(sheet, "exploration_cost").value == pytest.approx(cost, abs=1e-9)


def test_effective_and_never_taken_actions_equal_naive_numpy(sheet, rows) -> None:
    logged = rows[rows.propensity.notna()]
    entropy = np.average(-np.log(logged.propensity), weights=logged.k)
    assert measure(sheet, "effective_actions").value == pytest.approx(np.exp(entropy), abs=1e-9)
    assert measure(sheet, "never_taken_actions").value == 5 - rows.action.nunique()


def test_top_recommendation_and_unlogged_propensities_equal_naive_numpy(sheet, rows) -> None:
    recommended = rows[(rows.candidate_id == "new") & rows.candidate_action.notna()].candidate_action
    top = recommended.value_counts().iloc[0] / len(recommended)
    assert 0 < top < 1
    found = measure(sheet, "top_recommended_share")
    assert (found.value, found.n) == (pytest.approx(top, abs=1e-9), len(recommended))
    unlogged = rows.propensity.isna().mean()
    assert 0 < unlogged < 1
    assert measure(sheet, "unlogged_propensity_share").value == pytest.approx(unlogged, abs=1e-9)


def test_comparison_of_distributions_equals_naive_numpy(sheet, rows) -> None:
    r = rows[(rows.candidate_id == "new") & rows.cross_agreement.notna()]
    gap = ((1 - r.cross_agreement) - (1 - r.probs_agreement)).mean()
    assert measure(sheet, "cross_disagreement").value == pytest.approx(gap, abs=1e-9)
    assert measure(sheet, "total_variation").value == pytest.approx(
        rows[(rows.candidate_id == "new")].total_variation.sum() / len(r), abs=1e-9
    )


def test_kl_from_the_safe_policy_leaves_infinite_decisions_out_and_counts_them(sheet, rows) -> None:
    r = rows[(rows.candidate_id == "new") & rows.candidate_kl.notna()]
    infinite = (rows[rows.candidate_id == "new"].unsupported_mass > 0).sum()
    finite = r[r.unsupported_mass == 0]
    found = measure(sheet, "kl_safe")
    expected = finite.candidate_kl.sum() / (len(r) - infinite)
    assert found.value == pytest.approx(expected, abs=1e-9)
    assert found.reason == "no_support"
    assert f"infinite on {infinite} of {len(r)}" in found.method
    assert not np.isfinite(sheet.estimate("kl_safe", "new", START, END, "new").value)


def test_overrides_and_clips_equal_naive_numpy(sheet, rows) -> None:
    over = np.average(rows.overridden.eq(True), weights=rows.k)
    assert measure(sheet, "override_rate").value == pytest.approx(over, abs=1e-9)
    both = rows[rows.action.notna() & rows.proposed_action.notna()]
    clipped = np.average(both.action != both.proposed_action, weights=both.k)
    assert measure(sheet, "clip_rate").value == pytest.approx(clipped, abs=1e-9)


def test_clips_of_continuous_actions_are_told_by_dimension(decisions, loaded) -> None:
    connection = decisions(5, 6000)
    connection.execute(
        "UPDATE decisions SET action = NULL, proposed_action_speed = "
        "CASE WHEN row_hash % 3 = 0 THEN action_speed + 1e-1 ELSE action_speed * (1 + 1e-9) END"
    )
    sheet = sheet_on(connection, loaded.config)
    frame = connection.sql("SELECT * FROM decisions WHERE policy_id = 'old'").to_arrow_table().to_pandas()
    known = frame[frame.action_speed.notna()]
    expected = np.average(known.row_hash % 3 == 0, weights=1 / known.keep_prob)
    for key in ("", "speed"):
        assert measure(sheet, "clip_rate", key).value == pytest.approx(expected, abs=1e-9)
    assert sheet.keys("clip_rate") == ["", "speed"]


def test_mean_cost_and_pressure_equal_naive_numpy(decisions, loaded) -> None:
    slow = Constraint(limit=0.02, margin=0.01, measure="mean_cost")
    config = loaded.config.model_copy(update={"constraints": {"slow": slow}})
    connection = decisions(5, 6000)
    connection.execute("UPDATE decisions SET cost_slow = cost_slow * (row_hash % 7) / 7")
    sheet = sheet_on(connection, config)
    frame = connection.sql("SELECT * FROM decisions WHERE policy_id = 'old'").to_arrow_table().to_pandas()
    known = frame[frame.cost_slow.notna()].assign(k=lambda f: 1 / f.keep_prob)
    cost = np.average(known.cost_slow, weights=known.k)
    assert measure(sheet, "mean_cost", "slow").value == pytest.approx(cost, abs=1e-9)
    assert sheet.keys("mean_cost") == ["slow"]
    pressure = 0.0
    for _, hour in known.groupby("hour"):
        pressure = max(0.0, pressure + 0.01 * (np.average(hour.cost_slow, weights=hour.k) - 0.02))
    assert measure(sheet, "constraint_pressure", "slow").value == pytest.approx(pressure, abs=1e-9)


def test_pressure_of_a_rate_folds_rates(sheet, rows) -> None:
    known = rows[rows.cost_slow.notna()]
    pressure = 0.0
    for _, hour in known.groupby("hour"):
        pressure = max(0.0, pressure + 0.01 * (np.average(hour.cost_slow > 0, weights=hour.k) - 0.02))
    found = measure(sheet, "constraint_pressure", "slow")
    assert found.value == pytest.approx(pressure, abs=1e-9)
    assert pressure > 0


def neighbours(rows):
    """Rows in the order in which they are put side by side: by hour, unit and segment, then time and step."""
    return rows.sort_values(["hour", "unit_hash", "segment", "ts", "step", "row_hash"])


def test_model_gaps_and_action_steps_equal_naive_numpy(decisions, loaded) -> None:
    body = {**BODY, "features": {"load": {"sd": 1.7}}}
    sheet = sheet_on(decisions(5, 6000), loaded.config, body)
    frame = neighbours(rows_of(5, 6000).to_pandas().assign(k=lambda f: 1 / f.keep_prob))
    group = frame.groupby(["hour", "unit_hash", "segment"])
    gap = (frame.predicted_load - group.state_load.shift(-1)).abs()
    own = (frame.policy_id == "old") & gap.notna()
    expected = np.average(gap[own], weights=frame.k[own]) / 1.7
    found = measure(sheet, "model_gap", "load")
    assert (found.value, found.n) == (pytest.approx(expected, abs=1e-9), own.sum())
    assert sheet.keys("model_gap") == ["load"]
    step = (frame.action_speed - group.action_speed.shift(1)).abs()
    own = (frame.policy_id == "old") & step.notna()
    expected = np.average(step[own], weights=frame.k[own])
    assert measure(sheet, "action_step", "speed").value == pytest.approx(expected, abs=1e-9)


def test_a_terminal_decision_has_no_next_and_an_episode_is_followed_across_units(decisions, loaded) -> None:
    connection = decisions(5, 6000)
    connection.execute(
        "UPDATE decisions SET episode_id = CAST(row_hash % 50 AS VARCHAR), terminal = row_hash % 5 = 0"
    )
    sheet = sheet_on(connection, loaded.config)
    frame = connection.sql("SELECT * FROM decisions").to_arrow_table().to_pandas()
    frame = frame.sort_values(["hour", "episode_id", "ts", "step", "row_hash"])
    group = frame.groupby(["hour", "episode_id"])
    step = (frame.action_speed - group.action_speed.shift(1)).abs()
    step[group.terminal.shift(1).eq(True)] = np.nan
    own = (frame.policy_id == "old") & step.notna()
    expected = np.average(step[own], weights=1 / frame.keep_prob[own])
    assert measure(sheet, "action_step", "speed").value == pytest.approx(expected, abs=1e-9)


MOMENTS = {**BODY, "moments": {"reward": [0.8, 0.7], "proxy_reward": [0.1, 0.9], "outcome": [0.4, 0.3]}}


def test_critic_gaps_equal_naive_numpy_in_all_and_by_tenths_of_the_sample(decisions, loaded, rows) -> None:
    sheet = sheet_on(decisions(5, 6000), loaded.config, MOMENTS)
    known = rows[rows.q_value.notna() & rows.reward.notna()].assign(gap=lambda f: f.q_value - f.reward)
    total = np.average(known.gap, weights=known.k) / 0.7
    assert measure(sheet, "critic_gap").value == pytest.approx(total, abs=1e-9)
    sample = known[known.propensity.notna()].sort_values("propensity")
    place = np.arange(len(sample)) * 10 // len(sample)
    for tenth in (0, 4, 9):
        part = sample[place == tenth]
        expected = np.average(part.gap, weights=part.k) / 0.7
        found = measure(sheet, "critic_gap_by_support", str(tenth + 1))
        assert (found.value, found.n) == (pytest.approx(expected, abs=1e-9), len(part))


def test_goodhart_numbers_equal_naive_numpy_and_scipy(decisions, loaded, rows) -> None:
    from scipy import stats

    sheet = sheet_on(decisions(5, 6000), loaded.config, MOMENTS)
    both = rows[rows.proxy_reward.notna() & rows.outcome.notna()]
    proxy, outcome = (np.average(both[c], weights=both.k) for c in ("proxy_reward", "outcome"))
    expected = (proxy - 0.1) / 0.9 - (outcome - 0.4) / 0.3
    assert measure(sheet, "goodhart_gap").value == pytest.approx(expected, abs=1e-9)
    rank = stats.spearmanr(both.proxy_reward, both.outcome).statistic
    found = measure(sheet, "goodhart_rank")
    assert found.value == pytest.approx(rank, abs=1e-9)
    assert found.low < rank < found.high


def test_gaps_without_what_they_are_measured_against_are_not_judged(sheet) -> None:
    for metric in ("critic_gap", "goodhart_gap"):
        assert measure(sheet, metric).reason == "baseline_missing"
    assert measure(sheet, "critic_gap_by_support", "3").reason == "baseline_missing"


def test_a_log_that_maps_none_of_it_pays_nothing(loaded) -> None:
    source = loaded.config.log.sources[0].model_copy(update={"columns": {"policy_id": "p", "action": "a"}})
    log = loaded.config.log.model_copy(update={"sources": [source]})
    config = loaded.config.model_copy(update={"log": log, "envelope": {}})
    optional = [name for name, family in FAMILIES.items() if family.optional]
    assert {"overrides", "clips", "exploration", "critic", "goodhart", "model"} <= set(optional)
    assert [name for name in optional if FAMILIES[name].select(config, FROZEN) is not None] == []
    sheet = Sheet(lambda family: {}, config, None)
    assert not any(sheet.logged(m) for m in ("override_rate", "critic_gap", "goodhart_gap", "model_gap"))
    assert sheet.logged("reward_mean")
