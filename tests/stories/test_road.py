"""One policy walks through its four stages over simulated months, is rolled back, and earns its way back."""

from __future__ import annotations

import json
from bisect import bisect_left
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from typer.testing import CliRunner

from gates.stages import FULL, LIMITED, OFFLINE, SHADOW
from monitor.cli import app
from sample_logs import make, news, road, road_duties, road_lists
from sample_logs.parts import arrived, json_lines, written
from tests.stories.building import LAG, Plant, finding

DAY = timedelta(days=1)


class Site:
    """An installation, and the people who run, ask, sign and promote there."""

    def __init__(self, folder: Path, config: str, start: datetime, **changes: Any) -> None:
        text = (Path(road.__file__).parent / config).read_text("utf-8")
        body = json.loads(json.dumps(YAML(typ="safe").load(text), default=str))
        self.body = body | {"alerts": {"channels": [{"kind": "console"}]}} | changes
        self.plant = Plant(folder, **self.body)
        (folder / "report.md").write_text("what was looked at\n", "utf-8")
        self.report = str(folder / "report.md")
        self.start = self.now = start

    def lines(self, since: datetime, until: datetime) -> list[str]:
        """What the log says between two moments."""
        raise NotImplementedError

    def day(self, day: float) -> None:
        """The log goes on to the eleventh minute of that day, and a pass of `monitor run` reads it."""
        before, self.now = self.now, self.start + day * DAY + LAG
        self.plant.lines(line.rstrip("\n") for line in self.lines(before, self.now))
        self.plant.run(self.now)

    def days(self, first: int, last: int) -> None:
        for day in range(first, last + 1):
            self.day(day)

    def monitor(self, *asked: str) -> tuple[int, str]:
        config = str(self.plant.folder / "monitor.yaml")
        done = CliRunner().invoke(app, [*asked, "--as-of", self.now.isoformat(), "-c", config])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output

    def gate(self, stage: str) -> tuple[int, list[str]]:
        """The exit code, and what the verdict hangs on: item and reason."""
        code, said = self.monitor("gate", "--stage", stage, "--format", "json")
        found = json.loads(said)["findings"]
        open_ = [f for f in found if f["role"] in ("guardrail", "sign_off") and f["outcome"] != "PASS"]
        return code, [f"{f['item']} {f['reason']}" for f in open_ if f["waived"] is None]

    def promote(self, to: str, *more: str) -> tuple[int, str]:
        code, said = self.monitor("promote", "--to", to, "--by", "Ada", "--reason", "it holds", *more)
        return code, said.splitlines()[0]

    def attest(self, item: str) -> None:
        signed = ["--item", item, "--by", "Cleo", "--reason", "looked", "--evidence", self.report]
        assert self.monitor("attest", *signed)[0] == 0

    def told(self) -> list[tuple[str, str]]:
        """What the journal keeps of the road: day and what happened, verdicts of `run` left out."""
        lines = []
        for e in self.plant.events("promote", "rollback", "attest", "waive"):
            what = {"promote": "stage", "attest": "item", "waive": "item", "rollback": "status"}[e.kind]
            step = f" {e.body['step']:g}" if e.body.get("step") else ""
            lines.append((f"{(e.at - self.start) / DAY:.0f}", f"{e.kind} {e.body[what]}{step}"))
        return lines


