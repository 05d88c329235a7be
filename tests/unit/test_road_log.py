"""The log of months: it goes on from what was written, whatever is granted later."""

from datetime import timedelta

import numpy as np
import pytest

from gates.checklist import load
from gates.stages import STAGES
from monitor import rules
from sample_logs import road, road_lists

DAY = timedelta(days=1)
LIVE = road.START + 31 * DAY


def test_a_log_in_two_pieces_is_the_log_in_one():
    granted = [(LIVE, 0.2)]
    whole = road.lines(granted, LIVE - DAY, LIVE + DAY)
    assert whole == road.lines(granted, LIVE - DAY, LIVE) + road.lines(granted, LIVE, LIVE + DAY)
    assert len(whole) == 2 * 24 * 60 // 5 // road.EVERY * 6


def test_what_is_granted_later_changes_nothing_before():
    late = [(LIVE, 0.2), (LIVE + DAY, 1.0)]
    assert road.lines(late, LIVE, LIVE + DAY) == road.lines(late[:1], LIVE, LIVE + DAY)
    assert road.lines(late, LIVE + DAY, LIVE + 2 * DAY) != road.lines(late[:1], LIVE + DAY, LIVE + 2 * DAY)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 1.0])
def test_the_candidate_decides_for_the_share_it_was_granted_and_recommends_for_the_rest(share):
    table = road.decisions([(LIVE, share)])
    later = np.asarray(table["moment"]) >= np.datetime64(LIVE.replace(tzinfo=None))
    mine = np.asarray(table["policy_id"]) == road.CANDIDATE
    advised = np.asarray(table["candidate_id"].is_valid())
    assert not mine[~later].any() and abs(mine[later].mean() - share) < 0.02
    assert (advised[later] == ~mine[later]).all()


def test_one_side_decides_in_an_hour_of_a_loop():
    table = road.decisions([(LIVE, 0.5)])
    deciders = {}
    for unit, policy in zip(table["unit_id"].to_pylist(), table["policy_id"].to_pylist(), strict=True):
        deciders.setdefault(unit, set()).add(policy)
    assert {len(who) for who in deciders.values()} == {1}


def test_its_checklists_load_and_say_why_an_item_is_off(tmp_path):
    road_lists.write(tmp_path)
    for stage in STAGES:
        items = {i.item: i for i in load(stage, tmp_path).items}
        assert {name for name, i in items.items() if i.role == "off"} == set(road_lists.OFF.get(stage, {}))
        for name, numbers in road_lists.NUMBERS.get(stage, {}).items():
            assert set(numbers) <= set(items[name].params)
    assert rules.load(tmp_path) == rules.load()


def test_a_number_that_an_item_does_not_have_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no 'day' of item 'data_contract'"):
        road_lists.own(tmp_path, {}, {"shadow_mode": {"data_contract": {"day": 1}}})
