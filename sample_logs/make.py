"""Write the simulated sample logs: `python -m sample_logs.make [NAME…] -o DIR`.

Each log goes to a folder of its own name: its files (see `news_parts` and `cooling.parts`) and the
`monitor.yaml` that reads them. The same name always gives the same bytes.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import floor
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from sample_logs import cooling, cooling_faults, news
from sample_logs.algorithms import POLICIES, policy
from sample_logs.faults import CREEP_PER_HOUR, FAULTS
from sample_logs.news import ARTICLES, COMPLAINT_RATE, DEVICES, END, REGIONS, SEED, START, Played, World
from sample_logs.parts import Part, arrived, csv_part, iso, json_lines

PLANTED = datetime(2026, 1, 22, 10, tzinfo=UTC)
CANDIDATE, INCUMBENT = "linucb", "uniform"
COMPLAINT_BOUND = 0.03  # limit + margin in news_shadow.yaml and news_live.yaml


@dataclass(frozen=True)
class SampleLog:
    """One log of a catalogue.

    `planted` is the start of the first faulty hour, `threshold_hour` the start of the first window
    whose rate of the creeping constraint is above limit + margin. `trigger` is what should fire first,
    and in a live log `action` what it should do: both None for healthy logs and for faults whose
    trigger comes later; `also` is a trigger that may roll back after it. `candidate` is a name of
    algorithms.POLICIES for the news; the trigger and the numbers of the README are for the default.
    """

    name: str
    stage: news.Stage
    fault: str | None = None
    planted: datetime | None = None
    threshold_hour: datetime | None = None
    trigger: str | None = None
    candidate: str = CANDIDATE
    action: Literal["rollback", "escalate"] | None = None
    also: str | None = None
    family: Literal["news", "cooling"] = "news"

    def parts(self, since: datetime | None = None) -> list[Part]:
        """The files of the log, line by line with the time when each line arrives: of the whole log,
        or only those that arrive from `since` on."""
        return PARTS[self.family](self, since)

    def config(self) -> str:
        """The text of the `monitor.yaml` that reads the log."""
        text = (Path(__file__).parent / f"{self.family}_{self.stage}.yaml").read_text("utf-8")
        return text.replace(CANDIDATE, self.candidate)

    def write(self, directory: Path, until: datetime | None = None) -> Path:
        """Write the log as it stood at `until` (a later `until` only adds lines). Returns the folder."""
        for part in self.parts():
            part.write(directory, until or ENDS[self.family])
        (directory / "monitor.yaml").write_text(self.config(), "utf-8")
        return directory


def news_parts(log: SampleLog, since: datetime | None = None) -> list[Part]:
    """`logs/decisions.jsonl`, and `outcomes/outcomes.csv` with the answers that come days later."""
    world, played = simulated(log.stage, log.fault, log.candidate)
    table = arrived(decisions(world, played, log.candidate), "ts", since)
    begun = (world.hour >= 24 * news.BASELINE_DAYS)[len(world.hour) - len(table) :]
    lines = json_lines(table.filter(~begun)) + json_lines(table.filter(begun))
    return [
        Part("logs/decisions.jsonl", "", lines, table["ts"].to_pylist()),
        csv_part("outcomes/outcomes.csv", outcomes(world, played, END), "reward_ts", since),
    ]


@lru_cache(maxsize=2)
def simulated(stage: news.Stage, fault: str | None, candidate: str = CANDIDATE) -> tuple[World, Played]:
    """The world with its fault, and what the policies did in it; the same for the same arguments."""
    people = news.readers(np.random.default_rng([SEED, 1]))
    world = news.world(people, START, news.DAYS, np.random.default_rng([SEED, 2]))
    if fault:
        hours = world.hour - int((PLANTED - START) / timedelta(hours=1)) + 1
        world = FAULTS[fault].apply(world, hours)
    learner = news.trained(candidate, people, np.random.default_rng([SEED, 3]))
    incumbent = policy(INCUMBENT, len(ARTICLES), news.N_FEATURES)
    return world, news.simulate(world, stage, learner, incumbent)


def decisions(world: World, played: Played, candidate: str = CANDIDATE) -> pa.Table:
    """The whole decision log under the monitor's own column names, one row a decision, in order of time."""
    n = len(world.ts)
    lost, recommended = world.propensity_lost, played.candidate_action >= 0
    device = np.array(DEVICES)[world.device]
    return pa.table(
        {
            "decision_id": _ids(np.arange(n)),
            "ts": iso(world.ts),
            "policy_id": np.where(played.live, candidate, INCUMBENT),
            "policy_version": np.char.add("batch-", played.version.astype(str)),
            "unit_id": np.char.add("user-", world.user.astype(str)),
            "segment": device,
            "state_age": world.age,
            "state_interest": world.interest,
            "state_recency": world.recency,
            "state_device": device,
            "state_region": np.array(REGIONS)[world.region],
            "n_actions": np.full(n, len(ARTICLES)),
            "action": np.array(ARTICLES)[played.action],
            "propensity": pa.array(played.propensity, mask=lost),
            "candidate_id": pa.array(np.full(n, candidate), mask=~recommended),
            "candidate_action": pa.array(np.array(ARTICLES)[played.candidate_action], mask=~recommended),
            "candidate_propensity": pa.array(played.candidate_propensity, mask=lost | ~recommended),
            "reward": played.click.astype(int),
            "proxy_reward": played.click.astype(int),
            "cost_complaint": played.complaint.astype(int),
            "cost_unsafe": world.unsafe.astype(int),
            "irreversible": world.irreversible,
        }
    )


