"""From findings to a verdict, an exit code and one JSON."""

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from importlib.resources import files

import jsonschema
import numpy as np
import pytest

from gates.checklist import Checklist, Item
from gates.checks import CHECKS
from gates.checks.check import Check
from gates.evaluate import RecordedFiring, evaluate, judge, to_json
from gates.given import Given
from gates.outcome import Outcome, exit_code, finding, worst

AS_OF = datetime(2026, 3, 16, tzinfo=UTC)
SCHEMA = json.loads((files("gates") / "verdict.schema.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
EVIDENCE = Given(
    "shadow_mode", "v7", AS_OF, AS_OF - timedelta(days=15), AS_OF, facts={"config_hash": "c0ffee"}
)
FIRING = RecordedFiring(
    "constraint",
    "rollback",
    True,
    False,
    "v7",
    "heat",
    AS_OF - timedelta(hours=1),
    AS_OF,
    0.06,
    math.nan,
    "0.06",
    3,
)


def says(outcome):
    """A check that always says `outcome`."""
    passes = outcome is Outcome.PASS
    needs, reason = ("", None) if passes else ("more", "straddles")
    return Check(lambda params, evidence: [finding(outcome, "it is so.", needs, reason=reason)])


@pytest.fixture
def checklist(monkeypatch):
    """Builds a checklist of items that say given outcomes in given roles."""
    for outcome in Outcome:
        monkeypatch.setitem(CHECKS, outcome.name, says(outcome))

    def build(*said, **extra):
        items = [Item(f"item_{i}", o.name, role, {}) for i, (o, role) in enumerate(said)]
        items += [Item(name, name, "guardrail", {}) for name in extra]
        for name, function in extra.items():
            monkeypatch.setitem(CHECKS, name, Check(function))
        return Checklist("shadow_mode", tuple(items), "abc")

    return build


@pytest.mark.parametrize("bad", list(Outcome))
@pytest.mark.parametrize("role", ["guardrail", "sign_off"])
def test_the_verdict_is_the_worst_of_guardrails_and_sign_offs(checklist, bad, role):
    verdict = judge(checklist((Outcome.PASS, "guardrail"), (bad, role), (Outcome.PASS, "sign_off")), EVIDENCE)
    assert verdict.outcome is bad


@pytest.mark.parametrize("bad", list(Outcome))
@pytest.mark.parametrize("role", ["signal", "off"])
def test_signals_and_items_that_are_off_are_shown_and_change_nothing(checklist, bad, role):
    verdict = judge(checklist((Outcome.PASS, "guardrail"), (bad, role)), EVIDENCE)
    assert verdict.outcome is Outcome.PASS and len(verdict.findings) == 2


def test_a_verdict_on_nothing_is_no_data(checklist):
    assert worst([]) is Outcome.NO_DATA
    assert judge(checklist((Outcome.PASS, "signal")), EVIDENCE).exit_code == 3


def test_the_order_of_outcomes_is_that_of_the_lattice():
    order = [Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.NO_DATA, Outcome.ERROR, Outcome.FAIL]
    assert sorted(order) == order


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome.PASS, 0),
        (Outcome.FAIL, 1),
        (Outcome.INCONCLUSIVE, 3),
        (Outcome.NO_DATA, 3),
        (Outcome.ERROR, 4),
    ],
)
def test_each_outcome_has_its_exit_code_and_a_rollback_goes_before_all(outcome, code):
    assert exit_code(outcome, False) == code
    assert exit_code(outcome, True) == 5


@pytest.mark.parametrize(
    ("changed", "code"),
    [({}, 5), ({"historical": True}, 5), ({"confirmed": False}, 0), ({"action": "escalate"}, 0)],
)
def test_only_a_confirmed_rollback_firing_shuts_the_gate(checklist, changed, code):
    verdict = judge(checklist((Outcome.PASS, "guardrail")), EVIDENCE, [replace(FIRING, **changed)])
    assert verdict.exit_code == code and verdict.outcome is Outcome.PASS


