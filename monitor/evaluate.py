"""`monitor evaluate`: estimates of the candidate's value side by side, and which may be believed and why.

Wiring and words: the numbers are those of `monitor.metrics`, over the evidence of a stage.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from gates.needs import daily_volume, more_decisions, needed, shown, volume, why
from monitor.evidence import StoreEvidence
from monitor.metrics.estimate import Estimate
from monitor.metrics.fitted import reliability

Believe = Literal["yes", "no", "shown"]
VALUES = ("ips", "snips", "dm", "dr", "lift")
MORE = ("clipped_ips", "cressie_read", "sndr", "switch_dr", "dros")
EPISODES = ("pdis", "snpdis", "sequential_dr")
DISTRIBUTION = ("offpolicy_q05", "offpolicy_q50", "offpolicy_q95", "offpolicy_cvar10")
DIAGNOSTICS = (
    *("ess", "ess_share", "weight_mean", "weight_mean_z", "weight_max", "weight_max_share"),
    *("weight_over_10_share", "pareto_k", "unsupported_share", "missing_propensity_share"),
)
GRADE_B = ("estimated_snips", "estimated_snips_low", "estimated_snips_high", "propensity_calibration")
MODELS = ("dm", "dr", "sndr", "switch_dr", "dros", "snips_dr_difference")
LOW_SHARE = 0.01
# (metric, reason) -> what that means for it
LACKING = {
    ("unsupported_share", "no_candidate_distribution"): "needs both whole distributions, `action_probs` and "
    "`candidate_probs`",
    ("pareto_k", "low_n"): "the largest weights take few different values: there is no tail to fit",
}
# metric -> (limit, what a value above it says)
WARNINGS = {
    "weight_max_share": (0.05, "one decision carries more than 5 % of the weight"),
    "pareto_k": (0.7, "the tail of the weights is too heavy for their mean to be relied on"),
    "unsupported_share": (0.0, "the candidate takes actions that the logging policy never takes"),
    "missing_propensity_share": (0.01, "too many rows without a propensity"),
}


@dataclass(frozen=True)
class Line:
    """One number: what it is, whether it may be believed, and a sentence that says why."""

    metric: str
    key: str
    estimate: Estimate
    believe: Believe
    because: str


@dataclass(frozen=True)
class Evaluation:
    """Estimates, diagnostics and what to log to learn more. `tenths` are the (predicted, observed, n) of
    fitted propensities where none were logged."""

    stage: str
    policy: str
    controlling: str
    as_of: datetime
    window_start: datetime
    window_end: datetime
    values: list[Line]
    diagnostics: list[Line]
    grade_b: list[Line]
    tenths: list[tuple[float, float, float]]
    agreement: str
    advice: list[str]


def evaluate(evidence: StoreEvidence, *, every: bool) -> Evaluation:
    """Every estimate over the evidence; `every` adds the estimators that are shown for comparison, the
    distribution of rewards, and those over whole episodes."""
    names = [*VALUES, *(MORE + DISTRIBUTION + EPISODES if every else ())]
    apart = evidence.estimate("snips_dr_difference")
    values = [_value(evidence, name, apart) for name in names]
    values = [v for v in values if v.metric not in EPISODES or v.estimate.reason != "no_data"]
    values += [
        Line("offpolicy_cost", key, found, *_judged(found, "SNIPS of the violations"))
        for key in evidence.keys("offpolicy_cost")
        for found in [evidence.estimate("offpolicy_cost", key)]
    ]
    diagnostics = [_diagnostic(name, evidence.estimate(name)) for name in DIAGNOSTICS]
    fitted = [_fitted(name, evidence.estimate(name)) for name in GRADE_B]
    if not fitted[0].estimate.n > 0:
        fitted = []
    return Evaluation(
        evidence.stage, evidence.policy, evidence.controlling, evidence.as_of, evidence.window_start,
        evidence.window_end, values, diagnostics, fitted,
        reliability(evidence.cells("taken")) if fitted else [], _agreement(apart),
        _advice(evidence, values, diagnostics),
    )  # fmt: skip


def to_json(found: Evaluation) -> dict[str, Any]:
    """The evaluation as plain values; numbers that are not finite are null."""

    def line(one: Line) -> dict[str, Any]:
        e = one.estimate
        numbers = {"value": e.value, "low": e.low, "high": e.high, "n": e.n}
        return {
            "metric": one.metric, "key": one.key,
            **{name: number if math.isfinite(number) else None for name, number in numbers.items()},
            "unit": e.unit, "method": e.method, "reason": e.reason, "believe": one.believe,
            "because": one.because,
        }  # fmt: skip

    return {
        "schema": 1, "stage": found.stage, "policy": found.policy, "controlling": found.controlling,
        "as_of": found.as_of.isoformat(), "window_start": found.window_start.isoformat(),
        "window_end": found.window_end.isoformat(),
        "estimates": [line(one) for one in found.values],
        "diagnostics": [line(one) for one in found.diagnostics],
        "grade_b": [line(one) for one in found.grade_b],
        "reliability": [{"predicted": p, "observed": o, "n": n} for p, o, n in found.tenths],
        "agreement": found.agreement, "advice": found.advice,
    }  # fmt: skip


def table(found: Evaluation, *, colour: bool = False, width: int = 100) -> str:
    """The evaluation as text of at most `width` columns; `colour` for a terminal, plain for a pipe."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    buffer = io.StringIO()
    console = Console(
        file=buffer, width=width, force_terminal=colour, highlight=False, legacy_windows=False,
        color_system="standard" if colour else None,
    )  # fmt: skip

    def grid(title: str, lines: Sequence[Line]) -> None:
        rows = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", expand=False)
        for name in (title, "value", "95 % interval", "believe"):
            rows.add_column(name, no_wrap=True)
        rows.add_column("why", overflow="fold")
        styles = {"yes": "green", "no": "yellow", "shown": ""}
        for one in lines:
            name = f"{one.metric} {one.key}".strip()
            e = one.estimate
            interval = f"{shown(e.low)} to {shown(e.high)}" if e.low < e.high else ""
            rows.add_row(
                Text(name), Text(shown(e.value)), Text(interval), Text(one.believe, styles[one.believe]),
                Text(one.because),
            )
        console.print(rows)
        console.print()

    period = f"{found.window_start:%Y-%m-%d %H:%M} to {found.window_end:%Y-%m-%d %H:%M} UTC"
    console.print(
        Text(f"What would {found.policy} have earned?", "bold")
        + Text(f"  Decisions of {found.controlling}, {found.stage}, {period}")
    )
    console.print()
    grid("estimate", found.values)
    console.print(Text(found.agreement))
    console.print()
    grid("diagnostic", found.diagnostics)
    if found.grade_b:
        console.print(Text("Evidence grade B: no propensities were logged but fitted. No gate reads this."))
        grid("grade B", found.grade_b)
        tenths = ", ".join(f"{shown(p)} {shown(o)}" for p, o, _ in found.tenths)
        console.print(Text(f"Fitted and observed share of actions, by tenths of the fitted one: {tenths}"))
        console.print()
    for sentence in found.advice:
        console.print(Text(f"To learn more: {sentence}."))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()).rstrip() + "\n"


