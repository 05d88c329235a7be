"""Doctor, acting levels, stages by adoption, and what is shown of the frozen baseline."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pytest
from scipy import stats

from monitor import acts
from monitor import config as configuration
from monitor.acting import armed_at
from monitor.config import ConfigError, Loaded
from monitor.first_hour import volume
from monitor.first_hour.complaint import Complaint
from monitor.first_hour.doctor import daily_means, examine, lag_one, lines
from monitor.first_hour.frozen import bin_names
from monitor.first_hour.items import Known, item_rows
from monitor.first_hour.logs import clock_skew, log_quality, maturity, placebo
from monitor.journal import Journal
from monitor.level import effective_level
from monitor.log import schema
from monitor.metrics.estimate import Reading, exact
from monitor.metrics.sums import Settings, Sums
from monitor.store import Store, opened
from monitor.sums.baseline import Baseline
from monitor.triggers.constraint import ConstraintParams

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def windows(n: float, count: int, value: float = 0.5) -> list[Reading]:
    return [
        Reading(exact(value, n, "reward"), "reward_mean", "", "old", "", NOW + i * HOUR, NOW + (i + 1) * HOUR)
        for i in range(count)
    ]


def with_config(loaded: Loaded, **changes: object) -> Loaded:
    return loaded.model_copy(update={"config": loaded.config.model_copy(update=changes)})


def baseline(bins: list[int], edges: int, blocks: int = 200) -> Baseline:
    counts = {"hour": [0] * len(bins), "bin": bins, "n": [100] * len(bins)}
    feature = {"edges": list(range(edges)), "counts": counts, "block_maxima": {}, "n_blocks": blocks}
    return Baseline("h", {"features": {"load": feature}, "phi": {}})


def test_thin_windows_and_a_short_history_are_told_for_reward_drop(loaded) -> None:
    thin, short = volume.reward_drop(loaded.config, windows(10, 48))
    assert "a window has 10 rewards, 30 are needed" in thin.what and "about 3 windows make one" in thin.why
    assert "2.0 of 9 seasons" in short.what


def test_nothing_is_told_of_reward_drop_with_volume_and_nine_seasons(loaded) -> None:
    assert list(volume.reward_drop(loaded.config, windows(30, 9 * 24))) == []


def test_a_weekly_season_needs_five_of_them(loaded) -> None:
    config = loaded.config.model_copy(update={"season": "7d"})
    (short,) = volume.reward_drop(config, windows(30, 4 * 7 * 24))
    assert "4.0 of 5 seasons" in short.what


@pytest.mark.parametrize(("typical", "fires"), [(29.0, False), (30.0, True)])
def test_state_shift_needs_thirty_decisions_a_window(loaded, typical, fires) -> None:
    found = list(volume.state_shift(loaded.config, baseline(list(range(1, 21)), 21), typical))
    assert [c.what.startswith("state_shift cannot fire on load") for c in found] == ([] if fires else [True])


def test_numeric_bins_are_counted_as_merged_as_they_can_be() -> None:
    assert volume.coarsest_bins(baseline(list(range(1, 21)), 21), "load") == 5
    assert volume.coarsest_bins(baseline([*range(22), 22], 21), "load") == 8


def test_many_categories_need_three_decisions_for_each_but_one(loaded) -> None:
    many = baseline(list(range(40)), 0)
    del many.body["features"]["load"]["edges"]  # type: ignore[attr-defined]
    (complaint,) = volume.state_shift(loaded.config, many, 100.0)
    assert "117 are needed for 40 bins" in complaint.what


def test_few_blocks_of_baseline_are_told_as_uncalibrated(loaded) -> None:
    (complaint,) = volume.state_shift(loaded.config, baseline([1, 2], 3, blocks=71), 500.0)
    assert "71 of 72 windows" in complaint.what


@pytest.mark.parametrize("n", [20, 40, 400, 5000])
@pytest.mark.parametrize(("limit", "margin"), [(0.02, 0.01), (0.3, 0.0)])
def test_the_smallest_count_that_trips_is_that_of_the_binomial_tail(n, limit, margin) -> None:
    params = ConstraintParams(limit=limit, margin=margin, n_constraints=2)
    tail = stats.binom.sf(np.arange(n + 1) - 1, n, limit)
    trips = [x for x in range(n + 1) if x / n > limit + margin and tail[x] < 0.01 / (4 * 2)]
    assert volume.smallest_count(n, params) == (trips[0] if trips else None)


def test_a_limit_near_one_cannot_be_tripped_by_a_small_window() -> None:
    assert volume.smallest_count(5, ConstraintParams(limit=0.6, margin=0.3)) is None
    assert volume.smallest_count(0, ConstraintParams(limit=0.1)) is None


def test_lag_one_correlation_is_that_of_the_textbook() -> None:
    x = np.random.default_rng(3).normal(size=30).cumsum()
    off = x - x.mean()
    assert lag_one(x.tolist()) == pytest.approx((off[1:] * off[:-1]).sum() / (off**2).sum())
    assert lag_one(x[:7].tolist()) is None and lag_one([0.5] * 20) is None


def test_daily_means_weigh_windows_by_their_decisions() -> None:
    heavy, light = windows(30, 1, 1.0), windows(10, 1, 0.0)
    assert daily_means([*heavy, *light]) == [0.75]


def test_the_placebo_of_equal_policies_is_the_mean_reward() -> None:
    rng = np.random.default_rng(5)
    k1 = rng.integers(5, 50, 40).astype(float)
    columns = {
        name: rng.random(40)
        for name in ("w2", "w2r", "wr2", "r2", "wra", "w_max", "w_min", "n_over10", "n_missing_p",
                     "n_missing_q", "n_missing_r")
    }  # fmt: skip
    columns |= {"k1": k1, "n": k1, "n_rows": k1, "r1": k1 * rng.random(40), "n_not01": k1, "n_one": k1 * 0}
    columns |= {"w1": k1 * 1.5, "wr1": columns["r1"] * 2}
    cells = Sums(np.arange(40) * 24, np.arange(40) % 64, np.array([""] * 40, dtype=object), columns)
    value, average = placebo(cells, Settings())
    assert value == pytest.approx(average) == pytest.approx(columns["r1"].sum() / k1.sum())


def sums_of(**tables: list[tuple]) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:")
    connection.execute('CREATE TABLE sums_quality ("key" VARCHAR, n BIGINT)')
    connection.execute("CREATE TABLE sums_reward (n BIGINT, n_reward BIGINT)")
    for table, rows in tables.items():
        for row in rows:
            connection.execute(f"INSERT INTO sums_{table} VALUES (?, ?)", row)
    return connection


def test_rejects_future_rows_and_unusable_columns_are_told(loaded) -> None:
    quality = [("rows", 960), ("rejects:no_ts", 30), ("rejects:future", 10), ("faults:reward", 11)]
    rejected, future, unusable = log_quality(sums_of(quality=quality), loaded.config)
    assert rejected.blocks and "40 of 1000 rows were rejected, most for no_ts" in rejected.what
    assert "10 rows lay more than 1 h in the future" in future.what
    assert unusable.blocks and "column reward is unusable in 11 of 1000" in unusable.what


def test_a_log_under_its_limit_of_rejects_is_not_told(loaded) -> None:
    quality = [("rows", 991), ("rejects:no_ts", 9), ("faults:reward", 10)]
    assert list(log_quality(sums_of(quality=quality), loaded.config)) == []


def test_missing_and_immature_rewards_are_told(loaded) -> None:
    (none,) = maturity(sums_of(reward=[(100, 0)]), loaded.config, NOW, NOW)
    assert none.blocks and "no decision has a reward" in none.what
    reward = loaded.config.reward.model_copy(update={"matures_after": timedelta(days=2)})
    waiting = loaded.config.model_copy(update={"reward": reward})
    some, immature = maturity(sums_of(reward=[(100, 90)]), waiting, NOW, NOW)
    assert "10 % of the decisions have no reward" in some.what and "last 2 days" in immature.what
    reward = reward.model_copy(update={"matures_after": timedelta(days=1)})
    *_, immature = maturity(
        sums_of(reward=[(100, 90)]), loaded.config.model_copy(update={"reward": reward}), NOW, NOW
    )
    assert immature.what == "rewards of the last day are immature"
    assert list(maturity(sums_of(reward=[(100, 99)]), loaded.config, NOW, NOW)) == []


@pytest.mark.parametrize(("ahead", "told"), [(timedelta(hours=2), True), (timedelta(minutes=1), False)])
def test_a_decision_later_than_its_file_is_a_clock_that_is_ahead(loaded, ahead, told) -> None:
    store = Store(loaded.folder / "var/monitor")
    store.create()
    with opened(store.decisions) as connection:
        schema.create(connection, loaded.config)
        connection.execute("INSERT INTO decisions (ts) VALUES (?)", [(NOW + ahead).replace(tzinfo=None)])
        connection.execute("INSERT INTO files (file, modified) VALUES ('a', ?)", [NOW.timestamp()])
    assert [c.what[:34] for c in clock_skew(loaded, store, NOW)] == (
        ["the newest decision says 2026-03-0"] if told else []
    )


def test_the_newest_of_a_person_and_the_configuration_decides_the_level(loaded) -> None:
    loaded = with_config(loaded, acting="observe")
    journal_path = loaded.folder / "var/monitor/journal.db"

    def level(configured: str) -> str:
        with Journal(journal_path) as journal:
            return effective_level(journal.events("arm"), configured)

    acts.arm(loaded, "rollback", by="ann", reason="trusted", at=NOW)
    assert level("observe") == "rollback"
    assert level("alert") == "alert"
    with Journal(journal_path) as journal:
        assert armed_at(journal, "observe", NOW + HOUR) == NOW
        assert armed_at(journal, "alert", NOW + 2 * HOUR) == NOW + 2 * HOUR
        assert armed_at(journal, "alert", NOW + 3 * HOUR) == NOW + 2 * HOUR
        assert [e.body["level"] for e in journal.events("arm")] == ["rollback", "alert"]
    assert level("alert") == "alert"
    assert level("observe") == "observe"


def test_a_person_may_lower_the_level_too(loaded) -> None:
    acts.arm(loaded, "observe", by="ann", reason="false alarms", at=NOW)
    with Journal(loaded.folder / "var/monitor/journal.db") as journal:
        assert effective_level(journal.events("arm"), "rollback") == "observe"


def test_without_a_word_the_configuration_decides() -> None:
    assert effective_level([], "alert") == "alert"


@pytest.mark.parametrize(("level", "said"), [("rolback", "did you mean 'rollback'"), ("rollback", "already")])
def test_a_level_that_is_unknown_or_holds_already_is_refused(loaded, level, said) -> None:
    with pytest.raises(ConfigError, match=said):
        acts.arm(loaded, level, by="ann", reason="why", at=NOW)


def test_a_policy_is_adopted_in_a_stage_since_a_day_in_the_past(loaded) -> None:
    acts.adopt(loaded, stage="shadow", since="2026-02-01", by="ann", reason="was there", at=NOW)
    with Journal(loaded.folder / "var/monitor/journal.db") as journal:
        (event,) = journal.events("adopt")
    assert event.subject == "new"
    since = datetime.fromisoformat(event.body.pop("since"))
    assert since == datetime(2026, 2, 1, tzinfo=UTC)
    assert event.body == {"stage": "shadow_mode", "by": "ann", "reason": "was there"}


@pytest.mark.parametrize(
    ("stage", "since", "said"),
    [("shade", "2026-02-01", "did you mean 'shadow'"), ("shadow", "soon", "'soon' is not a date"),
     ("shadow", "2026-04-01", "in the future")],
)  # fmt: skip
def test_a_stage_or_day_that_cannot_be_is_refused(loaded, stage, since, said) -> None:
    with pytest.raises(ConfigError, match=said):
        acts.adopt(loaded, stage=stage, since=since, by="ann", reason="why", at=NOW)


def test_a_store_that_never_ran_blocks(loaded) -> None:
    (complaint,) = examine(loaded, NOW)
    assert complaint.blocks and complaint.do == "`monitor run`"


def test_what_blocks_is_shown_first() -> None:
    shown = lines([Complaint("small", "w", "d"), Complaint("big", "w", "d", blocks=True)])
    assert shown[0] == "BLOCKS big" and shown[3] == "note   small" and shown[-1] == "1 block, 1 to know"


@pytest.mark.parametrize("column", ["propensity", "candidate_propensity", "reward"])
def test_an_item_that_lacks_a_column_cannot_pass(loaded, column) -> None:
    every = {"propensity", "candidate_propensity", "reward", "action", "candidate_action"}
    whole = Known(loaded.config, frozenset(every), 1000.0)
    rows = {r.item: r.can for r in item_rows(whole)}
    lacking = {r.item: r.can for r in item_rows(replace(whole, has=frozenset(every - {column})))}
    assert rows["beats_baseline"] == "can pass"
    assert lacking["beats_baseline"] == ("never" if column == "propensity" else "needs")


def test_bins_are_named_in_the_order_of_their_numbers() -> None:
    assert bin_names({"edges": [0, 1, 2]}) == ["under 0", "0 to 1", "1 to 2", "over 2", "(missing)"]
    assert bin_names({"categories": ["a"]}) == ["a", "(other)", "(never seen before)", "(missing)"]


def test_the_first_hour_needs_no_clock_of_its_own() -> None:
    for file in (Path(configuration.__file__).parent / "first_hour").glob("*.py"):
        assert "datetime.now" not in file.read_text("utf-8"), file.name
