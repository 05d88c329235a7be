"""What several formats say in the same words."""

from __future__ import annotations

from collections import Counter

from gates.evaluate import STORE, RecordedFiring, Verdict
from gates.outcome import Finding, Outcome

HOLDING = (Outcome.INCONCLUSIVE, Outcome.NO_DATA)


def headline(verdict: Verdict) -> str:
    """Outcome, stage, policy and time in one line."""
    about = f"{verdict.outcome.name} {verdict.stage} of {verdict.policy}"
    read = f", from {verdict.scope}" if verdict.scope != STORE else ""
    return f"{about} as of {verdict.as_of:%Y-%m-%d %H:%M} UTC{read}"


def calling_for_rollback(verdict: Verdict) -> list[RecordedFiring]:
    """The firings that make the exit code 5, of each rule and policy the newest."""
    calling = [f for f in verdict.firings if f.confirmed and f.action == "rollback"]
    return list({(f.trigger, f.key, f.policy): f for f in calling}.values())


def sentence(found: Finding) -> str:
    """What a finding says, who lets it pass, and what it needs."""
    let_pass = f" Waived {found.waived}." if found.waived else ""
    return f"{found.message}{let_pass}" + (f" Needs: {found.needs}." if found.needs else "")


def names(verdict: Verdict) -> list[str]:
    """What each finding is called: its item, with metric and key where that says more than one thing."""
    items = Counter(f.item for f in verdict.findings)
    return [
        " ".join(filter(None, [f.item, f.metric, f.key] if items[f.item] > 1 else [f.item]))
        for f in verdict.findings
    ]


def called(firing: RecordedFiring) -> str:
    """What a firing that called for a rollback is called."""
    return f"rollback {firing.trigger} {firing.key}".strip()
