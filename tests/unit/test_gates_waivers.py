"""What a waiver does to a verdict, and everything that is no waiver."""

import json
from datetime import UTC, datetime, timedelta
from importlib.resources import files

import jsonschema
import pytest

from alerts.message import for_verdict_change
from gates.checklist import Checklist, Item, load
from gates.evaluate import RecordedFiring, judge, to_json
from gates.given import Given, GivenEvent
from gates.outcome import Outcome
from gates.passes import enforcing
from gates.table import table
from monitor.metrics.estimate import exact

NOW = datetime(2026, 3, 16, tzinfo=UTC)
DAY = timedelta(days=1)
STAGE = "shadow_mode"
SCHEMA = json.loads((files("gates") / "verdict.schema.json").read_text("utf-8"))
ROWS = Item("recommendations_logged", "recommendations_logged", "guardrail", {"share": 0.999})
REVIEW = Item("review", "review", "sign_off", {"labelled": 50, "sensible": 0.9})


def waiver(item="review", at=NOW - DAY, seq=0, **changed):
    body = {
        "item": item, "stage": STAGE, "policy": "v7", "by": "Ada", "reason": "labels come on Monday",
        "expires": (NOW + DAY).isoformat(),
    }  # fmt: skip
    return GivenEvent("waive", at, "v7", {**body, **changed}, seq)


def verdict(*events, items=(ROWS, REVIEW), recommended=1.0, firings=()):
    estimates = {("recommended_share", ""): exact(recommended, 50_000, "share")}
    given = Given(STAGE, "v7", NOW, NOW - 20 * DAY, NOW, {}, estimates, journal=events)
    return judge(Checklist(STAGE, items, "aa"), given, firings)


def test_what_is_waived_keeps_its_outcome_and_does_not_count():
    assert verdict().outcome is Outcome.INCONCLUSIVE
    found = verdict(waiver())
    assert (found.outcome, found.exit_code) == (Outcome.PASS, 0)
    rows, review = found.findings
    assert (rows.outcome, rows.waived) == (Outcome.PASS, None)
    assert (review.outcome, review.reason, review.role) == (
        Outcome.INCONCLUSIVE, "signoff_missing", "sign_off"
    )
    assert review.waived == "by Ada until 2026-03-17 00:00 UTC: labels come on Monday"


@pytest.mark.parametrize(
    "event",
    [
        waiver(item="recommendations_logged"),
        waiver(stage="offline_validation"),
        waiver(policy="v6"),
        waiver(by=" "),
        waiver(reason=""),
        waiver(expires=NOW.isoformat()),
        waiver(expires="soon"),
        waiver(expires=None),
        waiver(at=NOW + DAY),
    ],
)
def test_a_waiver_that_does_not_hold_is_none(event):
    assert verdict(event).outcome is Outcome.INCONCLUSIVE


def test_the_newest_waiver_of_an_item_counts():
    short = waiver(at=NOW - DAY, seq=2, expires=(NOW - timedelta(hours=1)).isoformat())
    assert verdict(waiver(seq=1), short).outcome is Outcome.INCONCLUSIVE
    assert verdict(short, waiver(seq=3)).outcome is Outcome.PASS


def test_a_verdict_in_which_everything_is_waived_is_no_pass():
    found = verdict(waiver(), items=(REVIEW,))
    assert (found.outcome, found.exit_code) == (Outcome.NO_DATA, 3)


def test_a_failure_that_is_not_waived_still_decides():
    assert verdict(waiver(), recommended=0.5).outcome is Outcome.FAIL


def test_no_waiver_covers_a_rollback_that_fired():
    fired = RecordedFiring("constraint", "rollback", True, False, "v7", "", NOW, NOW, 1.0, 0.0, "It fired.")
    assert verdict(waiver(), firings=[fired]).exit_code == 5


@pytest.mark.parametrize(
    "item",
    [
        Item("review", "review", "sign_off", REVIEW.params, no_waiver=True),
        Item("review", "hard_constraints", "guardrail", {"limit": 0.001}),
        Item("review", "data_contract", "guardrail", {}),
    ],
)
def test_what_may_not_be_waived_is_not(item):
    found = verdict(waiver(), items=(ROWS, item))
    assert found.outcome is not Outcome.PASS and not any(f.waived for f in found.findings)


def test_a_look_up_of_waivers_that_breaks_finds_none():
    class Broken(Given):
        def events(self, kind):
            if kind == "waive":
                raise OSError("the journal is gone")
            return super().events(kind)

    given = Broken(STAGE, "v7", NOW, journal=[waiver()])
    found = judge(Checklist(STAGE, (ROWS, REVIEW), "aa"), given)
    assert found.outcome is not Outcome.PASS and not any(f.waived for f in found.findings)


def test_the_checklists_that_ship_keep_violations_and_the_log_shut():
    stages = ("offline", "shadow", "limited", "full")
    shut = {(i.check, stage) for stage in stages for i in load(stage).items if i.no_waiver}
    assert shut == {
        ("data_contract", "offline"), ("data_contract", "shadow"), ("data_contract", "limited"),
        ("data_contract", "full"), ("hard_constraints", "limited"),
    }


def test_every_report_shows_what_is_waived():
    found = verdict(waiver())
    body = to_json(found)
    jsonschema.Draft202012Validator(SCHEMA).validate(body)
    assert [f["waived"] for f in body["findings"]] == [None, found.findings[1].waived]
    shown = table(found, width=100)
    assert "(waived)" in shown and "Waived by Ada until 2026-03-17 00:00 UTC: labels come on" in shown
    assert "may go on to limited_deployment. Waived: review." in shown
    event = GivenEvent("verdict", NOW, "v7", body)
    assert [f["item"] for f in enforcing(event)] == ["recommendations_logged"]


def test_an_alert_on_a_verdict_tells_what_is_waived():
    told = for_verdict_change(
        "v7", STAGE, before="INCONCLUSIVE", after="PASS", findings=[], as_of=NOW,
        waived=["review by Ada until Monday: labels come on Monday"],
    )
    assert told.how_bad == (
        "Every item that counts passed. "
        "Waived, so it does not count: review by Ada until Monday: labels come on Monday."
    )
