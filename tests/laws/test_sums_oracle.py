"""Sums and metrics together equal naive numpy over the raw rows, to 1e-9."""

import math
from dataclasses import replace

import diptest
import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from monitor import config as configuration
from monitor.metrics.sums import Settings
from monitor.sheet import Sheet
from monitor.sums import FAMILIES
from monitor.sums.baseline import Baseline
from monitor.sums.build import restricted
from monitor.sums.read import read
from tests.conftest import CONFIG, rows_of
from tests.laws.test_merge import FROZEN

START, END = 490_000, 490_072
EDGES = FROZEN.bins["load"]["edges"]


@pytest.fixture
def sheet(decisions, loaded) -> Sheet:
    """Sums of seeded rows in one table each, as `build` writes them, and a baseline of other rows."""
    connection = decisions(5, 6000)
    for name, family in FAMILIES.items():
        if (select := family.select(loaded.config, FROZEN)) is None:
            continue
        connection.execute(f'CREATE TABLE "sums_{name}" AS {restricted(select, "TRUE")}')
    counts = _counts(rows_of(6, 6000).to_pandas())
    body = {
        "features": {
            name: {**FROZEN.bins[name], "counts": counts[name], "block_maxima": {}, "n_blocks": 0}
            for name in FROZEN.bins
        },
        "usual": FROZEN.usual, "action_sd": {}, "rows": 6000, "n_actions": 3, "actions": 3, "phi": {},
    }
    return Sheet(
        lambda family: read(connection, family, START, END, END - START),
        loaded.config, Baseline(FROZEN.hash, body),
    )


@pytest.fixture
def rows():
    frame = rows_of(5, 6000).to_pandas()
    return frame[frame.policy_id == "old"]


def kept(rows):
    """Rows that off-policy estimates may use, with w."""
    rows = rows[(rows.candidate_id == "new") & (rows.overridden != True) & (rows.activated != False)]  # noqa: E712
    rows = rows[rows.propensity.notna() & rows.candidate_propensity.notna() & rows.reward.notna()]
    return rows.assign(w=rows.candidate_propensity / rows.propensity, k=1 / rows.keep_prob)


def value(sheet: Sheet, metric: str, key: str = "", candidate: str = "new") -> float:
    return sheet.estimate(metric, "old", START, END, candidate, key).value


def test_ips_snips_and_lift_equal_naive_numpy(sheet, rows) -> None:
    r = kept(rows)
    n, w = r.k.sum(), (r.w * r.k).sum()
    snips = (r.w * r.reward * r.k).sum() / w
    assert value(sheet, "ips") == pytest.approx((r.w * r.reward * r.k).sum() / n, abs=1e-9)
    assert value(sheet, "snips") == pytest.approx(snips, abs=1e-9)
    assert value(sheet, "lift") == pytest.approx(snips - (r.reward * r.k).sum() / n, abs=1e-9)
    assert value(sheet, "ess") == pytest.approx(w**2 / ((r.w * r.k) ** 2).sum(), rel=1e-9)
    assert value(sheet, "weight_mean") == pytest.approx(w / n, abs=1e-9)
    assert value(sheet, "weight_max") == pytest.approx((r.w * r.k).max(), abs=1e-9)


def test_divergence_equals_scipy_after_the_documented_bias(sheet, rows) -> None:
    for feature in ("load", "season"):
        p, q = (_vector(_counts(f)[feature]) for f in (rows, rows_of(6, 6000).to_pandas()))
        raw = jensenshannon(p / p.sum(), q / q.sum()) ** 2
        bins = ((p + q) > 0).sum()
        bias = (bins - 1) / 8 * (1 / p.sum() + 1 / q.sum())
        assert value(sheet, "state_js_raw", feature) == pytest.approx(raw, abs=1e-9)
        assert value(sheet, "state_js", feature) == pytest.approx(max(0.0, raw - bias), abs=1e-9)


def test_entropy_equals_the_mean_of_minus_log_propensity(sheet, rows) -> None:
    logged = rows[rows.propensity.notna()]
    expected = np.average(-np.log(logged.propensity), weights=1 / logged.keep_prob)
    assert value(sheet, "action_entropy") == pytest.approx(expected, abs=1e-9)


