"""The check that stands in for those that are codified and not built yet: it never passes."""

from __future__ import annotations

from gates.checks.check import Params
from gates.evidence import Evidence
from gates.needs import needed
from gates.outcome import Finding, Outcome, finding


def not_built(params: Params, evidence: Evidence) -> list[Finding]:
    """One finding, INCONCLUSIVE `not_built`, whatever the evidence."""
    message = f"not built yet: this version cannot judge {params['item']}."
    return [finding(Outcome.INCONCLUSIVE, message, needed("not_built"), reason="not_built")]
