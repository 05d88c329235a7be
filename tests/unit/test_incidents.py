"""Incidents are folds of the journal: told by its events alone, in their order."""

from datetime import UTC, datetime, timedelta

import pytest

from monitor.incidents import (
    accepted_from,
    acknowledging,
    incident_id,
    incidents,
    may_resolve,
    open_incident,
    opening,
    real_windows,
    resolving,
    unresolved,
)
from monitor.journal import Journal

HOUR = timedelta(hours=1)
T = datetime(2026, 1, 21, 14, tzinfo=UTC)
ID = "cooling-v7-reward_drop-20260121T14"


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "journal.db") as opened:
        yield opened


def opened(journal, name=ID, policy="cooling-v7", trigger="reward_drop", key="", start=T):
    body = opening(policy, trigger, key, start, start + HOUR, action="rollback", message="It fell.")
    journal.append("incident", name, body, at=start + HOUR, key=f"incident:{name}:open")


def firing(journal, start, incident=ID):
    body = {"incident": incident, "window_start": start, "window_end": start + HOUR}
    journal.append("firing", "cooling-v7", body, at=start + HOUR)


def test_an_opened_incident_is_found_by_policy_trigger_and_key(journal):
    opened(journal)
    found = open_incident(journal.events(), "cooling-v7", "reward_drop", "")
    assert (found.id, found.status, found.opened_at) == (ID, "open", T + HOUR)
    assert (found.window_start, found.window_end) == (T, T + HOUR)
    assert (found.action, found.message) == ("rollback", "It fell.")
    assert open_incident(journal.events(), "cooling-v7", "reward_drop", "other") is None
    assert open_incident(journal.events(), "cooling-v8", "reward_drop", "") is None
    assert open_incident(journal.events(), "cooling-v7", "constraint", "") is None


def test_an_acknowledged_incident_is_still_the_incident(journal):
    opened(journal)
    journal.append("incident", ID, acknowledging("Ana", "seen", real=False), at=T + 2 * HOUR)
    found = open_incident(journal.events(), "cooling-v7", "reward_drop")
    assert (found.status, found.acknowledged_by, found.reason) == ("acknowledged", "Ana", "seen")
    assert found.acknowledged_at == T + 2 * HOUR


def test_after_it_is_resolved_the_next_one_is_a_new_incident(journal):
    opened(journal)
    journal.append("incident", ID, resolving("3 good windows"), at=T + 5 * HOUR)
    assert open_incident(journal.events(), "cooling-v7", "reward_drop") is None
    later = incident_id("cooling-v7", "reward_drop", "", T + 9 * HOUR)
    opened(journal, later, start=T + 9 * HOUR)
    assert open_incident(journal.events(), "cooling-v7", "reward_drop").id == later
    assert [i.status for i in incidents(journal.events()).values()] == ["resolved", "open"]
    assert [i.id for i in unresolved(journal.events())] == [later]


def test_firings_of_the_incident_move_its_end_until_it_is_resolved(journal):
    opened(journal)
    firing(journal, T + HOUR)
    firing(journal, T + 7 * HOUR, incident="another")
    journal.append("incident", ID, resolving("3 good windows"), at=T + 5 * HOUR)
    firing(journal, T + 6 * HOUR)
    assert incidents(journal.events())[ID].window_end == T + 2 * HOUR


def test_only_what_a_person_called_real_is_left_out_of_the_reference(journal):
    opened(journal)
    firing(journal, T + HOUR)
    assert real_windows(journal.events(), "cooling-v7") == []
    journal.append("incident", ID, acknowledging("Ana", "looking", real=False), at=T + 2 * HOUR)
    assert real_windows(journal.events(), "cooling-v7") == []
    journal.append("incident", ID, acknowledging("Ana", "pump broke", real=True), at=T + 3 * HOUR)
    assert real_windows(journal.events(), "cooling-v7") == [(T, T + 2 * HOUR)]
    assert real_windows(journal.events(), "cooling-v7", "reward_drop") == [(T, T + 2 * HOUR)]
    assert real_windows(journal.events(), "cooling-v7", "constraint") == []
    assert real_windows(journal.events(), "cooling-v8") == []


