"""Each stage of the alert pipeline on its own, and the chain of escalation, by hand."""

from datetime import UTC, datetime, timedelta

import pytest

from alerts.escalate import Page, due
from alerts.message import Message
from alerts.pipeline import STAGES, Alert, State, deduplicated, digested, grouped, inhibited, prepared, routed

AT = datetime(2026, 1, 21, 14, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def alert(incident="i", policy="new", severity="page", **more):
    message = Message(
        f"{incident} happened", severity, f"What {incident} was.", "", "Done.", (), incident, policy,
        commands=(f"monitor ack {incident}",),
    )  # fmt: skip
    return Alert(f"{incident}:opened", message, **{"trigger": "reward_drop", "opens": True} | more)


def keys(alerts):
    return [a.key for a in alerts]


def test_an_incident_in_a_state_is_told_once():
    assert keys(deduplicated([alert("a"), alert("b")], State(told={"a:opened"}))) == ["b:opened"]


def test_a_rollback_mutes_what_is_less_about_its_policy_and_says_so():
    rollback, page, less = alert("r"), alert("p"), alert("e", severity="warning")
    only, other = alert("o", escalate_only=True), alert("x", policy="old", severity="warning")
    left = inhibited([rollback, page, less, only, other], State(rolled_back={"new": "r"}))
    assert keys(left) == ["r:opened", "p:opened", "x:opened"]
    assert left[0].message.what_was_done == "Done. 2 more alerts of new muted while it is out of control."


def test_what_is_muted_is_told_later_if_it_still_holds():
    only = alert("o", escalate_only=True)
    assert prepared([only], State(rolled_back={"new": "r"})) == []
    assert keys(prepared([only], State())) == ["o:opened"]


def test_a_stale_log_mutes_what_is_measured_from_it_but_no_rollback_and_not_itself():
    drift, drop = alert("d", escalate_only=True), alert("r")
    stale = alert("s", trigger="stale", escalate_only=True)
    assert keys(inhibited([drift, drop, stale], State(unread={"new"}))) == ["r:opened", "s:opened"]


def test_follow_ups_are_never_muted_or_grouped():
    follow = Alert("i:resolved", alert("i", severity="info").message)
    state = State(rolled_back={"new": "r"}, unread={"new"}, digest=AT)
    other = Alert("j:resolved", alert("j", severity="info").message)
    assert prepared([follow, other], state) == [follow, other]


def test_rules_that_never_roll_back_wait_for_the_next_digest():
    old = alert("a", escalate_only=True, since=AT - MINUTE)
    young = alert("b", escalate_only=True, since=AT + MINUTE)
    page = alert("p", since=AT + MINUTE)
    left = digested([old, young, page], State(digest=AT))
    assert keys(left) == ["p:opened", "digest:2026-01-21"]
    assert left[1].includes == ("a:opened",) and left[1].message.severity == "warning"
    assert digested([old, page], State(digest=None)) == [old, page]
    assert keys(digested([young], State(digest=AT))) == []


def test_incidents_of_one_policy_in_one_pass_are_one_message_that_a_rollback_leads():
    first, rollback, other = alert("a", severity="warning"), alert("r"), alert("x", policy="old")
    one, two = grouped([first, rollback, other], State(rolled_back={"new": "r"}))
    assert (one.key, one.includes, two) == ("r:opened", ("a:opened",), other)
    assert one.message.title == "r happened, and 1 more incident" and one.message.severity == "page"
    assert "What a was." in one.message.what_happened
    assert one.message.commands == ("monitor ack r", "monitor ack a")


def test_a_page_leads_a_group_that_has_no_rollback():
    (one,) = grouped([alert("a", severity="warning"), alert("p")], State())
    assert one.key == "p:opened"


def test_pages_call_the_first_person_on_call_by_name_and_nothing_else_does():
    page, warning = routed([alert("p"), alert("w", severity="warning")], State(on_call=["U1", "U2"]))
    assert (page.message.mention, warning.message.mention) == (("U1",), ())


def test_the_stages_stand_in_this_order():
    assert [s.__name__ for s in STAGES] == ["deduplicated", "inhibited", "digested", "grouped", "routed"]


@pytest.mark.parametrize(
    ("minutes", "step", "names", "everybody"),
    [
        (9, None, (), False), (10, 1, ("a", "b"), False), (19, 1, ("a", "b"), False),
        (20, 2, ("a", "b", "c"), False), (30, 3, ("a", "b", "c"), True), (89, 3, ("a", "b", "c"), True),
        (90, 4, ("a", "b", "c"), True), (150, 5, ("a", "b", "c"), True),
    ],
)  # fmt: skip
def test_the_chain_goes_from_one_to_the_next_and_ends_at_everybody(minutes, step, names, everybody):
    calls = due([Page("i", "new", "t", AT)], ["a", "b", "c"], 10 * MINUTE, AT + minutes * MINUTE)
    assert [(c.step, c.names, c.everybody) for c in calls] == [(step, names, everybody)][: step is not None]


def test_where_nothing_burns_everybody_is_called_once():
    page = Page("i", "new", "t", AT, "old", burns=False)
    assert [c.key for c in due([page], ["a"], 10 * MINUTE, AT + 9 * 60 * MINUTE)] == ["i:escalated:1"]


def test_without_a_list_nobody_is_called():
    assert due([Page("i", "new", "t", AT)], [], 10 * MINUTE, AT + 60 * MINUTE) == []