def _value(evidence: StoreEvidence, name: str, apart: Estimate) -> Line:
    found = evidence.estimate(name)
    if found.reason is not None:
        return Line(name, "", found, *_judged(found, ""))
    ess, mean = evidence.estimate("ess").value, evidence.estimate("weight_mean").value
    weights = f"weights average {shown(mean)} and are worth {shown(ess)} decisions"
    differ = apart.judgeable and not apart.low <= 0 <= apart.high
    if differ and name in ("snips", "dr", "sndr", "lift"):
        return Line(name, "", found, "no", "SNIPS and DR differ by more than chance: one of them is wrong")
    bias = evidence.estimate("clipped_ips_bias").value if name == "clipped_ips" else math.nan
    said: dict[str, tuple[Believe, str]] = {
        "ips": ("shown", "its interval covers too little where weights are heavy; read SNIPS"),
        "snips": ("yes", weights),
        "dm": ("shown", "it is as good as its model, which nothing mends"),
        "dr": ("yes", f"model and weights would both have to be wrong; {found.method.split(',')[0]}"),
        "sndr": ("yes", "DR, self-normalised: for heavy weights"),
        "lift": ("yes", f"paired with what was logged; {weights}"),
        "clipped_ips": ("shown", f"too low by {shown(bias)} at most; {found.method.split(',')[0]}"),
        "cressie_read": ("shown", "for independent rows, without an interval"),
        "switch_dr": ("shown", "trusts the model where weights are large, so it leans to DM"),
        "dros": ("shown", "shrinks large weights, so it leans to DM"),
    }
    believe, because = said.get(name, ("yes", weights))
    return Line(name, "", found, believe, because)


