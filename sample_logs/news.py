"""A simulated news site: every decision shows one article to one reader, who clicks or does not.

`world` draws everything that does not depend on a policy for the whole calendar at once: who comes
when, what they are like, and one uniform number for each later chance (click, complaint …). A fault
changes these arrays from its hour on and nothing before. `simulate` then lets real bandit
algorithms choose hour by hour and learn from their own logged rewards.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np

from sample_logs.algorithms import Choice, Policy, policy

Stage = Literal["shadow", "live"]

START = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
DAYS, BASELINE_DAYS = 22, 7
BASELINE_END = START + timedelta(days=BASELINE_DAYS)
END = START + timedelta(days=DAYS)
SEED = 20260105

ARTICLES = [f"article-{i}" for i in range(1, 9)]
DEVICES, DEVICE_SHARES = ["mobile", "desktop", "tablet"], [0.58, 0.30, 0.12]
REGIONS, REGION_SHARES = ["north", "south", "east", "west"], [0.35, 0.30, 0.20, 0.15]
N_USERS = 3000
N_FEATURES = 9
BURN_IN = 60_000
COMPLAINT_RATE = 0.01

# Log-odds of a click: one row an article; columns intercept, age, interest, recency, desktop, tablet.
TASTE = np.array(
    [
        [-2.15, 0.35, 0.10, 0.00, 0.10, 0.00],
        [-2.20, -0.40, 0.10, 0.05, -0.10, 0.00],
        [-2.15, 0.05, 0.30, 0.00, 0.00, 0.10],
        [-2.25, -0.10, -0.30, 0.10, 0.00, 0.00],
        [-2.30, 0.10, 0.00, 0.25, 0.20, 0.00],
        [-2.20, 0.00, 0.10, -0.20, -0.20, 0.10],
        [-2.25, 0.10, 0.10, 0.05, 0.25, -0.30],
        [-2.20, -0.15, 0.15, 0.00, -0.20, 0.20],
    ]
)


@dataclass(frozen=True)
class Readers:
    """The people who come back: one entry a user, `taste` (users, articles) in log-odds of a click."""

    age: np.ndarray
    interest: np.ndarray
    device: np.ndarray
    region: np.ndarray
    mood: np.ndarray
    taste: np.ndarray
    visits: np.ndarray


@dataclass(frozen=True)
class World:
    """All decisions in order of time, before anybody chose: arrays of length n, or (n, articles).

    `interest` is in [0, 1], `recency` in days since the last visit. `click_factor` multiplies the
    click probability, `complaint_rate` is a probability, `delight` is added to the satisfaction.
    The `*_chance` are the uniform numbers that decide; `fault_chance` is for planted faults only,
    `wobble` is the standard normal noise of the satisfaction.
    """

    ts: np.ndarray
    hour: np.ndarray
    user: np.ndarray
    age: np.ndarray
    interest: np.ndarray
    recency: np.ndarray
    device: np.ndarray
    region: np.ndarray
    taste: np.ndarray
    mood: np.ndarray
    click_factor: np.ndarray
    complaint_rate: np.ndarray
    delight: np.ndarray
    unsafe: np.ndarray
    irreversible: np.ndarray
    propensity_lost: np.ndarray
    stuck: np.ndarray
    click_chance: np.ndarray
    complaint_chance: np.ndarray
    survey_chance: np.ndarray
    fault_chance: np.ndarray
    wobble: np.ndarray


@dataclass(frozen=True)
class Played:
    """What the log will hold beside the world: one entry a decision.

    `candidate_action` is −1 and `candidate_propensity` NaN where nothing was recommended.
    """

    live: np.ndarray
    version: np.ndarray
    action: np.ndarray
    propensity: np.ndarray
    candidate_action: np.ndarray
    candidate_propensity: np.ndarray
    click: np.ndarray
    complaint: np.ndarray


def readers(rng: np.random.Generator) -> Readers:
    """N_USERS people with stable features and a stable taste, hence correlated clicks within a user."""
    return Readers(
        age=np.clip(18 + rng.gamma(3.0, 8.0, N_USERS), 18, 90),
        interest=rng.beta(2.5, 3.5, N_USERS),
        device=rng.choice(len(DEVICES), N_USERS, p=DEVICE_SHARES),
        region=rng.choice(len(REGIONS), N_USERS, p=REGION_SHARES),
        mood=rng.normal(0, 1, N_USERS),
        taste=rng.normal(0, 0.4, (N_USERS, 1)) + rng.normal(0, 0.25, (N_USERS, len(ARTICLES))),
        visits=rng.gamma(2.0, 1.0, N_USERS),
    )


def world(people: Readers, start: datetime, days: int, rng: np.random.Generator) -> World:
    """Everything of `days` days from `start` that no policy can change; healthy.

    About 100 decisions an hour, 130 in the afternoon and 70 at night. The readers' features have
    no cycle of their own; the clicks have (see `cycle`).
    """
    hours = np.arange(24 * days)
    counts = rng.poisson(100 + 30 * np.cos(2 * np.pi * (hours % 24 - 15) / 24))
    hour = np.repeat(hours, counts)
    n = len(hour)
    second = np.sort(hour * 3600.0 + rng.random(n) * 3600.0)
    user = rng.choice(N_USERS, n, p=people.visits / people.visits.sum())
    ts = np.datetime64(start.replace(tzinfo=None), "ms") + (second * 1000).astype("timedelta64[ms]")
    return World(
        ts=ts,
        hour=hour,
        user=user,
        age=np.round(people.age[user], 1),
        interest=np.round(np.clip(people.interest[user] + rng.normal(0, 0.08, n), 0, 1), 3),
        recency=np.round(rng.gamma(1.5, 1.2, n), 3),
        device=people.device[user],
        region=people.region[user],
        taste=people.taste[user] + cycle(ts)[:, None],
        mood=people.mood[user],
        click_factor=np.ones(n),
        complaint_rate=np.full(n, COMPLAINT_RATE),
        delight=np.zeros(n),
        unsafe=np.zeros(n, bool),
        irreversible=np.zeros(n, bool),
        propensity_lost=np.zeros(n, bool),
        stuck=np.zeros(n, bool),
        click_chance=rng.random(n),
        complaint_chance=rng.random(n),
        survey_chance=rng.random(n),
        fault_chance=rng.random(n),
        wobble=rng.normal(0, 1, n),
    )


def cycle(ts: np.ndarray) -> np.ndarray:
    """Log-odds added to every click: ±.12 over the day (highest at 20:00), +.06 at the weekend."""
    since = ts - np.datetime64(START.replace(tzinfo=None), "ms")
    hours = since / np.timedelta64(1, "h")
    weekend = (hours // 24) % 7 >= 5
    return 0.12 * np.cos(2 * np.pi * (hours % 24 - 20) / 24) + 0.06 * weekend


def contexts(w: World) -> np.ndarray:
    """What the policies see, (n, N_FEATURES): 1, age, interest, recency (standardised), device, region."""
    one_hot = [w.device == 1, w.device == 2, w.region == 1, w.region == 2, w.region == 3]
    return np.column_stack(
        [np.ones(len(w.ts)), (w.age - 42) / 14, (w.interest - 0.42) / 0.2, (w.recency - 1.8) / 1.5, *one_hot]
    )


def click_probability(w: World) -> np.ndarray:
    """True probability of a click (n, articles), never shown to a policy."""
    log_odds = contexts(w)[:, :6] @ TASTE.T + w.taste
    return np.clip(w.click_factor[:, None] / (1 + np.exp(-log_odds)), 0, 1)


def simulate(w: World, stage: Stage, candidate: Policy, incumbent: Policy, seed: int = SEED) -> Played:
    """Play the policies through the world, hour by hour.

    During the baseline the incumbent alone decides. Afterwards, in `shadow`, it goes on while the
    candidate's recommendation is noted; in `live` the candidate decides everything. Both learn at
    the end of each hour from the rewards logged in it. Each hour has a random stream of its own, so
    that a change in one hour moves nothing in the hours before.
    """
    x, p_click = contexts(w), click_probability(w)
    edges = np.searchsorted(w.hour, np.arange(24 * DAYS + 1))
    parts = []
    for hour in range(24 * DAYS):
        rows = slice(edges[hour], edges[hour + 1])
        rng = np.random.default_rng([seed, hour])
        begun = hour >= 24 * BASELINE_DAYS
        recommended = _stuck(candidate.choose(x[rows], rng), w.stuck[rows]) if begun else None
        live = begun and stage == "live"
        decided = recommended if live and recommended else incumbent.choose(x[rows], rng)
        parts.append(_log(decided, None if live else recommended, candidate if live else incumbent, live))
        clicks = w.click_chance[rows] < p_click[rows][np.arange(len(decided.actions)), decided.actions]
        parts[-1]["click"] = clicks
        incumbent.learn(x[rows], decided.actions, clicks.astype(float))
        if begun:
            candidate.learn(x[rows], decided.actions, clicks.astype(float))
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Played(**columns, complaint=w.complaint_chance < w.complaint_rate)


def trained(name: str, people: Readers, rng: np.random.Generator) -> Policy:
    """The policy of that name after BURN_IN decisions of uniform logging before the calendar starts."""
    learner = policy(name, len(ARTICLES), N_FEATURES)
    days = BURN_IN // 2400 + 1
    past = world(people, START - timedelta(days=days), days, rng)
    x, p_click = contexts(past), click_probability(past)
    actions = rng.integers(len(ARTICLES), size=len(x))
    clicks = past.click_chance < p_click[np.arange(len(x)), actions]
    learner.learn(x, actions, clicks.astype(float))
    learner.version = 0
    return learner


def _stuck(choice: Choice, stuck: np.ndarray) -> Choice:
    """The choice with the first article, at probability 1, wherever the policy is stuck on it."""
    certain = np.eye(choice.probabilities.shape[1])[0]
    return Choice(
        np.where(stuck, 0, choice.actions), np.where(stuck[:, None], certain, choice.probabilities)
    )


def _log(
    decided: Choice, recommended: Choice | None, controlling: Policy, live: bool
) -> dict[str, np.ndarray]:
    n = len(decided.actions)
    weighed = recommended.propensity_of(decided.actions) if recommended else np.full(n, np.nan)
    return {
        "live": np.full(n, live),
        "version": np.full(n, controlling.version),
        "action": decided.actions,
        "propensity": decided.propensity_of(decided.actions),
        "candidate_action": recommended.actions if recommended else np.full(n, -1),
        "candidate_propensity": weighed,
    }
