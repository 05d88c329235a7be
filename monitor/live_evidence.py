"""What only the checks of live stages ask: how far the candidate reaches, whether it was watched, who could
take over. Reads sums and journal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import duckdb
import numpy as np

from gates import stages
from gates.checks.radius import NEWEST_DAY
from gates.passes import last_good
from monitor import rules
from monitor.conditions import counted
from monitor.config import Loaded
from monitor.journal import Journal
from monitor.level import effective_level
from monitor.metrics.control import controlled_share
from monitor.metrics.estimate import Estimate, exact, missing
from monitor.metrics.intervals import kish_size
from monitor.metrics.sums import Sums
from monitor.readings import closed_end, hour_of, load, moment, sheet_of, window_hours
from monitor.sheet import Sheet
from monitor.store import has_table
from monitor.sums.baseline import Baseline
from monitor.windows import judged_windows

DAY = 24
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class LiveEvidence:
    """The part of the evidence of a live stage that is about the policy in its surroundings.

    `policy` is the live candidate; hours start to end are its evidence; `sheet` gives the sums of it.
    """

    connection: duckdb.DuckDBPyConnection
    journal: Journal
    loaded: Loaded
    baseline: Baseline | None
    policy: str
    start: int
    end: int
    as_of: datetime
    sheet: Callable[[], Sheet]

    def facts(self) -> dict[str, Any]:
        config = self.loaded.config
        checklists = self.loaded.path(config.checklists) if config.checklists else None
        level = effective_level(self.journal.events("arm", until=self.as_of), config.acting)
        return {
            "limited": self._limited,
            "experiment_segments": self._segments,
            "escalation": config.alerts.escalation,
            "triggers": sorted(rules.load(checklists)),
            "acting": level,
            "safe": config.policies.safe,
            "previous": self._previous,
            "window_hours": config.window / HOUR,
            "lag_hours": config.log.lag / HOUR,
            "matures_hours": config.reward.matures_after / HOUR,
            "rows_judged_at": self._rows_judged_at(),
        }

    def estimates(self) -> dict[str, Callable[[str], Estimate]]:
        return {
            "controlled_share": self._share,
            "decisions_outside": lambda _: self._outside(),
            "unseen_conditions": lambda times: self._unseen(float(times)),
            "safe_decisions": self._safe_decisions,
            "late_windows": lambda days: self._late(float(days)),
            "monitored_days": lambda days: self._monitored(float(days)),
            "baseline_windows": lambda _: self._baseline_windows(),
            "reevaluated_value": lambda name: self._of("snips", name),
            "reevaluated_lift": lambda name: self._of("lift", name),
            "reevaluated_ess": lambda name: self._of("ess", name),
            "reevaluated_days": self._recommended_ago,
        }

    def recommending(self) -> list[str]:
        """The policies whose recommendations stand beside the decisions of the live one."""
        pairs = {other for policy, other in self.sheet().pairs() if policy == self.policy}
        return sorted(pairs - {self.policy, ""})

    @property
    def _segments(self) -> list[str]:
        experiment = self.loaded.config.experiment
        return list(experiment.segments) if experiment else []

    @property
    def _decided_to(self) -> int:
        """Where the closed windows end: who decided does not wait for rewards."""
        return closed_end(self.loaded.config, self.as_of, matured=False)

    @cached_property
    def _limited(self) -> Mapping[str, Any] | None:
        """Step of the ramp, since when it is on it and in the stage; None where it was never entered."""
        events = self.journal.events(*stages.ROAD, until=self.as_of)
        standing = stages.standing(events, self.policy, self.as_of)
        entry = stages.entry(events, self.policy, self.as_of)
        if standing is None or entry is None or standing.stage != stages.LIMITED:
            return None
        since = stages.step_since(events, self.policy, self.as_of) or standing.since
        return {"step": entry.body.get("step"), "step_since": since, "since": standing.since}

    @cached_property
    def _previous(self) -> str | None:
        events = self.journal.events("verdict", besides=self.policy, until=self.as_of)
        events += self.journal.events(*stages.ROAD, until=self.as_of)
        return last_good(events, self.policy, self.as_of) or self.loaded.config.policies.safe

    def _rows_judged_at(self) -> datetime | None:
        """When new rows were last judged by the rules for single rows, as far as that is up to as-of."""
        beats = [self.journal.heartbeat(name) for name in ("run", "fast")]
        at = [*beats, self._runs[-1].at if self._runs else None]
        known = [one for one in at if one is not None and one <= self.as_of]
        return max(known, default=None)

    def _cells(self, start: int) -> Sums:
        """Decisions of the candidate (`v1`) and of all policies (`k1`) in the declared segments, by hour and
        bucket."""
        found: Mapping[str, Any] = {}
        if has_table(self.connection, "sums_reward"):
            segments = self._segments
            where = 'AND "key" IN (SELECT unnest(?::VARCHAR[]))' if segments else ""
            found = self.connection.execute(
                f"""SELECT hour, bucket, CAST(SUM(CASE WHEN policy_id = ? THEN n ELSE 0 END) AS DOUBLE) AS v1,
                        CAST(SUM(n) AS DOUBLE) AS k1
                    FROM sums_reward WHERE hour >= ? AND hour < ? {where} GROUP BY 1, 2 ORDER BY 1, 2""",
                [self.policy, start, self._decided_to, *([segments] if segments else [])],
            ).fetchnumpy()
        empty = np.empty(0)
        hours, buckets = (np.asarray(found.get(n, empty)).astype(np.int64) for n in ("hour", "bucket"))
        columns = {n: np.asarray(found.get(n, empty), dtype=np.float64) for n in ("v1", "k1")}
        return Sums(hours, buckets, np.full(len(hours), "", dtype=object), columns)

    def _share(self, key: str) -> Estimate:
        """Since it is on its step of the ramp; of that, the last 24 hours for the key `newest day`."""
        since = self._limited["step_since"] if self._limited else None
        start = max(self.start, hour_of(since + HOUR - timedelta(microseconds=1))) if since else self.start
        if key == NEWEST_DAY:
            start = max(start, self._decided_to - DAY)
        return controlled_share(self._cells(start), self._units(start), self.sheet().settings)

    @cached_property
    def _closed(self) -> Sheet:
        config, end = self.loaded.config, self._decided_to
        looks = float(config.looks.tightest_at)
        span = max(1, end - self.start)
        return sheet_of(self.connection, config, self.baseline, self.start, end, span, looks)

    def violations(self, key: str) -> Estimate:
        """Up to the newest closed window where that shows a violation, which waits for no reward; else as far
        as everything has come in: costs may be late too."""
        metric, newest = "violation_rate", self._decided_to
        if self.start < newest:
            found = self._closed.estimate(metric, self.policy, self.start, newest, key=key)
            if found.value > 0:
                return found
        if self.start >= self.end:
            return missing("no_data", "share")
        return self.sheet().estimate(metric, self.policy, self.start, self.end, key=key)

    def _units(self, start: int) -> float | None:
        """Kish number of the units that all policies decided for; None where units are not summed."""
        if not has_table(self.connection, "sums_units"):
            return None
        found = self.connection.execute(
            """SELECT SUM(k), SUM(k * k) FROM (
                   SELECT unit_hash, CAST(SUM(k) AS DOUBLE) AS k FROM sums_units
                   WHERE hour >= ? AND hour < ? GROUP BY 1) AS units""",
            [start, self._decided_to],
        ).fetchone()
        return kish_size(float(found[0]), float(found[1])) if found and found[0] is not None else None

    def _outside(self) -> Estimate:
        """Decisions of the candidate in other segments than those declared."""
        if not has_table(self.connection, "sums_reward"):
            return missing("no_data", "decisions")
        found = self.connection.execute(
            """SELECT CAST(SUM(n) AS DOUBLE),
                      CAST(SUM(CASE WHEN "key" IN (SELECT unnest(?::VARCHAR[])) THEN 0 ELSE n END) AS DOUBLE)
               FROM sums_reward WHERE policy_id = ? AND hour >= ? AND hour < ?""",
            [self._segments, self.policy, self.start, self._decided_to],
        ).fetchone()
        if not found or found[0] is None:
            return missing("no_data", "decisions")
        return exact(float(found[1]) if self._segments else 0.0, float(found[0]), "decisions")

    def _unseen(self, times: float) -> Estimate:
        """Conditions in which the candidate decided, and which its recommendations beside the decisions of
        others had met fewer than `times` times; `method` names the first."""
        if not has_table(self.connection, "sums_pair") or not has_table(self.connection, "sums_reward"):
            return missing("no_recommendations", "conditions")
        beside = "candidate_id = ? AND policy_id <> ? AND n_rec > 0 AND hour < ?"
        shown: list[object] = [self.policy, self.policy, self._decided_to]
        met = self._counted(
            f'SELECT "key", SUM(n_rec) FROM sums_pair WHERE {beside} GROUP BY 1',
            f"(policy_id, hour // 24) IN (SELECT policy_id, hour // 24 FROM sums_pair WHERE {beside})",
            shown,
        )
        if not any(met.values()):
            return missing("no_recommendations" if met else "baseline_missing", "conditions")
        own: list[object] = [self.policy, self.start, self._decided_to]
        where = "policy_id = ? AND hour >= ? AND hour < ?"
        decided = self._counted(
            f'SELECT "key", SUM(n) FROM sums_reward WHERE {where} GROUP BY 1', where, own
        )
        unseen = [name for name, n in decided.items() if n > 0 and met[name] < times]
        told = ", ".join(f"{name} (met {met[name]:g} times)" for name in unseen[:3])
        return exact(float(len(unseen)), float(len(decided)), "conditions", told or "counted")

    def _counted(self, segments: str, states: str, parameters: list[object]) -> dict[str, float]:
        """Decisions by condition: the segments of one query, the states of the rows that `states` selects."""
        by_segment = dict(self.connection.execute(segments, parameters).fetchall())
        by_bin: dict[str, dict[int, float]] = {}
        if has_table(self.connection, "sums_state"):
            found = self.connection.execute(
                f'SELECT "key", bin, SUM(n) FROM sums_state WHERE {states} GROUP BY 1, 2', parameters
            ).fetchall()
            for feature, place, n in found:
                by_bin.setdefault(feature, {})[int(place)] = float(n)
        by_segment = {key: float(n) for key, n in by_segment.items()}
        return counted(self.loaded.config, self.baseline, by_segment, lambda f: by_bin.get(f, {}))

    def _safe_decisions(self, since: str) -> Estimate:
        """Decisions of the safe policy in whole hours from a time on."""
        at = stages.instant_of(since)
        if at is None or not has_table(self.connection, "sums_reward"):
            return missing("no_data", "decisions")
        found = self.connection.execute(
            "SELECT COALESCE(SUM(n), 0) FROM sums_reward WHERE policy_id = ? AND hour >= ? AND hour < ?",
            [self.loaded.config.policies.safe, hour_of(at) + 1, self._decided_to],
        ).fetchone()
        n = float(found[0]) if found else 0.0
        return exact(n, n, "decisions") if n else missing("no_data", "decisions")

    @cached_property
    def _runs(self) -> list[Any]:
        return self.journal.events("run", until=self.as_of)

    def _watched_from(self, days: float) -> datetime | None:
        """Since when windows are looked at: `days` before as-of, or the first run where that was later."""
        if not self._runs:
            return None
        return max(self.as_of - timedelta(days=days), self._runs[0].at)

    def _monitored(self, days: float) -> Estimate:
        since = self._watched_from(days)
        if since is None:
            return missing("no_data", "days")
        return exact((self.as_of - since) / timedelta(days=1), len(self._runs), "days")

    def _late(self, days: float) -> Estimate:
        """Windows that closed since then and were judged more than one window after, or not at all although
        that time has passed; `method` names the first."""
        config, span = self.loaded.config, window_hours(self.loaded.config)
        since = self._watched_from(days)
        if since is None:
            return missing("no_data", "windows")
        wait = config.log.lag + config.window
        judged = {w.start: w.plain[0].at for w in judged_windows(self._runs) if w.plain}
        first = -(-hour_of(since) // span) * span
        due = range(first, hour_of(self.as_of - wait - timedelta(microseconds=1)) // span * span, span)
        late = [h for h in due if h not in judged or judged[h] > moment(h + span) + wait]
        if not due:
            return missing("low_days", "windows")
        method = f"the first began {moment(late[0]):%Y-%m-%d %H:%M} UTC" if late else "counted"
        return exact(float(len(late)), float(len(due)), "windows", method)

    def _baseline_windows(self) -> Estimate:
        if self.baseline is None:
            return missing("baseline_missing", "windows")
        period = self.loaded.config.baseline
        if period is None or not has_table(self.connection, "readings"):
            return missing("baseline_missing", "windows")
        found = load(
            self.connection,
            "metric = 'reward_mean' AND policy_id = ? AND window_start >= ? AND window_end <= ?",
            [period.policy, hour_of(period.start), hour_of(period.end)],
        )
        windows = sum(r.estimate.n > 0 for r in found)
        return exact(float(windows), float(self.baseline.body["rows"]), "windows")

    def _of(self, metric: str, name: str) -> Estimate:
        if self.start >= self.end or name not in self.recommending():
            return missing("no_data")
        return self.sheet().estimate(metric, self.policy, self.start, self.end, name)

    def _recommended_ago(self, name: str) -> Estimate:
        """Days since the newest recommendation of a policy beside the live one."""
        if not has_table(self.connection, "sums_pair"):
            return missing("no_data", "days")
        found = self.connection.execute(
            "SELECT MAX(hour), CAST(SUM(n_rec) AS DOUBLE) FROM sums_pair "
            "WHERE policy_id = ? AND candidate_id = ? AND hour >= ? AND hour < ?",
            [self.policy, name, self.start, self._decided_to],
        ).fetchone()
        if not found or found[0] is None:
            return missing("no_data", "days")
        ago = (self.as_of - moment(int(found[0]) + 1)) / timedelta(days=1)
        return exact(max(0.0, ago), float(found[1]), "days")
