"""The closed vocabulary of checks. A new check is one function and one line here."""

from __future__ import annotations

from functools import partial

from gates.checks.armed import TRUSTED, rollback_armed
from gates.checks.behaviour import exploration, safety_layer, support
from gates.checks.check import Check, Number
from gates.checks.constraint_value import constraint_value
from gates.checks.data_contract import data_contract
from gates.checks.drills import override_ready
from gates.checks.duration import duration_and_coverage
from gates.checks.experiment import ab_test, offline_online_gap
from gates.checks.frozen import frozen_rules
from gates.checks.hard import hard_constraints
from gates.checks.offline import beats_baseline, held_out_value
from gates.checks.on_call import on_call_path
from gates.checks.radius import blast_radius
from gates.checks.reevaluation import offline_reevaluation
from gates.checks.reward_hacking import reward_hacking
from gates.checks.shadow import disagreement, large_disagreement, recommendations_logged
from gates.checks.sign_off import red_team, review, sign_off
from gates.checks.state import state_shift
from gates.checks.training import data_volume, hyperparameters, policy_age
from gates.checks.watched import continuous_monitoring, dashboard_fresh
from gates.checks.worst_case import worst_case
from gates.outcome import Outcome
from gates.stages import DROPS

ANY = 1e12
FITTED = ("estimated_snips", "estimated_snips_low", "estimated_snips_high", "propensity_calibration")
SIGNED = ("attest", "promote", "adopt")
days = partial(Number, low=1, high=3650)
share = partial(Number, low=0, high=1)
DECLARED = {Outcome.NO_DATA: "it reads what monitor.yaml declares; what is not declared is INCONCLUSIVE"}
WORD = {Outcome.NO_DATA: "a person's word is there or it is not, and then it is INCONCLUSIVE"}
PAGED = {Outcome.NO_DATA: "the journal holds an answered page or it does not, and then it is INCONCLUSIVE"}
RULES = {
    Outcome.NO_DATA: "rules that were not written down are INCONCLUSIVE",
    Outcome.FAIL: "other rules than those it entered with say nothing against the policy",
}
usual = partial(Number, low=-ANY, high=ANY, many=True)

