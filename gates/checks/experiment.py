"""The A/B comparison of limited deployment, and whether it keeps what offline validation promised."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from gates.bounds import at_least, at_most, broken, interval, numbers, unjudged
from gates.checks.check import Params
from gates.evidence import Evidence
from gates.needs import daily_volume, needed, shown
from gates.outcome import Finding, Outcome, finding
from gates.passes import counts
from gates.stages import OFFLINE

MISMATCH = 1000.0
TRAFFIC_P = 0.001
SPLIT = "split"
MATCHED = {
    "switchback": " in matched hours of the control's turns",
    "before_after": " in matched hours of the 14 days before",
}
WEEKS = ("1", "2", "3", "4")


def ab_test(params: Params, evidence: Evidence) -> list[Finding]:
    """Findings on the comparison of the candidate with the control since `experiment.from`.

    FAIL: e-value of the sample ratio ≥ 1000; p < .001/F of a feature at first exposure; more than
    `both` of the units in both arms; upper end of the lift < −`margin`. PASS needs lower end of the lift
    > −`margin`, the declared days and 2 seasons + maturity at the least, and, where the effect wears
    off, the same of the lift a week after first exposure. INCONCLUSIVE without an `experiment`.
    With a `design` other than split there are no units to compare: the days, and the lift in matched hours.
    """
    experiment = evidence.facts.get("experiment")
    if not experiment:
        message = "the A/B comparison cannot be judged: `experiment` is not declared."
        needs = needed("experiment_undeclared")
        return [finding(Outcome.INCONCLUSIVE, message, needs, reason="experiment_undeclared")]
    design = str(experiment.get("design", SPLIT))
    if design != SPLIT:
        return [_length(experiment, evidence), _matched(params, evidence, design)]
    found = [_sample_ratio(evidence), *_traffic(evidence), _both(params, evidence)]
    return [*found, _length(experiment, evidence), _lift(params, evidence), *_novelty(params, evidence)]


def offline_online_gap(params: Params, evidence: Evidence) -> list[Finding]:
    """The live mean reward against the interval of the last offline verdict on this policy.

    PASS: the mean lies in it. FAIL: its own interval lies outside. INCONCLUSIVE otherwise, and without an
    offline verdict whose value passed.
    """
    live, promise = evidence.estimate("reward_mean"), _promised(evidence)
    fields: dict[str, Any] = {"metric": "reward_mean", **numbers(live)}
    reason = broken(live)
    if reason is not None:
        return [unjudged("live mean reward", live, reason, metric="reward_mean")]
    if promise is None:
        message = f"live mean reward is {interval(live)}; no offline verdict on this policy promised one."
        needs = "`monitor gate --stage offline` with a `held_out_value` that passes, before or after entering"
        return [finding(Outcome.INCONCLUSIVE, message, needs, reason="no_promise", **fields)]
    low, high = promise
    says = f"live mean reward is {interval(live)}, offline validation promised {shown(low)} to {shown(high)}"
    if low <= live.value <= high:
        return [finding(Outcome.PASS, f"{says}: it lies in it.", **fields)]
    fields["limit"] = low if live.value < low else high
    if live.high < low or live.low > high:
        needs = "the reason why offline validation was wrong: propensities, support, a world that changed"
        return [finding(Outcome.FAIL, f"{says}: it lies outside.", needs, reason="gap", **fields)]
    needs = "more decisions, which settle whether it lies in it"
    message = f"{says}: the intervals overlap, and the mean lies outside."
    return [finding(Outcome.INCONCLUSIVE, message, needs, reason="straddles", **fields)]


def _sample_ratio(evidence: Evidence) -> Finding:
    e = evidence.estimate("sample_ratio_e")
    what, reason = "e-value of the sample ratio", broken(e)
    if reason is not None:
        return unjudged(what, e, reason, limit=MISMATCH, metric="sample_ratio_e")
    fields: dict[str, Any] = {"metric": "sample_ratio_e", "limit": MISMATCH, **numbers(e)}
    says = f"{what} is {shown(e.value)} ({e.method})"
    if e.value >= MISMATCH:
        needs = "the reason why units are lost or sent to another arm than planned; then a new experiment"
        message = f"{says}: units do not arrive in the planned share."
        return finding(Outcome.FAIL, message, needs, reason="sample_ratio", **fields)
    return finding(Outcome.PASS, f"{says}: below {shown(MISMATCH)}.", **fields)


def _traffic(evidence: Evidence) -> Iterator[Finding]:
    """The feature that differs most between the arms; any that cannot be told is the finding."""
    features = list(evidence.facts.get("features", []))
    found = {f: evidence.estimate("traffic_p", f) for f in features}
    for feature, p in found.items():
        reason = broken(p)
        if reason is not None:
            what = f"difference of {feature} between the arms"
            yield unjudged(what, p, reason, metric="traffic_p", key=feature)
            return
    if not found:
        return
    worst = min(found, key=lambda f: found[f].value)
    p, limit = found[worst], TRAFFIC_P / len(found)
    fields: dict[str, Any] = {"metric": "traffic_p", "key": worst, "limit": limit, **numbers(p)}
    most = f"{worst} differs most between the arms, p = {p.value:.2g}"
    says = f"of {len(found)} features at first exposure {most}"
    if p.value < limit:
        needs = "arms that are assigned at random among the same units; then a new experiment"
        yield finding(Outcome.FAIL, f"{says}: below {limit:.2g}.", needs, reason="traffic", **fields)
    else:
        yield finding(Outcome.PASS, f"{says}: not below {limit:.2g}.", **fields)


def _both(params: Params, evidence: Evidence) -> Finding:
    judged = at_most(
        "share of units in both arms", evidence.estimate("units_in_both"), float(params["both"]),
        metric="units_in_both", remedy="units that stay in their arm; then a new experiment",
    )
    moved = evidence.estimate("control_moved")
    if broken(moved) is not None:
        return judged
    beside = f"The control's mean moved by {interval(moved)} since the experiment began"
    suspect = moved.low > 0 or moved.high < 0
    doubt = ", so the arms may touch each other, or the world changed." if suspect else "."
    return replace(judged, message=f"{judged.message} {beside}{doubt}")


def _length(experiment: Mapping[str, Any], evidence: Evidence) -> Finding:
    days, least = evidence.estimate("experiment_days"), float(experiment["days"])
    judged = at_least("length of the experiment in days", days, least, metric="experiment_days")
    if broken(days) is not None or judged.outcome is Outcome.PASS:
        return judged
    left = max(1, math.ceil(least - days.low))
    needs = f"{left} more day{'s' if left > 1 else ''} of the experiment"
    return replace(judged, outcome=Outcome.INCONCLUSIVE, reason="low_days", needs=needs)


def _lift(params: Params, evidence: Evidence, metric: str = "ab_lift", when: str = "") -> Finding:
    return at_least(
        f"lift over the control{when}", evidence.estimate(metric), -float(params["margin"]), metric=metric,
        per_day=daily_volume(evidence.facts), strict=True,
        remedy="a better candidate, or a `margin` that says how much worse it may be",
    )


def _matched(params: Params, evidence: Evidence, design: str) -> Finding:
    """The lift against the same hours of the control: turns taken, or the days before."""
    judged = _lift(params, evidence, "matched_lift", MATCHED.get(design, " in matched hours"))
    if design != "before_after":
        return judged
    return replace(judged, message=f"{judged.message} What else changed since then is in it too.")


def _novelty(params: Params, evidence: Evidence) -> Iterator[Finding]:
    """Where the effect wears off, the lift a week after first exposure must do as well."""
    change = evidence.estimate("novelty")
    if change.reason == "no_data" and evidence.facts.get("units_return") is False:
        return
    what, reason = "change of the lift a week after a unit's first exposure", broken(change)
    if reason is not None:
        yield unjudged(what, change, reason, metric="novelty")
    elif change.high < 0:
        later = _lift(params, evidence, "ab_lift_later", " a week after a unit's first exposure")
        yield replace(later, message=f"the effect wears off ({what} is {interval(change)}); {later.message}")
    else:
        message = f"{what} is {interval(change)}: it does not wear off{_by_week(evidence)}."
        yield finding(Outcome.PASS, message, metric="novelty", **numbers(change))


def _by_week(evidence: Evidence) -> str:
    """The lift of each week since first exposure that has one."""
    found = [(week, evidence.estimate("ab_lift_week", week)) for week in WEEKS]
    told = [f"{shown(e.value)} in week {week}" for week, e in found if e.judgeable]
    return f"; the lift was {', '.join(told)}" if told else ""


def _promised(evidence: Evidence) -> tuple[float, float] | None:
    """The interval of the newest offline verdict on this policy that has one; None where its value did not
    pass: what nobody should believe promises nothing."""
    for event in reversed(list(evidence.events("verdict"))):
        if not counts(event) or event.subject != evidence.policy or event.body.get("stage") != OFFLINE:
            continue
        for said in event.body.get("findings", []):
            ends = said.get("low"), said.get("high")
            if said.get("check") == "held_out_value" and said.get("metric") and None not in ends:
                return (float(ends[0]), float(ends[1])) if said.get("outcome") == "PASS" else None
    return None


