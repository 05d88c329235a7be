"""Sums that set the executed action beside the recommendation of a candidate.

A recommendation is a large disagreement when the policy in control practically never takes that
action in such a state: less than a tenth of an even share of the baseline's decisions in the same
segment. It is not known where the baseline has too few decisions of the segment.
"""

from __future__ import annotations

from monitor.config import Config
from monitor.store import literal
from monitor.sums.family import Family, Frozen, texts


def _select(config: Config, baseline: Frozen | None) -> str:
    known, usual = _usual(baseline)
    return f"""
        SELECT policy_id, candidate_id, hour, unit_hash % 64 AS bucket, segment AS key,
            COUNT(*) AS n_rec,
            SUM(CASE WHEN action IS NULL OR candidate_action IS NULL THEN 0 ELSE 1 END) AS n_pair,
            SUM(CASE WHEN action <> candidate_action THEN 1 ELSE 0 END) AS n_diff,
            COUNT(propensity) AS n_p,
            COALESCE(SUM(1e0 - propensity), 0e0) AS s1,
            COUNT(cross_agreement) AS n_dist,
            COALESCE(SUM(1e0 - cross_agreement), 0e0) AS d1,
            COALESCE(SUM(CASE WHEN cross_agreement IS NULL THEN NULL ELSE 1e0 - probs_agreement END), 0e0)
                AS d0,
            COALESCE(SUM(total_variation), 0e0) AS tv,
            SUM(CASE WHEN {known} THEN 1 ELSE 0 END) AS n_known,
            SUM(CASE WHEN {known} AND NOT ({usual}) THEN 1 ELSE 0 END) AS n_large
        FROM decisions
        WHERE candidate_id <> ''
        GROUP BY 1, 2, 3, 4, 5"""


def _usual(baseline: Frozen | None) -> tuple[str, str]:
    if baseline is None or not baseline.usual:
        return "1 = 0", "1 = 0"
    known = f"(candidate_action IS NOT NULL AND segment IN ({texts(list(baseline.usual))}))"
    usual = " OR ".join(
        f"(segment = {literal(segment)} AND candidate_action IN ({texts(actions)}))"
        for segment, actions in baseline.usual.items()
    )
    return known, usual


FAMILY = Family(
    "pair",
    ("n_rec", "n_pair", "n_diff", "n_p", "s1", "n_dist", "d1", "d0", "tv", "n_known", "n_large"),
    _select,
    by_candidate=True,
)
