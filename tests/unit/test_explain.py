"""An item at length: its history folded, and what would turn it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import nan

import pytest

from gates.checklist import load
from gates.checks import CHECKS
from gates.evaluate import judge, to_json
from gates.explain import SHOWN, explain, spells, turn
from gates.given import Given, GivenEvent
from gates.outcome import Finding, Outcome
from gates.stages import STAGES
from monitor.metrics.estimate import exact

NOW = datetime(2026, 3, 16, tzinfo=UTC)
DAY = timedelta(days=1)


def said(days: float, *outcomes: str, seq: int = 0, **changed: object) -> GivenEvent:
    """A verdict of the journal `days` ago; an outcome is such as "FAIL limit 0.4"."""
    findings = []
    for outcome in outcomes:
        name, reason, value = [*outcome.split(), "", ""][:3]
        number = float(value) if value else None
        findings.append({"item": "a", "metric": "m", "key": "", "outcome": name, "value": number,
                         "reason": None if reason in ("", "-") else reason})  # fmt: skip
    about = {"stage": "shadow_mode", "policy": "v7", "as_of": (NOW - days * DAY).isoformat()}
    return GivenEvent("verdict", NOW, "v7", about | {"findings": findings} | changed, seq)


def told(*events: GivenEvent) -> list[tuple[str, str | None, int, float, float]]:
    return [(s.outcome, s.reason, s.times, s.low, s.high) for s in spells(events, "a", "m", "")]


def test_equal_findings_that_follow_each_other_are_one_spell_oldest_first() -> None:
    events = [
        said(1, "PASS - 0.2"), said(5, "FAIL limit 0.4"), said(3, "FAIL limit 0.6"),
        said(4, "FAIL limit 0.5"), said(2, "INCONCLUSIVE straddles 0.3"), said(0, "FAIL limit 0.9"),
    ]  # fmt: skip
    assert told(*events) == [
        ("FAIL", "limit", 3, 0.4, 0.6), ("INCONCLUSIVE", "straddles", 1, 0.3, 0.3),
        ("PASS", None, 1, 0.2, 0.2), ("FAIL", "limit", 1, 0.9, 0.9),
    ]  # fmt: skip
    first, *_ = spells(events, "a", "m", "")
    assert (first.first, first.last) == (NOW - 5 * DAY, NOW - 3 * DAY)


def test_verdicts_of_one_moment_are_told_with_that_moment_once() -> None:
    item = next(i for i in load("shadow").items if i.item == "recommendations_logged")
    found = judge(load("shadow"), Given("shadow_mode", "v7", NOW, NOW - DAY, NOW))
    event = GivenEvent("verdict", NOW, "v7", to_json(found))
    assert "    2026-03-16 00:00  NO_DATA no_data, 2 verdicts" in explain(item, found, [event, event])


def test_another_reason_is_another_spell_and_no_number_is_none() -> None:
    found = spells([said(2, "NO_DATA no_data"), said(1, "NO_DATA stale 0.2")], "a", "m", "")
    assert [(s.reason, s.times) for s in found] == [("no_data", 1), ("stale", 1)]
    assert str(found[0].low) == "nan" and found[1].low == 0.2


def test_other_items_metrics_and_keys_are_not_its_history() -> None:
    events = [said(1, "PASS - 0.2")]
    assert [spells(events, *other) for other in (("b", "m", ""), ("a", "m", "x"), ("a", "", ""))] == [[]] * 3


def verdict(share: float | None = 1.0) -> tuple[list[str], list[GivenEvent]]:
    item = next(i for i in load("shadow").items if i.item == "recommendations_logged")
    given = {} if share is None else {("recommended_share", ""): exact(share, 5000, "share")}
    found = judge(load("shadow"), Given("shadow_mode", "v7", NOW, NOW - DAY, NOW, {}, given))
    event = GivenEvent("verdict", NOW, "v7", to_json(found))
    others = [
        GivenEvent("verdict", NOW, "v7", to_json(found) | {"dry": True}),
        GivenEvent("verdict", NOW, "v7", to_json(found) | {"policy": "v6"}),
        GivenEvent("verdict", NOW, "v7", to_json(found) | {"stage": "full_deployment"}),
        GivenEvent("verdict", NOW, "v7", to_json(found) | {"scope": "logs"}),
    ]
    return explain(item, found, [event, *others]), [event]


def test_it_tells_numbers_rule_history_and_what_would_turn_it() -> None:
    lines, _ = verdict(0.5)
    text = "\n".join(lines)
    assert lines[0] == "recommendations_logged of shadow_mode for v7, as of 2026-03-16 00:00 UTC"
    assert "FAIL  recommended_share  Share of decisions with a recommendation is 0.5" in text
    assert "  numbers: value 0.5, low 0.5, high 0.5, limit 0.999, n 5 000" in text
    assert (CHECKS["recommendations_logged"].function.__doc__ or "").split(".")[0].strip() in text
    assert lines[-1] == "  share: 0.999"


def test_a_dry_verdict_another_policy_stage_or_files_are_not_its_history() -> None:
    lines, _ = verdict()
    assert [line for line in lines if line.startswith("    ")] == ["    2026-03-16 00:00  PASS, value 1"]


def test_of_a_long_history_the_newest_changes_are_shown() -> None:
    item = next(i for i in load("shadow").items if i.item == "recommendations_logged")
    found = judge(load("shadow"), Given("shadow_mode", "v7", NOW, NOW - DAY, NOW))
    events = []
    for day in range(40, 0, -1):
        body = to_json(found) | {"as_of": (NOW - day * DAY).isoformat()}
        changed = [f | {"outcome": "FAIL" if day % 2 else "PASS"} for f in body["findings"]]
        events.append(GivenEvent("verdict", NOW, "v7", body | {"findings": changed}))
    lines = explain(item, found, events)
    assert f"  before: {40 - SHOWN} older changes are not shown" in lines
    assert sum(line.startswith("    ") for line in lines) == SHOWN


@pytest.mark.parametrize("stage", STAGES)
def test_every_item_that_ships_has_a_rule_to_tell(stage: str) -> None:
    found = judge(load(stage), Given(stage, "v7", NOW, NOW - DAY, NOW))
    for item in load(stage).items:
        lines = explain(item, found, [])
        assert len(lines[lines.index("rule") + 1].split()) > 3, item.check
        assert "  before: no verdict has it yet" in lines


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Finding("a", "c", "guardrail", Outcome.PASS, "x.", low=0.1, high=0.2, limit=0.3), "upper end, 0.2"),
        (Finding("a", "c", "guardrail", Outcome.PASS, "x.", low=0.4, high=0.5, limit=0.3), "lower end, 0.4"),
        (Finding("a", "c", "guardrail", Outcome.PASS, "x.", low=nan), "what its rule says is no longer so"),
        (Finding("a", "c", "guardrail", Outcome.FAIL, "x.", "less", reason="limit"), "less would let it"),
    ],
)
def test_what_would_turn_it(found: Finding, words: str) -> None:
    assert words in turn(found)
