"""Specifications of planted changes, the changes themselves, and what a replay adds up."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from monitor.config import ConfigError
from monitor.metrics.poisson import poisson_rate
from monitor.replay.plant import apply, parse
from monitor.replay.tally import Trip, alarms, first_seen

MIDDLE = 490_036
AT = datetime.fromtimestamp(MIDDLE * 3600, UTC).isoformat()
BASELINE = SimpleNamespace(body={"features": {"load": {"sd": 0.5}}})


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("reward:-10%", "is not TARGET:CHANGE@TIME"),
        ("rewards:-10%@2026-01-10", "did you mean 'reward'"),
        ("reward:10%@2026-01-10", "is not a change of reward; write it as reward:-10%@2026-01-10"),
        ("reward:x3@2026-01-10", "is not a change of reward"),
        ("reward.all:-10%@2026-01-10", "takes no name after a dot"),
        ("state.lod:+1sd@2026-01-10", "did you mean 'load'"),
        ("state.season:+1sd@2026-01-10", "is not a numeric feature under state"),
        ("state.load:+1%@2026-01-10", "write it as state.NAME:+1sd@2026-01-10"),
        ("constraint.fast:x3@2026-01-10", "is not declared under constraints"),
        ("constraint.slow:x@2026-01-10", "is not a change of constraint"),
        ("action:collapsed@2026-01-10", "is not a change of action"),
        ("propensity:x1.3@tenth", "'tenth' is not a time"),
    ],
)
def test_a_wrong_specification_is_one_sentence(loaded, spec, said) -> None:
    with pytest.raises(ConfigError, match="--plant") as raised:
        parse(spec, loaded.config)
    (sentence,) = raised.value.errors
    assert said in sentence and sentence.startswith(f"--plant {spec}: ")


def changed(decisions, loaded, spec: str, select: str):
    """The SELECT over the first half, and over the second before and after the change, which is made
    twice to the same effect."""
    plant = parse(f"{spec}@{AT}", loaded.config)
    found = []
    for _ in range(2):
        connection = decisions(3, 6000)
        connection.execute("UPDATE decisions SET ts = make_timestamp(hour * 3600000000)")
        before, after = (f"{select} FROM decisions WHERE hour {how} {MIDDLE}" for how in ("<", ">="))
        was = connection.execute(before).fetchall(), connection.execute(after).fetchall()
        assert apply(connection, plant, loaded.config, BASELINE) > 2000  # type: ignore[arg-type]
        assert connection.execute(before).fetchall() == was[0]
        found.append((was[1], connection.execute(after).fetchall()))
    assert found[0] == found[1]
    return found[0]


def test_rewards_move_by_a_share_of_the_size_of_their_mean(decisions, loaded) -> None:
    ((was,),), ((now,),) = changed(decisions, loaded, "reward:+10%", "SELECT AVG(reward)")
    ((_, top),), _ = changed(decisions, loaded, "reward:+10%", "SELECT AVG(reward), AVG((reward = 2)::INT)")
    assert now == pytest.approx(was * (1.1 - 0.1 * top), rel=1e-9)  # those at the end of the range stay


def test_a_feature_moves_by_standard_deviations_of_the_baseline(decisions, loaded) -> None:
    ((was,),), ((now,),) = changed(decisions, loaded, "state.load:+2sd", "SELECT AVG(state_load)")
    assert now - was == pytest.approx(1.0, abs=1e-9)


def test_violations_are_multiplied(decisions, loaded) -> None:
    rate = "SELECT AVG((cost_slow > 0)::INT)"
    ((was,),), ((now,),) = changed(decisions, loaded, "constraint.slow:x3", rate)
    assert now == pytest.approx(3 * was, rel=0.15)
    ((was,),), ((now,),) = changed(decisions, loaded, "constraint.slow:x0.5", rate)
    assert now == pytest.approx(was / 2, rel=0.3)


def test_a_collapsed_policy_takes_one_action_with_probability_1(decisions, loaded) -> None:
    select = "SELECT COUNT(DISTINCT (policy_id, action)), MIN(propensity), MAX(probs_entropy)"
    _, ((actions, p, entropy),) = changed(decisions, loaded, "action:collapse", select)
    assert (actions, p, entropy) == (2, 1.0, 0.0)


def test_multiplied_propensities_above_1_are_missing(decisions, loaded) -> None:
    select = "SELECT COUNT(*) FILTER (propensity * 2 <= 1), COUNT(propensity), MAX(propensity)"
    ((kept, _, _),), ((_, left, top),) = changed(decisions, loaded, "propensity:x2", select)
    assert left == kept > 0 and top <= 1


def test_rewards_of_0_and_1_stay_so(decisions, loaded) -> None:
    config = loaded.config.model_copy(
        update={"reward": loaded.config.reward.model_copy(update={"range": (0.0, 1.0)})}
    )
    connection = decisions(3, 6000)
    connection.execute(
        "UPDATE decisions SET ts = make_timestamp(hour * 3600000000), reward = (row_hash % 2)::DOUBLE"
    )
    plant = parse(f"reward:-40%@{AT}", config)
    apply(connection, plant, config, None)
    ((mean, other),) = connection.execute(
        f"SELECT AVG(reward), COUNT(*) FILTER (reward NOT IN (0, 1)) FROM decisions WHERE hour >= {MIDDLE}"
    ).fetchall()
    assert mean == pytest.approx(0.3, abs=0.03) and other == 0


def test_a_change_of_nothing_is_refused(decisions, loaded) -> None:
    connection = decisions(3)
    connection.execute("UPDATE decisions SET ts = make_timestamp(hour * 3600000000), cost_slow = 0")
    for spec, said in (
        (f"constraint.slow:x3@{AT}", "never violated"),
        ("reward:-10%@2031-01-01", "no decision from then on"),
        (f"state.load:+1sd@{AT}", "no standard deviation of load"),
    ):
        with pytest.raises(ConfigError, match=said):
            apply(connection, parse(spec, loaded.config), loaded.config, None)


def trips(*starts: int, key: str = "", confirmed: bool = True) -> list[Trip]:
    return [Trip("p", key, start, confirmed) for start in starts]


def test_trips_with_at_most_three_windows_between_them_are_one_alarm() -> None:
    assert alarms(trips(10, 11, 15, 20), 1) == 2
    assert alarms([*trips(10, 11), *trips(11, key="other")], 1) == 2
    assert alarms(trips(10, 34, 154), 24) == 2
    assert alarms([], 1) == 0


def test_trips_of_days_among_windows_of_hours_count_by_the_day() -> None:
    days = [Trip("p", "", start, True, hours=24) for start in (0, 24, 48, 168)]
    assert alarms(days, 1) == 2
    seen = first_seen(days, 58.0, 1, 0.25)
    assert seen is not None and (seen.start, seen.windows, seen.hours) == (48, 1, 14.25)


def test_the_first_window_that_ends_after_the_change_is_window_1() -> None:
    seen = first_seen(trips(90, 98, 103), 100.5, 1, 0.2)
    assert seen is not None
    assert (seen.start, seen.windows) == (103, 4) and seen.hours == pytest.approx(3.7)
    assert first_seen(trips(100), 100.5, 1, 0.0).windows == 1  # type: ignore[union-attr]


def test_a_single_row_is_seen_when_it_is_read() -> None:
    row = Trip("p", "unsafe", 100, True, at=100.75)
    seen = first_seen([row], 100.5, 1, 0.2)
    assert seen is not None and (seen.windows, seen.hours) == (1, pytest.approx(0.25))
    assert first_seen([row], 100.8, 1, 0.2) is None


def test_a_trip_that_was_there_without_the_change_has_not_seen_it() -> None:
    assert first_seen(trips(103), 100.5, 1, 0.0, {("p", "", 103)}) is None


def test_the_interval_of_a_rate_is_exact() -> None:
    none, three = poisson_rate(0, 2.0, "a month"), poisson_rate(3, 1.0, "a month")
    assert (none.low, none.high) == (0.0, pytest.approx(3.688879 / 2, abs=1e-6))
    assert (three.low, three.high) == (pytest.approx(0.618672, abs=1e-6), pytest.approx(8.767273, abs=1e-6))
    assert not poisson_rate(0, 0.0, "a month").judgeable
