"""Where a policy stands, and which PASS still opens a gate."""

from datetime import UTC, datetime, timedelta

import pytest

from gates.given import GivenEvent
from gates.passes import unexpired_pass
from gates.stages import (
    FULL,
    LIMITED,
    OFFLINE,
    SHADOW,
    Standing,
    next_stage,
    stage_before,
    stage_named,
    standing,
)

NOW = datetime(2026, 3, 16, tzinfo=UTC)
DAY = timedelta(days=1)


def entry(kind, days_ago, stage, policy="v7", seq=0, **body):
    return GivenEvent(kind, NOW - days_ago * DAY, policy, {"stage": stage, **body}, seq)


def test_stages_have_an_order_and_short_names():
    assert [stage_named(n) for n in ("offline", "shadow", "limited", "full")] == [
        OFFLINE,
        SHADOW,
        LIMITED,
        FULL,
    ]
    assert stage_named("shadow_mode") == SHADOW
    assert (next_stage(OFFLINE), next_stage(FULL)) == (SHADOW, None)
    assert (stage_before(LIMITED), stage_before(OFFLINE)) == (SHADOW, None)


def test_an_unknown_stage_is_refused_with_a_suggestion():
    with pytest.raises(ValueError, match="did you mean 'shadow'"):
        stage_named("shadw")


def test_a_policy_nobody_entered_stands_nowhere():
    assert standing([], "v7", NOW) is None
    assert standing([entry("promote", 3, SHADOW, policy="v6")], "v7", NOW) is None


def test_the_newest_entry_up_to_as_of_counts():
    events = [entry("adopt", 9, SHADOW), entry("promote", 2, LIMITED), entry("verdict", 1, FULL)]
    assert standing(events, "v7", NOW) == Standing(LIMITED, NOW - 2 * DAY)
    assert standing(events, "v7", NOW - 3 * DAY) == Standing(SHADOW, NOW - 9 * DAY)


def test_an_adopted_policy_stands_there_since_the_day_it_says():
    event = entry("adopt", 1, SHADOW, since="2026-03-01")
    assert standing([event], "v7", NOW) == Standing(SHADOW, datetime(2026, 3, 1, tzinfo=UTC))


HASHES = {"checklist_hash": "aa", "config_hash": "bb"}


def verdict(days_ago, seq=0, **changed):
    as_of = NOW - days_ago * DAY
    body = {"policy": "v7", "stage": SHADOW, **HASHES, "outcome": "PASS", "exit_code": 0}
    return GivenEvent("verdict", NOW, "v7", {**body, "as_of": as_of.isoformat(), **changed}, seq)


def opened(*events, **changed):
    asked = {"policy": "v7", "stage": SHADOW, **HASHES, "as_of": NOW, "expires_after": 7 * DAY, **changed}
    return unexpired_pass(events, **asked)


def test_a_fresh_pass_opens_the_gate():
    event = verdict(1)
    assert opened(event) is event


@pytest.mark.parametrize(
    "changed",
    [
        {"policy": "v6"},
        {"stage": OFFLINE},
        {"checklist_hash": "xx"},
        {"config_hash": "xx"},
        {"as_of": None},
        {"outcome": "INCONCLUSIVE"},
        {"outcome": "PASS", "exit_code": 5},
    ],
)
def test_a_pass_of_anything_else_does_not_open_it(changed):
    assert opened(verdict(1, **changed)) is None


def test_a_pass_expires_by_the_time_it_was_about_and_not_by_the_time_it_was_written():
    assert opened(verdict(6.9)) is not None
    assert opened(verdict(7)) is None
    assert opened(verdict(-1)) is None


def test_a_pass_from_before_the_stage_was_entered_does_not_count():
    assert opened(verdict(3), since=NOW - 2 * DAY) is None
    assert opened(verdict(1), since=NOW - 2 * DAY) is not None


@pytest.mark.parametrize("aside", [{"scope": "files"}, {"dry": True}])
def test_a_verdict_on_files_or_of_a_dry_run_opens_and_voids_nothing(aside):
    assert opened(verdict(1, **aside)) is None
    event = verdict(2)
    assert opened(event, verdict(1, seq=1, outcome="FAIL", exit_code=1, **aside)) is event


def test_a_later_verdict_that_is_no_pass_voids_the_pass():
    assert opened(verdict(2), verdict(1, seq=1, outcome="FAIL", exit_code=1)) is None
    again = verdict(1, seq=2)
    assert opened(verdict(2, outcome="FAIL", exit_code=1), again) is again
