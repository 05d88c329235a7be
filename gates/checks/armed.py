"""Is the automatic rollback armed, does it lead to a policy that can be trusted, and was it tried?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gates.bounds import broken
from gates.checks.check import Params
from gates.checks.drills import drilled
from gates.checks.sign_off import signed
from gates.evidence import Evidence
from gates.needs import needed, shown
from gates.outcome import Finding, Outcome, finding
from gates.passes import counts
from gates.stages import DROPS, OFFLINE, dropped

GUARDS = ("reward_drop", "reward_deviation", "constraint", "state_shift", "irreversible")
TRUSTED = "trusted"


def rollback_armed(params: Params, evidence: Evidence) -> list[Finding]:
    """Three findings: the rules (triggers that roll back, and the level of acting), the policy that would
    take over, and a drill of the rollback.

    PASS: all five triggers are on and the baseline has `baseline_windows` (fewer, and `reward_deviation`
    cannot fire); acting is rollback; the safe policy held a PASS of a stage after offline validation and was
    not taken out of control since, or a person signed it off as `trusted`; the rollback was drilled within
    `drill_days`. FAIL: a trigger is off, or acting is not rollback.
    """
    return [
        _rules(float(params["baseline_windows"]), evidence),
        _target(evidence),
        drilled("rollback", "the automatic rollback", float(params["drill_days"]), evidence),
    ]


def _rules(least: float, evidence: Evidence) -> Finding:
    """The worse of the two; both where they are good."""
    triggers, acting = _triggers(least, evidence), _acting(evidence)
    if acting.outcome > triggers.outcome:
        return acting
    return replace(triggers, message=f"{triggers.message} {acting.message[:1].upper()}{acting.message[1:]}")


def _triggers(least: float, evidence: Evidence) -> Finding:
    on = evidence.facts.get("triggers")
    if on is None:
        message = "which triggers are on is not known."
        return finding(Outcome.NO_DATA, message, needed("no_data"), reason="no_data")
    off = [name for name in GUARDS if name not in on]
    if off:
        message = f"triggers that roll back are off: {', '.join(off)}."
        return finding(Outcome.FAIL, message, "them listed in triggers.yaml again", reason="trigger_off")
    windows = evidence.estimate("baseline_windows")
    reason = broken(windows)
    if reason is None and windows.value < least:
        reason = "baseline_short"
    numbers: dict[str, Any] = {
        "metric": "baseline_windows",
        "value": windows.value,
        "limit": least,
        "n": windows.n,
    }
    if reason is not None:
        message = (
            f"the baseline has {shown(windows.value)} windows and `reward_deviation` needs {shown(least)}."
        )
        outcome = Outcome.INCONCLUSIVE if reason == "baseline_short" else Outcome.NO_DATA
        return finding(outcome, message, needed(reason), reason=reason, **numbers)
    message = (
        f"all {len(GUARDS)} triggers that roll back are on, with {shown(windows.value)} windows of baseline."
    )
    return finding(Outcome.PASS, message, **numbers)


def _acting(evidence: Evidence) -> Finding:
    level = evidence.facts.get("acting")
    if level == "rollback":
        return finding(Outcome.PASS, "acting is rollback.")
    if not level:
        return finding(
            Outcome.NO_DATA, "the level of acting is not known.", needed("no_data"), reason="no_data"
        )
    message = f"acting is {level}: a confirmed firing would not roll back."
    return finding(Outcome.FAIL, message, "`monitor arm rollback --by NAME --reason …`", reason="not_armed")


def _target(evidence: Evidence) -> Finding:
    """The safe policy: one that held a PASS here and did not fall since, or that a person trusts."""
    safe = str(evidence.facts.get("safe") or "")
    if not safe or safe == evidence.policy:
        message = f"there is no other policy to roll back to than {evidence.policy}."
        return finding(Outcome.FAIL, message, "`policies.safe` in monitor.yaml", reason="no_target")
    fell = dropped([e for kind in DROPS for e in evidence.events(kind)], safe, evidence.as_of)
    held = [
        e
        for e in evidence.events("verdict")
        if counts(e)
        and e.subject == safe
        and e.body.get("stage") not in (None, OFFLINE)
        and e.at <= evidence.as_of
        and (fell is None or e.at > fell.at)
        and e.body.get("outcome") == "PASS"
        and e.body.get("exit_code") == 0
    ]
    if held:
        newest = max(held, key=lambda e: (e.at, e.seq))
        message = f"{safe} takes over; it held a PASS of {newest.body['stage']} on {newest.at:%Y-%m-%d}."
        return finding(Outcome.PASS, message)
    return signed(TRUSTED, evidence, None, f"{safe} may take over at any hour", policy=safe)
