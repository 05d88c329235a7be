"""A message to a person: finished sentences, both numbers, and what to do next."""

import json
import math
import re
from datetime import UTC, datetime, timedelta

import pytest

from alerts.channels.slack_blocks import BLOCKS, HEADER, SECTION, blocks, clamp, fallback
from alerts.message import (
    Message,
    for_firing,
    for_rollback,
    for_summary,
    for_verdict_change,
    plain_text,
    rollback_did_not_take,
)
from alerts.numbers import apart, count, moment, number, window
from gates.outcome import Finding, Outcome
from monitor.triggers.firing import Firing

T = datetime(2026, 1, 21, 14, tzinfo=UTC)
HOUR = timedelta(hours=1)
DROP = Firing(
    "reward_drop", "", "cooling-v7", T, T + HOUR, 0.41234, 0.45,
    "reward mean 0.412 on cooling-v7 is below 0.45, three windows of four",
)
ID = "cooling-v7-reward_drop-20260121T14"


def fired(**changes):
    fields = {f: getattr(DROP, f) for f in Firing.__dataclass_fields__} | changes
    return Firing(**fields)


def finding(item, outcome, message, needs=""):
    return Finding(item, item, "guardrail", outcome, message, needs)


EVERY = [
    *(for_firing(DROP, action=a, incident=ID, stage="limited_deployment", safe="pid-loop")
      for a in ("watch", "observe", "alert", "escalate", "rollback")),
    for_rollback(DROP, status="done", safe="pid-loop", at=T + 2 * HOUR, incident=ID),
    for_rollback(DROP, status="failed", safe="pid-loop", at=T, incident=ID, error="disk full"),
    for_verdict_change("cooling-v7", "shadow_mode", before="PASS", after="FAIL", as_of=T, findings=[
        finding("disagreement", Outcome.FAIL, "disagreement 0.31 is above 0.2", "a lower disagreement"),
    ]),
    for_verdict_change("cooling-v7", "shadow_mode", before="NO_DATA", after="PASS", as_of=T, findings=[]),
    for_summary([DROP, fired(trigger="constraint", key="heat")], policy="cooling-v7", act_within="24h"),
    rollback_did_not_take("cooling-v7", "pid-loop", ID, decisions=412, since=T, until=T + HOUR),
]


@pytest.mark.parametrize("message", EVERY, ids=lambda m: m.title)
def test_every_part_of_every_message_is_there_and_a_finished_sentence(message):
    parts = [message.what_happened, message.how_bad, message.what_was_done, *message.what_to_do]
    assert message.what_to_do
    for part in parts:
        assert part[0].isupper() or part.startswith(("cooling-v7", "pid-loop", "reward mean", "disagreement"))
        assert re.search(r"[.!?]$", part), part
        assert not re.search(r"\.\.|  |None|nan", part), part
    assert message.severity in ("page", "warning", "info")
    assert json.loads(json.dumps(message.as_dict())) == message.as_dict()


def test_a_firing_tells_both_numbers_their_distance_and_the_window():
    message = for_firing(DROP, action="escalate", incident=ID, safe="pid-loop")
    assert message.how_bad == (
        "In the window 2026-01-21 14:00 to 15:00 UTC reward_drop measured 0.412, "
        "which is 0.0377 below the limit 0.45."
    )
    assert message.what_happened == DROP.message + "."
    assert message.commands == (f'monitor ack {ID} --by NAME --reason "…"',)
    above = for_firing(fired(trigger="constraint", key="heat", value=0.08, limit=0.03), action="escalate")
    assert "constraint (heat) measured 0.08, which is 0.05 above the limit 0.03." in above.how_bad
    assert above.title == "constraint (heat) fired on cooling-v7"


def test_a_value_that_is_no_number_is_called_unknown_and_compared_with_nothing():
    message = for_firing(fired(value=math.nan), action="escalate")
    assert message.how_bad.endswith("measured unknown; the limit is 0.45.")


@pytest.mark.parametrize(
    ("action", "severity"),
    [
        ("watch", "warning"), ("observe", "warning"),
        ("alert", "page"), ("escalate", "page"), ("rollback", "page"),
    ],
)
def test_what_acts_or_waits_for_a_person_pages_and_what_is_only_watched_warns(action, severity):
    assert for_firing(DROP, action=action).severity == severity
    assert for_firing(fired(trigger="irreversible"), action=action).severity == "page"


def test_observing_says_what_would_have_been_done():
    message = for_firing(DROP, action="observe", safe="pid-loop")
    assert message.what_was_done == (
        "Nothing: acting is set to observe. Otherwise pid-loop would be in control now."
    )


def test_a_rollback_says_who_is_in_control_since_when():
    done = for_rollback(DROP, status="done", safe="pid-loop", at=T + 2 * HOUR, incident=ID, stage="limited")
    assert done.title == "cooling-v7 was rolled back to pid-loop"
    assert done.what_was_done == (
        "pid-loop was put in control in place of cooling-v7 at 2026-01-21 16:00 UTC, and this was read back."
    )
    assert (done.severity, done.incident, done.policy, done.stage) == ("page", ID, "cooling-v7", "limited")


def test_a_failed_rollback_never_sounds_like_a_done_one():
    failed = for_rollback(DROP, status="failed", safe="pid-loop", at=T, incident=ID, error="disk full")
    assert failed.title == "Rollback of cooling-v7 failed: cooling-v7 may still be in control"
    assert failed.what_was_done.endswith("failed: disk full.")
    assert failed.what_to_do[0] == "Put pid-loop in control by hand now."
    odd = for_rollback(DROP, status="already_done?", safe="pid-loop", at=T, incident=ID)
    assert "failed" in odd.title


