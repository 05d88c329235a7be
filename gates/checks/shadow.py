"""Shadow mode: recommendations beside decisions, and how far they are from what was done."""

from __future__ import annotations

import math
from dataclasses import replace

from gates.bounds import at_least, at_most, broken, interval, unjudged
from gates.checks.check import Params
from gates.evidence import Evidence
from gates.needs import daily_volume, shown
from gates.outcome import Finding
from monitor.metrics.estimate import Estimate

TREND_DAYS = 14


def recommendations_logged(params: Params, evidence: Evidence) -> list[Finding]:
    """Share of decisions with a recommendation beside the executed action.

    PASS: lower end ≥ `share`. FAIL: upper end < `share`. Otherwise INCONCLUSIVE.
    """
    return [
        at_least(
            "share of decisions with a recommendation",
            evidence.estimate("recommended_share"),
            float(params["share"]),
            metric="recommended_share",
            per_day=daily_volume(evidence.facts),
            remedy="a recommendation logged with every decision, then evidence from that day on",
        )
    ]


def disagreement(params: Params, evidence: Evidence) -> list[Finding]:
    """Does the candidate drift away from the incumbent? 14 times the slope of daily disagreement.

    PASS: upper end of 14 × daily slope ≤ `margin`, the level itself can be judged and, where
    `limit` is set, upper end of the level ≤ `limit` (a finding of its own). The level is told
    beside the incumbent's disagreement with itself. `n` of the slope counts days.
    """
    level, itself = evidence.estimate("disagreement"), evidence.estimate("self_disagreement")
    beside = f"The level is {interval(level)}; the incumbent with itself: {interval(itself)}."
    daily, margin = evidence.estimate("disagreement_slope"), float(params["margin"])
    growth = at_most(
        f"growth of disagreement over {TREND_DAYS} days",
        _scaled(daily, TREND_DAYS),
        margin,
        metric="disagreement_slope",
        remedy="a candidate whose disagreement does not grow: find out what changed",
    )
    needs = _days_needed(daily, margin / TREND_DAYS) if growth.reason in ("low_n", "straddles") else ""
    findings = [replace(growth, message=f"{growth.message} {beside}", needs=needs or growth.needs)]
    reason = broken(level)
    if params["limit"] is not None:
        findings.append(
            at_most(
                "share of decisions where the candidate disagrees",
                level,
                float(params["limit"]),
                metric="disagreement",
                per_day=daily_volume(evidence.facts),
                remedy="a candidate nearer to the incumbent, or another `limit`",
            )
        )
    elif reason is not None:
        findings.append(unjudged("disagreement", level, reason, metric="disagreement"))
    return findings


def large_disagreement(params: Params, evidence: Evidence) -> list[Finding]:
    """Share of decisions whose recommended action the incumbent practically never takes.

    PASS: upper end ≤ `share`. FAIL: lower end > `share`. Otherwise INCONCLUSIVE.
    """
    return [
        at_most(
            "share of large disagreements",
            evidence.estimate("large_disagreement"),
            float(params["share"]),
            metric="large_disagreement",
            per_day=daily_volume(evidence.facts),
            remedy="a look at the largest disagreements, and a candidate without them",
        )
    ]


def _days_needed(slope: Estimate, limit: float) -> str:
    """Days until the slope can be judged: n counts days, and its width shrinks as n^(−3/2)."""
    more = TREND_DAYS - slope.n
    if slope.reason is None and slope.high > slope.value < limit:
        more = slope.n * (((slope.high - slope.value) / (limit - slope.value)) ** (2 / 3) - 1)
    return f"about {shown(math.ceil(more))} more days of shadow mode" if more > 0 else ""


def _scaled(estimate: Estimate, days: int) -> Estimate:
    return replace(
        estimate,
        value=estimate.value * days,
        low=estimate.low * days,
        high=estimate.high * days,
        unit=f"per {days} days",
    )
