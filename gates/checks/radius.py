"""How far the candidate reaches in limited deployment: where it decides, how often, and since when."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from gates.bounds import at_most, broken, interval, numbers, unjudged
from gates.checks.check import Params
from gates.evidence import Evidence
from gates.needs import shown
from gates.outcome import Finding, Outcome, finding
from gates.passes import RAMP_STEP

SAME = 1e-9
NEWEST_DAY = "newest day"


def blast_radius(params: Params, evidence: Evidence) -> list[Finding]:
    """The candidate decides only in the declared segments, and for at most the current step of the ramp.

    The step is what the newest promotion wrote down, the first of `ramp` where it wrote none. FAIL: a
    decision outside the segments (`segment_outside`); the lower end of its share > the step, or that of the
    newest day > step·(1 + `slack`) (`ramp_exceeded`). INCONCLUSIVE: the share's upper end > step·(1 +
    `slack`); where `seen` is set, a condition it decides in that its recommendations had met less often
    (`condition_unseen`); less than `step_days` on this step (`step_days`) or `stage_days` in the stage
    (`stage_days`); a step before the last that is good (`ramp_step`): the next may be taken. PASS: none of
    these, on the last step.
    """
    ramp = [float(s) for s in params["ramp"]]
    entry = evidence.facts.get("limited") or {}
    step = _step(entry, ramp)
    slack = float(params["slack"])
    share = _worse(_share(step, slack, evidence), _newest_day(step, slack, evidence))
    reached = [_segments(evidence), share, *_conditions(params.get("seen"), evidence)]
    lasted = [
        _days("step", entry.get("step_since"), float(params["step_days"]), evidence),
        _days("stage", entry.get("since"), float(params["stage_days"]), evidence),
    ]
    good = all(f.outcome is Outcome.PASS for f in (*reached, lasted[0]))
    return [*reached, *lasted, *_next(step, ramp, good)]


def _step(entry: Mapping[str, Any], ramp: Sequence[float]) -> float:
    """The step it is on: what was written down, never more than the checklist's ramp has."""
    written = entry.get("step")
    if isinstance(written, bool) or not isinstance(written, (int, float)):
        return ramp[0]
    return float(written) if 0 < written <= ramp[-1] + SAME else ramp[0]


def _segments(evidence: Evidence) -> Finding:
    outside, metric = evidence.estimate("decisions_outside"), "decisions_outside"
    allowed = list(evidence.facts.get("experiment_segments") or [])
    reason = broken(outside)
    what = "number of its decisions outside the declared segments"
    if reason is not None:
        return unjudged(what, outside, reason, metric=metric)
    if outside.value > 0:
        message = f"{shown(outside.value)} decisions of the candidate are outside of {', '.join(allowed)}."
        needs = "traffic of other segments taken from it, and evidence from then on"
        return finding(
            Outcome.FAIL,
            message,
            needs,
            reason="segment_outside",
            metric=metric,
            limit=0.0,
            **numbers(outside),
        )
    where = (
        f"only in {', '.join(allowed)}" if allowed else "everywhere: `experiment.segments` declares no limit"
    )
    return finding(Outcome.PASS, f"the candidate decides {where}.", metric=metric, **numbers(outside))


def _conditions(seen: float | None, evidence: Evidence) -> list[Finding]:
    """It decides only in conditions that its recommendations beside the decisions of others had met `seen`
    times. What it has not seen may still be seen, so that this only holds."""
    if seen is None:
        return []
    key, metric = f"{float(seen):g}", "unseen_conditions"
    unseen = evidence.estimate(metric, key)
    names: dict[str, Any] = {"metric": metric, "key": key}
    reason = broken(unseen)
    if reason is not None:
        return [unjudged("number of conditions it decides in and had not seen", unseen, reason, **names)]
    fields = {**names, "limit": 0.0, **numbers(unseen)}
    if unseen.value > 0:
        message = f"it decides in {shown(unseen.value)} conditions that it had met less than {key} times: "
        needs = f"those taken from it, until {key} of its recommendations are logged in each"
        return [
            finding(
                Outcome.INCONCLUSIVE, f"{message}{unseen.method}.", needs, reason="condition_unseen", **fields
            )
        ]
    message = f"it had met each condition it decides in {key} times before, as far as they are told apart."
    return [finding(Outcome.PASS, message, **fields)]


