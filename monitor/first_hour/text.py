"""A draft as the text of a monitor.yaml: every guess with the reason for it, every lack with its need."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from datetime import datetime

from monitor.first_hour.draft import BASELINE_ROWS, DAY, FEWEST, Draft, Part
from monitor.first_hour.facts import Facts, instants

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
LACKS = {
    "decision_id": "an id that no other decision has; without it no row is read",
    "ts": "the time of the decision (ISO, epoch seconds or milliseconds); without it no row is read",
    "action": "the executed action; shadow mode compares it with the recommended one",
    "propensity": "the probability of the executed action when it was chosen; off-policy items need it",
    "candidate_action": "what the candidate would have done at this decision; shadow mode needs it",
    "candidate_propensity": "the candidate's probability of the executed action; off-policy items need it",
    "reward": "the reward, here or in files of their own (kind: rewards)",
    "unit_id": "who or what depends on itself (user, session); without it blocks of 24 h are the units",
}


def text(draft: Draft, checklists: str | None) -> str:
    """The whole file. `checklists`: the folder of the user's own checklists, relative to the file."""
    blocks = [
        _head(draft), _policies(draft), _log(draft), _unit(draft), _state(draft), _reward(draft),
        _constraints(draft), _envelope(draft), _periods(draft), _running(draft, checklists),
    ]  # fmt: skip
    return "\n\n".join("\n".join(lines) for block in blocks if (lines := list(block))) + "\n"


def scalar(value: object) -> str:
    """A value as YAML: plain where that is safe, else in double quotes."""
    if not isinstance(value, str):
        return json.dumps(value)
    plain = PLAIN.fullmatch(value) and value.lower() not in WORDS
    return value if plain else json.dumps(value, ensure_ascii=False)


def _head(draft: Draft) -> Iterator[str]:
    yield "# Written by `monitor init` from a sample of the logs. Every line is a guess with its reason: read"
    yield "# it, mend it, and declare what stands commented out. Paths are relative to this file."
    for doubt in draft.doubts:
        yield f"# Not used: {doubt}."
    yield "store: var/monitor"


def _policies(draft: Draft) -> Iterator[str]:
    why = "As the log names them" if draft.named else "Replace these: no column of the log names a policy"
    candidate, incumbent = scalar(draft.candidate), scalar(draft.incumbent)
    yield f"# {why}."
    yield "# candidate: is judged; incumbent: decides today; safe: a rollback goes there."
    yield f"policies: {{candidate: {candidate}, incumbent: {incumbent}, safe: {incumbent}}}"


def _log(draft: Draft) -> Iterator[str]:
    yield "log:"
    yield "  sources:"
    for part in draft.parts:
        yield from _source(part, draft)
    if draft.form is None:
        yield "  # propensity: probability          # or density or log; no column of the logs is one"
    else:
        column = draft.main.recognised.of("propensity")
        seen = f"{column.low:.4g} to {column.high:.4g}" if column else "the candidate's"
        note = {"log": "never above 0", "density": "above 1 somewhere", "probability": "in (0, 1]"}[
            draft.form
        ]
        yield _line(f"  propensity: {draft.form}", f"{seen}: {note}")
    yield _line("  lag: 10m", "how long after a window its last rows arrive")


def _source(part: Part, draft: Draft) -> Iterator[str]:
    yield f"    - paths: [{', '.join(json.dumps(p, ensure_ascii=False) for p in part.paths)}]"
    yield f"      format: {part.format}"
    if part.kind != "decisions":
        yield f"      kind: {part.kind}"
    if part.delimiter != ",":
        yield f"      delimiter: {json.dumps(part.delimiter)}"
    if part.time != "iso":
        yield _line(f"      time: {part.time}", "by their size")
    yield "      columns:"
    for target, guess in part.columns.items():
        yield _line(f"        {target}: {scalar(guess.path)}", guess.why)
    if part.kind == "decisions":
        for target, needs in LACKS.items():
            if target not in draft.has and not (target.endswith("action") and _dims(draft)):
                yield f"        # {target}: …  needs {needs}"
        for name in (f"candidate_action_{d}" for d in _dims(draft)):
            if name not in draft.has and "candidate_action" not in draft.has:
                yield f"        # {name}: …  needs what the candidate would have set; every dimension counts"
        if "policy_id" not in part.columns:
            yield _line(
                f"      constants: {{policy_id: {scalar(draft.incumbent)}}}", "no column says who decided"
            )


