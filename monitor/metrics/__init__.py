"""The registry of metrics: pure functions from sums to an estimate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from monitor.metrics import (
    ab,
    actions,
    bernstein,
    candidate_returns,
    clipped,
    comparison,
    constraint,
    control,
    disagreement,
    divergence,
    doubly,
    entropy,
    episode,
    fitted,
    fqe,
    gaps,
    joint,
    modes,
    offpolicy,
    overdispersion,
    quality,
    quantiles,
    reward,
    reward_age,
    sequential,
    shape,
    tail,
    worst,
)
from monitor.metrics.estimate import Estimate
from monitor.metrics.sums import Settings, Sums


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric and what it needs: the families of sums it reads, what it is measured for, and
    whether it waits until rewards have matured. `units` may be left out of the states: shares are
    then bounded by the number of buckets, which is wider. `windows` False: no reading is made of it for
    each window; it is computed when a gate, an evaluation or a report asks. `days`: a reading is made of
    it for each UTC day. `outcome`: what triggers make of it waits for outcomes too. `per`: what a value
    is about, beside its policy; "cost" is a constraint measured by its mean cost, "predicted" a feature
    that a model predicts, "action" the action as a whole and each of its dimensions, "decile" a tenth,
    "state_tail" the outermost tenth of a numeric feature on one side."""

    function: Callable[[Mapping[str, Sums], Settings], Estimate]
    families: tuple[str, ...]
    per: Literal[
        "policy", "pair", "log", "constraint", "cost", "episode", "feature", "predicted", "dimension",
        "action", "decile", "age", "week", "pair_constraint", "segment", "state_tail",
    ]  # fmt: skip
    matures: bool
    windows: bool = True
    days: bool = False
    outcome: bool = False


