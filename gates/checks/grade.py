"""Evidence grades of what is told of a candidate from another policy's log.

A: propensities were logged. B: they are densities, or were estimated, shown with a sensitivity bound.
C: an external or model-based evaluation that a person attached. B and C may open shadow mode only, and
only with a sign-off of the item.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from gates.bounds import broken, interval
from gates.checks.check import Params
from gates.checks.sign_off import asks_two, signed
from gates.evidence import Evidence
from gates.needs import needed, shown
from gates.outcome import Finding, Outcome

GRADE_A = "Evidence grade A: propensities were logged."
STAGE = "offline_validation"
UNLOGGED = "missing_propensity"


@dataclass(frozen=True)
class Fitted:
    """What fitted propensities say: `says` as a clause; whether that `supports` the item, or speaks `against`
    it; `why` nothing can be told of them."""

    says: str = ""
    supports: bool = False
    against: bool = False
    why: str = "this item cannot be told with estimated propensities"


def open_to_word(found: Finding, evidence: Evidence) -> bool:
    """Whether a person's word may stand for this finding: propensities are missing, before shadow mode."""
    return found.reason == UNLOGGED and evidence.stage == STAGE


def graded(found: Finding, params: Params, evidence: Evidence, fitted: Fitted | None = None) -> Finding:
    """The finding with its grade.

    A PASS is of grade A, or of grade B where propensities are densities: that holds without a sign-off
    (`grade_b_unsigned`). Where propensities are missing: PASS of grade B where `fitted` supports it, else
    of grade C, each with a valid sign-off of the item; without one INCONCLUSIVE, FAIL where it was
    refused. `grade_b_disagrees`: fitted propensities speak against what was signed.
    """
    if found.outcome is Outcome.PASS:
        return _dense(found, params, evidence) if evidence.facts.get("densities") else _told(found, GRADE_A)
    if not open_to_word(found, evidence):
        return found
    fitted = fitted or Fitted()
    grade = "B" if fitted.supports else "C"
    rests = "propensities are missing, so there is no evidence of grade A"
    beside = f"Grade {grade} is possible: " + (
        f"with estimated propensities {fitted.says}." if fitted.supports
        else "an external evaluation, attached to a sign-off "
        f"(no grade B: {fitted.says or fitted.why})."
    )  # fmt: skip
    word = _word(params, evidence, "its report" if fitted.supports else "an external evaluation")
    if word.outcome is not Outcome.PASS:
        message = f"{found.message} {_sentence(word.message)} {beside}"
        needs = f"logged propensities; or {word.needs} (it may open shadow mode only)"
        refused = word.outcome is Outcome.FAIL
        held = Outcome.FAIL if refused else Outcome.INCONCLUSIVE
        late = word.reason != "signoff_missing"
        return replace(
            found, outcome=held, reason=word.reason if late else UNLOGGED, message=message, needs=needs
        )
    if fitted.against:
        message = f"{_sentence(word.message)} But with estimated propensities {fitted.says}."
        reason = "grade_b_disagrees"
        return replace(
            found, outcome=Outcome.INCONCLUSIVE, reason=reason, message=message, needs=needed(reason)
        )
    told = f"with estimated propensities {fitted.says}" if fitted.supports else "an external evaluation"
    message = f"{rests}. Evidence grade {grade}: {told}. {_sentence(word.message)} It opens shadow mode only."
    return replace(found, outcome=Outcome.PASS, reason=None, needs="", message=message)


def fitted_value(evidence: Evidence) -> Fitted:
    """The value by estimated propensities, with its sensitivity bound and calibration."""
    names = ("estimated_snips", "estimated_snips_low", "estimated_snips_high", "propensity_calibration")
    value, low, high, calibration = (evidence.estimate(name) for name in names)
    reason = next(filter(None, map(broken, (value, low, high, calibration))), None)
    if reason is not None:
        return Fitted(why=f"with estimated propensities the value cannot be told ({reason})")
    says = (
        f"the value is {interval(value)}, {shown(low.value)} to {shown(high.value)} were the odds of actions "
        f"off by a factor of 2, calibration {shown(calibration.value)}"
    )
    return Fitted(says, supports=True)


def fitted_lift(evidence: Evidence, margin: float) -> Fitted:
    """The same, held against the logged mean: it supports the item where even the lower bound does."""
    found, mean = fitted_value(evidence), evidence.estimate("reward_mean")
    if not found.supports:
        return found
    if broken(mean) is not None:
        return Fitted(why=f"the logged mean cannot be told ({broken(mean)})")
    low, high = (evidence.estimate(f"estimated_snips_{end}") for end in ("low", "high"))
    says = f"{found.says}; the logged mean is {interval(mean)}"
    above, below = low.value - mean.high > -margin, high.value - mean.low < -margin
    return Fitted(says, supports=above, against=below)


def _dense(found: Finding, params: Params, evidence: Evidence) -> Finding:
    word = _word(params, evidence, "a report on the densities")
    if evidence.stage == STAGE and word.outcome is Outcome.PASS:
        told = f"Evidence grade B: propensities are densities. {_sentence(word.message)}"
        return _told(found, f"{told} It opens shadow mode only.")
    says = f"Evidence grade B: propensities are densities. {_sentence(word.message)}"
    refused = word.outcome is Outcome.FAIL
    return replace(
        found,
        outcome=Outcome.FAIL if refused else Outcome.INCONCLUSIVE,
        reason=word.reason if refused else "grade_b_unsigned",
        message=f"{found.message} {says}",
        needs=word.needs or "evidence of this stage itself: grade B opens shadow mode only",
    )


def _word(params: Params, evidence: Evidence, asked: str) -> Finding:
    return signed(str(params["item"]), evidence, None, asked, asks_two(params))


def _told(found: Finding, says: str, **fields: Any) -> Finding:
    return replace(found, message=f"{found.message} {says}", **fields)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