def _unit(draft: Draft) -> Iterator[str]:
    named = next((t for t in ("unit_id", "episode_id") if t in draft.main.columns), None)
    if named:
        yield f"# Decisions of one {named} depend on each other; it is mapped above and taken as the unit."
    else:
        yield "# Nothing names a user or an episode, so a day of decisions is one unit (wide intervals)."
        yield "# unit: decision                     # only if decisions do not influence each other"


def _state(draft: Draft) -> Iterator[str]:
    found = {t.removeprefix("state_"): g for t, g in draft.main.columns.items() if t.startswith("state_")}
    facts = draft.main.recognised.facts
    numeric = [n for n, g in found.items() if facts[g.path].kind == "number"]
    if found:
        yield "# What is known before the decision; a column that is only known after it must go."
        categorical = ", ".join(n for n in found if n not in numeric)
        yield f"state: {{numeric: [{', '.join(numeric)}], categorical: [{categorical}]}}"
    else:
        yield "# state: {numeric: [], categorical: []}   # needs columns mapped as state_NAME"
    used = {g.path for g in draft.main.columns.values()}
    left = [n for n in draft.main.recognised.left if n not in used]
    if left:
        yield f"# Columns that are not used: {', '.join(left)[:300]}".replace("\n", " ")
    yield _line("season: 24h", "the load repeats every day; or 7d")


def _reward(draft: Draft) -> Iterator[str]:
    part = next((p for p in draft.parts if "reward" in p.columns), None)
    column = part.recognised.facts[part.columns["reward"].path] if part else None
    if part is None or column is None:
        yield "# No reward was found: map one, or give files of kind: rewards, then mend this range."
        yield "reward: {range: [0, 1], missing_after_maturity: exclude}"
        return
    low, high = _range(column)
    only = "0" if column.zero_one and column.low == 1 else "exclude"
    yield f"# Seen: {column.low:.6g} to {column.high:.6g}. A reward outside the range is not used: declare"
    yield "# what is possible. missing_after_maturity: 0 where the log holds positives only, else exclude."
    after = _matures(part, draft)
    yield f"reward: {{range: [{low:g}, {high:g}], matures_after: {after}h, missing_after_maturity: {only}}}"


def _range(column: Facts) -> tuple[float, float]:
    """0 to 1 for shares, else half as much again on both sides, rounded, and not below 0 if never below."""
    if column.low >= 0 and column.high <= 1:
        return 0.0, 1.0
    spare = max(column.high - column.low, abs(column.high), 1e-9) / 2
    step = 10 ** math.floor(math.log10(spare))
    low = math.floor((column.low - spare) / step) * step
    return (max(low, 0.0) if column.low >= 0 else low), math.ceil((column.high + spare) / step) * step


def _matures(part: Part, draft: Draft) -> int:
    """Hours by which 99 % of the rewards had come, 0 where the log does not say when they came."""
    at, ts = part.columns.get("reward_ts"), draft.main.columns.get("ts")
    own, main = part.columns.get("decision_id"), draft.main.columns.get("decision_id")
    if at is None or ts is None or own is None or main is None:
        return 0
    decided = dict(
        zip((r.get(main.path) for r in draft.main.records),
            instants([r.get(ts.path) for r in draft.main.records], draft.main.time), strict=True)
    )  # fmt: skip
    arrived = instants([r.get(at.path) for r in part.records], part.time)
    waits = sorted(
        (a - d).total_seconds() / 3600
        for r, a in zip(part.records, arrived, strict=True)
        if a is not None and (d := decided.get(r.get(own.path))) is not None
    )
    return max(0, math.ceil(waits[int(0.99 * (len(waits) - 1))])) if waits else 0


