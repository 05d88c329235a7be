"""Item by item: can it pass with these logs, what does it need, or can it never pass and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gates.checklist import load
from gates.stages import STAGES
from monitor.config import Config

Can = Literal["can pass", "needs", "never", "off"]
NUMBERS = {
    "held_out_value": "1", "beats_baseline": "2", "constraint_value": "2", "reward_hacking": "3",
    "worst_case": "4", "recommendations_logged": "5", "disagreement": "6", "large_disagreement": "7",
    "review": "7", "duration_and_coverage": "8", "blast_radius": "9", "override_ready": "10",
    "dashboard_fresh": "11", "hard_constraints": "12", "ab_test": "13", "offline_online_gap": "13",
    "continuous_monitoring": "14", "state_shift": "15", "offline_reevaluation": "16", "rollback_armed": "17",
    "on_call_path": "18", "red_team": "19",
}  # fmt: skip
SIGNAL = "a signal: shown, decides nothing"
GRADE_C = (
    "no propensities are logged (evidence grade C): it needs a sign-off on a model-based or external "
    "evaluation, which may open shadow mode only"
)


@dataclass(frozen=True)
class Known:
    """What is known of the logs: the configuration, the columns that hold data, decisions a day."""

    config: Config
    has: frozenset[str]
    per_day: float


@dataclass(frozen=True)
class ItemRow:
    """One item of one stage; `number` is '' for what is also codified beside the nineteen."""

    number: str
    stage: str
    item: str
    can: Can
    why: str


def item_rows(known: Known, checklists: Path | None = None) -> list[ItemRow]:
    """Every item of every stage, in the order of the checklists."""
    rows = []
    for stage in STAGES:
        for item in load(stage, checklists).items:
            can, why = _judged(item.check, known)
            if item.role == "off":
                can, why = "off", item.because
            elif item.role == "signal":
                why = f"{why}; {SIGNAL}" if can == "needs" else SIGNAL
            rows.append(ItemRow(NUMBERS.get(item.check, ""), stage, item.item, can, why))
    return rows


def table(rows: Iterable[ItemRow]) -> list[str]:
    """The rows as lines, aligned, the number of the item first."""
    listed = list(rows)
    wide = max((len(r.item) for r in listed), default=0)
    lines, stage = [], ""
    for row in listed:
        if row.stage != stage:
            stage = row.stage
            lines.append(stage.replace("_", " "))
        lines.append(f"  {row.number or '·':>2} {row.item:<{wide}}  {row.can:<8}  {row.why}".rstrip())
    return lines


def _judged(check: str, known: Known) -> tuple[Can, str]:
    never, needs = NEEDS.get(check, (_nothing, _nothing))
    reason = never(known)
    if reason:
        return "never", reason[0]
    lacks = needs(known)
    return ("needs", "; ".join(lacks)) if lacks else ("can pass", PASSES.get(check, ""))


def _nothing(known: Known) -> list[str]:
    return []


def _no_propensity(known: Known) -> list[str]:
    return [] if "propensity" in known.has else [GRADE_C]


def _off_policy(known: Known) -> list[str]:
    lacks = _rewards(known)
    if "candidate_propensity" not in known.has:
        lacks.append("candidate_propensity: the candidate's probability of the executed action")
    return lacks


def _held_out(known: Known) -> list[str]:
    config = known.config
    declared = {"training": config.training, "held_out": config.held_out}
    return _off_policy(known) + [f"`{name}:` declared" for name, value in declared.items() if value is None]


def _rewards(known: Known) -> list[str]:
    return [] if "reward" in known.has else ["a reward"]


def _experiment(known: Known) -> list[str]:
    return _rewards(known) + ([] if known.config.experiment else ["`experiment:` declared"])


def _recommended(known: Known) -> list[str]:
    if any(c.startswith("candidate_") and c != "candidate_id" for c in known.has):
        return _lacking_dimensions(known)
    return ["the candidate's recommendations beside the decisions (candidate_action)"]


def _compared(known: Known) -> list[str]:
    action = any(c == "action" or (c.startswith("action_") and c != "action_probs") for c in known.has)
    proposed = any(c.startswith("candidate_action") for c in known.has)
    lacks = [] if action else ["action"]
    return lacks + (_lacking_dimensions(known) if proposed else ["candidate_action: what it would have done"])


def _lacking_dimensions(known: Known) -> list[str]:
    """A recommendation of a continuous action counts where it names every dimension."""
    named = "candidate_action" in known.has or not known.config.action_dims
    names = [f"candidate_action_{d}" for d in known.config.action_dims]
    return [] if named else [f"{n}: every dimension is recommended" for n in names if n not in known.has]


def _usual(known: Known) -> list[str]:
    return _compared(known) + _baseline(known)


def _baseline(known: Known) -> list[str]:
    return [] if known.config.baseline else ["`baseline:` declared, with at least 1 000 decisions"]


def _hard(known: Known) -> list[str]:
    config = known.config
    return [] if config.hard or config.envelope else ["a constraint with `hard: true`, or an `envelope`"]


def _constraints(known: Known) -> list[str]:
    return _off_policy(known) + ([] if known.config.constraints else ["`constraints:` declared"])


def _states(known: Known) -> list[str]:
    return ([] if known.config.state.features else ["`state:` with at least one feature"]) + _baseline(known)


def _scenarios(known: Known) -> list[str]:
    lacks = [c for c in ("proxy_reward", "outcome") if c not in known.has]
    return lacks + ([] if known.config.scenarios else ["`scenarios:` declared, labelled by people"])


def _armed(known: Known) -> list[str]:
    return ["`monitor arm rollback --reason …`"] if known.config.acting != "rollback" else []


def _event(what: str) -> Callable[[Known], list[str]]:
    return lambda _: [what]


def _signed(item: str) -> Callable[[Known], list[str]]:
    return lambda _: [f"a person: `monitor attest --item {item}`"]


def _proposed(known: Known) -> list[str]:
    return [] if any(c.startswith("proposed_action") for c in known.has) else ["proposed_action"]


# check -> (why it can never pass with these logs, what it needs first)
NEEDS: dict[str, tuple[Callable[[Known], list[str]], Callable[[Known], list[str]]]] = {
    "held_out_value": (_no_propensity, _held_out),
    "beats_baseline": (_no_propensity, _off_policy),
    "constraint_value": (_no_propensity, _constraints),
    "reward_hacking": (_nothing, _scenarios),
    "worst_case": (_no_propensity, _off_policy),
    "recommendations_logged": (_nothing, _recommended),
    "disagreement": (_nothing, _compared),
    "large_disagreement": (_nothing, _usual),
    "review": (_nothing, _signed("review")),
    "duration_and_coverage": (_nothing, lambda k: _recommended(k) + _baseline(k)),
    "override_ready": (_nothing, _event("a drill of the manual override")),
    "dashboard_fresh": (_nothing, _event("a dashboard that answers, and `monitor schedule`")),
    "hard_constraints": (_nothing, lambda k: [*_hard(k), "a drill of the automatic rollback"]),
    "ab_test": (_nothing, _experiment),
    "offline_online_gap": (_no_propensity, _rewards),
    "state_shift": (_nothing, _states),
    "offline_reevaluation": (_no_propensity, _off_policy),
    "rollback_armed": (_nothing, lambda k: [*_armed(k), "a drill of the automatic rollback"]),
    "on_call_path": (_nothing, _event("a test page that somebody acknowledges")),
    "red_team": (_nothing, _signed("red_team")),
    "exploration": (
        _nothing,
        lambda k: [f"{n} with every decision" for n in ("action_probs", "propensity") if n not in k.has],
    ),
    "safety_layer": (_nothing, _proposed),
    "support": (_no_propensity, _off_policy),
}
PASSES = {
    "blast_radius": "on the last step of the ramp, while it decides where and as often as it may",
    "continuous_monitoring": "after a week in which `monitor run` came at least once a window",
    "duration_and_coverage": "after its days of shadow mode without a gap",
    "data_contract": "while rejected rows and unusable fields stay under log.max_rejects",
    "hard_constraints": "while nothing is violated",
    "ab_test": "after the days of an experiment in which the candidate is not worse",
    "frozen_rules": "once it was promoted, while triggers.yaml and the level of acting stay as they are",
    "offline_online_gap": "if the live mean lies in the interval of the last offline verdict",
    "held_out_value": "if the candidate's value holds on held-out decisions",
    "reward_hacking": "if none of the labelled scenarios of highest proxy reward is unacceptable",
    "constraint_value": "if the candidate would keep every constraint",
    "worst_case": "if the candidate is not worse in the tails and in any segment",
    "beats_baseline": "with enough decisions of a candidate that is better",
}
