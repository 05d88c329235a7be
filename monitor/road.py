"""The road of a policy through its four stages: a fold of the journal, for people to look at.

Reads events alone; decides nothing. What may open a gate is in `gates.passes`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gates import passes, stages
from gates.evidence import Event
from gates.outcome import Outcome
from gates.stages import STAGES
from gates.waivers import open_waivers

KINDS = (*stages.ROAD, "verdict", "waive")
DAYS = re.compile(r"(\d[\d ]*) (?:more days?\b|days? at your volume)")


@dataclass(frozen=True)
class Road:
    """Where a policy stands. `passed` holds, by stage, when a PASS of it was given; `stage` is where it is
    now (None: nothing is known of it), `since` when it came there, `step` its step of the ramp
    and `step_since` since when it is on it.

    `verdict` is the newest one of that stage, `open` what it lacks: item -> needs, worst first; `days` about
    how long the slowest of them takes. `fell` is the drop that ended its last live stage. `entered` is false
    where nobody promoted or adopted it, so that only the newest verdict tells its stage.
    """

    policy: str
    passed: dict[str, datetime]
    stage: str | None = None
    since: datetime | None = None
    step: float | None = None
    step_since: datetime | None = None
    verdict: Event | None = None
    open: dict[str, str] | None = None
    days: int | None = None
    fell: Event | None = None
    cools_until: datetime | None = None
    waivers: tuple[str, ...] = ()
    entered: bool = True


def road(events: Sequence[Event], policy: str, as_of: datetime, cooldown: timedelta) -> Road:
    """The road of one policy, from the events of `KINDS`."""
    verdicts = [e for e in events if passes.counts(e) and e.body.get("policy") == policy]
    stage, since = _here(events, verdicts, policy, as_of)
    if stage is None:
        return Road(policy, {})
    entry = stages.entry(events, policy, as_of)
    newest = passes.newest_verdict(verdicts, policy=policy, stage=stage, as_of=as_of)
    said = stages.instant_of(newest.body.get("as_of")) if newest else None
    if said is None or (since is not None and said < since):
        newest = None  # it was about an earlier time in this stage
    lacks = _open(newest)
    fell = stages.dropped(events, policy, as_of)
    return Road(
        policy,
        _passed(verdicts, stage, as_of),
        stage=stage,
        since=since,
        step=entry.body.get("step") if entry and entry.body.get("stage") == stage else None,
        step_since=stages.step_since(events, policy, as_of),
        verdict=newest,
        open=lacks,
        days=_days(lacks),
        fell=None if entry and entry.body.get("stage") in stages.LIVE else fell,
        cools_until=fell.at + cooldown if fell and fell.at + cooldown > as_of else None,
        waivers=tuple(
            f"{item} of {stages.short_name(s)} {told}"
            for s in STAGES
            for item, told in open_waivers(events, policy, s, as_of).items()
        ),
        entered=stages.standing(events, policy, as_of) is not None,
    )  # fmt: skip


def others(events: Sequence[Event], policy: str) -> list[str]:
    """The other policies that verdicts or stages were about, the newest first."""
    about = [e.subject for e in events if e.kind in ("verdict", *stages.ENTRIES) and e.subject != policy]
    return list(dict.fromkeys(reversed(about)))


def _here(
    events: Sequence[Event], verdicts: Sequence[Event], policy: str, as_of: datetime
) -> tuple[str | None, datetime | None]:
    """The stage and since when: what the journal says, else that of the newest verdict."""
    standing = stages.standing(events, policy, as_of)
    if standing is not None:
        return standing.stage, standing.since
    if not verdicts:
        return None, None
    stage = str(verdicts[-1].body.get("stage"))
    first = next(v for v in verdicts if v.body.get("stage") == stage)
    return stage, stages.instant_of(first.body.get("as_of"))


def _passed(verdicts: Sequence[Event], here: str, as_of: datetime) -> dict[str, datetime]:
    """When the stages before this one passed last."""
    found: dict[str, datetime] = {}
    for event in verdicts:
        said = stages.instant_of(event.body.get("as_of"))
        stage = str(event.body.get("stage"))
        before = stage in STAGES and STAGES.index(stage) < STAGES.index(here)
        if before and said is not None and said <= as_of and event.body.get("exit_code") == 0:
            found[stage] = max(said, found.get(stage, said))
    return found


def _open(verdict: Event | None) -> dict[str, str]:
    """Item -> what it needs, for the findings that hold the newest verdict, worst first."""
    if verdict is None:
        return {}
    held = [f for f in passes.enforcing(verdict) if f.get("outcome") in Outcome.__members__]
    found: dict[str, str] = {}
    for finding in sorted(held, key=lambda f: -Outcome[f["outcome"]]):
        if finding["outcome"] != "PASS":
            found.setdefault(str(finding["item"]), str(finding.get("needs") or ""))
    return found


def _days(lacks: dict[str, str]) -> int | None:
    """The longest time that is told among what is needed."""
    told = [int(n.replace(" ", "")) for needs in lacks.values() for n in DAYS.findall(needs)]
    return max(told, default=None)