def test_marginal_entropy_is_scipys_with_miller_and_madow(decisions, loaded) -> None:
    connection = decisions(5, 6000)
    connection.execute("UPDATE decisions SET probs_entropy = NULL, propensity = NULL")
    select = FAMILIES["action"].select(loaded.config, FROZEN)
    connection.execute(f'CREATE TABLE "sums_action" AS {restricted(select, "TRUE")}')
    sheet = Sheet(lambda f: read(connection, f, START, END, END - START), loaded.config, None)
    counts = np.array([n for (n,) in connection.execute(
        "SELECT COUNT(*) FROM decisions WHERE policy_id = 'old' AND action IS NOT NULL GROUP BY action"
    ).fetchall()])
    expected = entropy(counts) + (len(counts) - 1) / (2 * counts.sum())
    assert value(sheet, "action_entropy") == pytest.approx(expected, abs=1e-9)


def test_reward_moments_equal_naive_numpy(sheet, rows) -> None:
    r = rows[rows.reward.notna()]
    k = 1 / r.keep_prob
    mean = np.average(r.reward, weights=k)
    assert value(sheet, "reward_mean") == pytest.approx(mean, abs=1e-9)
    spread = np.average((r.reward - mean) ** 2, weights=k)
    assert value(sheet, "reward_sd") == pytest.approx(math.sqrt(spread * len(r) / (len(r) - 1)), abs=1e-9)


def test_skewness_and_kurtosis_equal_naive_numpy(sheet, rows) -> None:
    r = rows[rows.reward.notna()]
    n, k = len(r), 1 / r.keep_prob
    mean = np.average(r.reward, weights=k)
    m2, m3, m4 = (np.average((r.reward - mean) ** j, weights=k) for j in (2, 3, 4))
    skewness = m3 / m2**1.5 * math.sqrt(n * (n - 1)) / (n - 2)
    kurtosis = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * (m4 / m2**2 - 3) + 6)
    assert value(sheet, "reward_skewness") == pytest.approx(skewness, abs=1e-9)
    assert value(sheet, "reward_kurtosis") == pytest.approx(kurtosis, abs=1e-9)
    expected = (skewness**2 + 1) / (kurtosis + 3 * (n - 1) ** 2 / ((n - 2) * (n - 3)))
    assert value(sheet, "sarle") == pytest.approx(expected, abs=1e-9)


def test_quantiles_and_tail_of_a_sample_that_holds_every_row_equal_naive_numpy(sheet, rows) -> None:
    r = rows[rows.reward.notna()].sort_values("reward")
    g, w = r.reward.to_numpy(), (1 / r.keep_prob / (1 / r.keep_prob).sum()).to_numpy()
    share = np.cumsum(w)
    for name, tau in (("reward_q05", 0.05), ("reward_q25", 0.25), ("reward_q50", 0.5), ("reward_q95", 0.95)):
        assert value(sheet, name) == pytest.approx(g[np.argmax(share >= tau)], abs=1e-9)
    tail = (np.clip(0.1 - (share - w), 0, w) * g).sum() / 0.1
    assert value(sheet, "reward_cvar10") == pytest.approx(tail, abs=1e-9)


def test_the_dip_is_diptests_of_one_reward_a_unit(decisions, loaded) -> None:
    connection = decisions(5, 6000)
    connection.execute("UPDATE decisions SET reward = (row_hash % 1009) / 1009e0 + (unit_hash % 2)")
    select = FAMILIES["sample"].select(loaded.config, FROZEN)
    connection.execute(f'CREATE TABLE "sums_sample" AS {restricted(select, "TRUE")}')
    sheet = Sheet(lambda f: read(connection, f, START, END, END - START), loaded.config, None)
    frame = connection.execute("SELECT * FROM decisions WHERE policy_id = 'old'").fetch_df()
    first = frame.sort_values("row_hash").drop_duplicates("unit_hash")
    gap = np.median(np.diff(np.unique(first.reward)))
    golden = [h * 0x9E3779B97F4A7C15 % 2**64 / 2**64 for h in first.row_hash.tolist()]
    expected, p = diptest.diptest(first.reward.to_numpy() + (np.array(golden) - 0.5) * gap)
    assert value(sheet, "reward_dip") == pytest.approx(expected, abs=1e-9)
    assert value(sheet, "reward_dip_p") == pytest.approx(p, abs=1e-9)
    assert len(first) == 300