def test_a_check_that_raises_is_one_error_and_the_others_are_still_there(checklist):
    def broken(params, evidence):
        raise ZeroDivisionError("the\nwidth is 0")

    verdict = judge(checklist((Outcome.PASS, "guardrail"), broken=broken), EVIDENCE)
    first, second = verdict.findings
    assert first.outcome is Outcome.PASS
    assert (second.outcome, second.reason) == (Outcome.ERROR, "error")
    assert "ZeroDivisionError: the width is 0" in second.message
    assert verdict.exit_code == 4
    VALIDATOR.validate(to_json(verdict))


@pytest.mark.parametrize(
    "said",
    [
        [],
        None,
        [finding(9, "nine")],
        ["PASS"],
        [finding(False, "false")],
        [finding(Outcome.FAIL, "no needs", reason="limit")],
    ],
    ids=repr,
)
def test_a_check_that_says_nothing_known_is_an_error(checklist, said):
    verdict = judge(checklist(odd=lambda params, evidence: said), EVIDENCE)
    assert (verdict.outcome, verdict.exit_code, len(verdict.findings)) == (Outcome.ERROR, 4, 1)


def test_a_finding_says_its_item_role_and_window(checklist):
    [found] = evaluate(checklist((Outcome.PASS, "guardrail")), EVIDENCE)
    assert (found.item, found.check, found.role) == ("item_0", "PASS", "guardrail")
    assert (found.window_start, found.window_end) == (EVIDENCE.window_start, EVIDENCE.window_end)
    assert found.message == "It is so."


def test_an_item_that_is_off_is_not_run_and_says_why():
    items = (Item("state_shift", "state_shift", "off", {}, "no state is logged"),)
    [found] = evaluate(Checklist("full_deployment", items, "abc"), EVIDENCE)
    assert (found.role, found.reason) == ("off", "off") and "no state is logged" in found.message


def test_the_json_is_what_the_schema_says(checklist):
    said = [(outcome, role) for outcome in Outcome for role in ("guardrail", "sign_off", "signal", "off")]
    body = to_json(judge(checklist(*said), EVIDENCE, [FIRING], scope="store"))
    VALIDATOR.validate(body)
    assert json.loads(json.dumps(body, allow_nan=False)) == body
    assert (body["as_of"], body["outcome"], body["exit_code"]) == ("2026-03-16T00:00:00Z", "FAIL", 5)
    assert (body["config_hash"], body["checklist_hash"], body["scope"]) == ("c0ffee", "abc", "store")
    assert body["firings"][0]["limit"] is None and body["firings"][0]["incident"] == 3


def test_numbers_that_are_not_finite_are_null_and_numpy_numbers_are_numbers(checklist):
    def odd(params, evidence):
        return [
            finding(
                Outcome.FAIL, "x", "y", reason="limit", value=math.inf, low=np.float64(1.5), n=np.int64(7)
            )
        ]

    body = to_json(judge(checklist(odd=odd), EVIDENCE))["findings"][0]
    assert (body["value"], body["low"], body["high"], body["n"]) == (None, 1.5, None, 7)
    assert json.dumps(body)


def test_times_are_told_in_utc(checklist):
    summer = replace(EVIDENCE, as_of=AS_OF.astimezone(timezone(timedelta(hours=2))))
    assert to_json(judge(checklist((Outcome.PASS, "guardrail")), summer))["as_of"] == "2026-03-16T00:00:00Z"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body.update(extra=1),
        lambda body: body.pop("scope"),
        lambda body: body.update(outcome="GREEN"),
        lambda body: body.update(exit_code=2),
        lambda body: body.update(exit_code=1),
        lambda body: body["findings"][0].update(needs="something"),
        lambda body: body["findings"][0].update(colour="red"),
        lambda body: body["findings"][0].update(value="0.3"),
        lambda body: body.update(as_of="yesterday"),
        lambda body: body["firings"][0].pop("historical"),
    ],
)
def test_the_schema_refuses_what_is_not_a_verdict(checklist, spoil):
    body = to_json(
        judge(checklist((Outcome.PASS, "guardrail")), EVIDENCE, [replace(FIRING, confirmed=False)])
    )
    VALIDATOR.validate(body)
    spoil(body)
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(body)


def test_the_schema_itself_is_sound():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
