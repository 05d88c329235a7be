"""What columns of decision logs are called: a literal table, most telling names first.

Names are compared in snake case, the whole dotted path first, then its last part.
"""

from __future__ import annotations

NAMES: dict[str, tuple[str, ...]] = {
    "decision_id": (
        "decision_id", "event_id", "request_id", "impression_id", "interaction_id", "recommendation_id",
        "rec_id", "trace_id", "transaction_id", "log_id", "record_id", "row_id", "uuid", "guid", "key", "id",
    ),
    "ts": (
        "ts", "timestamp", "decision_time", "decided_at", "event_time", "event_ts", "time", "datetime",
        "logged_at", "created_at", "served_at", "occurred_at", "ts_ms", "time_ms", "timestamp_ms", "epoch_ms",
        "unix_time", "epoch", "at", "date", "t", "when",
    ),
    "policy_id": (
        "policy_id", "policy", "behaviour_policy", "behavior_policy", "logging_policy", "controller",
        "served_by", "policy_name", "model_id", "model_name", "model", "agent", "variant", "experiment_arm",
    ),
    "policy_version": ("policy_version", "model_version", "version"),
    "candidate_id": ("candidate_id", "candidate_policy", "shadow_policy", "shadow_model", "challenger"),
    "episode_id": ("episode_id", "episode", "trajectory_id", "trajectory"),
    "unit_id": (
        "unit_id", "user_id", "userid", "user", "session_id", "session", "customer_id", "customer",
        "visitor_id", "member_id", "account_id", "patient_id", "driver_id", "device_id", "household", "uid",
    ),
    "step": ("step", "step_index", "timestep"),
    "terminal": ("terminal", "done", "terminated", "is_terminal"),
    "candidate_action": (
        "candidate_action", "shadow_action", "recommended_action", "recommendation", "challenger_action",
        "suggested_action", "shadow_arm", "candidate_arm", "candidate_item", "new_action", "target_action",
    ),
    "candidate_propensity": (
        "candidate_propensity", "candidate_prob", "candidate_probability", "target_propensity", "target_prob",
        "evaluation_prob", "shadow_prob", "shadow_propensity", "challenger_prob", "new_prob", "pi_e",
        "candidate_log_prob", "candidate_logp", "shadow_log_prob", "shadow_logp", "target_logp",
    ),
    "candidate_probs": ("candidate_probs", "candidate_distribution", "shadow_probs", "target_probs"),
    "proposed_action": ("proposed_action", "requested_action", "raw_action", "unclipped_action"),
    "propensity": (
        "propensity", "propensity_score", "pscore", "action_propensity", "action_prob", "action_probability",
        "logging_prob", "behavior_prob", "behaviour_prob", "pi_b", "log_propensity", "action_log_prob",
        "log_prob", "logprob", "logp", "log_p", "lp", "action_logp", "density", "pdf", "probability", "prob",
        "p",
    ),
    "action_probs": ("action_probs", "action_probabilities", "probs", "probabilities", "pmf", "distribution"),
    "n_actions": ("n_actions", "num_actions", "action_count", "n_items", "n_arms"),
    "action": (
        "action", "action_id", "chosen_action", "chosen", "arm", "arm_id", "chosen_arm", "choice", "decision",
        "treatment", "selected", "item_id", "item", "article_id", "article", "offer", "offer_id", "ad_id",
        "a",
    ),
    "reward_ts": ("reward_ts", "reward_time", "rewarded_at", "feedback_time", "outcome_time", "reward_at"),
    "reward": (
        "reward", "rewards", "click", "clicked", "is_click", "conversion", "converted", "return", "revenue",
        "payoff", "payout", "gain", "utility", "bought", "purchase", "purchased", "sale", "sold", "booked",
        "ordered", "paid", "signup", "signed_up", "subscribed", "accepted", "solved", "profit", "income",
        "score", "feedback", "rating", "value", "r",
    ),
    "proxy_reward": ("proxy_reward", "proxy"),
    "outcome": ("outcome", "long_term_reward", "satisfaction"),
    "keep_prob": ("keep_prob", "keep_probability", "sampling_rate", "sample_rate", "sampling_prob"),
    "q_value": ("q_value", "q", "qhat", "q_hat", "critic_value"),
    "candidate_value": ("candidate_value", "candidate_q"),
    "uncertainty": ("uncertainty", "sigma", "predictive_std"),
    "overridden": ("overridden", "override", "manual_override", "human_override"),
    "irreversible": ("irreversible", "is_irreversible"),
    "activated": ("activated", "is_activated"),
    "segment": ("segment", "subsystem", "position", "slot", "placement", "site", "hall", "loop", "zone"),
}
CONSTRAINT_WORDS = (
    "cost", "violation", "violated", "breach", "unsafe", "complaint", "alarm", "overload", "overheat",
    "exceeded", "exceeds", "crash", "collision", "outage", "over_limit", "too_high", "too_low", "harm",
    "refund", "chargeback", "unsubscribe", "churn", "timeout", "failure", "failed", "fraud", "error",
)  # fmt: skip
OTHER_POLICY = ("candidate", "shadow", "challenger", "recommended", "suggested", "new", "target")
UNIT_WORDS = (
    "user", "customer", "client", "visitor", "member", "account", "subscriber", "patient", "driver",
    "session", "household", "device", "person", "player", "buyer",
)
UNIT_ENDS = ("id", "ref", "reference", "key", "hash", "no", "number", "nr", "uuid", "code", "token")
STATE_PREFIXES = ("state", "context", "features", "feature", "obs", "observation", "x", "user_feature")
ACTION_PREFIXES = {
    "candidate_action": ("candidate_action", "shadow_action", "recommended_action"),
    "proposed_action": ("proposed_action", "requested_action", "raw_action"),
    "action": ("action", "executed_action", "control", "setpoint", "set_point"),
}