def test_correlations_of_clicks_equal_the_naive_analysis_of_variance(decisions, tmp_path) -> None:
    (tmp_path / "monitor.yaml").write_text(CONFIG.replace("range: [0, 2]", "range: [0, 1]"), "utf-8")
    config = configuration.load(tmp_path / "monitor.yaml").config
    connection = decisions(5, 6000)
    clicks = "CASE WHEN row_hash % 100 < unit_hash % 90 THEN 1 ELSE 0 END"
    connection.execute(f"UPDATE decisions SET reward = {clicks} WHERE reward IS NOT NULL")
    for name in ("reward", "units"):
        select = FAMILIES[name].select(config, FROZEN)
        connection.execute(f'CREATE TABLE "sums_{name}" AS {restricted(select, "TRUE")}')
    sheet = Sheet(lambda f: read(connection, f, START, END, END - START), config, None)
    rows = connection.execute(
        "SELECT hour, segment, unit_hash, reward FROM decisions WHERE policy_id = 'old' AND reward >= 0"
    ).fetch_df()
    for name, column in (("units", "unit_hash"), ("segments", "segment"), ("hours", "hour")):
        groups = rows.groupby(column).reward.agg(["count", "sum", "mean"])
        between = (groups["count"] * (groups["mean"] - rows.reward.mean()) ** 2).sum() / (len(groups) - 1)
        inside = rows.reward - rows.groupby(column).reward.transform("mean")
        within = (inside**2).sum() / (len(rows) - len(groups))
        size = (len(rows) - (groups["count"] ** 2).sum() / len(rows)) / (len(groups) - 1)
        expected = (between - within) / (between + (size - 1) * within)
        assert value(sheet, f"overdispersion_{name}") == pytest.approx(expected, abs=1e-9), name


@pytest.mark.parametrize("missing", ["exclude", "0"])
def test_reward_at_an_age_is_the_mean_of_what_had_come_by_then(decisions, tmp_path, missing) -> None:
    changed = CONFIG.replace("missing_after_maturity: exclude", f"missing_after_maturity: {missing}")
    (tmp_path / "monitor.yaml").write_text(changed, "utf-8")
    config = configuration.load(tmp_path / "monitor.yaml").config
    connection = decisions(5, 6000)
    connection.execute("UPDATE decisions SET ts = make_timestamp(hour * 3600000000 + row_hash % 3600000000)")
    connection.execute("UPDATE decisions SET reward_ts = ts + INTERVAL (row_hash % 12000) MINUTE "
                       "WHERE reward IS NOT NULL AND row_hash % 7 > 0")
    select = FAMILIES["reward_age"].select(config, FROZEN)
    connection.execute(f'CREATE TABLE "sums_reward_age" AS {restricted(select, "TRUE")}')
    sheet = Sheet(lambda f: read(connection, f, START, END, END - START), config, None)
    rows = connection.execute("SELECT * FROM decisions WHERE policy_id = 'old'").fetch_df()
    minutes = (rows.reward_ts - rows.ts).dt.total_seconds() / 60
    assert sheet.keys("reward_at_age") == ["1h", "6h", "24h", "72h", "168h"]
    for age, hours in (("1h", 1), ("6h", 6), ("24h", 24), ("72h", 72), ("168h", 168)):
        come = rows.reward.notna() & ((minutes <= 60 * hours) | rows.reward_ts.isna())
        counted = come if missing == "exclude" else come | True
        expected = np.average(rows.reward.where(come, 0.0)[counted], weights=1 / rows.keep_prob[counted])
        assert value(sheet, "reward_at_age", age) == pytest.approx(expected, abs=1e-9)


def test_rewards_without_a_time_of_their_own_have_no_ages(loaded, tmp_path) -> None:
    columns = "columns: {decision_id: id, ts: at, policy_id: by, reward: won}"
    plain = CONFIG.replace("format: jsonl}", f"format: jsonl, {columns}}}")
    (tmp_path / "monitor.yaml").write_text(plain, "utf-8")
    config = configuration.load(tmp_path / "monitor.yaml").config
    assert FAMILIES["reward_age"].select(config, FROZEN) is None
    assert Sheet(lambda family: {}, config, None).keys("reward_at_age") == []


