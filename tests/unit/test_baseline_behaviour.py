"""What is frozen with the baseline to measure behaviour against, and older baselines without it."""

import json

import numpy as np
import pytest

from monitor.metrics import METRICS
from monitor.sheet import Sheet
from monitor.sums import baseline as baselines
from monitor.sums.attribution import of_window
from tests.conftest import rows_of

WITHIN = "policy_id = 'old'"


@pytest.fixture
def frozen(decisions, loaded, tmp_path, monkeypatch):
    connection = decisions(3, 6000)
    monkeypatch.setattr(baselines, "_within", lambda config: WITHIN)
    return connection, baselines.freeze(connection, loaded.config, tmp_path)


@pytest.fixture
def rows():
    frame = rows_of(3, 6000).to_pandas()
    return frame[frame.policy_id == "old"].assign(k=lambda f: 1 / f.keep_prob)


def test_moments_and_spreads_of_costs_equal_naive_numpy(frozen, rows):
    both = rows[rows.proxy_reward.notna() & rows.outcome.notna()]
    for name, part in (("reward", rows[rows.reward.notna()]), ("proxy_reward", both), ("outcome", both)):
        mean = np.average(part[name], weights=part.k)
        square = np.average((part[name] - mean) ** 2, weights=part.k) * len(part) / (len(part) - 1)
        assert frozen[1].moments[name] == pytest.approx((mean, square**0.5), rel=1e-9)
    known = rows[rows.cost_slow.notna()]
    values = [np.average(hour.cost_slow, weights=hour.k) for _, hour in known.groupby("hour")]
    spread = (pytest.approx(np.std(values, ddof=1), rel=1e-9), len(values))
    assert frozen[1].cost_spread == {"slow": spread}


def test_the_sample_of_states_holds_the_bins_of_the_smallest_hashes(frozen, rows):
    body = frozen[1].body
    smallest = rows.sort_values("row_hash")[:2000]
    assert body["state_sample"]["hour"] == smallest.hour.tolist()
    edges = body["features"]["load"]["edges"]
    first = smallest.iloc[0]
    place = np.searchsorted(edges, first.state_load, "right")
    place = len(edges) + 1 if np.isnan(first.state_load) else place
    names = body["features"]["season"]["categories"]
    other = len(names) + 2 if first.state_season is None else names.index(first.state_season)
    assert body["state_sample"]["codes"][0] == f"{place},{other}"
    assert len(frozen[1].sample) == 2000


def test_the_baseline_itself_has_not_changed_and_a_window_adds_up(frozen, loaded, rows):
    connection, baseline = frozen
    same = of_window(connection, loaded.config, baseline.body, WITHIN)
    assert set(same) == {"load", "season"}
    for split in same.values():
        assert max(abs(split[part]) for part in ("change", "context", "action", "outcome")) < 1e-12
    other = of_window(connection, loaded.config, baseline.body, "policy_id = 'new' AND state_load > 0")
    for split in other.values():
        parts = split["context"] + split["action"] + split["outcome"]
        assert split["change"] == pytest.approx(parts, abs=1e-12)
        assert split["known"] > 0.9


def test_a_baseline_of_an_older_version_loads_and_says_what_is_missing(frozen, loaded, tmp_path):
    older = {k: v for k, v in frozen[1].body.items()
             if k not in ("moments", "cost_spread", "state_sample", "rewards")}  # fmt: skip
    found = baselines.Baseline(baselines._hash(older), older)
    (tmp_path / f"{found.hash}.json").write_text(json.dumps(older), "utf-8")
    loaded_again = baselines.load(tmp_path, found.hash)
    assert (loaded_again.moments, loaded_again.cost_spread, loaded_again.sample) == ({}, {}, None)
    assert of_window(frozen[0], loaded.config, older, WITHIN) == {}
    sheet = Sheet(lambda family: {}, loaded.config, loaded_again)
    assert sheet.estimate("state_joint_js", "old", 0, 1).reason == "baseline_missing"
    assert METRICS["state_joint_js"].windows is False
