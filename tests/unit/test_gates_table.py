"""A verdict on an 80-column terminal and in a pipe."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gates.checklist import load
from gates.evaluate import RecordedFiring, judge
from gates.given import Given
from gates.outcome import Outcome, finding
from gates.stages import STAGES
from gates.table import next_step, table
from monitor.metrics.estimate import LEVEL, Estimate

AS_OF = datetime(2026, 3, 16, tzinfo=UTC)
GROWS = {("disagreement_slope", ""): Estimate(0.01, 0.008, 0.012, LEVEL, 20, "", "by hand")}
FIRING = RecordedFiring(
    "constraint",
    "rollback",
    True,
    True,
    "v7",
    "heat",
    AS_OF,
    AS_OF,
    0.06,
    0.03,
    "Rate 0.06 is above 0.03.",
    12,
)


def verdict(stage="shadow_mode", firings=(), **estimates):
    evidence = Given(
        stage, "v7", AS_OF, AS_OF - timedelta(days=15), AS_OF, estimates=estimates.get("given", {})
    )
    return judge(load(stage), evidence, firings)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("width", [80, 100, 120])
def test_in_a_pipe_it_is_plain_text_that_keeps_its_width(stage, width):
    text = table(verdict(stage, [FIRING]), width=width)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize("stage", STAGES)
def test_nothing_that_was_found_is_cut_off(stage):
    found = verdict(stage)
    words = " ".join(table(found).split())
    for f in found.findings:
        assert f.item in words and f.outcome.name in words
        for word in f"{f.message} {f.needs}".split():
            assert word in words or len(word) > 40


def test_the_verdict_comes_first_with_what_to_do_next():
    first, second, *_ = table(verdict(given=GROWS)).splitlines()
    assert first == "FAIL  shadow_mode  v7  as of 2026-03-16 00:00 UTC"
    assert second == "Do not promote. Look at: disagreement. (exit code 1)"


def test_colour_is_for_terminals():
    assert "\x1b[31mFAIL" in table(verdict(given=GROWS), colour=True)


def test_each_exit_code_says_what_to_do():
    assert next_step(verdict()).startswith("Hold")
    assert next_step(verdict(firings=[FIRING])).startswith("Do not promote: a rollback was called for")


def test_firings_are_told_with_their_window_and_incident():
    words = " ".join(table(verdict(firings=[FIRING])).split())
    assert "Fired: constraint heat in the window to 2026-03-16 00:00 UTC (confirmed; historical" in words
    assert "Rate 0.06 is above 0.03. Incident 12." in words


def test_words_from_a_log_are_neither_markup_nor_orders_to_the_terminal():
    odd = finding(Outcome.FAIL, "[red]x[/red] \x1b[2J [/nope]", "y", reason="limit")
    spoiled = replace(verdict(), findings=(replace(odd, item="i", check="c", role="guardrail"),))
    text = table(spoiled)
    assert "[red]x[/red] ?[2J [/nope]" in " ".join(text.split())
