"""The evidence a gate judges: the sums of one stage of one policy, answered metric by metric.

Reads sums and journal only. What is missing comes as an Estimate with a reason.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from gates import stages
from monitor.chain import file_digest
from monitor.conditions import counted
from monitor.config import Config, Loaded
from monitor.journal import Event, Journal
from monitor.live_evidence import LiveEvidence
from monitor.metrics import METRICS
from monitor.metrics.estimate import Estimate, Reading, exact, missing
from monitor.metrics.trend import MIN_DAYS, slope
from monitor.readings import closed_end, hour_of, load, moment, sheet_of, window_hours
from monitor.scenarios import Scenario, ScenarioError, rank_correlation
from monitor.scenarios import read as read_scenarios
from monitor.sheet import Sheet
from monitor.store import has_table
from monitor.sums.baseline import Baseline
from monitor.sums.build import made_for
from monitor.sums.read import merge
from monitor.sums.tails import SIDES, cuts

DAY = 24
SHADOW, OFFLINE = "shadow_mode", "offline_validation"
TRAINED_HOW = {"algorithm", "hyperparameters", "transitions", "trained_at", "behaviour_cloning"}
BATCH_METRICS = ("expectations_met", "expectation_failed")


@dataclass(frozen=True)
class Scope:
    """Which rows are the evidence: `policy` controlled them, `candidate` is judged; hours start to end."""

    stage: str
    policy: str
    candidate: str
    start: int
    end: int


def scope_of(
    connection: duckdb.DuckDBPyConnection,
    config: Config,
    stage: str,
    entered: datetime | None,
    as_of: datetime,
) -> Scope:
    """The rows that count at `stage`: from the first whole hour after its entry, or the first row of this
    candidate, to as-of."""
    policies = config.policies
    own = policies.candidate if stage not in (OFFLINE, SHADOW) else policies.incumbent
    end = closed_end(config, as_of, matured=True)
    if stage == OFFLINE:
        period = config.held_out
        if period:
            last = min(end, hour_of(period.end))
            return Scope(stage, own, policies.candidate, _hour_from(period.start), last)
    if entered is not None:
        return Scope(stage, own, policies.candidate, _hour_from(entered), end)
    paired = stage in (OFFLINE, SHADOW)
    table, who = ("sums_pair", "candidate_id") if paired else ("sums_reward", "policy_id")
    first = None
    if has_table(connection, table):
        first = connection.execute(
            f'SELECT MIN(hour) FROM "{table}" WHERE {who} = ? AND hour < ?', [policies.candidate, end]
        ).fetchone()
    start = int(first[0]) if first and first[0] is not None else end
    return Scope(stage, own, policies.candidate, start, end)


class StoreEvidence:
    """Evidence out of sums.duckdb and the journal; see `gates.evaluate.Evidence`."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        journal: Journal,
        loaded: Loaded,
        baseline: Baseline | None,
        scope: Scope,
        as_of: datetime,
        judged_to: int | None,
        unread: bool | None = None,
    ) -> None:
        self._connection = connection
        self._journal = journal
        self._loaded = loaded
        self._config = loaded.config
        self._baseline = baseline
        self._scope = scope
        self._judged_to = judged_to
        self._unread = unread
        self.stage = scope.stage
        self.policy = scope.candidate
        self.controlling = scope.policy
        self.as_of = as_of
        self.window_start = moment(scope.start)
        self.window_end = moment(scope.end)

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        config = self._config
        days = max((self._scope.end - self._scope.start) / DAY, 1 / DAY)
        training = config.training
        return {
            "constraints": {
                k: {"limit": c.limit, "margin": c.margin, "hard": c.hard, "measure": c.measure}
                for k, c in config.constraints.items()
            },
            "envelope": list(config.envelope),
            "features": config.state.features,
            "scenarios": self._scenario_facts(),
            "state_tails": self._tails,
            "episodes": self._has_episodes(),
            "training": None
            if training is None
            else next(k for k in ("until", "ids", "none") if getattr(training, k) is not None),
            "training_settings": {} if training is None else training.model_dump(
                mode="json", include=TRAINED_HOW
            ),
            "held_out": config.held_out is not None,
            "conditions_declared": bool(config.conditions),
            "config_hash": config.config_hash,
            "max_rejects": config.log.max_rejects,
            "decisions_per_day": self._rows() / days,
            "reward_range": config.reward.range,
            "densities": config.log.propensity == "density",
            "expectations_off": config.expectations_off,
            "experiment": self._experiment(),
            "units_return": config.unit != "decision",
            "scheduler_silent_since": self._silent_since(),
            "frozen": self._frozen(),
            "reward_hash": config.reward_hash,
            "evidence_digests": self._digests(),
            **(self._live.facts() if self.stage in stages.LIVE else {}),
        }

    def estimate(self, metric: str, key: str = "") -> Estimate:
        """One metric over the whole evidence window, as a confidence sequence: gates are looked at again
        and again. `stale` when the evidence is not up to date."""
        special = self._special.get(metric)
        if special is not None:
            found = special(key)
        elif metric in METRICS:
            found = self._estimate(self._sheet, metric, key, self._scope.start, self._scope.end)
        else:
            found = missing("no_data")
        stale = self._stale
        return replace(found, reason="stale") if stale and found.reason != "no_data" else found

    def daily(self, metric: str, key: str = "") -> Sequence[Reading]:
        """One reading for each whole UTC day of the evidence."""
        first, last = -(-self._scope.start // DAY) * DAY, self._scope.end // DAY * DAY
        sheet = self._daily_sheet
        return [
            self._reading(metric, key, day, day + DAY, self._estimate(sheet, metric, key, day, day + DAY))
            for day in range(first, last, DAY)
        ]

    def series(self, metric: str, key: str = "") -> Sequence[Reading]:
        """The stored readings of the monitor windows since the evidence began, whether or not their rewards
        have matured; of batches, those that overlap it."""
        if metric in BATCH_METRICS:
            return [r for r in self._validated if r.metric == metric and r.key == key]
        if not has_table(self._connection, "readings"):
            return []
        candidate = self._scope.candidate if METRICS[metric].per.startswith("pair") else ""
        closed = closed_end(self._config, self.as_of, matured=False)
        return load(
            self._connection,
            'metric = ? AND "key" = ? AND policy_id = ? AND candidate_id = ? '
            "AND window_start >= ? AND window_end <= ?",
            [metric, key, self._scope.policy, candidate, self._scope.start, closed],
        )

    def keys(self, metric: str) -> list[str]:
        if metric == "condition_count":
            return list(self._conditions)
        if metric in METRICS and METRICS[metric].per == "segment":
            return self._sheet.segments(self._scope.policy, self._scope.candidate)
        if metric.startswith("reevaluated_"):
            return self._live.recommending()
        if metric == "fault_share":
            return sorted(k.removeprefix("faults:") for k in self._quality if k.startswith("faults:"))
        if metric == "expectation_failed":
            return sorted({r.key for r in self._validated if r.metric == metric})
        return self._sheet.keys(metric) if metric in METRICS else [""]

    def events(self, kind: str) -> Sequence[Event]:
        return self._journal.events(kind, until=self.as_of)

    @cached_property
    def _special(self) -> dict[str, Callable[[str], Estimate]]:
        return {
            "evidence_days": lambda _: exact(self._days(), self._rows(), "days"),
            "longest_gap_hours": lambda _: self._gap(),
            "experiment_days": lambda _: self._experiment_days(),
            "baseline_longest_gap_hours": lambda _: self._baseline_gap(),
            "condition_count": lambda key: exact(self._conditions.get(key, 0.0), self._rows(), "decisions"),
            "rejected_share": lambda _: self._rejected(),
            "fault_share": lambda key: self._share(f"faults:{key}"),
            "leaked_decisions": lambda _: self._leaked(),
            "newest_decision_age_hours": lambda _: self._newest_age(),
            "disagreement_slope": lambda _: self._slope("disagreement"),
            "expectations_met": lambda _: self._met(),
            "expectation_failed": self._failed,
            "scenario_rank": lambda _: rank_correlation(self._scenarios[0]),
            **self._live.estimates(),
            **({"violation_rate": self._live.violations} if self.stage in stages.LIVE else {}),
        }

    @cached_property
    def _live(self) -> LiveEvidence:
        scope = self._scope
        return LiveEvidence(
            self._connection, self._journal, self._loaded, self._baseline, scope.candidate, scope.start,
            scope.end, self.as_of, lambda: self._sheet,
        )  # fmt: skip

    @cached_property
    def _sheet(self) -> Sheet:
        scope = self._scope
        return self._cut(max(1, scope.end - scope.start), float(self._config.looks.tightest_at))

    @cached_property
    def _daily_sheet(self) -> Sheet:
        return self._cut(DAY)

    def _cut(self, span: int, n_star: float | None = None) -> Sheet:
        scope = self._scope
        start = scope.start if span != DAY else scope.start // DAY * DAY
        return sheet_of(self._connection, self._config, self._baseline, start, scope.end, span, n_star)

    def _estimate(self, sheet: Sheet, metric: str, key: str, start: int, end: int) -> Estimate:
        if start >= end:
            return missing("no_data")
        return sheet.estimate(metric, self._scope.policy, start, end, self._scope.candidate, key)

    def _reading(self, metric: str, key: str, start: int, end: int, estimate: Estimate) -> Reading:
        return Reading(
            estimate, metric, key, self._scope.policy, self._scope.candidate, moment(start), moment(end)
        )

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The sums that it reads."""
        return self._connection

    def cells(self, family: str) -> Any:
        """The sums of one family that the evidence is made of."""
        scope = self._scope
        return self._sheet.cells(family, scope.policy, scope.candidate, "", scope.start, scope.end)

    @property
    def _own_family(self) -> str:
        return "pair" if self.stage in (OFFLINE, SHADOW) else "reward"

    def _rows(self) -> float:
        return float(self.cells(self._own_family).total("n_rec" if self._own_family == "pair" else "n"))

    def _days(self) -> float:
        return max(0.0, (self._scope.end - self._scope.start) / DAY)

    @cached_property
    def _hours(self) -> Any:
        """The hours of the evidence that hold a decision, in order."""
        scope, family = self._scope, self._own_family
        if not has_table(self._connection, f"sums_{family}"):
            return np.empty(0, dtype=np.int64)
        both = "AND candidate_id = ?" if family == "pair" else ""
        found = self._connection.execute(
            f'SELECT DISTINCT hour FROM "sums_{family}" '
            f"WHERE policy_id = ? AND hour >= ? AND hour < ? {both} ORDER BY 1",
            [scope.policy, scope.start, scope.end, *([scope.candidate] if both else [])],
        ).fetchnumpy()
        return found["hour"]

    def _experiment(self) -> Mapping[str, Any] | None:
        """The days an experiment takes at the least: those declared, and two seasons + maturity."""
        config = self._config
        if config.experiment is None:
            return None
        season = timedelta(days=7 if config.season == "7d" else 1)
        least = (2 * season + config.reward.matures_after) / timedelta(days=1)
        return {"days": max(float(config.experiment.days), least), "design": config.experiment.design}

    @property
    def _tails(self) -> list[str]:
        """Tails of the numeric features whose baseline has some; before there is one, those of all."""
        bins = self._baseline.frozen.bins if self._baseline else {}
        known = [f for f in self._config.state.numeric if not self._baseline or cuts(bins.get(f, {}))]
        return [f"{feature} {side}" for feature in known for side in SIDES]

    @cached_property
    def _scenarios(self) -> tuple[list[Scenario], str]:
        """The labelled scenarios by proxy reward, and why they were refused."""
        if self._config.scenarios is None:
            return [], ""
        try:
            return read_scenarios(self._loaded, self._config.scenarios), ""
        except ScenarioError as error:
            return [], str(error)

    def _scenario_facts(self) -> Mapping[str, Any] | None:
        if self._config.scenarios is None:
            return None
        found, fault = self._scenarios
        ranked = [{"id": s.id, "acceptable": s.acceptable} for s in found]
        return {"fault": fault, "reward": self._config.scenarios.reward, "ranked": ranked}

    def _has_episodes(self) -> bool:
        """Whether decisions of the evidence name an episode."""
        sums = self.cells("episode") if self._config.maps("episode_id") else None
        return sums is not None and sums.total("n") + sums.total("n_mixed") > 0

    def _experiment_days(self) -> Estimate:
        experiment = self._config.experiment
        if experiment is None:
            return missing("no_data", "days")
        begun = max(hour_of(experiment.start), self._scope.start)  # not before the candidate decides
        return exact(max(0, self._scope.end - begun) / DAY, self._rows(), "days")

    def _gap(self) -> Estimate:
        hours = self._hours
        if not len(hours):
            return missing("no_data", "hours")
        marks = np.concatenate([[self._scope.start - 1], hours, [self._scope.end]])
        return exact(float(np.diff(marks).max() - 1), self._rows(), "hours")

    def _baseline_gap(self) -> Estimate:
        if self._baseline is None:
            return missing("baseline_missing", "hours")
        return exact(float(self._baseline.body["longest_gap_hours"]), self._baseline.body["rows"], "hours")

    @cached_property
    def _quality(self) -> dict[str, float]:
        if self._scope.start >= self._scope.end:
            return {}
        cells = merge([*self._sheet.index("quality").values()]) if self._sheet.index("quality") else None
        found: dict[str, float] = {}
        if cells is not None:
            for key, n in zip(cells.key.tolist(), cells.columns["n"].tolist(), strict=True):
                found[str(key)] = found.get(str(key), 0.0) + n
        return found

    def _share(self, prefix: str) -> Estimate:
        part = sum(n for k, n in self._quality.items() if k.startswith(prefix))
        rejected = sum(n for k, n in self._quality.items() if k.startswith("rejects:"))
        rows = self._quality.get("rows", 0.0) + rejected
        return exact(part / rows, rows, "share") if rows else missing("no_data", "share")

    def _rejected(self) -> Estimate:
        """Share of rejected rows; `unread` where a file could not be read at all: of those given, else by
        the last run."""
        unread = self._unread
        if unread is None:
            newest = self._journal.newest("run")
            unread = bool(newest and newest.body.get("not_read"))
        found = self._share("rejects:")
        return found.because("unread") if unread else found

    @cached_property
    def _validated(self) -> list[Reading]:
        """Readings of the batches that overlap the evidence."""
        if not has_table(self._connection, "readings"):
            return []
        return load(
            self._connection,
            "metric IN (SELECT unnest(?::VARCHAR[])) AND window_end > ? AND window_start < ?",
            [list(BATCH_METRICS), self._scope.start, self._scope.end],
        )

    def _met(self) -> Estimate:
        """Share of met expectations, over every day with decisions: one without a validation spoils it."""
        found = {hour_of(r.window_start) // DAY: r.estimate for r in self.series("expectations_met")}
        hours = self._hours
        if not len(hours):
            return missing("no_data", "share")
        unknown = [int(d) for d in np.unique(hours // DAY) if not _was_validated(found.get(int(d)))]
        judged = [e for e in found.values() if e.judgeable]
        n = sum(e.n for e in judged)
        if unknown:
            return missing("not_validated", "share", n)
        return exact(sum(e.value * e.n for e in judged) / n, n, "share") if n else missing("low_n", "share")

    def _failed(self, key: str) -> Estimate:
        """The value of the newest day that did not meet this expectation."""
        days = self.series("expectation_failed", key)
        return days[-1].estimate if days else missing("no_data")

    @cached_property
    def _conditions(self) -> dict[str, float]:
        """Decisions of the evidence by condition."""
        segments = _by_segment(self._connection, self._own_family, self._scope)
        return counted(self._config, self._baseline, segments, self._by_bin)

    def _by_bin(self, feature: str) -> dict[int, float]:
        scope = self._scope
        cells = self._sheet.cells("state", scope.policy, "", feature, scope.start, scope.end)
        if not len(cells):
            return {}
        return dict(enumerate(np.bincount(cells.key.astype(np.int64), cells.columns["n"]).tolist()))

    def _leaked(self) -> Estimate:
        """Held-out decisions that the training could have seen, by unit where ids were declared."""
        training, scope = self._config.training, self._scope
        if training is None:
            return missing("training_undeclared", "decisions")
        rows = self._rows()
        if training.until is not None:
            end = min(_hour_from(training.until), scope.end)
            segments = _by_segment(self._connection, "pair", replace(scope, end=end))
            return exact(sum(segments.values()), rows, "decisions")
        if training.ids is None:
            return exact(0.0, rows, "decisions", "declared: nothing was trained on logs")
        hashes = _unit_hashes(self._loaded.path(training.ids))
        if not hashes:
            return missing("training_undeclared", "decisions")  # a list that names nobody says nothing
        found = self._connection.execute(
            "SELECT COALESCE(SUM(n), 0) FROM sums_units WHERE policy_id = ? AND hour >= ? AND hour < ? "
            "AND unit_hash IN (SELECT unnest(?::BIGINT[]))",
            [scope.policy, scope.start, scope.end, hashes],
        ).fetchone()
        return exact(float(found[0]) if found else 0.0, rows, "decisions")

    def _newest_age(self) -> Estimate:
        hours = self._hours
        if not len(hours):
            return missing("no_data", "hours")
        age = (self.as_of - moment(int(hours.max()) + 1)) / timedelta(hours=1)
        return exact(max(0.0, age), len(hours), "hours")

    def _silent_since(self) -> datetime | None:
        """When `monitor schedule` was last alive, if that is more than two windows ago. None where it is
        alive, or was never used."""
        alive = self._journal.heartbeat("schedule")
        silent = alive is not None and self.as_of - alive > 2 * self._config.window
        return alive if silent else None

    def _digests(self) -> Mapping[str, str]:
        """What the files that sign-offs rest on hold now, by their place; one that cannot be read is left
        out."""
        about = {self.policy, self._config.policies.safe}
        signed = [e.body for e in sorted(self.events("attest"), key=lambda e: (e.at, e.seq))]
        newest = {(b["policy"], b.get("item")): b for b in signed if b.get("policy") in about}
        found = {}
        for body in newest.values():
            if str(body.get("evidence_digest")).startswith("file:"):
                with suppress(OSError, ValueError):
                    found[str(body["evidence"])] = file_digest(self._loaded.path(str(body["evidence"])))
        return found

    def _frozen(self) -> Mapping[str, str] | None:
        """Triggers and level of acting as they were when this live stage was entered, and as they are now;
        None where nothing was written down then."""
        if self.stage not in stages.LIVE:
            return None
        from monitor.promotion import freezing

        events = self._journal.events(*stages.ROAD, until=self.as_of)
        entry = stages.entry(events, self.policy, self.as_of)
        if entry is None or entry.body.get("stage") != self.stage or not entry.body.get("triggers_hash"):
            return None
        now = freezing(self._journal, self._loaded, self.as_of)
        return {name: str(entry.body.get(name)) for name in now} | {f"{n}_now": v for n, v in now.items()}

    def _slope(self, metric: str) -> Estimate:
        days = [r for r in self.daily(metric) if r.estimate.because("low_units").reason == "low_units"]
        days = [r for r in days if math.isfinite(r.estimate.value)]
        numbers = np.asarray([hour_of(r.window_start) / DAY for r in days])
        return slope(numbers, np.asarray([r.estimate.value for r in days]), tightest_at=MIN_DAYS)

    @cached_property
    def _stale(self) -> bool:
        """Closed windows not judged yet, sums of another configuration, or (live and shadow) a newest row
        that is too old."""
        scope, span = self._scope, window_hours(self._config)
        closed = closed_end(self._config, self.as_of, matured=False)
        needed = min(scope.end, closed) if self.stage == OFFLINE else closed
        if self._judged_to is None or self._judged_to < needed:
            return True
        frozen = self._baseline.frozen if self._baseline else None
        if not made_for(self._connection, self._config, frozen):
            return True
        if self.stage == OFFLINE:
            return False
        hours = self._hours
        config = self._config
        oldest = self.as_of - config.log.lag - config.reward.matures_after - 2 * config.window
        return bool(len(hours)) and moment(int(hours.max()) + span) < oldest


def _by_segment(connection: duckdb.DuckDBPyConnection, family: str, scope: Scope) -> dict[str, float]:
    table = f"sums_{family}"
    if not has_table(connection, table):
        return {}
    column, both = ("n_rec", "AND candidate_id = ?") if family == "pair" else ("n", "")
    parameters: list[object] = [scope.policy, scope.start, scope.end]
    found = connection.execute(
        f'SELECT "key", CAST(SUM({column}) AS DOUBLE) FROM "{table}" '
        f"WHERE policy_id = ? AND hour >= ? AND hour < ? {both} GROUP BY 1",
        parameters + ([scope.candidate] if both else []),
    ).fetchall()
    return dict(found)


def _hour_from(moment: datetime) -> int:
    """The first whole hour that begins at a time or after it."""
    return hour_of(moment + timedelta(hours=1) - timedelta(microseconds=1))


def _was_validated(estimate: Estimate | None) -> bool:
    """Whether a day was validated, be it that its rows were too few to judge."""
    return estimate is not None and (estimate.judgeable or estimate.reason == "low_n")


def _unit_hashes(path: Path) -> list[int]:
    """The 63 bits of md5 that ingest writes as unit_hash, for one unit a line."""
    units = [unit for line in path.read_text("utf-8").splitlines() if (unit := line.strip())]
    return [
        int.from_bytes(hashlib.md5(u.encode(), usedforsecurity=False).digest()[8:], "little") & (2**63 - 1)
        for u in units
    ]
