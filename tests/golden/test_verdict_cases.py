"""Readings in, verdict out: each file of `verdicts/` is a stage as it was measured and what follows."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from gates.checklist import load
from gates.evaluate import RecordedFiring, judge
from gates.given import Given, GivenEvent
from monitor.metrics.estimate import LEVEL, Estimate, missing

CASES = sorted((Path(__file__).parent / "verdicts").glob("*.yaml"))


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_the_readings_of_a_case_give_its_verdict(path):
    case = YAML(typ="safe").load(path.read_text("utf-8"))
    verdict = judge(load(case["stage"]), evidence(case), [firing(f) for f in case.get("firings", [])])
    expected = case["expect"]
    assert (verdict.outcome.name, verdict.exit_code) == (expected["outcome"], expected["exit_code"])
    said = {}
    for found in verdict.findings:
        line = f"{found.outcome.name} {found.reason}" if found.reason else found.outcome.name
        said.setdefault(found.item, []).append(line)
    for item, outcomes in expected["findings"].items():
        assert said[item] == outcomes, f"{path.name}: {item}"
    for words in expected.get("says", []):
        assert any(words in f"{f.message} {f.needs}" for f in verdict.findings), words


def test_there_is_a_case_for_every_exit_code_of_the_gate():
    codes = {YAML(typ="safe").load(p.read_text("utf-8"))["expect"]["exit_code"] for p in CASES}
    assert codes == {0, 1, 3, 5}, "4 needs a check that raises: tests/unit/test_gates_evaluate.py"


def evidence(case):
    as_of = instant(case["as_of"])
    return Given(
        stage=load(case["stage"]).stage,
        policy=case["policy"],
        as_of=as_of,
        window_start=instant(case["from"]) if "from" in case else None,
        window_end=as_of,
        facts=case.get("facts", {}),
        estimates={split(name): estimate(given) for name, given in case.get("estimates", {}).items()},
        journal=[
            GivenEvent(e["kind"], instant(e["at"]), e.get("subject", ""), e["body"], seq)
            for seq, e in enumerate(case.get("events", []))
        ],
    )


def split(name):
    metric, _, key = name.partition("/")
    return metric, key


def estimate(given):
    if isinstance(given, str):
        return missing(given)
    value, low, high, n, *reason = given
    return Estimate(value, low, high, LEVEL, n, "", "by hand", *reason)


def firing(given):
    return RecordedFiring(**{**given, "window_start": None, "window_end": None})


def instant(value):
    value = datetime.fromisoformat(str(value))
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value
