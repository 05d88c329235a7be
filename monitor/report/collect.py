"""What a report shows of one stage of the candidate: verdict, readings and events, read and put in order.

Reads sums and journal; measures what the gate measures, and writes nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from alerts.numbers import number
from gates import stages
from gates.evaluate import Verdict
from gates.formats.told import names, sentence
from gates.outcome import Finding
from gates.table import next_step
from monitor import rules
from monitor.chain import iso
from monitor.config import Loaded
from monitor.evaluate import DISTRIBUTION, Evaluation
from monitor.evaluate import evaluate as evaluated
from monitor.evidence import StoreEvidence
from monitor.incidents import FOLDS, Incident, incidents
from monitor.journal import Event, Journal
from monitor.metrics import METRICS
from monitor.metrics.estimate import Estimate, Reading
from monitor.readings import closed_end, hour_of, load, moment, sheet_of, window_hours
from monitor.report import charts
from monitor.sheet import Sheet
from monitor.store import has_table
from monitor.sums.baseline import Baseline
from monitor.verdicts import (
    checklists_of,
    current_baseline,
    evidence_of,
    store_of,
    verdict_of,
)

MOST_WINDOWS = 500
LEAST = timedelta(days=14)
FEATURES_DRAWN = 12
VERDICTS_LOOKED_AT = 60
NUMBERS_SHOWN = 12
WEEK, DAY = 168, 24
D_JS_LIMIT = 0.1
QUANTILES = ("q05", "q25", "q50", "q75", "q95")
TIMELINE = ("firing", "incident", "rollback", "override", "promote", "waive", "attest", "drill")
SHOWN_AS = {
    "firing": "rule fired", "incident": "incident", "rollback": "rolled back", "override": "override",
    "promote": "promoted", "adopt": "promoted", "waive": "waiver", "attest": "sign-off", "drill": "drill",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One finding: `history` are its values in earlier verdicts, `plot` is the id of its chart."""

    finding: Finding
    name: str
    says: str
    value: str
    history: tuple[float | None, ...]
    plot: str


@dataclass(frozen=True)
class Figure:
    """One chart: `says` is its newest number in words, `columns` and `rows` the same numbers as a table."""

    id: str
    title: str
    says: str
    chart: Mapping[str, Any]
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Report:
    """Everything on the page. `plotted` is the policy whose decisions the plots show; `missing` says what
    could not be drawn and why."""

    verdict: Verdict
    next_step: str
    controls: str
    open: tuple[Incident, ...]
    rows: tuple[Row, ...]
    sections: tuple[tuple[str, tuple[Figure, ...]], ...]
    past: tuple[tuple[str, str, str], ...]
    begin: datetime
    plotted: str
    missing: tuple[str, ...] = field(default=())


def collect(loaded: Loaded, *, stage: str, as_of: datetime, controls: str) -> Report:
    """The report of one stage as of a time. `controls` says who is in control. Raises ConfigError,
    ValueError, JournalError."""
    stage, store = stages.stage_named(stage), store_of(loaded)
    with Journal(store.journal) as journal:
        frozen = current_baseline(journal, store)
        verdict = verdict_of(journal, loaded, stage, as_of)
        with evidence_of(journal, loaded, stage, as_of, of_others=True) as others:
            valued = evaluated(others, every=True)
        with evidence_of(journal, loaded, stage, as_of) as evidence:
            look, numbers = _Look(loaded, evidence, frozen, as_of), rules.load(checklists_of(loaded))
            sections = [
                ("Reward", tuple(_reward(look, numbers))),
                ("Constraints", tuple(_constraints(look))),
                ("States", tuple(_states(look, numbers))),
                ("Actions", tuple(_actions(look))),
                ("Value of the candidate", tuple(_value(look, valued))),
                ("Log", tuple(_log(look))),
            ]
            begin, about = look.begin, look.policy
        events = journal.events(*SHOWN_AS, until=as_of)
        told = journal.events("verdict", subject=verdict.policy, until=as_of)
    line = _timeline(events, begin)
    if line is not None:
        sections.append(("What happened", (line,)))
    known = incidents(e for e in events if e.kind in FOLDS)
    ids = {f.id for _, figures in sections for f in figures}
    history = _history(told, stage)
    return Report(
        verdict, next_step(verdict), controls,
        tuple(i for i in known.values() if i.status != "resolved"),
        tuple(
            _row(f, name, history.get(place, []), ids)
            for f, name, place in zip(
                verdict.findings, names(verdict),
                places((f.item, f.metric, f.key) for f in verdict.findings), strict=True,
            )
        ),
        tuple((title, figures) for title, figures in sections if figures),
        tuple(shown(e for e in events if e.at >= begin)), begin, about,
        tuple(f"{title}: nothing was measured" for title, figures in sections if not figures),
    )  # fmt: skip


