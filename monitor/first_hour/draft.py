"""From looks at log files to everything a configuration says: sources, policies, numbers, periods."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from monitor.first_hour.facts import facts, instants
from monitor.first_hour.recognise import Guess, Recognised, propensity_form, recognise
from monitor.log.look import Look
from monitor.log.schema import LATE

FEWEST = 30
BASELINE_ROWS = 1000
CALIBRATED = 72
WINDOWS = (1, 2, 3, 4, 6, 8, 12, 24)
ALIKE = 0.6
DAY = timedelta(days=1)
DATE = re.compile(r"\d[\d_.T:-]*$")


@dataclass(frozen=True)
class Part:
    """Files of one shape: a source of the configuration."""

    kind: str
    paths: list[str]
    format: str
    delimiter: str
    time: str
    columns: dict[str, Guess]
    recognised: Recognised
    records: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Draft:
    """What a configuration will say. `start` and `end` are the first and last decision seen; `per_day`
    is how many decisions a day has (NaN where that cannot be told); `doubts` are sentences."""

    parts: Sequence[Part]
    incumbent: str
    candidate: str
    named: bool
    form: str | None
    start: datetime | None
    end: datetime | None
    per_day: float
    doubts: Sequence[str]

    @property
    def main(self) -> Part:
        """The source of decisions."""
        return next(p for p in self.parts if p.kind == "decisions")

    @property
    def has(self) -> set[str]:
        """Every column that the sources give."""
        return {name for part in self.parts for name in part.columns}

    @property
    def window_hours(self) -> int:
        """The shortest whole hours that divide a day and hold 30 decisions on average, else 24."""
        return next((h for h in WINDOWS if self.per_day * h / 24 >= FEWEST), 24)

    @property
    def baseline(self) -> tuple[datetime, datetime] | None:
        """The first 7 days, or as many as hold 72 windows where the log is twice as long; the first third
        of a shorter log. From the start of its first day."""
        if self.start is None or self.end is None:
            return None
        first = self.start.replace(hour=0, minute=0, second=0, microsecond=0)
        third = timedelta(hours=math.ceil((self.end - first) / 3 / timedelta(hours=1)))
        usual = min(7 * DAY, max(third, timedelta(hours=1)))
        calibrated = math.ceil(CALIBRATED * self.window_hours / 24) * DAY
        return first, first + (calibrated if usual < calibrated <= (self.end - first) / 2 else usual)


def draft(looks: Sequence[Look], folder: Path) -> Draft:
    """Everything that can be told from the files, for a configuration that will stand in `folder`."""
    groups: list[list[Look]] = []
    for look in looks:
        near = next((g for g in groups if _alike(g[0], look)), None)
        if near is None:
            groups.append([look])
        else:
            near.append(look)
    read = [(g, _records(g), _recognised(g)) for g in groups]
    chosen = max(read, key=lambda r: _like_decisions(r[2]))
    doubts = [d for _, _, recognised in read for d in recognised.doubts]
    parts = [
        _part(g, rows, r, "decisions" if r is chosen[2] else _kind(r), folder, doubts) for g, rows, r in read
    ]
    main = next(p for p in parts if p.kind == "decisions")
    form = _form(main, parts, doubts)
    start, end, per_day = _span(main, chosen[0])
    incumbent, candidate, named = _policies(main)
    return Draft(
        [p for p in parts if p.columns], incumbent, candidate, named, form, start, end, per_day, doubts
    )


def _alike(a: Look, b: Look) -> bool:
    mine, other = set(a.columns), set(b.columns)
    share = len(mine & other) / max(1, len(mine | other))
    return a.format == b.format and a.delimiter == b.delimiter and share >= ALIKE


def _records(group: Sequence[Look]) -> list[Mapping[str, Any]]:
    return [record for look in group for record in look.records]


def _recognised(group: Sequence[Look]) -> Recognised:
    records = _records(group)
    names = dict.fromkeys(name for look in group for name in look.columns)
    return recognise([facts(n, [r.get(n) for r in records]) for n in names])


def _like_decisions(found: Recognised) -> int:
    has = found.guesses
    return (
        4 * ("action" in has or any(t.startswith("action_") for t in has))
        + 2 * ("ts" in has)
        + ("propensity" in has)
        + any(t.startswith("state_") for t in has)
    )


def _kind(found: Recognised) -> str:
    return "recommendations" if any(t.startswith("candidate_") for t in found.guesses) else "rewards"


def _part(
    group: Sequence[Look], records: list[Mapping[str, Any]], found: Recognised, kind: str, folder: Path,
    doubts: list[str],
) -> Part:  # fmt: skip
    columns = dict(found.guesses)
    if kind == "rewards":
        if "ts" in columns and "reward_ts" not in columns:
            columns["reward_ts"] = Guess("reward_ts", columns["ts"].path, columns["ts"].why)
        columns = {t: g for t, g in columns.items() if t in ("decision_id", *LATE)}
    elif kind == "recommendations":
        columns = {t: g for t, g in columns.items() if t == "decision_id" or t.startswith("candidate_")}
    if kind != "decisions" and ("decision_id" not in columns or len(columns) == 1):
        names = ", ".join(look.path.name for look in group[:3])
        doubts.append(f"{names}: neither decisions, rewards nor recommendations with a decision id; left out")
        columns = {}
    times = {t: found.facts[columns[t].path].time for t in ("ts", "reward_ts") if t in columns}
    time = times.get("ts") or times.get("reward_ts") or "iso"
    if times.get("reward_ts", time) != time:
        doubts.append(f"column '{columns.pop('reward_ts').path}' has times of another form than ts; left out")
    return Part(
        kind, _paths(group, folder), group[0].format, group[0].delimiter, time, columns, found, records
    )


def _paths(group: Sequence[Look], folder: Path) -> list[str]:
    """Paths relative to `folder`; `logs/*.jsonl` where the group is all such files of a folder of logs,
    `logs/served-*.jsonl` where it is all that begin so: tomorrow's file is read too."""
    found: dict[str, None] = {}
    mine = {look.path for look in group}
    for look in group:
        parent, ending = look.path.parent, look.path.suffix
        patterns = [f"*{ending}"] if parent != folder else []
        begin = os.path.commonprefix([p.name for p in mine if p.parent == parent])  # noqa: RUF071
        if begin != look.path.name and (named := DATE.sub("", begin)):
            patterns.append(f"{named}*{ending}")
        whole = [p for p in patterns if {f for f in parent.glob(p) if f.is_file()} <= mine]
        found[os.path.relpath(parent / (whole[0] if whole else look.path.name), folder)] = None
    return list(found)


