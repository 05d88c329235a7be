"""A tabular world of 3 states and 2 actions with an end, its exact values, and its logs as rows."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

DISCOUNT = 0.9
STATES = ("calm", "busy", "late")
ACTIONS = ("hold", "push")
START = np.array([0.5, 0.3, 0.2])
# NEXT[s, a]: probabilities of the 3 states; what is missing to 1 is the end of the episode.
NEXT = np.array([
    [[0.6, 0.2, 0.0], [0.2, 0.4, 0.1]],
    [[0.3, 0.3, 0.1], [0.1, 0.2, 0.4]],
    [[0.0, 0.3, 0.4], [0.4, 0.1, 0.0]],
])
REWARD = np.array([[0.2, 0.8], [0.5, 0.4], [0.1, 0.9]])
LOGGED = np.array([[0.6, 0.4], [0.5, 0.5], [0.45, 0.55]])
CANDIDATE = np.array([[0.4, 0.6], [0.6, 0.4], [0.3, 0.7]])
EPOCH = datetime(2026, 1, 1)


def exact_q(policy=CANDIDATE, following=NEXT, reward=REWARD, discount=DISCOUNT):
    """Q of the model: Q(s,a) = R(s,a) + γ Σ P(s'|s,a) Σ π(a'|s') Q(s',a'), solved exactly."""
    count = reward.size
    move = (following[:, :, :, None] * policy[None, None]).reshape(count, count)
    return np.linalg.solve(np.eye(count) - discount * move, reward.reshape(count)).reshape(reward.shape)


def exact_value(policy=CANDIDATE, start=START, **model) -> float:
    return float(start @ (policy * exact_q(policy, **model)).sum(axis=1))


def log_of(seed: int, n: int, policy=LOGGED, cut: int | None = None, hours: int = 48) -> dict:
    """Columns of the rows of n episodes, step after step; `cut`: episodes end there without `terminal`."""
    rng = np.random.default_rng(seed)
    state = rng.choice(3, n, p=START)
    begin = np.sort(rng.uniform(0, hours * 3600, n))
    alive, t, rows = np.arange(n), 0, []
    while len(alive):
        s = state[alive]
        a = (rng.random(len(alive)) > policy[s, 0]).astype(int)
        reward = np.clip(REWARD[s, a] + rng.choice([-0.1, 0.1], len(alive)), 0, 1)
        draw = rng.random(len(alive))
        edges = NEXT[s, a].cumsum(axis=1)
        coming = (draw[:, None] > edges).sum(axis=1)
        over = coming == 3
        stopped = over | (cut is not None and t + 1 == cut)
        rows.append(np.stack([alive, np.full(len(alive), t), s, a, coming, over], axis=1))
        rows[-1] = (rows[-1], reward, begin[alive] + t * 900.0)
        state[alive[~over]] = coming[~over]
        alive, t = alive[~stopped], t + 1
    whole = np.concatenate([r[0] for r in rows])
    episode, step, s, a, coming, over = whole.T.astype(int)
    return {
        "episode": episode, "step": step, "state": s, "action": a, "next": coming, "terminal": over == 1,
        "reward": np.concatenate([r[1] for r in rows]), "seconds": np.concatenate([r[2] for r in rows]),
        "p": policy[s, a], "q": CANDIDATE[s, a],
    }


def table_of(log, name: str = "e", seed: int = 0, **more):
    """The log as a table with the columns of decisions; one unit for 5 episodes."""
    import pyarrow as pa

    rng = np.random.default_rng(seed)
    size = len(log["episode"])
    ts = [EPOCH + timedelta(seconds=float(round(x))) for x in log["seconds"]]
    zero = (EPOCH - datetime(1970, 1, 1)) // timedelta(hours=1)
    q = exact_q() * 0.9 + 0.05
    columns = {
        "decision_id": [f"{name}{e}-{t}" for e, t in zip(log["episode"], log["step"], strict=True)],
        "ts": ts,
        "hour": zero + np.round(log["seconds"]).astype(int) // 3600,
        "policy_id": ["old"] * size,
        "candidate_id": ["new"] * size,
        "unit_hash": (log["episode"] // 5) * 7919 + 13,
        "row_hash": rng.integers(0, 2**62, size),
        "episode_id": [f"{name}{e}" for e in log["episode"]],
        "step": log["step"],
        "terminal": log["terminal"],
        "segment": np.array(["north", "south"])[log["episode"] % 2],
        "action": np.array(ACTIONS)[log["action"]],
        "propensity": log["p"],
        "candidate_propensity": log["q"],
        "candidate_probs": list(CANDIDATE[log["state"]]),
        "q_value": q[log["state"], log["action"]],
        "candidate_value": (CANDIDATE * q).sum(axis=1)[log["state"]],
        "reward": log["reward"],
        "keep_prob": np.where(log["episode"] % 7 == 0, 0.5, 1.0),
        "state_load": log["state"] * 1.5 - 1 + 0.1 * log["step"],
        "state_season": np.array(STATES)[log["state"]],
        "cost_slow": log["action"] * 0.25,
    }
    return pa.table({**columns, **more})