def test_a_person_may_call_a_resolved_incident_real_and_it_stays_resolved(journal):
    opened(journal)
    journal.append("incident", ID, resolving("3 good windows"), at=T + 5 * HOUR)
    journal.append("incident", ID, acknowledging("Ana", "it was the pump", real=True), at=T + 9 * HOUR)
    assert incidents(journal.events())[ID].status == "resolved"
    assert real_windows(journal.events(), "cooling-v7") == [(T, T + HOUR)]


def test_a_later_word_that_it_was_not_real_counts(journal):
    opened(journal)
    journal.append("incident", ID, acknowledging("Ana", "pump", real=True), at=T + 2 * HOUR)
    journal.append("incident", ID, acknowledging("Bo", "sensor only", real=False), at=T + 3 * HOUR)
    assert real_windows(journal.events(), "cooling-v7") == []


def test_an_accepted_change_starts_the_reference_anew_and_is_not_left_out(journal):
    opened(journal)
    assert accepted_from(journal.events(), "cooling-v7", "reward_drop") is None
    body = acknowledging("Ana", "new tariff", real=True, accept=True)
    journal.append("incident", ID, body, at=T + 2 * HOUR)
    assert accepted_from(journal.events(), "cooling-v7", "reward_drop") == T
    assert accepted_from(journal.events(), "cooling-v7", "reward_drop", "other") is None
    assert real_windows(journal.events(), "cooling-v7") == []


def test_a_rollback_counts_once_it_is_done(journal):
    opened(journal)
    journal.append("rollback", ID, {"status": "intent"}, at=T + HOUR)
    assert incidents(journal.events())[ID].rolled_back_at is None
    journal.append("rollback", ID, {"status": "failed"}, at=T + 2 * HOUR)
    assert incidents(journal.events())[ID].rolled_back_at is None
    journal.append("rollback", ID, {"status": "done"}, at=T + 3 * HOUR)
    assert incidents(journal.events())[ID].rolled_back_at == T + 3 * HOUR


def test_three_good_windows_resolve_and_after_a_rollback_three_quiet_ones_too(journal):
    opened(journal)
    plain = incidents(journal.events())[ID]
    assert [may_resolve(plain, good, 0) for good in (0, 2, 3, 4)] == [False, False, True, True]
    journal.append("rollback", ID, {"status": "done"}, at=T + 3 * HOUR)
    rolled = incidents(journal.events())[ID]
    assert [may_resolve(rolled, 3, quiet) for quiet in (0, 2, 3)] == [False, False, True]
    assert not may_resolve(rolled, 2, 9)
    journal.append("incident", ID, resolving("over"), at=T + 9 * HOUR)
    assert not may_resolve(incidents(journal.events())[ID], 9, 9)


def test_words_about_an_incident_that_was_never_opened_change_nothing(journal):
    journal.append("incident", "ghost", acknowledging("Ana", "?", real=True), at=T)
    journal.append("verdict", ID, {"status": "open"}, at=T)
    assert incidents(journal.events()) == {}


def test_an_id_is_readable_safe_in_a_shell_and_new():
    assert incident_id("cooling-v7", "reward_drop", "", T) == ID
    assert incident_id("p", "constraint", "inlet_temp_high", T) == "p-constraint-20260121T14-inlet_temp_high"
    assert incident_id("p; rm -rf /", "constraint", "a b$(x)", T) == "p_rm_-rf_-constraint-20260121T14-a_b_x_"
    first = incident_id("p", "t", "a/b", T)
    assert incident_id("p", "t", "a:b", T, taken={first}) == f"{first}-2"
    assert incident_id("p", "t", "a:b", T, taken={first, f"{first}-2"}) == f"{first}-3"
    assert len(incident_id("p" * 500, "t", "k" * 500, T)) < 120