def test_a_worse_verdict_warns_and_a_better_one_informs():
    def change(before, after):
        message = for_verdict_change("p", "shadow_mode", before=before, after=after, findings=[], as_of=T)
        return message.severity

    assert change("PASS", "FAIL") == change("PASS", "NO_DATA") == change(None, "FAIL") == "warning"
    assert change("FAIL", "PASS") == change("FAIL", "INCONCLUSIVE") == change(None, "PASS") == "info"
    assert change("PASS", "SOMETHING_NEW") == "warning"


def test_a_verdict_that_is_not_a_pass_says_what_is_still_needed_and_never_opens():
    findings = [
        finding(f"item_{n}", Outcome.INCONCLUSIVE, f"seen {n} of 100", f"{100 - n} more decisions")
        for n in range(7)
    ]
    message = for_verdict_change(
        "p", "shadow_mode", before="PASS", after="INCONCLUSIVE", findings=findings, as_of=T
    )
    assert message.what_to_do[:2] == ("Do not promote p.", "item_0: 100 more decisions.")
    assert message.how_bad.startswith("item_0: seen 0 of 100.")
    assert message.how_bad.endswith("2 more findings in the report.")
    assert "gate is open" not in plain_text(message.as_dict())
    assert message.commands == ("monitor gate --stage shadow_mode",)


def test_old_firings_are_told_once_counted_by_rule_and_page_nobody():
    firings = [fired(window_start=T + n * HOUR, window_end=T + (n + 1) * HOUR) for n in range(23)]
    firings.append(fired(trigger="constraint", key="heat", message="The last one"))
    message = for_summary(firings, policy="cooling-v7", act_within="24h")
    assert message.title == "24 old firings of cooling-v7 found in the log, nothing was done"
    assert message.what_happened == (
        "Between 2026-01-21 14:00 UTC and 2026-01-22 13:00 UTC these rules were broken: "
        "reward_drop in 23 windows, constraint (heat) in 1 window."
    )
    assert message.severity == "info"
    with pytest.raises(ValueError, match="at least one firing"):
        for_summary([], policy="cooling-v7")


def test_a_rollback_that_did_not_take_says_how_many_decisions_and_pages():
    message = rollback_did_not_take("cooling-v7", "pid-loop", ID, decisions=11400, since=T, until=T + HOUR)
    assert "still made 11 400 decisions between then and 2026-01-21 15:00 UTC." in message.what_happened
    assert message.severity == "page"
    assert message.what_to_do[0] == "Put pid-loop in control in the service itself, now."


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.41234, "0.412"), (0.00455288, "0.00455"), (11400, "11 400"), (1639.5, "1 640"),
        (5.0, "5"), (0.1, "0.1"), (-0.0321, "-0.0321"), (0, "0"), (-0.0, "0"), (100.0, "100"),
        (1e-7, "1.00e-07"), (math.nan, "unknown"), (None, "unknown"), (math.inf, "infinity"),
        (-math.inf, "minus infinity"), (0.99999, "1"),
    ],
)
def test_numbers_have_the_digits_a_person_needs(value, text):
    assert number(value) == text


def test_a_value_and_its_limit_get_enough_digits_to_tell_them_apart():
    assert apart(0.41, 0.45) == ("0.41", "0.45", "0.04")
    assert apart(0.0499999, 0.05) == ("0.0499999", "0.05", "1.00e-07")
    assert apart(0.05, 0.05) == ("0.05", "0.05", "")
    assert apart(math.nan, 0.05) == ("unknown", "0.05", "")


def test_counts_and_times_read_as_a_person_writes_them():
    assert [count(n, "window") for n in (0, 1, 2, 123456)] == [
        "0 windows", "1 window", "2 windows", "123 456 windows",
    ]
    assert moment(datetime(2026, 1, 21, 14)) == moment(T) == "2026-01-21 14:00 UTC"
    assert window(T, T + 12 * HOUR) == "2026-01-21 14:00 to 2026-01-22 02:00 UTC"


def test_plain_text_holds_every_part_in_order():
    text = plain_text(for_rollback(DROP, status="done", safe="pid", at=T, incident=ID, stage="s").as_dict())
    order = ["[page]", "What happened:", "How bad:", "What was done:", "What to do next:", "  1. ", "$ "]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert text.endswith(f"incident {ID}, policy cooling-v7, stage s")


def lengths(found):
    for block in found:
        texts = [block["text"]] if "text" in block else block["elements"]
        yield from ((block["type"], len(t["text"])) for t in texts)


def test_slack_blocks_stay_within_the_limits_whatever_the_message_holds():
    long = "&<>" * 5000
    message = Message(
        long, "page", long, long, long, (long,) * 200, long, long, long, (long,) * 200, (long,) * 200
    ).as_dict()
    found = blocks(message, "k" * 5000)
    assert len(found) <= BLOCKS
    assert all(length <= (HEADER if kind == "header" else SECTION) for kind, length in lengths(found))
    assert len(fallback(message)) <= SECTION
    assert not re.search(r"&(?!amp;|lt;|gt;)", json.dumps(found))


def test_slack_text_cannot_mention_or_link_by_itself():
    message = for_firing(fired(policy_id="<!channel> & <http://x|y>"), action="escalate").as_dict()
    shown = json.dumps(blocks(message, "<@U1>"))
    assert "&lt;!channel&gt; &amp; &lt;http://x|y&gt;" in shown
    assert "<" not in shown
    assert "<" not in fallback(message)


def test_clamped_text_is_cut_between_characters_and_never_inside_an_escape():
    for length in range(2, 30):
        cut = clamp("a&b<c>" * 10, length)
        assert len(cut) <= length
        assert not re.search(r"&(?!amp;|lt;|gt;)", cut)
    assert clamp("a & b", 150) == "a &amp; b"
