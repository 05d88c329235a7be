"""Rewards of the two arms of an experiment by hour and bucket, and of the control before it began.

All rows carry the candidate's name as `policy_id`, so that an estimate for it has both arms at hand;
`who` is the policy that decided.
"""

from __future__ import annotations

from monitor.config import Config
from monitor.store import literal
from monitor.sums.family import Family, Frozen, number, reward, texts

BEFORE_HOURS = 14 * 24


def rows(config: Config, columns: str, back: int = 0) -> str:
    """SQL of the decisions of both arms with `columns`, from `back` hours before the experiment on. `arm`
    is candidate, control, or before (the control's until the experiment began)."""
    experiment = config.experiment
    assert experiment is not None
    start = int(experiment.start.timestamp() // 3600)
    candidate, control = literal(config.policies.candidate), literal(config.control)
    within = f"AND segment IN ({texts(experiment.segments)})" if experiment.segments else ""
    return f"""
        SELECT policy_id AS who, hour, unit_hash, {columns},
            CASE WHEN policy_id = {candidate} THEN 'candidate' WHEN hour < {start} THEN 'before'
                ELSE 'control' END AS arm
        FROM decisions
        WHERE policy_id IN ({candidate}, {control}) AND hour >= {start - back}
            AND (hour >= {start} OR policy_id = {control}) {within}"""


def _select(config: Config, baseline: Frozen | None) -> str | None:
    if config.experiment is None:
        return None
    low, high = config.reward.range
    return f"""
        SELECT {literal(config.policies.candidate)} AS policy_id, '' AS candidate_id, hour,
            unit_hash % 64 AS bucket, arm AS key, who,
            COUNT(*) AS n,
            COUNT(r) AS n_reward,
            SUM(CASE WHEN r IS NULL THEN 0e0 ELSE 1e0 / keep_prob END) AS k1,
            COALESCE(SUM((r - {number((low + high) / 2)}) / keep_prob), 0e0) AS r1,
            SUM(CASE WHEN r IS NOT NULL AND r <> 0e0 AND r <> 1e0 THEN 1 ELSE 0 END) AS n_not01,
            SUM(CASE WHEN r = 1e0 THEN 1 ELSE 0 END) AS n_one
        FROM ({rows(config, f"keep_prob, {reward(config)} AS r", BEFORE_HOURS)}) AS arms
        GROUP BY 1, 2, 3, 4, 5, 6"""


FAMILY = Family(
    "arm", ("n", "n_reward", "k1", "r1", "n_not01", "n_one"), _select, inner='"key"', from_start=True
)
