"""What is still needed for a PASS, as finished phrases: the reason's own, or a number of decisions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from monitor.metrics.estimate import Estimate

HOPELESS = 1e6
# reason of an estimate -> (why it is not judged, what is needed)
REASONS: dict[str, tuple[str, str]] = {
    "no_data": ("there are no decisions to tell it from", "decisions of this stage in the log"),
    "low_n": ("too few decisions", "more decisions"),
    "low_units": (
        "too few independent units",
        "decisions of more units, at least 10 groups of them, or 7 days of evidence",
    ),
    "first_look": (
        "it is too early for a look at it",
        "200 decisions or more in 20 groups of units or more, 1/1900 of `looks.tightest_at` at the least",
    ),
    "not_independent": (
        "it only holds for independent decisions",
        "`unit: decision` in monitor.yaml, if decisions really are independent",
    ),
    "policy_changes": (
        "it only holds for a policy that does not change while it is judged",
        "a log without `policy_version`, of a policy that stays as it is",
    ),
    "dropped_rows": ("it only holds where no decision was dropped", "a log of every decision"),
    "experiment_undeclared": (
        "no experiment is declared",
        "`experiment:` in monitor.yaml: the planned share of the candidate, since when, how many days",
    ),
    "low_days": ("too few days", "more days of evidence"),
    "low_ess": (
        "the effective sample size is too small",
        "more decisions, or a candidate nearer to the policy that was logged",
    ),
    "few_events": ("too few rewards other than 0", "more decisions with a reward other than 0"),
    "propensity": (
        "the mean weight is too far from 1: propensities are wrong, or actions lack support",
        "logged propensities that are right and above 0 wherever the candidate's are",
    ),
    "missing_propensity": (
        "propensities are missing",
        "a logged propensity with every decision, and the candidate's beside it",
    ),
    "no_support": (
        "the candidate gives probability to actions that the policy in control never takes there",
        "a candidate that stays within the actions of that policy, or a policy that takes them too",
    ),
    "no_candidate_distribution": (
        "it is not known what the candidate would do in each state",
        "`candidate_probs` with `actions` in monitor.yaml, or `candidate_action` drawn from the candidate, "
        "or `q_value` and `candidate_value`",
    ),
    "missing_cost": (
        "the cost of the constraint is unknown on more than 1 % of the decisions",
        "a logged cost with every decision, 0 where nothing was violated",
    ),
    "missing_episode": (
        "more than 1 % of the decisions name no episode",
        "an `episode_id` with every decision",
    ),
    "mixed_policies": (
        "more than 1 % of the episodes were controlled by several policies",
        "episodes that one policy controls from the first step to the last",
    ),
    "missing_critic": (
        "the critic's values are not known in more than 1 % of the episodes",
        "`q_value` and `candidate_value` with every decision",
    ),
    "overridden_episodes": (
        "in more than 1 % of the episodes a person took over, or a recommendation was not activated",
        "episodes that the policy in control decides from the first step to the last",
    ),
    "short_horizon": (
        "too much of the reward lies beyond the steps that can be told",
        "more episodes, shorter ones, or a candidate nearer to the policy that was logged",
    ),
    "missing_features": (
        "action, state, `candidate_probs` or reward is not known on more than 1 % of the steps",
        "these columns with every decision",
    ),
    "no_termination": (
        "no episode has terminated and rewards are not discounted",
        "`terminal` on last steps, or `reward.discount` under 1",
    ),
    "ill_conditioned": (
        "the model of the value cannot be told apart from others",
        "logged decisions for every action the candidate takes, and no two features that say the same",
    ),
    "missing_reward": (
        "in more than 1 % of the episodes a reward is not known",
        "a reward with every decision, or `missing_after_maturity: 0` where none means 0",
    ),
    "immature_reward": ("the rewards are not mature yet", "time for the rewards to mature"),
    "non_finite": ("it is not a finite number", "readings that are finite numbers"),
    "baseline_missing": ("there is no frozen baseline", "a baseline period that has closed and matured"),
    "stale": (
        "the newest decision is too old, or closed windows are not judged yet",
        "fresh decisions in the log, and `monitor run` (for a log that has ended: --as-of at its end)",
    ),
    "unusual_unknown": (
        "for more than 1 % of the decisions the baseline does not tell what is usual",
        "a baseline with at least 100 decisions of every segment, for continuous actions with some spread",
    ),
    "baseline_short": (
        "the baseline is too short for a trigger to fire",
        "a baseline of at least 168 windows, or another `baseline_windows` in the checklist",
    ),
    "no_recommendations": (
        "no recommendation of it beside the decisions of another policy is in the log",
        "its recommendations logged beside the decisions of others, as in shadow mode",
    ),
    "unread": (
        "a log file could not be read",
        "the file that `monitor run` names mended or taken away, then `monitor run`",
    ),
    "rejects": (
        "too many rows were rejected or had unusable fields",
        "a log whose rejected rows and unusable fields stay below `log.max_rejects`",
    ),
    "not_validated": (
        "a day of the evidence was not validated with Great Expectations",
        "`monitor run`, which validates what was not, or `expectations: {off: REASON}`",
    ),
    "unbounded_recommendations": (
        "more than 1 % of the recommendations do not name every dimension of the envelope",
        "`candidate_action_<dimension>` with every recommendation, for each dimension of the envelope",
    ),
    "no_state": (
        "no state feature is declared",
        "`state:` in monitor.yaml, or `role: off` with a `because`",
    ),
    "small_segments": (
        "every segment has too few decisions or too small an effective sample",
        "more decisions in at least one segment, or segments that are less fine",
    ),
    "outside_envelope": (
        "too many recommendations lie outside the envelope",
        "a candidate that recommends only what the envelope allows",
    ),
    "grade_b_unsigned": (
        "propensities are densities (evidence grade B), and nobody has signed for them",
        "`monitor attest` for the item by a person; it opens shadow mode only",
    ),
    "grade_b_disagrees": (
        "estimated propensities speak against what was signed",
        "logged propensities, or a candidate and an evaluation that agree with the log",
    ),
    "no_scenarios": (
        "no scenarios are declared",
        "`monitor scenarios mine --output scenarios.csv`, its labels, and `scenarios:` in monitor.yaml",
    ),
    "scenarios_refused": (
        "the file of scenarios was refused",
        "the row that is named put right; one bad row and no label is believed",
    ),
    "reward_unbound": (
        "the reward that the scenarios were labelled for is not declared",
        "`scenarios.reward` in monitor.yaml: the hash that `monitor scenarios mine` prints",
    ),
    "reward_definition_changed": (
        "the scenarios were labelled for another reward",
        "labels for the reward as it is now, then `scenarios.reward` with its hash",
    ),
    "few_scenarios": (
        "too few scenarios are labelled",
        "true or false under `acceptable` for more scenarios",
    ),
    "unlabelled_scenarios": (
        "scenarios among the highest have no label",
        "true or false under `acceptable` for those that are named",
    ),
    "no_outcomes": (
        "fewer than 10 scenarios have an outcome, or proxy or outcome is the same in all of them",
        "what really came of at least 10 different scenarios, under `outcome`",
    ),
    "unlike_baseline": (
        "proxy and outcome go together in the scenarios more than in the decisions",
        "scenarios in which the reward could be had without doing well",
    ),
    "no_constraint": (
        "no constraint is declared",
        "`constraints:` in monitor.yaml, or `role: off` with a `because` where there is nothing to keep",
    ),
    "algorithm_undeclared": (
        "the algorithm is not declared",
        "`training.algorithm` in monitor.yaml, with its `hyperparameters`",
    ),
    "hyperparameter_undeclared": (
        "the hyperparameter is not declared",
        "its value under `training.hyperparameters` in monitor.yaml",
    ),
    "no_usual_range": (
        "no usual range is known",
        "a person who looks at the training settings, and `role: off` with a `because`",
    ),
    "transitions_undeclared": (
        "the number of transitions is not declared",
        "`training.transitions` in monitor.yaml: how many the candidate was trained on",
    ),
    "behaviour_cloning_undeclared": (
        "a behaviour-cloning baseline is not declared",
        "`training.behaviour_cloning` in monitor.yaml: true or false",
    ),
    "trained_at_undeclared": (
        "the time of training is not declared",
        "`training.trained_at` in monitor.yaml: when the candidate was trained",
    ),
    "trained_in_future": (
        "the time of training lies after the time that is judged at",
        "`training.trained_at` put right, or a later --as-of",
    ),
    "rules_not_frozen": (
        "triggers and the level of acting were not written down when the stage was entered",
        "`monitor promote` or `monitor adopt` into this stage, which writes them down",
    ),
    "no_journal": (
        "it is told by the journal, and none was given",
        "`--journal FILE` with the journal.db of the store, or the gate where the store is",
    ),
}


def why(reason: str) -> str:
    """Why an estimate with `reason` is not judged; unknown reasons are told as they are."""
    return REASONS[reason][0] if reason in REASONS else reason.replace("_", " ")


def needed(reason: str) -> str:
    """What an estimate with `reason` needs to be judged."""
    return REASONS[reason][1] if reason in REASONS else f"an estimate without '{reason}'"


def more_decisions(estimate: Estimate, end: float, limit: float) -> float:
    """Decisions still needed until the interval's `end` reaches `limit`, were the value to stay.

    The width shrinks as 1/√n, so n·((end − value)/(limit − value))² − n; as 1/n where the other
    end is the value itself (no event seen yet). NaN where more data cannot bring the end there, or
    not in any time worth naming.
    """
    width, room = end - estimate.value, limit - estimate.value
    if not all(map(math.isfinite, (width, room, estimate.n))) or width * room <= 0:
        return math.nan
    power = 1 if estimate.value in (estimate.low, estimate.high) else 2
    if width / room > HOPELESS:
        return math.nan
    return max(1.0, math.ceil(round(estimate.n * ((width / room) ** power - 1), 6)))


def volume(more: float, per_day: float) -> str:
    """`about 11 400 more decisions, 38 days at your volume`; "" where `more` is not a number."""
    if not math.isfinite(more):
        return ""
    text = f"about {counted(_three_digits(more))} more decision{'s' if more > 1 else ''}"
    if not (math.isfinite(per_day) and per_day > 0):
        return text
    days = math.ceil(more / per_day)
    if days > 3650:
        return f"{text}, over 10 years at your volume"
    return f"{text}, {counted(days)} day{'s' if days > 1 else ''} at your volume"


def daily_volume(facts: Mapping[str, Any]) -> float:
    """Decisions a day, as the configuration's facts have it; NaN where it is not known."""
    return float(facts.get("decisions_per_day") or math.nan)


def counted(number: float) -> str:
    """A count with a space between thousands: 11 400."""
    return f"{number:,.0f}".replace(",", " ")


def shown(number: float) -> str:
    """A number for a sentence: four digits, thousands apart, `?` where there is none."""
    if not math.isfinite(number):
        return "?"
    return counted(number) if abs(number) >= 1000 else f"{number + 0.0:.4g}"


def _three_digits(number: float) -> float:
    return round(number, 2 - math.floor(math.log10(number))) if number >= 1000 else number
