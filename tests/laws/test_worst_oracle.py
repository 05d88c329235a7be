"""Sums and metrics of worst places equal naive numpy over the raw rows."""

from collections import defaultdict

import duckdb
import numpy as np
import pytest

from monitor.log import schema
from monitor.metrics.intervals import t_quantile
from monitor.sheet import Sheet
from monitor.sums import FAMILIES
from monitor.sums.baseline import Baseline
from monitor.sums.build import restricted
from monitor.sums.read import read
from monitor.sums.tails import cuts
from tests.conftest import rows_of
from tests.laws.test_merge import FROZEN
from tests.tabular import log_of, table_of

START, END = 490_000, 490_072
LOW, HIGH = -1.0, 1.1  # five inner bins: one of them at each end
BODY = {
    "features": {name: {**bins, "counts": {}, "block_maxima": {}, "n_blocks": 0}
                 for name, bins in FROZEN.bins.items()},
    "usual": FROZEN.usual, "action_sd": {}, "rows": 6000, "n_actions": 3, "actions": 3, "phi": {},
}  # fmt: skip


def sheet_of(connection, loaded, start=START, end=END) -> Sheet:
    for name, family in FAMILIES.items():
        if (select := family.select(loaded.config, FROZEN)) is not None:
            connection.execute(f'CREATE TABLE "sums_{name}" AS {restricted(select, "TRUE")}')
    load = lambda family: read(connection, family, start, end, end - start)  # noqa: E731
    return Sheet(load, loaded.config, Baseline(FROZEN.hash, BODY))


@pytest.fixture
def sheet(decisions, loaded) -> Sheet:
    connection = decisions(5, 6000)
    connection.execute("UPDATE decisions SET candidate_action_speed = 0.1 + (row_hash % 100) / 100.0 "
                       "WHERE candidate_id <> '' AND row_hash % 7 <> 0")  # fmt: skip
    return sheet_of(connection, loaded)


@pytest.fixture
def rows():
    frame = rows_of(5, 6000).to_pandas()
    frame["speed"] = np.where(frame.row_hash % 7 != 0, 0.1 + frame.row_hash % 100 / 100, np.nan)
    return frame[(frame.policy_id == "old") & (frame.candidate_id == "new")]


def kept(rows):
    return rows[(rows.overridden != True) & (rows.activated != False)]  # noqa: E712


def lift(rows) -> float:
    r = rows[rows.propensity.notna() & rows.candidate_propensity.notna() & rows.reward.notna()]
    w, k = r.candidate_propensity / r.propensity, 1 / r.keep_prob
    return (w * r.reward * k).sum() / (w * k).sum() - (r.reward * k).sum() / k.sum()


def ask(sheet: Sheet, metric: str, key: str = ""):
    return sheet.estimate(metric, "old", START, END, "new", key)


def test_the_lift_of_each_segment_equals_naive_numpy(sheet, rows) -> None:
    assert sheet.segments("old", "new") == ["north", "south"]
    for segment in ("north", "south"):
        mine = kept(rows)[kept(rows).segment == segment]
        assert ask(sheet, "segment_lift", segment).value == pytest.approx(lift(mine), abs=1e-9)
        assert ask(sheet, "segment_ess", segment).value < ask(sheet, "ess").value
    assert not ask(sheet, "segment_lift", "west").judgeable


def test_two_segments_are_each_told_at_half_the_level(sheet) -> None:
    from dataclasses import replace

    from monitor.metrics.worst import segment_lift

    families = ("segments", "offpolicy")
    states = {name: sheet.cells(name, "old", "new", "north", START, END) for name in families}
    alone, both = (segment_lift(states, replace(sheet.settings, at_once=n)) for n in (1, 2))
    assert both.level == ask(sheet, "segment_lift", "north").level == pytest.approx(0.975)
    half = both.high - both.value
    assert half == pytest.approx(ask(sheet, "segment_lift", "north").high - both.value)
    assert half / (alone.high - alone.value) == pytest.approx(t_quantile(63, 0.9875) / t_quantile(63))
    sequence = [segment_lift(states, replace(sheet.settings, at_once=n, n_star=1000)) for n in (1, 2)]
    assert sequence[1].high > sequence[0].high > alone.high