class _Look:
    """Readings of the evidence and at least 14 days, at most 500 windows: of the candidate where it
    decided in them, else of the policy in control, else of the incumbent."""

    def __init__(
        self, loaded: Loaded, evidence: StoreEvidence, baseline: Baseline | None, as_of: datetime
    ) -> None:
        self.loaded, self.evidence, self.baseline = loaded, evidence, baseline
        span = window_hours(loaded.config)
        self.end = closed_end(loaded.config, as_of, matured=False)
        wanted = min(hour_of(evidence.window_start), self.end - int(LEAST / timedelta(hours=1)))
        self.start = max(wanted // span * span, self.end - MOST_WINDOWS * span)
        self.begin = moment(self.start)
        who = (evidence.policy, evidence.controlling, loaded.config.policies.incumbent)
        self.policy = next((p for p in who if self._of(p, "reward_mean")), evidence.controlling)

    def sheet(self, start: int, end: int, span: int) -> Sheet:
        """The sums of some of its hours, to be cut into stretches of `span` hours."""
        return sheet_of(self.evidence.connection, self.loaded.config, self.baseline, start, end, span)

    def readings(self, metric: str, key: str = "") -> list[Reading]:
        if METRICS[metric].per.startswith("pair"):
            return self._of(self.evidence.controlling, metric, key, self.evidence.policy)
        return self._of("" if METRICS[metric].per == "log" else self.policy, metric, key)

    def _of(self, policy: str, metric: str, key: str = "", candidate: str = "") -> list[Reading]:
        if not has_table(self.evidence.connection, "readings"):
            return []
        found = load(
            self.evidence.connection,
            'metric = ? AND "key" = ? AND policy_id = ? AND candidate_id = ? '
            "AND window_start >= ? AND window_end <= ?",
            [metric, key, policy, candidate, self.start, self.end],
        )
        return found if any(math.isfinite(r.estimate.value) for r in found) else []

    def figure(
        self, metric: str, title: str, key: str = "", lines: Sequence[charts.Line] = (), **how: Any
    ) -> Iterator[Figure]:
        found = self.readings(metric, key)
        if found:
            unit = next((r.estimate.unit for r in found if r.estimate.unit), "")
            chart = charts.over_time(points(found), unit, lines, **how)
            yield Figure(
                _id(metric, key), title, _newest(found, unit, lines), chart, *_numbers(found, unit)
            )


def constraint(loaded: Loaded, as_of: datetime, stage: str, name: str) -> Figure | None:
    """The chart of one constraint, None where no window was measured."""
    with (
        Journal(store_of(loaded).journal) as journal,
        evidence_of(journal, loaded, stage, as_of) as evidence,
    ):
        look = _Look(loaded, evidence, None, as_of)
        return next(_constraint(look, name), None)


def points(found: Sequence[Reading]) -> list[dict[str, Any]]:
    """Readings as a chart takes them; what could not be measured is a gap."""
    return [
        {"at": iso(r.window_start), **{
            name: float(f"{value:.6g}") if math.isfinite(value := getattr(r.estimate, name)) else None
            for name in ("value", "low", "high")
        }}
        for r in found
    ]  # fmt: skip


def _reward(look: _Look, numbers: Mapping[str, rules.Rule]) -> Iterator[Figure]:
    windows = int(numbers["reward_drop"].numbers.get("windows", WEEK)) if "reward_drop" in numbers else WEEK
    yield from look.figure(
        "reward_mean",
        f"Mean reward by window, with the mean of the {windows} windows before and 2 and 3 σ", sigmas=windows,
    )
    drawn = list(_quantiles(look))
    if drawn:
        last = drawn[-1]
        yield Figure(
            "reward_quantiles", "Rewards of a day: 5 % to 95 %, 25 % to 75 %, the median",
            f"On {str(last['at'])[:10]} the median was {number(last['q50'])}, and 90 % lay between "
            f"{number(last['q05'])} and {number(last['q95'])}.",
            charts.quantiles_over_time(drawn, "reward"), ("day", *QUANTILES),
            tuple((str(d["at"])[:10], *(number(d[q]) for q in QUANTILES)) for d in drawn[-NUMBERS_SHOWN:]),
        )  # fmt: skip
    yield from look.figure("reward_dip", "Dip of the rewards: how far from one mode")


def _quantiles(look: _Look) -> Iterator[dict[str, Any]]:
    """The quantiles of the rewards of each whole day that has them."""
    first, last = -(-look.start // DAY) * DAY, look.end // DAY * DAY
    sheet = look.sheet(first, max(first, last), DAY)
    for day in range(first, last, DAY):
        found = {q: sheet.estimate(f"reward_{q}", look.policy, day, day + DAY).value for q in QUANTILES}
        if all(map(math.isfinite, found.values())):
            yield {"at": iso(moment(day)), **found}


def _constraints(look: _Look) -> Iterator[Figure]:
    for name in look.loaded.config.constraints:
        yield from _constraint(look, name)


def _constraint(look: _Look, name: str) -> Iterator[Figure]:
    rule = look.loaded.config.constraints[name]
    lines = [charts.Line("limit d", rule.limit)]
    if rule.margin:
        lines.append(charts.Line("rollback over d + δ", rule.limit + rule.margin, charts.COLOURS[1]))
    yield from look.figure(
        "violation_rate", f"Violations of {name}, with their trend", name, lines, trend=True
    )


def _states(look: _Look, numbers: Mapping[str, rules.Rule]) -> Iterator[Figure]:
    found = {f: look.readings("state_js", f) for f in look.loaded.config.state.features}
    newest = {f: _last(rows) for f, rows in found.items() if rows}
    ranked = sorted(newest, key=lambda f: -newest[f])
    order = ranked[:FEATURES_DRAWN]
    if not order:
        return
    limit = float(numbers["state_shift"].numbers["limit"]) if "state_shift" in numbers else D_JS_LIMIT
    drawn = [{"key": f, **point} for f in order for point in points(found[f])]
    worst = ", ".join(f"{f} {number(newest[f])}" for f in order[:3])
    rest = len(newest) - len(order)
    more = f" {rest} more features, all below these, are not drawn." if rest else ""
    yield Figure(
        "state_js", "Distance of the states from the baseline (D_JS, nat), the worst first",
        f"Newest: {worst}; limit {number(limit)}.{more}", charts.multiples(drawn, order, "D_JS", limit),
        ("feature", "newest D_JS"), tuple((f, number(newest[f])) for f in ranked),
    )  # fmt: skip
    if look.baseline is not None:
        sheet = look.sheet(look.start, look.end, look.end - look.start)
        frozen = look.baseline.body["features"]
        shares = [row for f in order for row in _shares(look, sheet, f, frozen[f])]
        if shares:
            yield Figure(
                "state_shares", "The same features by bin: baseline beside the evidence",
                "Bins are those frozen with the baseline.", charts.beside(shares, order),
            )  # fmt: skip


def _shares(
    look: _Look, sheet: Sheet, feature: str, body: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Shares of each bin of one feature, in the baseline (`body` is what was frozen of it) and now."""
    cells = sheet.cells("state", look.policy, "", feature, look.start, look.end)
    now = _by_bin(cells.key, cells.columns["n"])
    then = _by_bin(body["counts"]["bin"], body["counts"]["n"])
    totals = sum(then.values()), sum(now.values())
    for code in sorted({*now, *then}) if all(totals) else ():
        shares = {"baseline": then[code] / totals[0], "current": now[code] / totals[1]}
        yield {"key": feature, "bin": _bin(body, code), "place": code, **shares}


def _by_bin(codes: Iterable[Any], counts: Iterable[Any]) -> Counter[int]:
    found: Counter[int] = Counter()
    for code, n in zip(codes, counts, strict=True):
        found[int(code)] += float(n)  # type: ignore[assignment]
    return found


def _bin(body: Mapping[str, Any], code: int) -> str:
    if "edges" not in body:
        names = [*map(str, body["categories"]), "other", "unseen", "empty"]
        return names[code] if code < len(names) else str(code)
    edges = body["edges"]
    if code == 0:
        return f"under {number(edges[0])}"
    if code >= len(edges):
        return "empty" if code > len(edges) else f"from {number(edges[-1])}"
    return f"{number(edges[code - 1])} to {number(edges[code])}"


def _actions(look: _Look) -> Iterator[Figure]:
    yield from look.figure("action_entropy", "Entropy of the actions")
    yield from look.figure("top_action_share", "Share of the most frequent action")
    yield from look.figure("disagreement", "Disagreement of the candidate with the policy in control")
    yield from look.figure("override_rate", "Share of decisions that people overrode")


def _value(look: _Look, found: Evaluation) -> Iterator[Figure]:
    rows = [
        v for v in found.values
        if math.isfinite(v.estimate.value) and v.metric not in (*DISTRIBUTION, "lift", "offpolicy_cost")
    ]  # fmt: skip
    if rows:
        drawn = [
            {"name": v.metric, "value": v.estimate.value, "believe": v.believe,
             **{n: x if math.isfinite(x := getattr(v.estimate, n)) else None for n in ("low", "high")}}
            for v in rows
        ]  # fmt: skip
        unit = rows[0].estimate.unit
        trusted = [v for v in rows if v.believe == "yes"]
        best = trusted[0] if trusted else None
        says = (
            f"{best.metric} says {_interval(best.estimate)}." if best
            else "None of the estimates may be believed; the table says why."
        )  # fmt: skip
        yield Figure(
            "snips", "Estimates of the candidate's value, side by side", says,
            charts.forest(drawn, unit), ("estimator", "value", "believe it", "because"),
            tuple((v.metric, _interval(v.estimate), v.believe, v.because) for v in rows),
        )  # fmt: skip
    zero = [charts.Line("no difference", 0.0, charts.MUTED)]
    yield from look.figure("lift", "Lift of the candidate over the policy in control, by window", lines=zero)
    yield from look.figure("ess_share", "Effective sample size, as a share of the decisions")
    yield from look.figure("weight_max_share", "Share of the largest importance weight")


def _log(look: _Look) -> Iterator[Figure]:
    yield from look.figure("unusable_share", "Share of records that could not be used")
    yield from look.figure("missing_propensity_share", "Share of decisions without a propensity")


def _timeline(events: Sequence[Event], begin: datetime) -> Figure | None:
    drawn = [
        {"at": iso(e.at), "kind": SHOWN_AS[e.kind], "what": _what(e)} for e in events
        if e.at >= begin and _counts(e)
    ]  # fmt: skip
    if not drawn:
        return None
    order = [SHOWN_AS[k] for k in TIMELINE if any(d["kind"] == SHOWN_AS[k] for d in drawn)]
    return Figure(
        "timeline", "Firings, incidents, rollbacks, promotions, sign-offs and waivers",
        f"{len(drawn)} events since {begin:%Y-%m-%d %H:%M} UTC; the table below names them.",
        charts.timeline(drawn, order),
    )  # fmt: skip


def shown(events: Iterable[Event]) -> list[tuple[str, str, str]]:
    """Events as lines of a table, newest first: when, what, about whom; not those that change nothing."""
    told = [(f"{e.at:%Y-%m-%d %H:%M}", SHOWN_AS[e.kind], _what(e)) for e in events if _counts(e)]
    return told[::-1]


def _counts(event: Event) -> bool:
    body = event.body
    if event.kind == "firing":
        return body.get("confirmed") is True and not body.get("historical")
    if event.kind == "drill":
        return "drill" in body
    return body.get("status") != "intent" and not (event.kind == "rollback" and body.get("drill"))


def _what(event: Event) -> str:
    body = event.body
    match event.kind:
        case "firing":
            return str(body.get("message", ""))
        case "incident":
            by = f" by {body['by']}: {body.get('reason', '')}" if body.get("by") else ""
            return f"{event.subject} {body.get('status')}{by}"
        case "rollback" | "override":
            by = f" by {body['by']}: {body.get('reason', '')}" if body.get("by") else ""
            return f"{body.get('policy')} to {body.get('safe')}: {body.get('status')}{by}"
        case "promote" | "adopt":
            step = f", step {body['step']:g}" if body.get("step") is not None else ""
            return f"{event.subject} into {body.get('stage')}{step} by {body.get('by', '')}"
        case "drill":
            return f"{body['drill']} played by {body.get('by', '')}"
        case _:
            return f"{body.get('item', event.subject)} by {body.get('by', '')}: {body.get('reason', '')}"


def places(named: Iterable[tuple[str, str, str]]) -> Iterator[tuple[str, str, str, int]]:
    """What tells a finding from others of its verdict: item, metric, key, and which of several such it is."""
    seen: Counter[tuple[str, str, str]] = Counter()
    for name in named:
        yield (*name, seen[name])
        seen[name] += 1


def _history(told: Sequence[Event], stage: str) -> dict[tuple[str, str, str, int], list[float | None]]:
    """Values of each finding in the newest verdicts of the stage, oldest first."""
    mine = [e for e in told if e.body.get("stage") == stage][-VERDICTS_LOOKED_AT:]
    found: dict[tuple[str, str, str, int], list[float | None]] = {}
    for event in mine:
        said = event.body.get("findings", [])
        numbered = places((one["item"], one["metric"], one["key"]) for one in said)
        for place, one in zip(numbered, said, strict=True):
            found.setdefault(place, []).append(one["value"])
    return found


def _row(found: Finding, name: str, history: Sequence[float | None], ids: set[str]) -> Row:
    plot = next((i for i in (_id(found.metric, found.key), found.metric) if i in ids), "")
    limit = f"; limit {number(found.limit)}" if math.isfinite(found.limit) else ""
    value = f"{_interval(found)}{limit}" if math.isfinite(found.value) else ""
    return Row(found, name, sentence(found), value, (*history, found.value), plot)


def _newest(found: Sequence[Reading], unit: str, lines: Sequence[charts.Line]) -> str:
    last = next((r for r in reversed(found) if math.isfinite(r.estimate.value)), found[-1])
    levels = "".join(f"; {line.name} {number(line.value)}" for line in lines)
    return f"Window of {last.window_start:%Y-%m-%d %H:%M} UTC: {_interval(last.estimate)}{levels}."


def _interval(estimate: Estimate | Finding) -> str:
    low, high = estimate.low, estimate.high
    between = f" [{number(low)}, {number(high)}]" if math.isfinite(low) and math.isfinite(high) else ""
    return f"{number(estimate.value)}{between}{' ' + estimate.unit if estimate.unit else ''}"


def _numbers(found: Sequence[Reading], unit: str) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    columns = ("window, UTC", f"value{', ' + unit if unit else ''}", "low", "high", "decisions")
    return columns, tuple(
        (
            f"{r.window_start:%Y-%m-%d %H:%M}",
            number(r.estimate.value) if math.isfinite(r.estimate.value) else r.estimate.reason or "unknown",
            number(r.estimate.low), number(r.estimate.high), number(r.estimate.n),
        )
        for r in found[-NUMBERS_SHOWN:]
    )  # fmt: skip


def _last(found: Sequence[Reading]) -> float:
    return next((r.estimate.value for r in reversed(found) if math.isfinite(r.estimate.value)), 0.0)


def _id(metric: str, key: str) -> str:
    return "-".join("".join(c if c.isalnum() else "_" for c in part) for part in (metric, key) if part)
