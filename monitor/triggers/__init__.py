"""The registry of triggers: pure functions from readings to a firing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from monitor.metrics import METRICS
from monitor.metrics.estimate import Reading
from monitor.triggers import (
    bimodal_reward,
    constraint,
    e_detector,
    e_detector_cost,
    entropy_collapse,
    gaps,
    goodhart,
    log,
    missing_propensity,
    overdispersion,
    overrides,
    reward_deviation,
    reward_drop,
    single_row,
    state_shift,
    support,
    trend,
)
from monitor.triggers.context import Context, nothing
from monitor.triggers.firing import Firing
from monitor.triggers.numbers import Kind, Windows, numbers_of

Series = Mapping[str, Sequence[Reading]]


@dataclass(frozen=True, slots=True)
class Trigger:
    """A rule over windows and what it needs: the metrics it reads, the class of its parameters, how
    many trips (need, of) confirm it, and `facts`, the parameters that `triggers.yaml` does not set.

    The first metric tells what the rule watches. `letter_confirm` replaces `confirm` where
    `state["mode"]` is "letter" and windows are shorter than a day. `judged` tells windows that were
    looked at from those that were merged into a later one: only the former count in a confirmation;
    None where every window is judged. `escalates`: it only tells people and never rolls back. `daily`:
    it reads days instead of windows and is judged on the window that closes one. `baseline`: it asks for
    the readings of the baseline's own windows.
    """

    function: Callable[[Series, Any], Firing | None]
    metrics: tuple[str, ...]
    params: type
    confirm: tuple[int, int]
    facts: Callable[[Context], Mapping[str, Any]] = nothing
    letter_confirm: tuple[int, int] | None = None
    judged: Callable[[Series, Any], bool] | None = None
    escalates: bool = False
    daily: bool = False
    baseline: bool = False

    @property
    def per(self) -> str:
        """What the rule watches, each on its own: policy, constraint, feature, pair or the log as a whole."""
        return METRICS[self.metrics[0]].per

    @property
    def matures(self) -> bool:
        """Whether it waits for rewards to mature."""
        return any(METRICS[metric].matures for metric in self.metrics)

    @property
    def outcome(self) -> bool:
        """Whether it waits for outcomes too."""
        return any(METRICS[metric].outcome for metric in self.metrics)

    @property
    def family(self) -> str:
        """The family of sums behind it."""
        return METRICS[self.metrics[0]].families[0]

    @property
    def numbers(self) -> Mapping[str, Kind]:
        """What `triggers.yaml` sets: numbers of the rule and of its confirmation."""
        letter = {"confirm_letter": Windows()} if self.letter_confirm else {}
        return {**numbers_of(self.params), "confirm": Windows(), **letter}

    def confirmation(self, firing: Firing) -> tuple[int, int]:
        """(need, of) for the mode that `firing` was made in."""
        short = firing.window_end - firing.window_start < timedelta(hours=24)
        if self.letter_confirm and firing.state.get("mode") == "letter" and short:
            return self.letter_confirm
        return self.confirm


TRIGGERS: dict[str, Trigger] = {
    "reward_drop": Trigger(
        reward_drop.reward_drop,
        ("reward_mean", "reward_sd"),
        reward_drop.RewardDropParams,
        (3, 4),
        reward_drop.facts,
        letter_confirm=(3, 3),
        judged=reward_drop.judged,
    ),
    "constraint": Trigger(
        constraint.constraint,
        ("violation_rate", "mean_cost", "episode_cost"),
        constraint.ConstraintParams,
        (1, 1),
        constraint.facts,
    ),
    "state_shift": Trigger(
        state_shift.state_shift,
        ("state_js", "state_js_p", "state_js_limit"),
        state_shift.StateShiftParams,
        (2, 3),
        state_shift.facts,
    ),
    "reward_deviation": Trigger(
        reward_deviation.reward_deviation,
        ("reward_mean", "reward_sd"),
        reward_deviation.RewardDeviationParams,
        (2, 3),
        reward_deviation.facts,
        judged=reward_deviation.judged,
        baseline=True,
    ),
    "e_detector": Trigger(
        e_detector.e_detector,
        ("reward_mean", "reward_sd"),
        e_detector.EDetectorParams,
        (1, 1),
        e_detector.facts,
        escalates=True,
        baseline=True,
    ),
    "e_detector_cost": Trigger(
        e_detector_cost.e_detector_cost,
        ("violation_rate",),
        e_detector_cost.CostDetectorParams,
        (1, 1),
        e_detector_cost.facts,
        escalates=True,
        baseline=True,
    ),
    "constraint_trend": Trigger(
        trend.constraint_trend,
        ("violation_rate",),
        trend.TrendParams,
        (1, 1),
        trend.constraints,
        escalates=True,
        daily=True,
    ),
    "disagreement": Trigger(
        trend.disagreement, ("disagreement",), trend.TrendParams, (1, 1), escalates=True, daily=True
    ),
    "entropy_collapse": Trigger(
        entropy_collapse.entropy_collapse,
        ("action_entropy", "top_action_share"),
        entropy_collapse.EntropyCollapseParams,
        (2, 3),
        entropy_collapse.facts,
        escalates=True,
        baseline=True,
    ),
    "bimodal_reward": Trigger(
        bimodal_reward.bimodal_reward,
        ("reward_dip", "reward_dip_p"),
        bimodal_reward.BimodalRewardParams,
        (2, 3),
        bimodal_reward.facts,
        escalates=True,
        baseline=True,
    ),
    "overdispersion": Trigger(
        overdispersion.overdispersion,
        ("overdispersion_units",),
        overdispersion.OverdispersionParams,
        (1, 1),
        overdispersion.facts,
        escalates=True,
        daily=True,
        baseline=True,
    ),
    "goodhart_gap": Trigger(
        goodhart.goodhart_gap,
        ("goodhart_gap",),
        goodhart.GoodhartParams,
        (1, 1),
        goodhart.facts,
        escalates=True,
        daily=True,
        baseline=True,
    ),
    "model_gap": Trigger(
        gaps.model_gap,
        ("model_gap",),
        gaps.GapParams,
        (2, 3),
        gaps.model_facts,
        escalates=True,
        baseline=True,
    ),
    "critic_gap": Trigger(
        gaps.critic_gap,
        ("critic_gap",),
        gaps.GapParams,
        (2, 3),
        gaps.critic_facts,
        escalates=True,
        baseline=True,
    ),
    "overrides": Trigger(
        overrides.overrides,
        ("override_rate",),
        overrides.OverridesParams,
        (2, 3),
        overrides.facts,
        escalates=True,
        baseline=True,
    ),
    "recommendation_collapse": Trigger(
        entropy_collapse.recommendation_collapse,
        ("top_recommended_share",),
        entropy_collapse.RecommendationCollapseParams,
        (2, 3),
        escalates=True,
    ),
    "missing_propensity": Trigger(
        missing_propensity.missing_propensity,
        ("unlogged_propensity_share",),
        missing_propensity.MissingPropensityParams,
        (2, 3),
        missing_propensity.facts,
        escalates=True,
        baseline=True,
    ),
    "support": Trigger(
        support.support,
        ("missing_propensity_share", "weight_mean", "ess"),
        support.SupportParams,
        (2, 3),
        escalates=True,
    ),
    "stale": Trigger(log.stale, ("unusable_share",), log.StaleParams, (2, 3), log.gap, escalates=True),
    "rejects": Trigger(
        log.rejects, ("unusable_share",), log.RejectsParams, (2, 3), log.allowed, escalates=True
    ),
}
# Every trigger that `triggers.yaml` may list, with its numbers: those above and the rules of a single row.
NUMBERS: dict[str, Mapping[str, Kind]] = {
    **{name: row.numbers for name, row in TRIGGERS.items()},
    **{
        name: {"confirm": Windows()} for name in single_row.TRIGGER_OF_RULE.values() if name not in TRIGGERS
    },
}
