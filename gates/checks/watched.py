"""Is the policy watched now, and was it watched all the time?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from gates.bounds import broken, numbers, unjudged
from gates.checks.check import Params
from gates.evidence import Evidence
from gates.needs import needed, shown
from gates.outcome import Finding, Outcome, finding, outcome_of_reason

NAMED = 3


def dashboard_fresh(params: Params, evidence: Evidence) -> list[Finding]:
    """Three findings: the readings of the safety metrics, the rules for single rows, the dashboard.

    PASS: the violation rate of every constraint, the D_JS of every feature and the mean reward have a
    finite reading of a window that closed at most `windows` windows ago (the reward: matured); rows were
    judged at most `hard_minutes` ago where there is a hard rule; the newest `dashboard` event is ok and not
    older than `windows` windows. FAIL: the dashboard did not answer.
    """
    return [
        _readings(float(params["windows"]), evidence),
        _rows(float(params["hard_minutes"]), evidence),
        _dashboard(float(params["windows"]), evidence),
    ]


def continuous_monitoring(params: Params, evidence: Evidence) -> list[Finding]:
    """Every window of the last `days` days was measured within one window of its close.

    A window without traffic counts as measured where a run judged it. FAIL: one was measured later, or not
    at all. INCONCLUSIVE: the monitor has run for fewer days than that.
    """
    days, key = float(params["days"]), f"{float(params['days']):g}"
    late, watched = evidence.estimate("late_windows", key), evidence.estimate("monitored_days", key)
    names: dict[str, Any] = {"metric": "late_windows", "key": key}
    for estimate, what in ((late, "number of windows measured late"), (watched, "days that were monitored")):
        reason = broken(estimate)
        if reason is not None:
            return [unjudged(what, estimate, reason, **names)]
    span = f"the last {shown(min(days, watched.value))} days"
    if late.value > 0:
        message = (
            f"{shown(late.value)} of {shown(late.n)} windows of {span} were not measured within one window "
            f"of their close ({late.method})."
        )
        needs = f"{shown(days)} days in which `monitor run` comes at least once a window"
        return [
            finding(Outcome.FAIL, message, needs, reason="late_windows", limit=0.0, **names, **numbers(late))
        ]
    if watched.value < days:
        left = max(1, math.ceil(days - watched.value))
        message = f"it is monitored for {shown(watched.value)} days, and {shown(days)} are asked for."
        needs = f"{left} more day{'s' if left > 1 else ''} of `monitor run`"
        return [finding(Outcome.INCONCLUSIVE, message, needs, reason="low_days", **names, **numbers(watched))]
    message = f"all {shown(late.n)} windows of {span} were measured within one window of their close."
    return [finding(Outcome.PASS, message, limit=0.0, **names, **numbers(late))]


def _readings(windows: float, evidence: Evidence) -> Finding:
    missing = list(_old(windows, evidence))
    judged = list(_safety(evidence))
    if missing:
        reason = missing[0][1]
        more = f", and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        message = f"no fresh reading of {', '.join(name for name, _ in missing[:NAMED])}{more}."
        return finding(
            outcome_of_reason(reason), message, needed(reason), reason=reason, metric=missing[0][0]
        )
    message = f"{len(judged)} safety metrics have a reading of the last {shown(windows)} windows."
    return finding(Outcome.PASS, message, n=float(len(judged)))


def _safety(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Metric and key of everything that a person on call must see."""
    yield "reward_mean", ""
    facts = evidence.facts
    keys = [*facts.get("constraints", {}), *(f"envelope:{d}" for d in facts.get("envelope", []))]
    yield from (("violation_rate", key) for key in keys)
    yield from (("state_js", key) for key in facts.get("features", []))


def _old(windows: float, evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Name and reason of each metric without a fresh finite reading."""
    hours, lag, matures = (_hours(evidence, f"{name}_hours") for name in ("window", "lag", "matures"))
    for metric, key in _safety(evidence):
        wait = lag + (matures if metric == "reward_mean" else 0.0)
        # The newest window that could be measured ended up to one window before as-of less the wait.
        oldest = (windows + 1) * hours + wait
        name = f"{metric} {key}".strip()
        readings = [r for r in evidence.series(metric, key) if math.isfinite(r.estimate.value)]
        newest = max((r.window_end for r in readings), default=None)
        if newest is None:
            yield name, "no_data"
        elif not (evidence.as_of - newest) / timedelta(hours=1) <= oldest:
            yield name, "stale"


def _hours(evidence: Evidence, name: str) -> float:
    value = evidence.facts.get(name)
    return math.nan if value is None else float(value)


def _rows(minutes: float, evidence: Evidence) -> Finding:
    facts = evidence.facts
    hard = [k for k, rule in facts.get("constraints", {}).items() if rule.get("hard")]
    if not hard and not facts.get("envelope"):
        return finding(Outcome.PASS, "there is no hard constraint and no envelope to judge rows by.")
    at = facts.get("rows_judged_at")
    needs = "`monitor schedule`, or `monitor run` as often as that"
    if at is None:
        message = "no run has judged single rows by the hard rules yet."
        return finding(Outcome.NO_DATA, message, needs, reason="no_data")
    age = (evidence.as_of - at) / timedelta(minutes=1)
    fields: dict[str, Any] = {"value": age, "limit": minutes, "n": 1.0, "unit": "minutes"}
    says = f"rows were judged by the hard rules {shown(age)} minutes ago"
    if not 0 <= age <= minutes:
        message = f"{says}: not within {shown(minutes)}."
        return finding(Outcome.NO_DATA, message, needs, reason="stale", **fields)
    return finding(Outcome.PASS, f"{says}: within {shown(minutes)}.", **fields)


def _dashboard(windows: float, evidence: Evidence) -> Finding:
    seen = [e for e in evidence.events("dashboard") if e.at <= evidence.as_of]
    needs = "a dashboard that answers, and its event in the journal"
    if not seen:
        message = "whether the dashboard answers was never looked at."
        return finding(Outcome.INCONCLUSIVE, message, needs, reason="dashboard_missing")
    event = max(seen, key=lambda e: (e.at, e.seq))
    where = f" {event.body['url']}" if event.body.get("url") else ""
    told = f"the dashboard{where} on {event.at:%Y-%m-%d %H:%M} UTC"
    age, most = (evidence.as_of - event.at) / timedelta(hours=1), windows * _hours(evidence, "window_hours")
    fields: dict[str, Any] = {"value": age, "limit": most, "n": 1.0, "unit": "hours"}
    if not age <= most:
        message = f"{told} was looked at {shown(age)} hours ago: not within {shown(most)}."
        return finding(Outcome.NO_DATA, message, needs, reason="stale", **fields)
    if event.body.get("status") != "ok":
        detail = f": {event.body['detail']}" if event.body.get("detail") else ""
        return finding(
            Outcome.FAIL, f"{told} did not answer{detail}.", needs, reason="dashboard_failed", **fields
        )
    return finding(Outcome.PASS, f"{told} answered.", **fields)
