"""How the candidate was trained, on how much, and when: what `training:` in monitor.yaml declares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from gates.checks.check import Params
from gates.evidence import Evidence
from gates.needs import counted, needed, shown
from gates.outcome import Finding, Outcome, finding
from gates.stages import instant_of

RETRAIN = "a look at how it was trained, and a candidate trained anew where that was not meant"


def hyperparameters(params: Params, evidence: Evidence) -> list[Finding]:
    """One finding for each hyperparameter of the declared algorithms that has a usual range.

    The range is the number `<algorithm>_<hyperparameter>`: its first to its last value, both included.
    PASS: inside. FAIL: outside. INCONCLUSIVE: `algorithm_undeclared`, `hyperparameter_undeclared`,
    `no_usual_range` where none is known for any of the algorithms.
    """
    settings = _settings(evidence)
    algorithms, given = settings.get("algorithm") or [], settings.get("hyperparameters") or {}
    if not algorithms:
        return [_held("the algorithm that trained the candidate is not declared.", "algorithm_undeclared")]
    ranges = {(a, name.removeprefix(f"{a}_")): params[name]
              for a in algorithms for name in params if name.startswith(f"{a}_")}  # fmt: skip
    if not ranges:
        listed = ", ".join(algorithms)
        return [_held(f"for {listed} no usual range of a hyperparameter is known.", "no_usual_range")]
    return [_in_range(*place, usual, given.get(place[1])) for place, usual in ranges.items()]


def data_volume(params: Params, evidence: Evidence) -> list[Finding]:
    """Two findings: enough `transitions` to train on, and a behaviour-cloning baseline beside it.

    FAIL: fewer transitions; no such baseline. INCONCLUSIVE: `transitions_undeclared`,
    `behaviour_cloning_undeclared`.
    """
    settings = _settings(evidence)
    return [_transitions(settings.get("transitions"), float(params["transitions"])), _cloned(settings)]


def policy_age(params: Params, evidence: Evidence) -> list[Finding]:
    """Days since the candidate was trained, at most `days`.

    FAIL: older. INCONCLUSIVE: `trained_at_undeclared`; `trained_in_future` where that lies after
    as-of.
    """
    limit = float(params["days"])
    trained = instant_of(_settings(evidence).get("trained_at"))
    if trained is None:
        return [_held("when the candidate was trained is not declared.", "trained_at_undeclared", limit)]
    age = (evidence.as_of - trained) / timedelta(days=1)
    fields: dict[str, Any] = {"value": age, "limit": limit, "unit": "days"}
    says = f"the candidate was trained on {trained:%Y-%m-%d}, {shown(age)} days ago"
    if age < 0:
        said = f"the candidate was trained on {trained:%Y-%m-%d}, after {evidence.as_of:%Y-%m-%d}."
        return [_held(said, "trained_in_future", limit)]
    if age <= limit:
        return [finding(Outcome.PASS, f"{says}: at most {shown(limit)}.", **fields)]
    needs = "a candidate trained on newer data"
    return [finding(Outcome.FAIL, f"{says}: more than {shown(limit)}.", needs, reason="limit", **fields)]


def _in_range(algorithm: str, name: str, usual: list[float], given: Any) -> Finding:
    low, high = float(usual[0]), float(usual[-1])
    asked = shown(low) if low == high else f"{shown(low)} to {shown(high)}"
    value = _number(given)
    what = f"hyperparameter {name} of {algorithm}"
    fields: dict[str, Any] = {"key": f"{algorithm}.{name}", "value": value,
                              "limit": low if value < low else high}  # fmt: skip
    if not math.isfinite(value):
        reason, message = "hyperparameter_undeclared", f"{what} is not declared (usual: {asked})."
        return finding(Outcome.INCONCLUSIVE, message, needed(reason), reason=reason, key=fields["key"])
    if low <= value <= high:
        return finding(Outcome.PASS, f"{what} is {shown(value)}, as usual: {asked}.", **fields)
    message = f"{what} is {shown(value)}, outside of what is usual: {asked}."
    return finding(Outcome.FAIL, message, RETRAIN, reason="unusual", **fields)


def _transitions(given: Any, least: float) -> Finding:
    n = _number(given)
    if not math.isfinite(n):
        said = "on how many transitions the candidate was trained is not declared."
        return _held(said, "transitions_undeclared", least, "transitions")
    fields: dict[str, Any] = {"key": "transitions", "value": n, "limit": least, "unit": "transitions"}
    says = f"the candidate was trained on {counted(n)} transitions"
    if n >= least:
        return finding(Outcome.PASS, f"{says}: at least {counted(least)}.", **fields)
    needs = f"a candidate trained on {counted(math.ceil(least - n))} transitions more"
    return finding(Outcome.FAIL, f"{says}: fewer than {counted(least)}.", needs, reason="limit", **fields)


def _cloned(settings: Mapping[str, Any]) -> Finding:
    cloned, key = settings.get("behaviour_cloning"), "behaviour_cloning"
    if cloned is None:
        said = "whether a behaviour-cloning baseline was trained beside the candidate is not declared."
        return _held(said, "behaviour_cloning_undeclared", key=key)
    if cloned is True:
        return finding(Outcome.PASS, "a behaviour-cloning baseline was trained on the same data.", key=key)
    message = "no behaviour-cloning baseline was trained: it cannot be told what the algorithm adds."
    needs = "behaviour cloning on the same data, to compare the candidate with"
    return finding(Outcome.FAIL, message, needs, reason="no_behaviour_cloning", key=key)


def _held(message: str, reason: str, limit: float = math.nan, key: str = "") -> Finding:
    return finding(Outcome.INCONCLUSIVE, message, needed(reason), reason=reason, limit=limit, key=key)


def _settings(evidence: Evidence) -> Mapping[str, Any]:
    return evidence.facts.get("training_settings") or {}


def _number(value: Any) -> float:
    known = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if known else math.nan
