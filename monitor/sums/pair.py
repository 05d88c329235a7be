"""Sums that set the executed action beside the recommendation of a candidate.

Two actions differ when they are not the same; continuous ones when some dimension lies farther apart
than 1 sd of it in the baseline. A recommendation is a large disagreement when the policy in control
practically never takes that action in such a state: less than a tenth of an even share of the
baseline's decisions in the same segment, for continuous actions farther than 3 sd in some dimension.
It is not known where the baseline has too few decisions of the segment, or no sd.
`n_rec` counts rows that name the candidate, `n_beside` those with an action of both policies; `n_bounded`
recommendations that name every dimension of the envelope, `n_outside` those of them that lie outside.
"""

from __future__ import annotations

from monitor.config import Config
from monitor.store import literal, quoted
from monitor.sums.family import Family, Frozen, number, texts
from monitor.sums.tails import BOUNDED, bounded

DIFFERENT_SD = 1
LARGE_SD = 3


def _select(config: Config, baseline: Frozen | None) -> str:
    paired, differ = "(action IS NOT NULL AND candidate_action IS NOT NULL)", "action <> candidate_action"
    known, usual = _usual(baseline)
    large, beside = f"NOT ({usual})", paired
    if config.action_dims:
        beside = f"({paired} OR {_both(config)})"
        paired, differ = _either(paired, differ, *_apart(config, baseline, DIFFERENT_SD))
        known, large = _either(known, large, *_apart(config, baseline, LARGE_SD))
    kl, unsupported = _kl(config)
    named, outside = bounded(config)
    return f"""
        SELECT policy_id, candidate_id, hour, unit_hash % 64 AS bucket, segment AS key,
            COUNT(*) AS n_rec,
            SUM(CASE WHEN {beside} THEN 1 ELSE 0 END) AS n_beside,
            SUM(CASE WHEN {paired} THEN 1 ELSE 0 END) AS n_pair,
            SUM(CASE WHEN {paired} AND {differ} THEN 1 ELSE 0 END) AS n_diff,
            COUNT(propensity) AS n_p,
            COALESCE(SUM(1e0 - propensity), 0e0) AS s1,
            COUNT(cross_agreement) AS n_dist,
            COALESCE(SUM(1e0 - cross_agreement), 0e0) AS d1,
            COALESCE(SUM(CASE WHEN cross_agreement IS NULL THEN NULL ELSE 1e0 - probs_agreement END), 0e0)
                AS d0,
            COALESCE(SUM(total_variation), 0e0) AS tv,
            COUNT({kl}) AS n_kl,
            SUM(CASE WHEN {unsupported} > 0e0 THEN 1 ELSE 0 END) AS n_kl_inf,
            COALESCE(SUM(CASE WHEN {unsupported} > 0e0 THEN NULL ELSE {kl} END), 0e0) AS kl,
            SUM(CASE WHEN {known} THEN 1 ELSE 0 END) AS n_known,
            SUM(CASE WHEN {known} AND {large} THEN 1 ELSE 0 END) AS n_large,
            SUM(CASE WHEN {named} THEN 1 ELSE 0 END) AS n_bounded,
            SUM(CASE WHEN {named} AND {outside} THEN 1 ELSE 0 END) AS n_outside
        FROM decisions
        WHERE candidate_id <> ''
        GROUP BY 1, 2, 3, 4, 5"""


def _kl(config: Config) -> tuple[str, str]:
    """SQL of KL(candidate‖safe) of a row that the safe policy controlled, and of what it does not support."""
    if not (config.maps("action_probs") and config.maps("candidate_probs")):
        return "CAST(NULL AS DOUBLE)", "CAST(NULL AS DOUBLE)"
    safe = f"policy_id = {literal(config.policies.safe)}"
    return f"(CASE WHEN {safe} THEN candidate_kl END)", f"(CASE WHEN {safe} THEN unsupported_mass END)"


def _usual(baseline: Frozen | None) -> tuple[str, str]:
    if baseline is None or not baseline.usual:
        return "1 = 0", "1 = 0"
    known = f"(candidate_action IS NOT NULL AND segment IN ({texts(list(baseline.usual))}))"
    usual = " OR ".join(
        f"(segment = {literal(segment)} AND candidate_action IN ({texts(actions)}))"
        for segment, actions in baseline.usual.items()
    )
    return known, usual


def _either(named: str, holds: str, continuous: str, apart: str) -> tuple[str, str]:
    """Actions by name where they have one, else by their dimensions."""
    return f"({named} OR {continuous})", f"(CASE WHEN {named} THEN {holds} ELSE {apart} END)"


def _apart(config: Config, baseline: Frozen | None, sds: float) -> tuple[str, str]:
    """SQL for (both actions are known, some dimension is farther apart than `sds` baseline sd)."""
    pairs = [(d, quoted(f"action_{d}"), quoted(f"candidate_action_{d}")) for d in config.action_dims]
    sd = baseline.action_sd if baseline else {}
    if any(d not in sd for d, _, _ in pairs):
        return "1 = 0", "1 = 0"
    apart = " OR ".join(f"ABS({ours} - {theirs}) > {number(sds * sd[d])}" for d, ours, theirs in pairs)
    return _both(config), f"({apart})"


def _both(config: Config) -> str:
    """SQL for: every dimension of the executed and of the recommended action is known."""
    columns = (quoted(f"{whose}action_{d}") for d in config.action_dims for whose in ("", "candidate_"))
    return "(" + " AND ".join(f"{column} IS NOT NULL" for column in columns) + ")"


FAMILY = Family(
    "pair",
    (
        *("n_rec", "n_beside", "n_pair", "n_diff", "n_p", "s1", "n_dist", "d1", "d0", "tv"),
        *("n_kl", "n_kl_inf", "kl", "n_known", "n_large", *BOUNDED),
    ),
    _select,
    by_candidate=True,
    daily=True,
)