class Walk(Site):
    """The plant of `sample_logs.road`, where the candidate decides as often as it was granted."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "road.yaml", road.START)
        road_lists.write(folder / "checklists")
        self.granted: list[tuple[datetime, float]] = []

    def lines(self, since: datetime, until: datetime) -> list[str]:
        return road.lines(self.granted, since, until)

    def duties(self) -> None:
        """Drills, a test page and a look at the dashboard, as their commands will write them."""
        with self.plant.journal() as journal:
            road_duties.done(journal, road.CANDIDATE, road.INCUMBENT, self.now)

    def grant(self, share: float) -> None:
        self.granted.append((self.now, share))


def test_a_policy_walks_to_full_deployment_is_rolled_back_and_earns_its_way_back(tmp_path: Path) -> None:
    walk = Walk(tmp_path)
    walk.day(15)
    code, open_ = walk.gate("offline")
    assert code == 3 and [o.split()[0] for o in dict.fromkeys(open_)] == list(road_lists.GRADE_C)
    assert {o.split()[1] for o in open_} == {"missing_propensity"}
    assert walk.promote("shadow") == (
        3,
        "hold: autopilot was not promoted: offline_validation is INCONCLUSIVE as of 2026-05-19 00:11 UTC; "
        "it hangs on held_out_value, beats_baseline, constraint_value, worst_case: "
        "`monitor gate --stage offline` tells what is needed",
    )
    for item in road_lists.GRADE_C:
        walk.attest(item)
    assert walk.gate("offline") == (0, [])
    assert walk.promote("limited")[0] == 3
    assert walk.promote("shadow")[0] == 0

    in_shadow(walk)
    to_full(walk)
    rolled_back(walk)
    earned_again(walk)

    assert walk.told() == [
        *(("15", f"attest {item}") for item in road_lists.GRADE_C), ("15", f"promote {SHADOW}"),
        ("30", "waive review"), ("31", "attest review"), ("31", f"promote {LIMITED} 0.2"),
        ("38", f"promote {LIMITED} 0.5"), ("45", f"promote {FULL}"),
        ("55", "attest red_team"), ("55", "attest trusted"),
        ("61", "rollback intent"), ("61", "rollback done"),
        ("77", f"promote {LIMITED} 0.2"),
    ]  # fmt: skip
    assert walk.monitor("doctor")[0] in (0, 3)
    done = walk.plant.monitor("doctor", "--verify-journal")
    assert done.returncode == 0, done.stdout


def in_shadow(walk: Walk) -> None:
    """Two weeks, in which a waiver shows what a sign-off would open, and then the sign-off."""
    walk.day(22)
    assert walk.gate("shadow") == (
        3, ["disagreement low_n", "review signoff_missing", "duration_and_coverage low_days"]
    )
    code, said = walk.promote("limited")
    assert code == 3 and "it hangs on disagreement, review, duration_and_coverage" in said
    walk.now += 7.5 * DAY
    let_pass = ["--item", "review", "--stage", "shadow", "--by", "Ada", "--reason", "labels come late"]
    assert walk.monitor("waive", *let_pass, "--expires", "24h")[0] == 0
    walk.now -= 7.5 * DAY
    walk.day(30)
    assert walk.gate("shadow") == (0, [])
    (message,) = [m.message for m in walk.plant.outbox() if "shadow_mode: PASS" in m.message["title"]]
    assert "Waived, so it does not count: review by Ada until 2026-06-03 12:11 UTC: labels come late." in (
        message["how_bad"]
    )
    walk.day(31)
    assert walk.gate("shadow") == (3, ["review signoff_missing"])
    walk.attest("review")
    assert walk.gate("shadow") == (0, [])
    assert walk.promote("full")[0] == 3
    code, said = walk.promote("limited")
    assert code == 0
    assert said.startswith("autopilot is in limited_deployment, step 0.2 of the ramp from 2026-06-04 00:11")
    walk.grant(0.2)


def to_full(walk: Walk) -> None:
    """The two steps of the ramp, each after a week and what has to be kept up, then ten days in control."""
    walk.day(38)
    ramp = ["blast_radius stage_days", "blast_radius ramp_step"]
    missing = ["override_ready drill_missing", "dashboard_fresh dashboard_missing"]
    assert walk.gate("limited") == (3, [*ramp, *missing, "hard_constraints drill_missing"])
    code, said = walk.promote("limited", "--step", "0.5")
    assert code == 3 and "it hangs on override_ready, dashboard_fresh, hard_constraints" in said
    walk.duties()
    assert walk.gate("limited") == (3, ramp)
    code, said = walk.promote("full")
    assert code == 3 and "it is on step 0.2 of the ramp" in said
    assert walk.promote("limited", "--step", "0.5")[0] == 0
    walk.grant(0.5)
    walk.day(45)
    walk.duties()
    assert walk.gate("limited") == (0, [])
    assert walk.promote("full")[0] == 0
    walk.grant(1.0)
    walk.days(47, 55)
    assert walk.gate("full") == (3, ["rollback_armed signoff_missing", "red_team signoff_missing"])
    walk.attest("red_team")
    walk.attest("trusted")
    assert walk.gate("full") == (0, [])
    assert "last good policy: operators, the safe one" in walk.monitor("status")[1]


def rolled_back(walk: Walk) -> None:
    """Coils foul from the 56th day on; when too many inlets are too warm, operators decide again."""
    walk.days(56, 60)
    assert walk.plant.pointer() is None
    walk.day(61)
    pointer = walk.plant.pointer()
    assert pointer is not None and (pointer["policy"], pointer["stage"]) == ("operators", FULL)
    fired = [e.body for e in walk.plant.events("firing") if e.body["did"] == "rolled_back"]
    assert [(b["trigger"], b["key"]) for b in fired] == [("constraint", "inlet_temp_high")]
    walk.grant(0.0)
    assert walk.gate("full")[0] == 5
    code, said = walk.promote("limited")
    assert code == 3 and "called for a rollback and is open" in said
    walk.days(62, 65)
    assert [e.body["status"] for e in walk.plant.events("incident") if "constraint-" in e.subject][-1:] == [
        "resolved"
    ]
    assert walk.promote("limited") == (
        3,
        "hold: autopilot was not promoted: it was rolled back on 2026-07-04 00:11 UTC: it cools down until "
        "2026-07-11 00:11 UTC, then it needs a PASS of shadow_mode from after that",
    )
    shown = walk.monitor("status")[1]
    assert "  offline PASS 05-19 > SHADOW since 07-04 > limited > full" in shown
    assert "  rolled back 2026-07-04 00:11 UTC, cools down until 2026-07-11 00:11 UTC" in shown


def earned_again(walk: Walk) -> None:
    walk.day(69)
    assert walk.gate("shadow") == (3, ["disagreement low_n", "duration_and_coverage low_days"])
    code, said = walk.promote("limited")
    assert code == 3 and "it hangs on disagreement, duration_and_coverage" in said
    walk.day(77)
    assert walk.gate("shadow") == (0, [])
    begun = walk.plant.gate(walk.now).findings[0].window_start
    assert f"{begun:%m-%d %H:%M}" == "07-05 00:00", "the window of the rollback is no evidence"
    assert walk.promote("full")[0] == 3
    assert walk.promote("limited")[0] == 0
    shown = walk.monitor("status")[1]
    assert "shadow PASS 07-20 > LIMITED step 0.2 since 07-20 > full" in shown and "rolled back" not in shown
    assert OFFLINE not in shown


SHORT = "the story has days, not weeks"
NEWS_OFF = {
    OFFLINE: {"constraint_value": SHORT, "reward_hacking": "clicks are the reward", "worst_case": SHORT},
    SHADOW: {"disagreement": SHORT},
}


class News(Site):
    """The news site in shadow mode: `uniform` decides, and whoever is the candidate recommends."""

    def __init__(self, folder: Path) -> None:
        held_out = {"from": "2026-01-12", "to": "2026-01-16"}
        super().__init__(folder, "news_shadow.yaml", news.START, window="24h", held_out=held_out)
        road_lists.own(folder / "checklists", NEWS_OFF, {SHADOW: {"duration_and_coverage": {"days": 7}}})
        self.candidate = "linucb"

    def lines(self, since: datetime, until: datetime) -> list[str]:
        world, played = make.simulated("shadow", None, self.candidate)
        table = arrived(make.decisions(world, played, self.candidate), "ts", since)
        return json_lines(table.slice(0, bisect_left(table["ts"].to_pylist(), written(until))))

    def put_forward(self, candidate: str) -> None:
        self.candidate = candidate
        policies = {**self.body["policies"], "candidate": candidate}
        self.plant.configure(**self.body | {"policies": policies})


def test_the_evidence_of_the_old_candidate_does_not_count_for_a_new_one(tmp_path: Path) -> None:
    site = News(tmp_path)
    site.day(7)
    site.day(11)
    assert site.gate("offline") == (0, [])
    assert site.promote("shadow")[0] == 0
    site.day(19)
    site.attest("review")
    assert site.gate("shadow") == (0, [])

    site.put_forward("thompson")
    needs = "hold: thompson was not promoted: it needs a PASS of"
    none = "and it has none: `monitor gate --stage"
    assert site.promote("shadow") == (3, f"{needs} {OFFLINE}, {none} offline`")
    assert site.promote("limited") == (3, f"{needs} {SHADOW}, {none} shadow`")
    code, open_ = site.gate("shadow")
    assert code == 3 and "review signoff_missing" in open_ and "recommendations_logged no_data" in open_
    assert site.gate("offline")[0] == 3

    begun = site.now
    site.day(21)
    verdict = site.plant.gate(site.now)
    rows = "SELECT count(*) FROM decisions WHERE candidate_id = 'thompson'"
    assert finding(verdict, "recommendations_logged").n <= site.plant.query(rows)[0][0] < 3 * 2600
    started = finding(verdict, "recommendations_logged").window_start
    assert started is not None and started >= begun.replace(minute=0)
    assert finding(verdict, "duration_and_coverage", "evidence_days").value < 3
    assert site.promote("limited")[0] == 3
    shown = site.monitor("status")[1]
    assert "linucb\n  offline PASS 01-16 > SHADOW since 01-16 > limited > full" in shown
    assert "thompson\n  offline > SHADOW since" in shown

    site.put_forward("linucb")
    assert site.promote("limited")[0] == 0
    assert [(e.subject, e.body["stage"]) for e in site.plant.events("promote")] == [
        ("linucb", SHADOW), ("linucb", LIMITED)
    ]  # fmt: skip
