"""Days of a team on call, by a fake clock and a real server as Slack: every message word by word.

What they are told stands in tests/golden/on_call.txt, to be read aloud.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from monitor import acts, jobs
from monitor.incidents import incidents
from tests.stories.building import LAG, Plant, after, rows
from tests.stories.test_run_slack import TOKEN, Slack
from tests.stories.test_run_slack import slack as slack

GOLDEN = Path(__file__).parent.parent / "golden/on_call.txt"
ALERTS = {"on_call": ["U0ANN", "U0BEN"], "escalate_after": "10m"}


class Team:
    """A plant whose alerts go to Slack, and the transcript of what was posted there."""

    def __init__(self, folder: Path, slack: Slack) -> None:
        channel = {"kind": "slack", "channel": "#rl-oncall", "base_url": slack.address}
        self.plant = Plant(folder, alerts={**ALERTS, "channels": [channel]})
        self.plant.environ = {"SLACK_BOT_TOKEN": TOKEN}
        self.slack, self.seen, self.transcript = slack, 0, ""

    def hours(self, first: int, last: int, policy: str = "old", **fields: float) -> None:
        """One hour after the other is logged and passed over."""
        for hour in range(first, last):
            self.plant.write(rows([hour], policy, per_hour=40, **fields))
            self.run(after(hour + 1) + LAG)

    def run(self, at: datetime) -> None:
        self.plant.run(at)
        self.read(at)

    def fast(self, at: datetime) -> None:
        jobs.fast(self.plant.loaded, now=at, environ=self.plant.environ)
        self.read(at)

    def ack(self, at: datetime, by: str, reason: str) -> None:
        with self.plant.journal() as journal:
            known = incidents(journal.events())
        last = next(i.id for i in reversed(known.values()) if i.status == "open")
        acts.acknowledge(self.plant.loaded, last, by=by, reason=reason, real=True, accept=False, at=at)
        self.fast(at)

    def read(self, at: datetime) -> None:
        """Note what came since, but for news on verdicts, which have a story of their own."""
        for post in self.slack.posted[self.seen :]:
            if post["path"].endswith("chat.update"):
                title = post["blocks"][0]["text"]["text"]
                self.transcript += f"     | the first message now says: {title}\n"
            elif post["path"].endswith("files.getUploadURLExternal"):
                self.transcript += "     | with a plot\n"
            elif " in shadow_mode: " not in post["text"] and " in offline_validation: " not in post["text"]:
                where = "in its thread" if post.get("thread_ts") else "a new message"
                self.transcript += f"\n{at:%d %b %H:%M}, {where}\n"
                self.transcript += "".join(f"     | {line}\n" for line in post["text"].splitlines())
        self.seen = len(self.slack.posted)


@pytest.fixture
def team(tmp_path: Path, slack: Slack) -> Iterator[Team]:
    slack.ids = True
    yield Team(tmp_path, slack)


def test_the_team_is_told_what_to_do_and_nobody_is_woken_twice_for_the_same(team: Team) -> None:
    plant = team.plant
    plant.write(rows(range(48), "old", per_hour=40))
    team.run(after(48) + LAG)
    assert team.transcript == ""
    team.hours(48, 49, reward=0.0)  # pending: one window alone wakes nobody
    assert team.transcript == ""
    team.hours(49, 51, reward=0.0)  # firing
    fired = after(51) + LAG
    for minutes in (3, 10, 12, 20, 50, 81):  # Ann, then Ben, then everybody, and everybody an hour later
        team.fast(fired + minutes * (after(0, 1) - after(0)))
    team.ack(fired + 85 * (after(0, 1) - after(0)), "Ben", "the price feed was down, it is back")
    team.fast(after(53, 30))
    team.hours(51, 58)  # good again: resolved
    team.hours(58, 61, reward=0.0)  # it comes back
    team.ack(after(61, 20), "Ann", "the same feed; the supplier is called")
    team.hours(61, 66)
    # By day an hour with many bad lines: nobody is woken, it is in the digest of the next morning.
    for hour in (66, 67, 68):
        plant.lines(["{broken"] * 6)
        team.hours(hour, hour + 1)
    team.hours(69, 79)
    # The candidate takes over and breaks a hard constraint: rolled back, and its other alerts are muted.
    team.hours(79, 82, policy="new")
    plant.write(rows([82], "new", per_hour=1, cost_crash=1.0, ts=after(82, 15).isoformat()))
    team.fast(after(82, 16))
    team.fast(after(82, 27))
    team.ack(after(82, 30), "Ben", "valve stuck; works order written")
    if not GOLDEN.exists():
        GOLDEN.write_text(team.transcript, "utf-8")
    assert team.transcript == GOLDEN.read_text("utf-8")


def test_a_test_page_escalates_like_a_real_one_and_its_answer_is_written_down(team: Team) -> None:
    loaded, environ = team.plant.loaded, team.plant.environ
    team.plant.write(rows(range(3), "old"))
    team.run(after(3) + LAG)
    at = after(4)
    lines = acts.test_page(loaded, by="Ann", reason="monthly test", at=at, environ=environ)
    page = lines[0].split()[2]
    assert "sent to slack:#rl-oncall" in lines[0] and f"monitor ack {page}" in lines[-1]
    assert team.slack.posted[-1]["text"].startswith("<@U0ANN> [page] Test page")
    team.fast(after(4, 11))
    assert team.slack.posted[-1]["text"].startswith("<@U0ANN> <@U0BEN> [page] Nobody has answered")
    assert "it is a test" in team.slack.posted[-1]["text"]
    told = acts.acknowledge(
        loaded, page, by="Ben", reason="awake", real=True, accept=False, at=after(4, 14)
    )
    assert told == f"test page {page} acknowledged by Ben"
    team.fast(after(4, 40))
    assert "Ben has it" in team.slack.posted[-2]["text"]  # and the first message was changed
    assert [e.body["status"] for e in team.plant.events("test_page")] == ["sent", "acknowledged"]


def test_without_an_on_call_list_nobody_is_called_again(tmp_path: Path, slack: Slack) -> None:
    team = Team(tmp_path, slack)
    channel = {"kind": "slack", "channel": "#rl-oncall", "base_url": slack.address}
    team.plant.configure(alerts={"channels": [channel]})
    team.plant.write(rows(range(10), "new"))
    team.run(after(10) + LAG)
    team.plant.write(rows([10], "new", per_hour=1, cost_crash=1.0, ts=after(10, 15).isoformat()))
    team.fast(after(10, 16))
    before = len(slack.posted)
    team.fast(after(12))
    assert before > 0 and len(slack.posted) == before