def _share(step: float, slack: float, evidence: Evidence) -> Finding:
    """Upper end ≤ step·(1 + slack): traffic that is split at the step would straddle it for ever."""
    judged = at_most(
        f"the candidate's share of the decisions on the step {step:g} of the ramp",
        evidence.estimate("controlled_share"),
        step * (1 + slack),
        metric="controlled_share",
        remedy=f"no more than {step:g} of the traffic, and evidence from then on",
    )
    if judged.reason in ("straddles", "limit") and judged.low > step:
        message = f"{judged.message} It is surely above the step."
        needs = f"no more than {step:g} of the traffic, and evidence from then on"
        return replace(judged, outcome=Outcome.FAIL, reason="ramp_exceeded", message=message, needs=needs)
    return judged


def _newest_day(step: float, slack: float, evidence: Evidence) -> Finding:
    """FAIL where the share of the newest day alone is surely above step·(1 + slack): a jump that the days
    before hide. A day is too short to say more, so it passes otherwise."""
    day, metric = evidence.estimate("controlled_share", NEWEST_DAY), "controlled_share"
    what = f"the candidate's share of the decisions of the newest day on the step {step:g} of the ramp"
    limit, reason = step * (1 + slack), broken(day)
    if reason is not None:
        return unjudged(what, day, reason, limit=limit, metric=metric, key=NEWEST_DAY)
    fields = {"metric": metric, "key": NEWEST_DAY, "limit": limit, **numbers(day)}
    if day.low > limit:
        message = f"{what} is {interval(day)}: not at most {shown(limit)}."
        needs = f"no more than {step:g} of the traffic, and evidence from then on"
        return finding(Outcome.FAIL, message, needs, reason="ramp_exceeded", **fields)
    return finding(Outcome.PASS, f"{what} is {interval(day)}: not surely above {shown(limit)}.", **fields)


def _worse(whole: Finding, day: Finding) -> Finding:
    return day if day.outcome > whole.outcome else whole


def _days(what: str, since: Any, least: float, evidence: Evidence) -> Finding:
    if not isinstance(since, datetime):
        message = f"since when it is on this {what} is not written down."
        needs = "`monitor promote --to limited`, or `monitor adopt --stage limited`"
        return finding(Outcome.INCONCLUSIVE, message, needs, reason="not_entered")
    days = (evidence.as_of - since) / timedelta(days=1)
    fields: dict[str, Any] = {"value": days, "limit": least, "n": 1.0, "unit": "days"}
    says = f"it is on this {what} for {shown(days)} days, since {since:%Y-%m-%d}"
    if days >= least:
        return finding(Outcome.PASS, f"{says}: at least {shown(least)}.", **fields)
    left = max(1, math.ceil(least - days))
    needs = f"{left} more day{'s' if left > 1 else ''} on this {what}"
    return finding(
        Outcome.INCONCLUSIVE, f"{says}: not {shown(least)} yet.", needs, reason=f"{what}_days", **fields
    )


def _next(step: float, ramp: Sequence[float], good: bool) -> list[Finding]:
    onward = next((s for s in ramp if s > step + SAME), None)
    if onward is None or not good:
        return []
    message = (
        f"the step {step:g} of the ramp is good, and it is not the last: {', '.join(f'{s:g}' for s in ramp)}."
    )
    needs = f"`monitor promote --to limited --step {onward:g}`"
    return [
        finding(Outcome.INCONCLUSIVE, message, needs, reason=RAMP_STEP, value=step, limit=ramp[-1], n=1.0)
    ]
