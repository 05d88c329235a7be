"""The gate, replayed once a day."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gates.evaluate import RecordedFiring
from monitor.config import Loaded
from monitor.journal import Journal
from monitor.readings import moment, window_hours
from monitor.replay.tally import Trip
from monitor.verdicts import verdict_at

Progress = Callable[[str, int, int], None]
DAY = 24


@dataclass(frozen=True)
class Day:
    """What the gate would have said at one as-of."""

    as_of: datetime
    outcome: str
    exit_code: int
    holds: list[str]


def days(
    journal: Journal,
    loaded: Loaded,
    stage: str,
    start: int,
    end: int,
    trips: Mapping[str, Sequence[Trip]],
    progress: Progress | None,
) -> Iterator[Day]:
    """The verdict as of the end of each day, with the replayed trips in place of the journal's firings."""
    marks = range(-(-start // DAY) * DAY + DAY, end + 1, DAY)
    wait = loaded.config.log.lag + loaded.config.reward.matures_after + timedelta(minutes=1)
    for done, hour in enumerate(marks):
        if progress:
            progress("judging the gate", done, len(marks))
        as_of = moment(hour) + wait
        verdict = verdict_at(journal, loaded, stage, as_of, _fired(loaded, trips, hour))
        judged = [f for f in verdict.findings if f.role in ("guardrail", "sign_off")]
        worst = [f.item for f in judged if f.outcome is verdict.outcome and f.outcome > 0]
        yield Day(as_of, verdict.outcome.name, verdict.exit_code, list(dict.fromkeys(worst)))


def _fired(loaded: Loaded, trips: Mapping[str, Sequence[Trip]], end: int) -> list[RecordedFiring]:
    """Confirmed trips before `end`: a rollback where the candidate was in control."""
    candidate, span = loaded.config.policies.candidate, window_hours(loaded.config)
    return [
        RecordedFiring(
            trigger=name, action="rollback" if t.policy == candidate and t.acts else "escalate",
            confirmed=True, historical=True, policy=t.policy, key=t.key, window_start=moment(t.start),
            window_end=moment(t.start + max(span, t.hours)), value=float("nan"), limit=float("nan"),
            message=f"{name} {t.key} was confirmed in a replay",
        )
        for name, found in trips.items()
        for t in found
        if t.confirmed and t.start + max(span, t.hours) <= end
    ]
