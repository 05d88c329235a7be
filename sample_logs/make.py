"""Write the simulated sample logs: `python -m sample_logs.make [NAME…] -o DIR`.

Each log goes to a folder of its own name: `logs/decisions.jsonl`, `outcomes/outcomes.csv` and the
`monitor.yaml` that reads them. The same name always gives the same bytes.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import floor
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv

from sample_logs import news
from sample_logs.algorithms import POLICIES, policy
from sample_logs.faults import CREEP_PER_HOUR, FAULTS
from sample_logs.news import ARTICLES, COMPLAINT_RATE, DEVICES, END, REGIONS, SEED, START, Played, World

PLANTED = datetime(2026, 1, 22, 10, tzinfo=UTC)
CANDIDATE, INCUMBENT = "linucb", "uniform"
COMPLAINT_BOUND = 0.03  # limit + margin in news_shadow.yaml and news_live.yaml


@dataclass(frozen=True)
class SampleLog:
    """One log of the catalogue.

    `planted` is the start of the first faulty hour, `threshold_hour` the start of the first hour
    whose true complaint rate is above limit + margin. `trigger` is what should fire (and roll back
    in a live log): None for healthy logs and for faults whose trigger comes later. `candidate` is a
    name of algorithms.POLICIES; the trigger and the numbers of the README are for `linucb`.
    """

    name: str
    stage: news.Stage
    fault: str | None = None
    planted: datetime | None = None
    threshold_hour: datetime | None = None
    trigger: str | None = None
    candidate: str = CANDIDATE

    def write(self, directory: Path, until: datetime = END) -> Path:
        """Write the log as it stood at `until` (a later `until` only adds lines). Returns the folder."""
        world, played = simulated(self.stage, self.fault, self.candidate)
        for part in ("logs", "outcomes"):
            (directory / part).mkdir(parents=True, exist_ok=True)
        seen = world.ts < _naive(until)
        begun = world.hour >= 24 * news.BASELINE_DAYS
        log = decisions(world, played, self.candidate)
        text = json_lines(log.filter(seen & ~begun)) + json_lines(log.filter(seen & begun))
        (directory / "logs" / "decisions.jsonl").write_text(text, "utf-8")
        pyarrow.csv.write_csv(outcomes(world, played, until), directory / "outcomes" / "outcomes.csv")
        config = (Path(__file__).parent / f"news_{self.stage}.yaml").read_text("utf-8")
        (directory / "monitor.yaml").write_text(config.replace(CANDIDATE, self.candidate), "utf-8")
        return directory


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
            "ts": _iso(world.ts),
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
            "reward_ts": _iso(arrival[answered]),
        }
    )


def json_lines(table: pa.Table) -> str:
    """The table as JSON lines, an object a row, without the columns that are empty in all of it."""
    given = table.select([c for c in table.column_names if table[c].null_count < len(table)])
    if not len(given):
        return ""
    with duckdb.connect() as connection:
        connection.register("given", given)
        lines = connection.sql("SELECT to_json(given) FROM given").to_arrow_table().column(0)
    return "\n".join(lines.to_pylist()) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Write the named logs (all of them by default). Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sample_logs.make", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="a sample log; all of them by default")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--candidate", choices=POLICIES, default=CANDIDATE, help=f"[{CANDIDATE}]")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.names if name not in LOGS]
    for name in unknown:
        near = difflib.get_close_matches(name, LOGS, 1)
        hint = f"; did you mean '{near[0]}'?" if near else f"; known are {', '.join(LOGS)}"
        print(f"sample log '{name}' is not known{hint}", file=sys.stderr)
    if unknown:
        return 2
    for name in given.names or LOGS:
        print(replace(LOGS[name], candidate=given.candidate).write(given.output / name))
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
            trigger=FAULTS[fault].trigger,
        )
        for stage in stages
        for fault in FAULTS
    ]
    return {log.name: log for log in healthy + faulty}


def _threshold_hour() -> datetime:
    """The first hour whose true complaint rate is above COMPLAINT_BOUND; in the planted hour it rose once."""
    rises = floor((COMPLAINT_BOUND - COMPLAINT_RATE) / CREEP_PER_HOUR + 1e-9) + 1
    return PLANTED + timedelta(hours=rises - 1)


def _ids(rows: np.ndarray) -> np.ndarray:
    return np.char.mod("news-%06d", rows)


def _iso(ts: np.ndarray) -> np.ndarray:
    return np.char.add(np.datetime_as_string(ts, unit="ms"), "Z")


def _naive(at: datetime) -> np.datetime64:
    return np.datetime64(at.astimezone(UTC).replace(tzinfo=None), "ms")


LOGS: dict[str, SampleLog] = _catalogue()

if __name__ == "__main__":
    sys.exit(main())