def _constraints(draft: Draft) -> Iterator[str]:
    costs = [(t.removeprefix("cost_"), g) for t, g in draft.main.columns.items() if t.startswith("cost_")]
    if not costs:
        yield "# constraints:                       # needs 0/1 columns mapped as cost_NAME"
        yield "#   overheat: {limit: 0.02, margin: 0.01}"
        return
    yield "# The limits are yours to set: these are only half as much again as the rate in the sample, 0.01"
    yield "# at the least."
    yield "# hard: true (limit 0.0, margin 0.0) makes a single violation roll back."
    yield "constraints:"
    for name, guess in costs:
        column = draft.main.recognised.facts[guess.path]
        rate = column.common.get("1", 0) / max(1, column.filled)
        limit = min(1.0, max(0.01, math.ceil(1500 * rate) / 1000))
        yield _line(
            f"  {name}: {{limit: {limit:g}, margin: 0.01}}", f"violated in {100 * rate:.3g} % of the sample"
        )


def _envelope(draft: Draft) -> Iterator[str]:
    for name in _dims(draft):
        column = draft.main.recognised.facts[draft.main.columns[f"action_{name}"].path]
        seen = f"{column.low:.6g} to {column.high:.6g}"
        yield f"# envelope: {{{name}: [LOW, HIGH]}}   # needs the allowed range; seen {seen}"


def _dims(draft: Draft) -> list[str]:
    columns = draft.main.columns
    return [t.removeprefix("action_") for t in columns if t.startswith("action_") and t != "action_probs"]


def _periods(draft: Draft) -> Iterator[str]:
    period, policy = draft.baseline, scalar(draft.incumbent)
    if period is None or draft.start is None or draft.end is None:
        yield f"# baseline: {{policy: {policy}, from: DATE, to: DATE}}   # needs a healthy period"
    else:
        rows = draft.per_day * ((min(period[1], draft.end) - max(period[0], draft.start)) / DAY)
        few = f"; under {BASELINE_ROWS}, so choose a longer one" if rows < BASELINE_ROWS else ""
        yield "# What windows are compared with; it must be healthy. Here the first 7 days (more where"
        yield "# 72 windows take longer: from then on `state_shift` may roll back), or the first third of a"
        yield f"# shorter log: about {rows:.0f} decisions{few}."
        yield f"baseline: {{policy: {policy}, from: {_when(period[0])}, to: {_when(period[1])}}}"
    yield "# What the candidate was trained on, and what was held back from it: only you know."
    yield "# Offline validation passes nothing until both are declared."
    yield "# training: {until: DATE}            # or {ids: FILE} or {none: REASON}"
    yield "# held_out: {from: DATE, to: DATE}"


def _running(draft: Draft, checklists: str | None) -> Iterator[str]:
    hours = draft.window_hours
    volume = (
        f"about {draft.per_day * hours / 24:.0f} decisions a window"
        if draft.per_day > 0
        else "volume unknown"
    )
    enough = "" if draft.per_day * hours / 24 >= FEWEST else f"; under {FEWEST}, so windows will be merged"
    yield _line(f"window: {hours}h", volume + enough)
    yield _line(
        "acting: observe",
        "tells what it would have done; `monitor arm rollback --reason …` when you trust it",
    )
    yield "rollback: {kind: file, path: var/active_policy.json}"
    yield _line("alerts: {channels: [{kind: console}]}", 'or {kind: slack, channel: "#…"}')
    if checklists:
        yield _line(f"checklists: {scalar(checklists)}", "your own copy of the checklists' numbers")


def _line(content: str, why: str) -> str:
    return f"{content:<38} # {why}"


def _when(at: datetime) -> str:
    return f"{at:%Y-%m-%d}" if at.hour == at.minute == 0 else f'"{at:%Y-%m-%dT%H:%M}"'