RETURNS = ("returns", "sample", "episode")
WEIGHTED_RETURNS = ("weighted_returns", "sequential")
DISTRIBUTION = ("pair_sample", "offpolicy")
DOUBLY = ("offpolicy", "valued", "ridge", "gram")
METRICS: dict[str, Metric] = {
    "unusable_share": Metric(quality.unusable_share, ("quality",), "log", False),
    "reward_mean": Metric(reward.reward_mean, ("reward", "units"), "policy", True),
    "reward_sd": Metric(reward.reward_sd, ("reward",), "policy", True),
    "reward_q05": Metric(reward.reward_q05, ("sample",), "policy", True, windows=False),
    "reward_q25": Metric(reward.reward_q25, ("sample",), "policy", True, windows=False),
    "reward_q50": Metric(reward.reward_q50, ("sample",), "policy", True, windows=False),
    "reward_q75": Metric(reward.reward_q75, ("sample",), "policy", True, windows=False),
    "reward_q95": Metric(reward.reward_q95, ("sample",), "policy", True, windows=False),
    "reward_bounded": Metric(bernstein.reward_bounded, ("reward",), "policy", True, windows=False),
    "return_mean": Metric(episode.return_mean, ("episode", "reward", "units"), "policy", True),
    "return_sd": Metric(episode.return_sd, ("episode", "reward"), "policy", True),
    "return_skewness": Metric(episode.return_skewness, ("episode", "reward"), "policy", True, windows=False),
    "return_kurtosis": Metric(episode.return_kurtosis, ("episode", "reward"), "policy", True, windows=False),
    "return_q05": Metric(episode.return_q05, RETURNS, "policy", True, windows=False),
    "return_q25": Metric(episode.return_q25, RETURNS, "policy", True, windows=False),
    "return_q50": Metric(episode.return_q50, RETURNS, "policy", True, windows=False),
    "return_q75": Metric(episode.return_q75, RETURNS, "policy", True, windows=False),
    "return_q95": Metric(episode.return_q95, RETURNS, "policy", True, windows=False),
    "return_cvar10": Metric(episode.return_cvar10, RETURNS, "policy", True, windows=False),
    "episode_cost": Metric(episode.episode_cost, ("episode_cost", "episode"), "episode", False),
    "episode_length": Metric(episode.episode_length, ("episode", "reward"), "policy", True, windows=False),
    "truncated_share": Metric(episode.truncated_share, ("episode", "reward"), "policy", True, windows=False),
    "reward_q99": Metric(reward.reward_q99, ("sample",), "policy", True, windows=False),
    "immature_share": Metric(reward.immature_share, ("reward",), "policy", False),
    "reward_cvar10": Metric(quantiles.reward_cvar10, ("sample",), "policy", True, windows=False),
    "reward_skewness": Metric(shape.reward_skewness, ("reward",), "policy", True, windows=False),
    "reward_kurtosis": Metric(shape.reward_kurtosis, ("reward",), "policy", True, windows=False),
    "sarle": Metric(shape.sarle, ("reward",), "policy", True, windows=False),
    "reward_dip": Metric(modes.reward_dip, ("sample",), "policy", True),
    "reward_dip_p": Metric(modes.reward_dip_p, ("sample",), "policy", True),
    "overdispersion_units": Metric(
        overdispersion.overdispersion_units, ("reward", "unit_rewards"), "policy", True, windows=False,
        days=True,
    ),
    "overdispersion_segments": Metric(
        overdispersion.overdispersion_segments, ("reward", "segment_rewards"), "policy", True, windows=False
    ),
    "overdispersion_hours": Metric(
        overdispersion.overdispersion_hours, ("reward",), "policy", True, windows=False
    ),
    "reward_at_age": Metric(reward_age.reward_at_age, ("reward_age",), "age", False, windows=False),
    "violation_rate": Metric(constraint.violation_rate, ("constraint", "units"), "constraint", False),
    "mean_cost": Metric(constraint.mean_cost, ("constraint",), "cost", False),
    "constraint_pressure": Metric(
        constraint.constraint_pressure, ("constraint", "episode_cost"), "constraint", False, windows=False
    ),
    "override_rate": Metric(control.override_rate, ("overrides", "units"), "policy", False),
    "clip_rate": Metric(control.clip_rate, ("clips", "units"), "action", False, windows=False),
    "state_js": Metric(divergence.state_js, ("state", "baseline"), "feature", False),
    "state_js_raw": Metric(divergence.state_js_raw, ("state", "baseline"), "feature", False),
    "state_js_p": Metric(divergence.state_js_p, ("state", "baseline"), "feature", False),
    "state_js_limit": Metric(divergence.state_js_limit, ("state", "baseline"), "feature", False),
    "state_joint_js": Metric(
        joint.state_joint_js, ("state_sample", "baseline_sample"), "policy", False, windows=False
    ),
    "action_entropy": Metric(entropy.action_entropy, ("action",), "policy", False),
    "action_entropy_ratio": Metric(entropy.action_entropy_ratio, ("action",), "policy", False),
    "top_action_share": Metric(entropy.top_action_share, ("action",), "policy", False),
    "unlogged_propensity_share": Metric(entropy.unlogged_propensity_share, ("action",), "policy", False),
    "effective_actions": Metric(actions.effective_actions, ("action",), "policy", False, windows=False),
    "never_taken_actions": Metric(actions.never_taken_actions, ("action",), "policy", False, windows=False),
    "exploration_rate": Metric(
        actions.exploration_rate, ("exploration", "units"), "policy", False, windows=False
    ),
    "exploration_cost": Metric(actions.exploration_cost, ("exploration",), "policy", True, windows=False),
    "action_step": Metric(gaps.action_step, ("action_step",), "dimension", False, windows=False),
    "model_gap": Metric(gaps.model_gap, ("model",), "predicted", False),
    "critic_gap": Metric(gaps.critic_gap, ("critic",), "policy", True),
    "critic_gap_by_support": Metric(
        gaps.critic_gap_by_support, ("critic_sample",), "decile", True, windows=False
    ),
    "goodhart_gap": Metric(gaps.goodhart_gap, ("goodhart",), "policy", True, outcome=True),
    "goodhart_rank": Metric(gaps.goodhart_rank, ("goodhart_sample",), "policy", True, windows=False,
                            outcome=True),
    "recommended_share": Metric(disagreement.recommended_share, ("pair", "reward"), "pair", False),
    "top_recommended_share": Metric(entropy.top_recommended_share, ("recommended",), "pair", False),
    "disagreement": Metric(disagreement.disagreement, ("pair", "units"), "pair", False),
    "self_disagreement": Metric(disagreement.self_disagreement, ("pair",), "pair", False),
    "large_disagreement": Metric(disagreement.large_disagreement, ("pair", "units"), "pair", False),
    "cross_disagreement": Metric(comparison.cross_disagreement, ("pair",), "pair", False, windows=False),
    "total_variation": Metric(comparison.total_variation, ("pair",), "pair", False, windows=False),
    "kl_safe": Metric(comparison.kl_safe, ("pair",), "pair", False, windows=False),
    "ips": Metric(offpolicy.ips, ("offpolicy",), "pair", True),
    "snips": Metric(offpolicy.snips, ("offpolicy", "units"), "pair", True),
    "lift": Metric(offpolicy.lift, ("offpolicy",), "pair", True),
    "ips_bounded": Metric(bernstein.ips_bounded, ("offpolicy",), "pair", True, windows=False),
    "ess": Metric(offpolicy.ess, ("offpolicy",), "pair", True),
    "ess_share": Metric(offpolicy.ess_share, ("offpolicy",), "pair", True),
    "weight_mean": Metric(offpolicy.weight_mean, ("offpolicy",), "pair", True),
    "weight_mean_z": Metric(offpolicy.weight_mean_z, ("offpolicy",), "pair", True),
    "weight_max": Metric(offpolicy.weight_max, ("offpolicy",), "pair", True),
    "weight_max_share": Metric(offpolicy.weight_max_share, ("offpolicy",), "pair", True),
    "weight_over_10_share": Metric(offpolicy.weight_over_10_share, ("offpolicy",), "pair", True),
    "missing_propensity_share": Metric(offpolicy.missing_propensity_share, ("offpolicy",), "pair", True),
    "pdis": Metric(sequential.pdis, ("sequential",), "pair", True, windows=False),
    "snpdis": Metric(sequential.snpdis, ("sequential",), "pair", True, windows=False),
    "sequential_dr": Metric(sequential.sequential_dr, ("sequential",), "pair", True, windows=False),
    "fqe": Metric(fqe.fqe, ("fqe",), "pair", True, windows=False),
    "sequential_dr_model": Metric(
        fqe.sequential_dr_model, ("fqe", "sequential"), "pair", True, windows=False
    ),
    "candidate_return_q05": Metric(
        candidate_returns.candidate_return_q05, WEIGHTED_RETURNS, "pair", True, windows=False
    ),
    "candidate_return_q50": Metric(
        candidate_returns.candidate_return_q50, WEIGHTED_RETURNS, "pair", True, windows=False
    ),
    "candidate_return_q95": Metric(
        candidate_returns.candidate_return_q95, WEIGHTED_RETURNS, "pair", True, windows=False
    ),
    "candidate_return_cvar10": Metric(
        candidate_returns.candidate_return_cvar10, WEIGHTED_RETURNS, "pair", True, windows=False
    ),
    "trajectory_ess": Metric(sequential.trajectory_ess, ("sequential",), "pair", True, windows=False),
    "horizon": Metric(sequential.horizon, ("sequential",), "pair", True, windows=False),
    "clipped_ips": Metric(clipped.clipped_ips, ("clipped", "offpolicy"), "pair", True, windows=False),
    "clipped_ips_bias": Metric(clipped.clipped_ips_bias, ("clipped",), "pair", True, windows=False),
    "cressie_read": Metric(clipped.cressie_read, ("offpolicy",), "pair", True, windows=False),
    "unsupported_share": Metric(clipped.unsupported_share, ("clipped",), "pair", True, windows=False),
    "offpolicy_cost": Metric(
        clipped.offpolicy_cost, ("offpolicy_cost", "offpolicy", "units", "sequential_cost"),
        "pair_constraint", True, windows=False,
    ),
    "dm": Metric(doubly.dm, DOUBLY, "pair", True, windows=False),
    "dr": Metric(doubly.dr, DOUBLY, "pair", True, windows=False),
    "sndr": Metric(doubly.sndr, DOUBLY, "pair", True, windows=False),
    "switch_dr": Metric(doubly.switch_dr, DOUBLY, "pair", True, windows=False),
    "dros": Metric(doubly.dros, DOUBLY, "pair", True, windows=False),
    "snips_dr_difference": Metric(doubly.snips_dr_difference, DOUBLY, "pair", True, windows=False),
    "offpolicy_q05": Metric(tail.offpolicy_q05, DISTRIBUTION, "pair", True, windows=False),
    "offpolicy_q50": Metric(tail.offpolicy_q50, DISTRIBUTION, "pair", True, windows=False),
    "offpolicy_q95": Metric(tail.offpolicy_q95, DISTRIBUTION, "pair", True, windows=False),
    "offpolicy_cvar10": Metric(tail.offpolicy_cvar10, DISTRIBUTION, "pair", True, windows=False),
    "segment_lift": Metric(worst.segment_lift, ("segments", "offpolicy"), "segment", True, windows=False),
    "segment_ess": Metric(worst.segment_ess, ("segments",), "segment", True, windows=False),
    "state_tail_lift": Metric(
        worst.state_tail_lift, ("tails", "offpolicy"), "state_tail", True, windows=False
    ),
    "state_tail_outside": Metric(worst.state_tail_outside, ("tails",), "state_tail", False, windows=False),
    "recommended_outside": Metric(worst.recommended_outside, ("pair", "units"), "pair", False, windows=False),
    "worst_episodes_lift": Metric(
        worst.worst_episodes_lift, ("returns", *WEIGHTED_RETURNS), "pair", True, windows=False
    ),
    "worst_episodes_outside": Metric(
        worst.worst_episodes_outside, ("returns", *WEIGHTED_RETURNS), "pair", True, windows=False
    ),
    "pareto_k": Metric(tail.pareto_k, ("largest",), "pair", True, windows=False),
    "estimated_snips": Metric(fitted.estimated_snips, ("taken",), "pair", True, windows=False),
    "estimated_snips_low": Metric(fitted.estimated_snips_low, ("taken",), "pair", True, windows=False),
    "estimated_snips_high": Metric(fitted.estimated_snips_high, ("taken",), "pair", True, windows=False),
    "propensity_calibration": Metric(
        fitted.propensity_calibration, ("taken",), "pair", True, windows=False
    ),
    "sample_ratio_e": Metric(ab.sample_ratio_e, ("exposure",), "policy", False, windows=False),
    "units_in_both": Metric(ab.units_in_both, ("exposure",), "policy", False, windows=False),
    "traffic_p": Metric(ab.traffic_p, ("exposure", "baseline"), "feature", False, windows=False),
    "ab_lift": Metric(ab.ab_lift, ("arm",), "policy", True, windows=False),
    "matched_lift": Metric(ab.matched_lift, ("arm",), "policy", True, windows=False),
    "ab_lift_later": Metric(ab.ab_lift_later, ("exposure",), "policy", True, windows=False),
    "ab_lift_week": Metric(ab.ab_lift_week, ("exposure",), "week", True, windows=False),
    "novelty": Metric(ab.novelty, ("exposure",), "policy", True, windows=False),
    "control_moved": Metric(ab.control_moved, ("arm",), "policy", True, windows=False),
}
