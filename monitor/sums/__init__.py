"""Sums of decisions by hour: the only thing that scales with the log.

Each family is one file, one SELECT and one table, and obeys one law:
merge(state(A), state(B)) == state(A ∪ B).
"""

from monitor.sums import (
    action,
    action_step,
    clips,
    constraint,
    critic,
    critic_sample,
    episode,
    exploration,
    fqe,
    goodhart,
    goodhart_sample,
    groups,
    model,
    offpolicy,
    overrides,
    pair,
    quality,
    returns,
    reward,
    reward_age,
    sample,
    sequential,
    state,
    state_sample,
    units,
)
from monitor.sums.family import Family

FAMILIES: dict[str, Family] = {
    "reward": reward.FAMILY,
    "episode": episode.FAMILY,
    "constraint": constraint.FAMILY,
    "action": action.FAMILY,
    "state": state.FAMILY,
    "state_sample": state_sample.FAMILY,
    "pair": pair.FAMILY,
    "offpolicy": offpolicy.FAMILY,
    "sequential": sequential.FAMILY,
    "fqe": fqe.FAMILY,
    "returns": returns.FAMILY,
    "weighted_returns": returns.WEIGHTED,
    "sample": sample.FAMILY,
    "units": units.FAMILY,
    "unit_rewards": groups.UNIT_REWARDS,
    "segment_rewards": groups.SEGMENT_REWARDS,
    "reward_age": reward_age.FAMILY,
    "quality": quality.FAMILY,
    "overrides": overrides.FAMILY,
    "clips": clips.FAMILY,
    "exploration": exploration.FAMILY,
    "critic": critic.FAMILY,
    "critic_sample": critic_sample.FAMILY,
    "goodhart": goodhart.FAMILY,
    "goodhart_sample": goodhart_sample.FAMILY,
    "model": model.FAMILY,
    "action_step": action_step.FAMILY,
}