def outcomes(world: World, played: Played, until: datetime) -> pa.Table:
    """Satisfaction in [0, 1] of the quarter of decisions whose reader was asked and answered by `until`.

    Answers come 1 to 3 days after the decision and stand in order of arrival.
    """
    wait = (1 + 2 * world.survey_chance * 4) * 86_400_000
    arrival = world.ts + wait.astype("timedelta64[ms]")
    answered = np.flatnonzero((world.survey_chance < 0.25) & (arrival < _naive(until)))
    answered = answered[np.argsort(arrival[answered], kind="stable")]
    level = 0.45 + 0.2 * played.click + 0.08 * world.mood + 0.1 * world.wobble + world.delight
    return pa.table(
        {
            "decision_id": _ids(answered),
            "outcome": np.round(np.clip(level[answered], 0, 1), 3),
            "reward_ts": iso(arrival[answered]),
        }
    )


def main(arguments: list[str] | None = None) -> int:
    """Write the named logs (by default all of the news). Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sample_logs.make", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="a sample log; by default all of the news")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--candidate", choices=POLICIES, default=CANDIDATE, help=f"of the news [{CANDIDATE}]")
    given = parser.parse_args(arguments)
    known = LOGS | COOLING_LOGS
    unknown = [name for name in given.names if name not in known]
    for name in unknown:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean '{near[0]}'?" if near else f"; known are {', '.join(known)}"
        print(f"sample log '{name}' is not known{hint}", file=sys.stderr)
    if unknown:
        return 2
    for name in given.names or LOGS:
        log = known[name]
        chosen = replace(log, candidate=given.candidate) if log.family == "news" else log
        print(chosen.write(given.output / name))
    return 0


def _catalogue() -> dict[str, SampleLog]:
    stages: tuple[news.Stage, ...] = ("shadow", "live")
    healthy = [SampleLog(f"{stage}_healthy", stage) for stage in stages]
    faulty = [
        SampleLog(
            name=f"{stage}_{fault}",
            stage=stage,
            fault=fault,
            planted=PLANTED,
            threshold_hour=_threshold_hour() if fault == "constraint_creep" else None,
            trigger=found.in_shadow or found.trigger if stage == "shadow" else found.trigger,
            action=found.action,
        )
        for stage in stages
        for fault, found in FAULTS.items()
    ]
    return {log.name: log for log in healthy + faulty}


def _cooling_catalogue() -> dict[str, SampleLog]:
    stages: tuple[news.Stage, ...] = ("shadow", "live")
    healthy = [
        SampleLog(f"cooling_{stage}_healthy", stage, candidate=cooling.CANDIDATE, family="cooling")
        for stage in stages
    ]
    faulty = [
        SampleLog(
            name=f"cooling_{stage}_{name}",
            stage=stage,
            fault=name,
            planted=cooling.PLANTED,
            trigger=fault.trigger,
            threshold_hour=cooling_faults.CREEP_THRESHOLD if name == "margin_creep" else None,
            action=fault.action,
            also=fault.also,
            candidate=cooling.CANDIDATE,
            family="cooling",
        )
        for stage in stages
        for name, fault in cooling_faults.FAULTS.items()
    ]
    return {log.name: log for log in healthy + faulty}


def _threshold_hour() -> datetime:
    """The first hour whose true complaint rate is above COMPLAINT_BOUND; in the planted hour it rose once."""
    rises = floor((COMPLAINT_BOUND - COMPLAINT_RATE) / CREEP_PER_HOUR + 1e-9) + 1
    return PLANTED + timedelta(hours=rises - 1)


def _ids(rows: np.ndarray) -> np.ndarray:
    return np.char.mod("news-%06d", rows)


def _naive(at: datetime) -> np.datetime64:
    return np.datetime64(at.astimezone(UTC).replace(tzinfo=None), "ms")


PARTS: dict[str, Callable[[SampleLog, datetime | None], list[Part]]] = {
    "news": news_parts,
    "cooling": lambda log, since: cooling.parts(log.stage, log.fault, since=since),
}
ENDS = {"news": END, "cooling": cooling.END}
LOGS: dict[str, SampleLog] = _catalogue()
COOLING_LOGS: dict[str, SampleLog] = _cooling_catalogue()

if __name__ == "__main__":
    sys.exit(main())