def test_tails_of_states_equal_naive_numpy_over_whole_days(sheet, rows) -> None:
    assert cuts(FROZEN.bins["load"]) == (LOW, HIGH) and cuts(FROZEN.bins["season"]) is None
    day = rows.hour // 24 * 24
    whole = kept(rows[(day >= START) & (day + 24 <= END)])
    for side, mine in (("low", whole[whole.state_load < LOW]), ("high", whole[whole.state_load >= HIGH])):
        found = ask(sheet, "state_tail_lift", f"load {side}")
        assert found.value == pytest.approx(lift(mine), abs=1e-9)
        assert found.level == pytest.approx(0.975)
        known = mine[mine.speed.notna()]
        outside = ask(sheet, "state_tail_outside", f"load {side}")
        assert outside.value == pytest.approx(((known.speed < 0.2) | (known.speed > 1.0)).mean(), abs=1e-12)
        assert (outside.n, outside.reason) == (len(known), "unbounded_recommendations")


def test_recommendations_outside_the_envelope_are_counted_and_unknown_ones_are_told(sheet, rows) -> None:
    known = rows[rows.speed.notna()]
    found = ask(sheet, "recommended_outside")
    assert found.value == pytest.approx(((known.speed < 0.2) | (known.speed > 1.0)).mean(), abs=1e-12)
    assert (found.n, found.reason) == (len(known), "unbounded_recommendations")


def test_no_tail_is_told_before_there_is_a_baseline(loaded) -> None:
    empty = Sheet(lambda family: {}, loaded.config, None)
    assert empty.keys("state_tail_lift") == ["load low", "load high"]
    assert ask(empty, "state_tail_lift", "load low").reason == "baseline_missing"
    assert ask(empty, "segment_lift", "north").reason == "no_data"
    assert ask(empty, "recommended_outside").reason == "no_data"


def test_bins_too_few_for_a_tail_have_none() -> None:
    assert cuts({"edges": [0.0, 1.0]}) is None and cuts({"edges": []}) is None and cuts({}) is None
    assert cuts({"edges": [0.0, 1.0, 2.0]}) == (1.0, 1.0)
    assert cuts({"edges": [float(i) for i in range(21)]}) == (2.0, 18.0)


def test_the_worst_episodes_equal_naive_numpy(loaded) -> None:
    log = log_of(3, 6000, cut=4)
    table = table_of(log, seed=3)
    connection = duckdb.connect(":memory:")
    schema.create(connection, loaded.config)
    connection.register("came", table)
    connection.execute("INSERT INTO decisions BY NAME SELECT * FROM came")
    connection.execute("UPDATE decisions SET candidate_action_speed = CASE step WHEN 0 THEN 2.0 ELSE 0.5 END")
    start = min(table["hour"].to_pylist())
    sheet = sheet_of(connection, loaded, start, start + 100)

    whole = defaultdict(list)
    for row in table.to_pylist():
        whole[row["episode_id"]].append(row)
    g = np.array([sum(r["reward"] for r in steps) for steps in whole.values()])
    w = np.array([np.prod([r["candidate_propensity"] / r["propensity"] for r in s]) for s in whole.values()])
    steps = np.array([len(s) for s in whole.values()])
    k = np.array([1 / s[0]["keep_prob"] for s in whole.values()])
    order = np.argsort(g)
    tenth = g[order][np.searchsorted(np.cumsum(k[order]), 0.1 * k.sum())]
    worst = g <= tenth
    wk, g, kept_k = (w * k)[worst], g[worst], k[worst]
    expected = (wk * g).sum() / wk.sum() - (kept_k * g).sum() / kept_k.sum()

    found = sheet.estimate("worst_episodes_lift", "old", start, start + 100, "new")
    assert found.n == worst.sum() and found.value == pytest.approx(expected, abs=1e-9)
    assert found.low < found.value < found.high
    outside = sheet.estimate("worst_episodes_outside", "old", start, start + 100, "new")
    assert outside.value == pytest.approx(worst.sum() / steps[worst].sum(), abs=1e-12)
