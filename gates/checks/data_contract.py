"""Is the log fit to judge from: rejected rows, unusable fields, and its newest row."""

from __future__ import annotations

import math

from gates.bounds import at_most, broken, numbers, unjudged
from gates.checks.check import Params
from gates.evidence import Evidence
from gates.needs import shown
from gates.outcome import Finding, Outcome, finding
from gates.stages import OFFLINE


def data_contract(params: Params, evidence: Evidence) -> list[Finding]:
    """Rejected rows and unusable fields against `log.max_rejects`; the age of the newest decision.

    PASS: the share of rejected rows and the worst column's share of unusable fields are both at
    most `log.max_rejects`, and (in every stage but offline) the newest decision is not stale, which
    whoever measured says by its reason. Lateness and suites of expectations are not judged yet.
    """
    findings = [_rejects(evidence), _faults(evidence)]
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


def _newest(evidence: Evidence) -> Finding:
    age = evidence.estimate("newest_decision_age_hours")
    reason = broken(age)
    metric = "newest_decision_age_hours"
    if reason is not None:
        return unjudged("age of the newest decision in hours", age, reason, metric=metric)
    message = f"the newest decision is {shown(age.value)} hours old: fresh."
    return finding(Outcome.PASS, message, metric=metric, **numbers(age))
