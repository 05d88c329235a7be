"""A sign-off is about what was signed, and where two persons are asked for, two persons gave it."""

from datetime import UTC, datetime, timedelta

import pytest

from gates.checks import CHECKS
from gates.given import Given, GivenEvent
from gates.outcome import Outcome

NOW = datetime(2026, 3, 16, tzinfo=UTC)
DAY = timedelta(days=1)
WORD = {
    "policy": "v7", "by": "ana", "reason": "sensible", "evidence": "labels.csv", "evidence_digest": "file:ab",
    "verdict": "approved", "expires": (NOW + 30 * DAY).isoformat(), "reward_hash": "rr", "proposer": "",
}  # fmt: skip
FACTS = {"evidence_digests": {"labels.csv": "file:ab"}, "reward_hash": "rr"}


def judged(check, *events, facts=FACTS, two_person=False, **word):
    signed = GivenEvent("attest", NOW - DAY, "v7", {**WORD, "item": check, **word}, 9)
    params = {name: number.default for name, number in CHECKS[check].params.items()}
    given = Given("shadow_mode", "v7", NOW, facts=facts, journal=[*events, signed])
    [found] = CHECKS[check].function({**params, "item": check, "two_person": two_person}, given)
    assert (found.outcome is Outcome.PASS) == (found.reason is None) == (found.needs == "")
    return found


SIGNED = ["review", "red_team", "sign_off"]


@pytest.mark.parametrize("check", SIGNED)
def test_evidence_that_is_what_it_was_holds(check):
    assert judged(check).outcome is Outcome.PASS


@pytest.mark.parametrize("check", SIGNED)
@pytest.mark.parametrize(
    ("digests", "why"),
    [
        ({"labels.csv": "file:cd"}, "was changed since"),
        ({}, "cannot be read any more"),
        (None, "cannot be read any more"),
        ({"labels.csv": ""}, "cannot be read any more"),
    ],
)
def test_evidence_that_changed_or_is_gone_voids_the_sign_off(check, digests, why):
    found = judged(check, facts={**FACTS, "evidence_digests": digests})
    assert (found.outcome, found.reason) == (Outcome.INCONCLUSIVE, "signoff_void")
    assert f"labels.csv {why}" in found.message and "monitor attest" in found.needs


def test_an_address_is_not_read_again():
    found = judged("review", evidence="https://x.org/a", evidence_digest="address:ab", facts={})
    assert found.outcome is Outcome.PASS


def test_a_red_team_report_ends_with_the_reward_it_was_about_and_a_review_does_not():
    other = {**FACTS, "reward_hash": "ss"}
    assert judged("red_team", facts=other).reason == "signoff_void"
    assert judged("review", facts=other).outcome is Outcome.PASS
    for unknown in ({"reward_hash": None}, {"reward_hash": ""}):
        assert judged("red_team", **unknown).reason == "signoff_void"
        assert judged("red_team", facts={**FACTS, **unknown}, **unknown).reason == "signoff_void"


def entered(by, kind="promote", days_ago=5, policy="v7"):
    return GivenEvent(kind, NOW - days_ago * DAY, policy, {"stage": "shadow_mode", "by": by})


@pytest.mark.parametrize("kind", ["promote", "adopt"])
def test_where_two_persons_are_asked_for_the_proposer_may_not_sign(kind):
    same = judged("review", entered("Ana ", kind), two_person=True)
    assert (same.outcome, same.reason) == (Outcome.INCONCLUSIVE, "signoff_one_person")
    assert judged("review", entered("ben", kind), two_person=True).outcome is Outcome.PASS
    assert judged("review", entered("ana", kind), two_person=False).outcome is Outcome.PASS


def test_a_named_proposer_does_not_hide_who_promoted_the_policy():
    assert judged("review", entered("ana"), two_person=True, proposer="ben").reason == "signoff_one_person"
    assert judged("review", two_person=True, proposer="ana").reason == "signoff_one_person"
    assert judged("review", two_person=True, proposer="ben").outcome is Outcome.PASS


def test_a_proposer_whom_nobody_knows_holds():
    for nobody in ((), (entered("ben", policy="v6"),), (entered(" "),)):
        found = judged("review", *nobody, two_person=True)
        assert (found.outcome, found.reason) == (Outcome.INCONCLUSIVE, "proposer_unknown")
