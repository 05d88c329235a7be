"""Is the log fit to judge from: rejected rows, unusable fields, and its newest row."""

from __future__ import annotations

import math
from dataclasses import replace

from gates.bounds import at_most, broken, numbers, unjudged
from gates.checks.check import Params
from gates.evidence import Evidence
from gates.needs import shown
from gates.outcome import Finding, Outcome, finding
from gates.stages import OFFLINE
from monitor.metrics.estimate import Estimate


def data_contract(params: Params, evidence: Evidence) -> list[Finding]:
    """Rejected rows and unusable fields against `log.max_rejects`; the age of the newest decision.

    PASS: the share of rejected rows and the worst column's share of unusable fields are both at
    most `log.max_rejects`, no critical expectation is unmet on a day of the evidence (or they are off,
    which is said), and (in every stage but offline) the newest decision is not stale, which whoever
    measured says by its reason.
    """
    findings = [_rejects(evidence), _faults(evidence), _expectations(evidence)]
    return findings if evidence.stage == OFFLINE else [*findings, _newest(evidence)]


def _limit(evidence: Evidence) -> float:
    limit = evidence.facts.get("max_rejects")
    return math.nan if limit is None else float(limit)


def _rejects(evidence: Evidence) -> Finding:
    return at_most(
        "share of rejected rows",
        evidence.estimate("rejected_share"),
        _limit(evidence),
        metric="rejected_share",
        remedy="the rejected rows mended and loaded, or their cause in the log removed",
    )


def _faults(evidence: Evidence) -> Finding:
    """The worst column. No column with a fault is a PASS only where rows are known to be read."""
    shares = {key: evidence.estimate("fault_share", key) for key in evidence.keys("fault_share")}
    rows = evidence.estimate("rejected_share")
    if not shares:
        reason = broken(rows)
        if reason is not None:
            return unjudged("share of unusable fields", rows, reason, metric="fault_share")
        return finding(Outcome.PASS, "no column has an unusable field.", metric="fault_share", n=rows.n)
    judged = [
        at_most(
            f"share of unusable values in column {key}",
            share,
            _limit(evidence),
            metric="fault_share",
            key=key,
            remedy=f"usable values in column {key}: `faults` lists each with its reason",
        )
        for key, share in shares.items()
    ]
    return max(judged, key=lambda f: (f.outcome, f.high if math.isfinite(f.high) else -math.inf))


def _expectations(evidence: Evidence) -> Finding:
    """One unmet critical expectation on one day fails; unmet warnings are only told. A later batch of
    the same day replaces what an earlier one failed."""
    off = evidence.facts.get("expectations_off")
    if off:
        message = f"expectations on the log are off: {off}. They were not judged."
        return finding(Outcome.PASS, message, metric="expectations_met")
    met = evidence.estimate("expectations_met")
    said = [(k, evidence.estimate("expectation_failed", k)) for k in evidence.keys("expectation_failed")]
    broke = [(k, e) for k, e in said if e.method != "warning"]
    warned = [_unmet(evidence, k, e) for k, e in said if e.method == "warning"]
    also = f" Warnings: {_some(warned)}." if warned else ""
    if broke:
        key, worst = broke[0]
        message = f"unmet expectations: {_some([_unmet(evidence, k, e) for k, e in broke])}.{also}"
        return finding(
            Outcome.FAIL, message,
            "what is missing loaded, then `monitor run`; or evidence from after its cause was removed",
            reason="limit", metric="expectation_failed", key=key, **numbers(worst),
        )
    reason = broken(met) or (None if met.value == 1 else "not_validated")
    if reason is not None:
        return unjudged("share of met expectations", met, reason, metric="expectations_met")
    message = f"all {shown(met.n)} expectations on the days of the evidence are met.{also}"
    return finding(Outcome.PASS, message, metric="expectations_met", **numbers(met))


def _unmet(evidence: Evidence, key: str, estimate: Estimate) -> str:
    """`state_load: mean between 0.1 and 0.9, but it was 42 on 2026-01-14 (and 2 more days)`."""
    days = evidence.series("expectation_failed", key)
    when = f" on {days[-1].window_start:%Y-%m-%d}" if days else ""
    more = f" (and {len(days) - 1} more day{'s' if len(days) > 2 else ''})" if len(days) > 1 else ""
    return f"{key}, but it was {shown(estimate.value)}{when}{more}"


def _some(sentences: list[str], most: int = 3) -> str:
    rest = len(sentences) - most
    return "; ".join(sentences[:most]) + (f"; and {rest} more" if rest > 0 else "")


def _newest(evidence: Evidence) -> Finding:
    age = evidence.estimate("newest_decision_age_hours")
    reason = broken(age)
    metric = "newest_decision_age_hours"
    if reason is not None:
        found = unjudged("age of the newest decision in hours", age, reason, metric=metric)
        return _scheduler(found, evidence) if reason == "stale" else found
    message = f"the newest decision is {shown(age.value)} hours old: fresh."
    return finding(Outcome.PASS, message, metric=metric, **numbers(age))


def _scheduler(found: Finding, evidence: Evidence) -> Finding:
    """The stale finding, naming a scheduler that died."""
    alive = evidence.facts.get("scheduler_silent_since")
    if alive is None:
        return found
    message = f"{found.message} `monitor schedule` was last alive at {alive:%Y-%m-%d %H:%M} UTC."
    return replace(found, message=message, needs=f"`monitor schedule` started again; {found.needs}")
