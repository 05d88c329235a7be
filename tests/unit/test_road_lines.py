"""What `monitor status` draws of a policy's road: every line at a glance, on 80 columns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gates.given import GivenEvent
from gates.stages import FULL, LIMITED, OFFLINE, SHADOW
from monitor import road_lines
from monitor.config import Config

NOW = datetime(2026, 6, 27, 12, tzinfo=UTC)
DAY = timedelta(days=1)
CONFIG = Config.model_validate(
    {
        "policies": {"candidate": "cooling_v7", "incumbent": "operators", "safe": "operators"},
        "log": {"paths": ["logs/*.jsonl"], "format": "jsonl"},
        "reward": {"range": [0, 1], "missing_after_maturity": 0},
    }
)
_seq = iter(range(10_000))


def event(kind: str, days_ago: float, subject: str = "cooling_v7", **body: Any) -> GivenEvent:
    return GivenEvent(kind, NOW - days_ago * DAY, subject, body, next(_seq))


def enter(days_ago: float, stage: str, policy: str = "cooling_v7", **body: Any) -> GivenEvent:
    return event("promote", days_ago, policy, stage=stage, **body)


def verdict(
    days_ago: float, stage: str, policy: str = "cooling_v7", lacks: dict[str, str] | None = None, **more: Any
) -> GivenEvent:
    findings = [
        {"item": item, "role": "guardrail", "outcome": "INCONCLUSIVE", "needs": needs}
        for item, needs in (lacks or {}).items()
    ]
    body = {
        "policy": policy, "stage": stage, "as_of": (NOW - days_ago * DAY).isoformat(), "findings": findings,
        "outcome": "INCONCLUSIVE" if lacks else "PASS", "exit_code": 3 if lacks else 0,
    }  # fmt: skip
    return event("verdict", days_ago, policy, **{**body, **more})


def drawn(*events: GivenEvent, colour: bool = False, as_of: datetime = NOW) -> list[str]:
    found = list(road_lines.lines(events, CONFIG, as_of, colour=colour))
    assert all(len(line) <= 80 and line.isprintable() for line in found if not colour), found
    return found


WALK = (
    verdict(40, OFFLINE), enter(39, SHADOW), verdict(10.5, SHADOW), enter(10, LIMITED, step=0.01),
    enter(3, LIMITED, step=0.05),
)  # fmt: skip
GOOD = "last good policy: operators, the safe one; no other passed a live stage"


def test_a_policy_in_limited_deployment_with_what_it_still_needs() -> None:
    lacks = {
        "blast_radius": "4 more days on this step",
        "ab_test": "about 900 more decisions, 2 days at your volume",
    }
    assert drawn(*WALK, verdict(0, LIMITED, lacks=lacks)) == [
        "cooling_v7",
        "  offline PASS 05-18 > shadow PASS 06-17 > LIMITED step 0.05 since 06-24 > full",
        "  in limited_deployment since 2026-06-17",
        "  INCONCLUSIVE as of 2026-06-27 12:00 UTC, about 4 days more; it needs",
        "    blast_radius: 4 more days on this step",
        "    ab_test: about 900 more decisions, 2 days at your volume",
        GOOD,
    ]


def test_a_policy_of_which_nothing_is_known() -> None:
    assert drawn() == ["cooling_v7", "  no verdict yet: `monitor gate --stage offline` begins its road", GOOD]


def test_where_nobody_promoted_it_the_newest_verdict_tells_the_stage() -> None:
    lines = drawn(verdict(9, OFFLINE), verdict(4, SHADOW, lacks={"review": "somebody"}), verdict(3, SHADOW))
    assert lines[1:3] == [
        "  offline PASS 06-18 > SHADOW since 06-23 > limited > full",
        "  PASS as of 2026-06-24 12:00 UTC, to 07-01, `monitor promote --to limited`",
    ]


def test_a_live_stage_that_was_only_asked_about_is_not_taken_for_one_it_is_in() -> None:
    asked = drawn(verdict(4, SHADOW), verdict(3, FULL))
    assert asked[2] == "  nobody entered it in full_deployment: the gate was only asked"
    assert not any("nobody entered" in line for line in drawn(verdict(4, SHADOW)))


def test_a_pass_that_has_expired_says_so() -> None:
    assert drawn(verdict(9, SHADOW))[2] == "  PASS as of 2026-06-18 12:00 UTC, expired 06-25"


def test_more_than_three_needs_are_only_named_and_the_worst_come_first() -> None:
    worst = {"item": "data_contract", "role": "guardrail", "outcome": "FAIL", "needs": "a log"}
    held = {"role": "guardrail", "outcome": "INCONCLUSIVE", "needs": "x"}
    lacks = [{"item": f"i{n}", **held} for n in range(4)]
    off = {"item": "ab_test", "role": "off", "outcome": "INCONCLUSIVE", "needs": "x"}
    let_pass = {"item": "review", "role": "sign_off", "outcome": "FAIL", "needs": "x", "waived": "by Ada"}
    said = verdict(0, SHADOW, findings=[*lacks, off, let_pass, worst], outcome="FAIL", exit_code=1)
    assert drawn(said)[2:7] == [
        "  FAIL as of 2026-06-27 12:00 UTC; it needs",
        "    data_contract: a log", "    i0: x", "    i1: x", "    and 2 more: i2, i3",
    ]  # fmt: skip


def test_long_needs_are_folded() -> None:
    lines = drawn(verdict(0, SHADOW, lacks={"review": "word " * 60}))
    assert len(lines) > 7


def rollback(days_ago: float) -> GivenEvent:
    return event("rollback", days_ago, "incident", policy="cooling_v7", status="done")


def test_after_a_rollback_it_is_back_in_shadow_mode_and_cools_down() -> None:
    assert drawn(*WALK, rollback(2))[1:4] == [
        "  offline PASS 05-18 > SHADOW since 06-25 > limited > full",
        "  rolled back 2026-06-25 12:00 UTC, cools down until 2026-07-02 12:00 UTC",
        "  no verdict of this stage yet: `monitor gate --stage shadow`",
    ]
    assert "  rolled back 2026-06-25 12:00 UTC" in drawn(*WALK, rollback(2), as_of=NOW + 30 * DAY)
    again = drawn(*WALK, rollback(2), enter(0, LIMITED, step=0.01))
    assert not [line for line in again if "rolled back" in line]


def test_a_rollback_that_was_called_for_is_said_before_anything_else() -> None:
    said = verdict(0, LIMITED, lacks={"ab_test": "x"}, exit_code=5)
    assert drawn(*WALK, said)[3].endswith("UTC: a rollback was called for")


def test_earlier_policies_have_their_line_and_the_last_good_one_is_named() -> None:
    earlier = (
        verdict(500, SHADOW, "cooling_v6"), enter(499, LIMITED, "cooling_v6"),
        verdict(450, LIMITED, "cooling_v6"), enter(449, FULL, "cooling_v6"), verdict(50, FULL, "cooling_v6"),
    )  # fmt: skip
    assert drawn(*earlier, *WALK)[-3:] == [
        "cooling_v6",
        "  offline > shadow PASS 2025 > limited PASS 2025 > FULL since 2025",
        "last good policy: cooling_v6",
    ]


def test_open_waivers_are_told_and_those_that_ended_are_not() -> None:
    body = {"item": "ab_test", "stage": LIMITED, "policy": "cooling_v7", "by": "Ada", "reason": "one site"}
    waiver = event("waive", 1, **body, expires=(NOW + DAY).isoformat())
    told = "  waived: ab_test of limited by Ada until 2026-06-28 12:00 UTC: one site"
    assert told in drawn(*WALK, waiver)
    assert told not in drawn(*WALK, waiver, as_of=NOW + 2 * DAY)


def test_colours_mark_what_passed_and_change_no_word() -> None:
    events = (*WALK, verdict(0, LIMITED, lacks={"ab_test": "x"}), rollback(0))
    plain, painted = drawn(*events), drawn(*events, colour=True)
    assert "\x1b[32moffline PASS 05-18\x1b[0m" in painted[1] and "\x1b[1mSHADOW since 06-27" in painted[1]
    codes = ["\x1b[0m", *(f"\x1b[{c}m" for c in (1, 2, 31, 32, 33, 35))]
    for code in codes:
        painted = [line.replace(code, "") for line in painted]
    assert painted == plain


def test_a_name_with_control_characters_does_not_reach_the_terminal() -> None:
    drawn(verdict(1, FULL, "evil\x1b[2J"))


@pytest.mark.parametrize("step", [0.005, 0.5, 1.0])
def test_the_longest_road_fits_on_80_columns(step: float) -> None:
    old = datetime(2028, 6, 1, tzinfo=UTC)
    drawn(*WALK, enter(1, LIMITED, step=step), as_of=old)