CHECKS: dict[str, Check] = {
    # offline validation
    "held_out_value": Check(
        held_out_value,
        {"max_lift": Number(0.5, 0, ANY)},
        metrics=("snips", "leaked_decisions", "snips_dr_difference", "lift"),
        shown=("ips", "dr", "ess", "reward_mean", "reward_q99", *FITTED),
        attestable=True,
    ),
    "beats_baseline": Check(
        beats_baseline,
        {"margin": Number(0.0, -ANY, ANY)},
        metrics=("lift",),
        shown=("ess", "reward_mean", *FITTED),
        attestable=True,
    ),
    "constraint_value": Check(
        constraint_value, {"hard_limit": share(0.001)}, metrics=("offpolicy_cost",), attestable=True
    ),
    "reward_hacking": Check(
        reward_hacking,
        {"top": Number(20, 1, 10_000, whole=True), "correlation_margin": Number(0.2, 0, 2)},
        metrics=("scenario_rank", "goodhart_rank"),
    ),
    "worst_case": Check(
        worst_case,
        {
            "margin": Number(0.0, -ANY, ANY),
            "n": Number(200, 1, ANY),
            "ess": Number(100, 1, ANY),
            "outside": share(0.01),
        },
        metrics=(
            "lift", "offpolicy_cvar10", "reward_cvar10", "candidate_return_cvar10", "return_cvar10",
            "state_tail_lift", "state_tail_outside", "recommended_outside", "worst_episodes_lift",
            "worst_episodes_outside", "segment_lift", "segment_ess",
        ),
        attestable=True,
    ),
    "hyperparameters": Check(
        hyperparameters,
        {
            "cql_alpha": usual([0.1, 5]),
            "cql_random_samples": usual([10]),
            "iql_tau": usual([0.7, 0.9]),
            "iql_beta": usual([3, 10]),
            "linucb_alpha": usual([0.1, 2]),
            "thompson_prior_alpha": usual([1]),
            "thompson_prior_beta": usual([1]),
            "lagrangian_lambda_rate": usual([0.001, 0.01]),
            "lagrangian_lambda_start": usual([0]),
            "ppo_clip": usual([0.1, 0.2]),
            "ppo_kl_target": usual([0.01, 0.05]),
            "rollout_horizon": usual([1, 5]),
        },
        impossible=DECLARED,
    ),
    "data_volume": Check(data_volume, {"transitions": Number(10_000, 0, ANY)}, impossible=DECLARED),
    "policy_age": Check(policy_age, {"days": days(90)}, impossible=DECLARED),
    # shadow mode
    "recommendations_logged": Check(
        recommendations_logged, {"share": share(0.999)}, metrics=("recommended_share",)
    ),
    "disagreement": Check(
        disagreement,
        {"margin": share(0.05), "limit": share(None)},
        metrics=("disagreement_slope", "disagreement"),
        shown=("self_disagreement",),
    ),
    "large_disagreement": Check(large_disagreement, {"share": share(0.01)}, metrics=("large_disagreement",)),
    "review": Check(
        review,
        {"labelled": Number(50, 1, 100_000, whole=True), "sensible": share(0.9)},
        events=SIGNED,
        sign_off=True,
        impossible=WORD,
    ),
    "duration_and_coverage": Check(
        duration_and_coverage,
        {
            "days": days(14),
            "gap_factor": Number(1.5, 1, 100),
            "coverage": share(0.9),
            "times": Number(100, 1, ANY),
        },
        metrics=("evidence_days", "longest_gap_hours", "baseline_longest_gap_hours", "condition_count"),
    ),
    # limited deployment
    "blast_radius": Check(
        blast_radius,
        {
            "ramp": Number([0.01, 0.05, 0.2, 0.5], 0, 1, many=True),
            "step_days": days(7),
            "stage_days": days(28),
            "slack": Number(0.25, 0, 10),
            "seen": Number(None, 1, ANY),
        },
        metrics=("decisions_outside", "controlled_share"),
        shown=("unseen_conditions",),  # judged only where `seen` is set
        events=("promote", "adopt"),
    ),
    "override_ready": Check(
        override_ready,
        {"drill_days": days(30), "seconds": Number(5, 0, 3600)},
        shown=("safe_decisions",),
        events=("drill",),
    ),
    "dashboard_fresh": Check(
        dashboard_fresh,
        {"windows": Number(2, 1, 100), "hard_minutes": Number(5, 0, 1440)},
        shown=("reward_mean", "violation_rate", "state_js"),
        events=("dashboard", "run"),
    ),
    "hard_constraints": Check(
        hard_constraints,
        {"limit": share(0.001), "drill_days": days(30)},
        metrics=("violation_rate",),
        events=("drill", "incident", "rollback"),
    ),
    "ab_test": Check(
        ab_test,
        {"margin": Number(0.0, -ANY, ANY), "both": share(0.01)},
        metrics=(
            "sample_ratio_e", "traffic_p", "units_in_both", "experiment_days", "ab_lift", "novelty",
            "matched_lift",
        ),
        shown=("control_moved", "ab_lift_later", "ab_lift_week"),
    ),
    "offline_online_gap": Check(offline_online_gap, metrics=("reward_mean",), events=("verdict",)),
    "exploration": Check(
        exploration, {"share": share(0.01)}, metrics=("exploration_rate",), shown=("exploration_cost",)
    ),
    "safety_layer": Check(safety_layer, {"share": share(0.05)}, metrics=("clip_rate",)),
    "support": Check(
        support, {"ess": Number(100, 1, ANY)}, metrics=("reevaluated_ess", "reevaluated_value")
    ),
    # full deployment
    "continuous_monitoring": Check(
        continuous_monitoring, {"days": days(7)}, metrics=("late_windows", "monitored_days"), events=("run",)
    ),
    "state_shift": Check(state_shift, {"limit": Number(0.1, 0, 0.7)}, metrics=("state_js",)),
    "offline_reevaluation": Check(
        offline_reevaluation,
        {"days": days(30)},
        metrics=("reevaluated_value", "reevaluated_lift", "reevaluated_days"),
        events=("verdict",),
    ),
    "rollback_armed": Check(
        rollback_armed,
        {"drill_days": days(30), "baseline_windows": Number(168, 0, ANY)},
        metrics=("baseline_windows",),
        events=("drill", "arm", "verdict", "attest", *DROPS),
        attested=(TRUSTED,),
    ),
    "on_call_path": Check(
        on_call_path,
        {"days": days(30), "minutes": Number(15, 0, 1440)},
        events=("test_page", "attest"),
        attestable=True,
        impossible=PAGED,
    ),
    "red_team": Check(
        red_team, {"max_age_days": days(92)}, events=SIGNED, sign_off=True, impossible=WORD
    ),
    # both live stages
    "frozen_rules": Check(frozen_rules, events=("promote", "adopt"), impossible=RULES),
    # every stage
    "data_contract": Check(
        data_contract,
        metrics=("rejected_share", "fault_share", "expectations_met", "newest_decision_age_hours"),
        shown=("expectation_failed",),
    ),
    "sign_off": Check(sign_off, events=SIGNED, sign_off=True, impossible=WORD),
}