@pytest.mark.parametrize("span", [1, 24, 72])
def test_a_sample_is_the_rows_of_smallest_hash_of_each_window_with_unit_and_segment(
    decisions, loaded, rows, span, monkeypatch
) -> None:
    monkeypatch.setattr("monitor.sums.read.WINDOW_SIZE", 1000)
    connection = decisions(5, 6000)
    select = FAMILIES["sample"].select(loaded.config, FROZEN)
    connection.execute(f'CREATE TABLE "sums_sample" AS {restricted(select, "TRUE")}')
    index = read(connection, "sample", START, END, span)
    assert sorted(index) == [("new", "", ""), ("old", "", "")]
    found = index["old", "", ""]
    rewarded = rows[rows.reward.notna()].sort_values("row_hash")
    smallest = rewarded.groupby((rewarded.hour - START) // span).head(1000).sort_values(["hour", "row_hash"])
    assert (smallest.groupby((smallest.hour - START) // span).size() == 1000).any() == (span > 1)
    for name in ("row_hash", "unit_hash", "reward"):
        np.testing.assert_array_equal(found.columns[name], smallest[name])
    np.testing.assert_array_equal(found.columns["k"], 1 / smallest.keep_prob)
    assert found.hour.tolist() == smallest.hour.tolist() and found.key.tolist() == smallest.segment.tolist()
    assert found.bucket.tolist() == (smallest.unit_hash % 64).tolist()


def test_violation_rates_and_envelope_equal_naive_numpy(sheet, rows) -> None:
    for name in ("slow", "crash"):
        known = rows[rows[f"cost_{name}"].notna()]
        rate = np.average(known[f"cost_{name}"] > 0, weights=1 / known.keep_prob)
        assert value(sheet, "violation_rate", name) == pytest.approx(rate, abs=1e-9)
    known = rows[rows.action_speed.notna()]
    outside = (known.action_speed < 0.2) | (known.action_speed > 1.0)
    rate = np.average(outside, weights=1 / known.keep_prob)
    assert value(sheet, "violation_rate", "envelope:speed") == pytest.approx(rate, abs=1e-9)


def test_disagreements_equal_naive_numpy(sheet, rows) -> None:
    pair = rows[(rows.candidate_id == "new")]
    known = pair[pair.action.notna() & pair.candidate_action.notna()]
    differ = (known.action != known.candidate_action).mean()
    assert value(sheet, "disagreement") == pytest.approx(differ, abs=1e-9)
    usual = {"north": {"a", "b"}, "south": {"b"}}
    said = pair[pair.candidate_action.notna()]
    large = [a not in usual[s] for a, s in zip(said.candidate_action, said.segment, strict=True)]
    assert value(sheet, "large_disagreement") == pytest.approx(np.mean(large), abs=1e-9)
    logged = pair[pair.cross_agreement.notna()]
    assert value(sheet, "self_disagreement") == pytest.approx((1 - logged.probs_agreement).mean(), abs=1e-9)
    assert value(sheet, "recommended_share") == pytest.approx(len(known) / len(rows), abs=1e-9)


def test_continuous_actions_differ_beyond_one_sd_and_far_beyond_three(decisions, loaded) -> None:
    connection = decisions(5, 6000)
    connection.execute(
        "UPDATE decisions SET action = NULL, candidate_action = NULL, "
        "candidate_action_speed = action_speed + (row_hash % 100) / 1e2"
    )
    frozen = replace(FROZEN, action_sd={"speed": 0.2})
    select = FAMILIES["pair"].select(loaded.config, frozen)
    connection.execute(f'CREATE TABLE "sums_pair" AS {restricted(select, "TRUE")}')
    sheet = Sheet(lambda f: read(connection, f, START, END, END - START), loaded.config, None)
    rows = connection.execute(
        "SELECT action_speed, candidate_action_speed FROM decisions "
        "WHERE policy_id = 'old' AND candidate_id = 'new' AND action_speed IS NOT NULL"
    ).fetchall()
    apart = np.abs(np.subtract(*np.array(rows).T))
    assert value(sheet, "disagreement") == pytest.approx((apart > 0.2).mean(), abs=1e-9)
    assert value(sheet, "large_disagreement") == pytest.approx((apart > 0.2 * 3).mean(), abs=1e-9)


def test_a_window_without_a_row_is_never_judgeable(loaded) -> None:
    sheet = Sheet(lambda family: {}, loaded.config, None)
    from monitor.metrics import METRICS

    for metric in METRICS:
        for key in sheet.keys(metric):
            assert not sheet.estimate(metric, "old", START, END, "new", key).judgeable, metric
    assert isinstance(sheet.settings, Settings)


def _counts(frame) -> dict[str, dict[str, list[int]]]:
    """Counts by hour and bin, binned naively."""
    place = lambda x: len(EDGES) + 1 if math.isnan(x) else int(np.searchsorted(EDGES, x, side="right"))  # noqa: E731
    load = [place(x) for x in frame.state_load]
    names = {"low": 0, "mid": 1, "high": 2}
    season = [4 if x is None or x != x else names.get(x, 3) for x in frame.state_season]
    counts = {}
    for name, bins in (("load", load), ("season", season)):
        found: dict[tuple[int, int], int] = {}
        for hour, place in zip(frame.hour, bins, strict=True):
            found[(hour, place)] = found.get((hour, place), 0) + 1
        ordered = sorted(found)
        counts[name] = {
            "hour": [h for h, _ in ordered], "bin": [b for _, b in ordered], "n": [found[k] for k in ordered]
        }
    return counts


def _vector(counts: dict[str, list[int]]) -> np.ndarray:
    vector = np.zeros(max(9, max(counts["bin"]) + 1))
    np.add.at(vector, counts["bin"], counts["n"])
    return vector


