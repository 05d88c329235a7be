"""The worst that may happen: the tail of outcomes, the tails of states, the worst episodes and segment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from gates.bounds import at_least, at_most, broken, difference, interval, unjudged
from gates.checks.check import Params
from gates.checks.grade import graded
from gates.evidence import Evidence
from gates.needs import counted, daily_volume, needed, shown
from gates.outcome import Finding, Outcome, finding
from monitor.metrics.estimate import Estimate

REMEDY = "a candidate that is not worse there, or a `margin` that says how much worse it may be"
SMALL = ("low_ess", "few_events", "low_units", "first_look", "low_n")
AT = "in the outermost tenth of the states, {},"


def worst_case(params: Params, evidence: Evidence) -> list[Finding]:
    """A finding for each place where a candidate that is better on average may be worse.

    Outcomes: CVaR₁₀ of the candidate less that of the incumbent (of returns where episodes are logged),
    by the unfavourable ends of both. States: the lift in the lowest and highest tenth of every numeric
    feature, and in the worst tenth of the episodes; the worst is told. Segments: the worst lift of those
    with `n` decisions and `ess` effective ones, the others are listed as not judged; `small_segments`
    where none can be. PASS: lower end ≥ −`margin`. Where an envelope is declared, the share of
    recommendations outside of it is at most `outside`, on the whole and in each of these places.
    What cannot be told has its reason and never passes; one finding where not even the lift can be.
    Where propensities are missing, a sign-off on an external evaluation (grade C) may stand for them.
    """
    lift = evidence.estimate("lift")
    if broken(lift) is not None:
        blind = unjudged("the candidate's worst case", lift, str(broken(lift)), metric="lift")
        return [graded(blind, params, evidence)]
    found = [_outcomes(params, evidence), *_states(params, evidence)]
    if evidence.facts.get("episodes"):
        what = "lift in the incumbent's worst tenth of episodes"
        found.append(_not_below(what, "worst_episodes_lift", "", params, evidence))
    if evidence.facts.get("envelope"):
        found.append(_envelope(float(params["outside"]), evidence))
    found.append(_segments(params, evidence))
    return [graded(one, params, evidence) for one in found]


def _outcomes(params: Params, evidence: Evidence) -> Finding:
    of = "rewards"
    candidate, incumbent = (evidence.estimate(m) for m in ("offpolicy_cvar10", "reward_cvar10"))
    if evidence.facts.get("episodes"):
        of = "returns"
        candidate, incumbent = (evidence.estimate(m) for m in ("candidate_return_cvar10", "return_cvar10"))
    judged = at_least(
        f"mean of the worst tenth of {of} under the candidate less that under the incumbent",
        difference(candidate, incumbent),
        -float(params["margin"]),
        metric="candidate_return_cvar10" if of == "returns" else "offpolicy_cvar10",
        per_day=daily_volume(evidence.facts),
        remedy=REMEDY,
    )
    beside = f"The candidate's is {interval(candidate)}, the incumbent's {interval(incumbent)}."
    return replace(judged, message=f"{judged.message} {beside}")


def _states(params: Params, evidence: Evidence) -> list[Finding]:
    """The worst tail of the states; none where all features are categories, which have no tails."""
    if not evidence.facts.get("features"):
        message = "no state feature is declared, so the tails of the states cannot be told."
        return [finding(Outcome.INCONCLUSIVE, message, needed("no_state"), reason="no_state")]
    judged = [
        _not_below(f"lift {AT.format(tail)}", "state_tail_lift", tail, params, evidence)
        for tail in evidence.facts.get("state_tails", ())
    ]
    return [_worst(judged, "tails of states")] if judged else []


def _segments(params: Params, evidence: Evidence) -> Finding:
    segments = evidence.keys("segment_lift")
    judged, small = [], []
    for segment in segments:
        lift, ess = (evidence.estimate(name, segment) for name in ("segment_lift", "segment_ess"))
        name = segment or "(all)"
        enough = lift.n >= float(params["n"]) and ess.value >= float(params["ess"])
        if (math.isfinite(lift.n) and not enough) or broken(lift) in SMALL:
            small.append(f"{name} ({shown(lift.n)} decisions, effective {shown(ess.value)})")
        else:
            what = f"lift in segment {name}"
            judged.append(_not_below(what, "segment_lift", segment, params, evidence, ess))
    if not segments:
        none = evidence.estimate("segment_lift")
        return unjudged("lift by segment", none, broken(none) or "no_data", metric="segment_lift")
    if not judged:
        message = f"no segment can be judged: {_listed(small)}."
        reason = "small_segments"
        return finding(Outcome.INCONCLUSIVE, message, needed(reason), reason=reason, metric="segment_lift")
    worst = _worst(judged, "segments")
    return replace(worst, message=f"{worst.message} Not judged: {_listed(small)}.") if small else worst


def _envelope(limit: float, evidence: Evidence) -> Finding:
    """The worst share of recommendations outside the envelope."""
    places = [("recommendations", "recommended_outside", "")]
    places += [
        (f"recommendations {AT.format(tail)}", "state_tail_outside", tail)
        for tail in evidence.facts.get("state_tails", ())
    ]
    if evidence.facts.get("episodes"):
        places.append(("recommendations in the worst tenth of episodes", "worst_episodes_outside", ""))
    judged = [
        at_most(
            f"share outside the envelope of {what}",
            evidence.estimate(metric, key),
            limit,
            metric=metric,
            key=key,
            per_day=daily_volume(evidence.facts),
            remedy=needed("outside_envelope"),
        )
        for what, metric, key in places
    ]
    return _worst(judged, "places")


def _not_below(
    what: str, metric: str, key: str, params: Params, evidence: Evidence, beside: Estimate | None = None
) -> Finding:
    """The lift in one place against −margin; `beside` must be a number too (its effective size)."""
    found = evidence.estimate(metric, key)
    reason = broken(beside) if beside is not None else None
    found = found.because(reason) if reason else found
    margin, per_day = float(params["margin"]), daily_volume(evidence.facts)
    return at_least(what, found, -margin, metric=metric, key=key, per_day=per_day, remedy=REMEDY)


def _worst(judged: Sequence[Finding], of: str) -> Finding:
    """The worst by outcome, then by how far its unfavourable end is beyond the limit."""

    def badness(f: Finding) -> tuple[int, float]:
        far = f.high - f.limit if f.metric.endswith("outside") else f.limit - f.low
        return f.outcome, far if math.isfinite(far) else math.inf

    worst = max(judged, key=badness)
    if len(judged) == 1:
        return worst
    good = sum(f.outcome is Outcome.PASS for f in judged)
    counts = f"It is the worst of {len(judged)} {of}; {good} would pass."
    return replace(worst, message=f"{worst.message} {counts}")


def _listed(names: Sequence[str], most: int = 5) -> str:
    more = f" and {counted(len(names) - most)} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
