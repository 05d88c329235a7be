"""Are the rules that guard a live policy still those it entered its stage with?"""

from __future__ import annotations

from gates.checks.check import Params
from gates.evidence import Evidence
from gates.needs import needed
from gates.outcome import Finding, Outcome, finding
from gates.stages import short_name

# name -> how it is told
FROZEN = {"triggers_hash": "triggers.yaml", "acting": "the level of acting"}


def frozen_rules(params: Params, evidence: Evidence) -> list[Finding]:
    """Triggers and the level of acting are those that were written down when the stage was entered.

    The fact `frozen`: {"triggers_hash", "acting"} as they were then, and the same names with `_now`. PASS:
    both are the same. INCONCLUSIVE: `rules_changed`, or `rules_not_frozen` where nothing was written down.
    """
    fact = evidence.facts.get("frozen") or {}
    command = f"`monitor promote --to {short_name(evidence.stage)}`"
    if not all(fact.get(name) and fact.get(f"{name}_now") for name in FROZEN):
        message = f"triggers and the level of acting were not written down when {evidence.policy} entered."
        return [finding(Outcome.INCONCLUSIVE, message, needed("rules_not_frozen"), reason="rules_not_frozen")]
    changed = [told for name, told in FROZEN.items() if fact[name] != fact[f"{name}_now"]]
    if changed:
        was = ", ".join(f"{name} {fact[name]}, now {fact[f'{name}_now']}" for name in FROZEN)
        message = f"{' and '.join(changed)} changed since {evidence.policy} entered this stage ({was})."
        needs = f"{command} again, which writes the new ones down, or the old ones put back"
        return [finding(Outcome.INCONCLUSIVE, message, needs, reason="rules_changed")]
    message = f"triggers ({fact['triggers_hash']}) and acting ({fact['acting']}) are those it entered with."
    return [finding(Outcome.PASS, message)]