def _form(main: Part, parts: Sequence[Part], doubts: list[str]) -> str | None:
    """The form of the propensities; a candidate's of another form are taken out."""
    own = main.recognised.of("propensity")
    forms = [propensity_form(own)] if own else []
    for part in parts:
        other = part.recognised.of("candidate_propensity")
        if other is None or "candidate_propensity" not in part.columns:
            continue
        form = propensity_form(other)
        if forms and form != forms[0] and not (forms[0] == "density" and form == "probability"):
            doubts.append(
                f"column '{other.name}' is of form {form}, and propensities are of form {forms[0]}; "
                "log both alike"
            )
            part.columns.pop("candidate_propensity")
        else:
            forms = forms or [form]
    return forms[0] if forms else None


def _span(main: Part, group: Sequence[Look]) -> tuple[datetime | None, datetime | None, float]:
    ts = main.columns.get("ts")
    if ts is None:
        return None, None, math.nan
    times = [t for t in instants([r.get(ts.path) for r in main.records], main.time) if t is not None]
    if not times:
        return None, None, math.nan
    start, end = min(times), max(times)
    rows = sum(look.rows if look.rows is not None else len(look.records) for look in group)
    return start, end, rows / max((end - start) / DAY, 1 / 24)


def _policies(main: Part) -> tuple[str, str, bool]:
    """(incumbent, candidate, whether the log names them): the policy seen first, and the newest other."""
    column, other = main.columns.get("policy_id"), main.columns.get("candidate_id")
    named = [str(r[column.path]) for r in main.records if r.get(column.path) is not None] if column else []
    order = list(dict.fromkeys(named))
    incumbent = order[0] if order else "incumbent"
    advised = Counter(str(r[other.path]) for r in main.records if r.get(other.path)) if other else Counter()
    candidate = advised.most_common(1)[0][0] if advised else order[-1] if len(order) > 1 else "candidate"
    return incumbent, candidate, bool(order)
