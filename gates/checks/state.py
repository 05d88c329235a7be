"""State shift: is the live state still the one the policy was validated on?"""

from __future__ import annotations

import math
from dataclasses import replace

from gates.bounds import at_most
from gates.checks.check import Params
from gates.evidence import Evidence
from gates.needs import daily_volume
from gates.outcome import Finding, Outcome, finding
from monitor.metrics.estimate import Estimate


def state_shift(params: Params, evidence: Evidence) -> list[Finding]:
    """Corrected D_JS in nats of every declared state feature against the frozen baseline.

    One finding: the worst feature, by outcome and then by upper end. PASS: the upper end of every
    feature ≤ `limit`. FAIL: the lower end of one > `limit`.
    """
    features = list(evidence.facts.get("features", []))
    if not features:
        return [
            finding(
                Outcome.INCONCLUSIVE,
                "no state feature is declared, so a shift cannot be told.",
                "`state:` in monitor.yaml, or `role: off` with a `because`",
                reason="no_state",
                metric="state_js",
            )
        ]
    judged = [
        at_most(
            f"shift (D_JS) of state feature {feature}",
            _told(evidence.estimate("state_js", feature)),
            float(params["limit"]),
            metric="state_js",
            key=feature,
            per_day=daily_volume(evidence.facts),
            remedy="a policy trained or validated on the state as it is now",
        )
        for feature in features
    ]
    worst = max(judged, key=lambda f: (f.outcome, f.high if math.isfinite(f.high) else math.inf))
    good = sum(f.outcome is Outcome.PASS for f in judged)
    counted = f"It is the worst of {len(features)}; {good} would pass."
    return [replace(worst, message=f"{worst.message} {counted}") if len(features) > 1 else worst]


def _told(shift: Estimate) -> Estimate:
    """A shift without an interval has too few days: it is jackknifed over days, from 7 on."""
    bare = shift.reason is None and math.isfinite(shift.value) and math.isnan(shift.low + shift.high)
    return replace(shift, reason="low_days") if bare else shift
