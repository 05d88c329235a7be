"""The road of one policy, as `monitor status` shows it: played on the log of months, promotions and all."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from gates.outcome import EXIT_FIRING, EXIT_HOLD
from monitor import acts, jobs, promotion, verdicts
from monitor import config as configuration
from monitor.config import Loaded
from monitor.journal import Journal
from monitor.road import KINDS
from monitor.road_lines import lines as road_lines_of
from sample_logs import road, road_duties, road_lists

LAG = timedelta(minutes=11)
DAY = timedelta(days=1)
BY = "demo"
REPORT = "report.md"
WIDTH = 80


@dataclass
class Walk:
    """A folder in which the policy walks. `told` are the lines to print, `wrong` what was not as it should
    be."""

    folder: Path
    loaded: Loaded
    granted: list[tuple[datetime, float]]
    now: datetime
    told: list[str]
    wrong: list[str]

    def day(self, day: int) -> None:
        """The log goes on to that day, and `monitor run` reads it."""
        before, self.now = self.now, road.START + day * DAY + LAG
        with (self.folder / "logs" / "decisions.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(road.lines(self.granted, before, self.now))
        jobs.run(self.loaded, now=self.now, as_of=self.now, dry=False, environ={})

    def promote(self, to: str, share: float | None = None, step: float | None = None) -> None:
        """`monitor promote`, and the share of the decisions that its people then give the policy."""
        why = "the gate is open"
        told = promotion.promote(self.loaded, to=to, step=step, by=BY, reason=why, at=self.now)
        self.say(told[0])
        if share is not None:
            self.granted.append((self.now, share))

    def refused(self, to: str) -> None:
        """`monitor promote` where it must refuse."""
        try:
            self.promote(to)
        except promotion.Refused as refused:
            self.say(str(refused))
        else:
            self.wrong.append(f"{to} was entered on {self.now:%Y-%m-%d}")

    def gate(self, stage: str, expected: int = 0) -> None:
        verdict = verdicts.gate(self.loaded, stage=stage, as_of=self.now)
        if verdict.exit_code != expected:
            self.wrong.append(f"{stage} exits {verdict.exit_code} on {self.now:%Y-%m-%d}, not {expected}")

    def attest(self, item: str) -> None:
        acts.attest(
            self.loaded, item, by=BY, reason="sample data, read by nobody",
            evidence=str(self.folder / REPORT), expires="92d", approved=True, at=self.now,
        )  # fmt: skip

    def duties(self) -> None:
        with Journal(verdicts.store_of(self.loaded).journal) as journal:
            road_duties.done(journal, road.CANDIDATE, road.INCUMBENT, self.now)

    def say(self, text: str) -> None:
        indent = " " * len("-- 2026-05-04  ")
        first = f"-- {self.now:%Y-%m-%d}  "
        self.told += textwrap.wrap(
            text, WIDTH, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False
        )

    def status(self) -> None:
        """The road as `monitor status` draws it."""
        with Journal(verdicts.store_of(self.loaded).journal) as journal:
            events = journal.events(*KINDS, until=self.now)
        drawn = list(road_lines_of(events, self.loaded.config, self.now))
        self.told += [f"   {line}" for line in drawn[:-1]]


def play(folder: Path) -> tuple[list[str], list[str]]:
    """Walk the road in `folder`; the lines to print, and what was not as it should be."""
    walk = _begun(folder)
    for step in STEPS:
        try:
            step(walk)
        except promotion.Refused as refused:
            return walk.told, [*walk.wrong, str(refused)]
    return walk.told, walk.wrong


def _begun(folder: Path) -> Walk:
    (folder / "logs").mkdir(parents=True)
    text = (Path(__file__).parent / "road.yaml").read_text("utf-8")
    quiet = "checklists: checklists\nalerts: {channels: []}\n"
    (folder / "monitor.yaml").write_text(text + quiet, "utf-8")
    (folder / REPORT).write_text("nobody looked at this: it is sample data\n", "utf-8")
    road_lists.write(folder / "checklists")
    title = "== road: one policy over 11 weeks, by `monitor promote`, as `monitor status` draws it"
    note = "   (sample data: the demo signs, and writes drills, test pages and dashboard looks itself)"
    return Walk(folder, configuration.load(folder / "monitor.yaml"), [], road.START, [title, note], [])


def _to_shadow(walk: Walk) -> None:
    walk.day(15)
    for item in road_lists.GRADE_C:
        walk.attest(item)
    walk.gate("offline")
    walk.promote("shadow")


def _to_limited(walk: Walk) -> None:
    walk.day(31)
    walk.refused("limited")
    walk.attest("review")
    walk.gate("shadow")
    walk.promote("limited", share=0.2)
    walk.day(38)
    walk.duties()
    walk.gate("limited", EXIT_HOLD)
    walk.promote("limited", share=0.5, step=0.5)
    walk.day(41)
    walk.duties()
    walk.gate("limited", EXIT_HOLD)
    walk.status()


def _to_full(walk: Walk) -> None:
    walk.day(45)
    walk.duties()
    walk.gate("limited")
    walk.promote("full", share=1.0)
    for day in range(47, 56):  # every window is measured in time
        walk.day(day)
    for item in ("red_team", "trusted"):
        walk.attest(item)
    walk.gate("full")
    walk.status()


def _rolled_back(walk: Walk) -> None:
    """Coils foul, and too many inlets are too warm."""
    walk.day(61)
    walk.gate("full", EXIT_FIRING)
    walk.granted.append((walk.now, 0.0))
    walk.refused("limited")
    walk.status()


def _earned_again(walk: Walk) -> None:
    walk.day(77)
    walk.gate("shadow")
    walk.promote("limited")
    walk.status()


STEPS: list[Callable[[Walk], None]] = [_to_shadow, _to_limited, _to_full, _rolled_back, _earned_again]