def _judged(found: Estimate, because: str) -> tuple[Believe, str]:
    if found.reason is not None:
        return "no", why(found.reason)
    return "yes", because


def _diagnostic(name: str, found: Estimate) -> Line:
    if found.reason is not None:
        because = LACKING.get((name, found.reason), why(found.reason))
        return Line(name, "", found, "shown", because)
    limit, says = WARNINGS.get(name, (math.inf, ""))
    if name == "ess_share" and found.value < LOW_SHARE:
        limit, says = -math.inf, "nearly all of the log says nothing about the candidate"
    return Line(name, "", found, *(("no", says) if found.value > limit else ("shown", "")))


def _fitted(name: str, found: Estimate) -> Line:
    if found.reason is not None:
        return Line(name, "", found, "no", why(found.reason))
    return Line(name, "", found, "shown", {
        "estimated_snips": "grade B: what the policy looked at beside segment and cell is not known",
        "estimated_snips_low": "if the true odds of actions are off by a factor of 2",
        "estimated_snips_high": "if the true odds of actions are off by a factor of 2",
        "propensity_calibration": "about 1 where the fitted shares hold for other units",
    }[name])  # fmt: skip


def _agreement(apart: Estimate) -> str:
    if apart.reason is not None or not math.isfinite(apart.low) or not math.isfinite(apart.high):
        return f"Whether SNIPS and DR agree cannot be told: {why(apart.reason or 'non_finite')}."
    between = f"SNIPS less DR is {shown(apart.value)} ({shown(apart.low)} to {shown(apart.high)})"
    if apart.low <= 0 <= apart.high:
        return f"Two estimators of different kind agree: {between}."
    return f"Two estimators of different kind do not agree: {between}."


def _advice(evidence: StoreEvidence, values: Sequence[Line], diagnostics: Sequence[Line]) -> list[str]:
    """What to log, or how much more of it; each sentence once."""
    found = {one.metric: one.estimate for one in (*values, *diagnostics)}
    reasons = dict.fromkeys(e.reason for name, e in found.items() if e.reason and name not in DIAGNOSTICS)
    said = [needed(reason) for reason in reasons if reason != "no_data" or len(reasons) == 1]
    if found["unsupported_share"].reason == "no_candidate_distribution":
        said.append(
            "`action_probs` and `candidate_probs`, which tell how much of what the candidate does this log "
            "cannot speak of"
        )
    lift = found["lift"]
    if lift.judgeable and lift.low < 0 < lift.high:
        end = lift.low if lift.value > 0 else lift.high
        more = volume(more_decisions(lift, end, 0.0), daily_volume(evidence.facts))
        said += [f"{more}, to tell whether it is better or worse than what was logged"] if more else []
    return list(dict.fromkeys(said))
