"""Sums from which Q of the candidate is fitted on whole episodes: linear FQE, LSTD-Q.

φ(s, a) is the one-hot action times x(s): 1, numeric states less their median in the baseline over their
sd, one column a frozen category but the last (which stands for all others). φ̄(s) = Σ_a π_e(a|s) φ(s, a) from
`candidate_probs`, in the order of `actions`. By whole days and 16 buckets of units, in cells (i, j):

    i ≥ 0, j ≥ 0   A_ij = Σ φ_i(s, a)(φ_j(s, a) − γ φ̄_j(s′)), φ̄(s′) = 0 where the episode terminated
    i ≥ 0, j = −1  b_i = Σ φ_i r
    i = −1         Σ φ̄_j(s_0) over first steps
    i = −2         Σ γ^t (w_{0:t−1} φ̄_j(s_t) − w_{0:t} φ_j(s_t, a_t)) over episodes with all weights
    i = −3         by j: 0 steps that count in A, 1 steps that are not known, 2 first steps, 3 those of
                   known state, 4 Σk of these, 5 terminations, 6 episodes of i = −2, 7 Σk of these,
                   8 their Σγ^t w_{0:t} r, 9 all episodes with a recommendation, 10 those of several
                   policies or candidates, 11 those that a person took over

The last step of an episode that was cut off by silence has no s′ and is dropped from A and b.
"""

from __future__ import annotations

from monitor.config import Config
from monitor.store import literal, quoted
from monitor.sums.episode import discounted
from monitor.sums.family import Family, Frozen, number
from monitor.sums.sequential import ALL, HORIZON, weighted_steps

MAX_FEATURES = 32
FOLDS = 16
FIRST, DOUBLY, COUNTS = -1, -2, -3
NEXT = "OVER (PARTITION BY episode_id, part ORDER BY t)"


def features(config: Config, baseline: Frozen | None) -> list[str] | None:
    """SQL of x(s); None where a declared state is not in the baseline, or only there as a hash."""
    found = ["1e0"]
    bins = baseline.bins if baseline else {}
    for name in config.state.numeric:
        edges, sd = (bins.get(name, {}).get(part) for part in ("edges", "sd"))
        if not edges or not sd:
            return None
        found.append(f"(({quoted('state_' + name)} - {number(edges[len(edges) // 2])}) / {number(sd)})")
    for name in config.state.categorical:
        categories = bins.get(name, {}).get("categories")
        if not categories or f"state_{name}" in config.pii:
            return None
        column = quoted("state_" + name)
        found += [
            f"CASE WHEN {column} = {literal(c)} THEN 1e0 WHEN {column} IS NOT NULL THEN 0e0 END"
            for c in categories[:-1]
        ]
    return found


def _select(config: Config, baseline: Frozen | None) -> str | None:
    xs = features(config, baseline)
    needed = ("episode_id", "candidate_probs", "action")
    if xs is None or not config.actions or not all(config.maps(c) for c in needed):
        return None
    m, d = len(xs), len(xs) * len(config.actions)
    if d > MAX_FEATURES:
        return None
    places = [
        *((i, j) for i in range(m) for j in range(-1, d)),
        *((i, j) for i in (FIRST, DOUBLY) for j in range(d)),
        *((COUNTS, j) for j in range(12)),
    ]
    sums = ", ".join(f"SUM({_term(config, m, i, j)}) AS g{at}" for at, (i, j) in enumerate(places))
    listed = ", ".join(f"({at}, {i}, {j})" for at, (i, j) in enumerate(places))
    picked = " ".join(f"WHEN {at} THEN g{at}" for at in range(len(places)))
    return f"""
        SELECT policy_id, candidate_id, hour, bucket, '' AS key,
            CASE WHEN i >= 0 THEN a * {m} + i ELSE i END AS i, j, SUM(CASE place {picked} END) AS g
        FROM (SELECT policy_id, candidate_id, home // 24 * 24 AS hour, unit_hash % {FOLDS} AS bucket,
                  a, {sums}
              FROM ({_transitions(config, xs)}) AS transitions GROUP BY 1, 2, 3, 4, 5) AS wide
        CROSS JOIN (VALUES {listed}) AS places(place, i, j)
        WHERE i < 0 OR a >= 0
        GROUP BY 1, 2, 3, 4, 5, 6, 7"""


def _term(config: Config, m: int, i: int, j: int) -> str:
    """What one step adds to the cell (i, j); rows of A and b are told apart by its action `a`."""
    if i == COUNTS:
        return _counted(config)[j]
    action, x = divmod(j, m)
    if i == FIRST:
        return f"CASE WHEN t = 0 AND seen = 1 AND kept = 1 THEN k * p{action} * x{x} ELSE 0e0 END"
    if i == DOUBLY:
        moved = discounted(config, f"(before * p{action} - CASE WHEN a = {action} THEN w ELSE 0e0 END)")
        return f"CASE WHEN whole = 1 AND t < {HORIZON} THEN k * x{x} * {moved} ELSE 0e0 END"
    if j < 0:
        return f"CASE WHEN fits = 1 THEN k * x{i} * r ELSE 0e0 END"
    ours = f"CASE WHEN a = {action} THEN x{x} ELSE 0e0 END"
    coming = f"CASE WHEN ended = 1 THEN 0e0 ELSE next_p{action} * next_x{x} END"
    discount = number(config.reward.discount)
    return f"CASE WHEN fits = 1 THEN k * x{i} * ({ours} - {discount} * {coming}) ELSE 0e0 END"


def _counted(config: Config) -> list[str]:
    """What one step adds to the cells (−3, j)."""
    start, ends = "t = 0 AND kept = 1", "last = 1 AND whole = 1"
    return [
        f"CASE WHEN {when} THEN {what} ELSE 0e0 END"
        for when, what in (
            ("fits = 1", "1e0"),
            ("kept = 1 AND fits = 0 AND (last = 0 OR ended = 1)", "1e0"),
            (start, "1e0"),
            (f"{start} AND seen = 1", "1e0"),
            (f"{start} AND seen = 1", "k"),
            ("fits = 1 AND ended = 1", "1e0"),
            (ends, "1e0"),
            (ends, "k"),
            (f"whole = 1 AND t < {HORIZON}", f"k * {discounted(config, 'w * r')}"),
            ("t = 0", "1e0"),
            ("t = 0 AND mixed = 1", "1e0"),
            ("t = 0 AND away = 1", "1e0"),
        )
    ]


def _transitions(config: Config, xs: list[str]) -> str:
    """SQL of the steps with their features, their probabilities and those of the next step; `seen`: both
    are known, `fits`: the step counts in A and b, `whole`: its episode counts in i = −2."""
    actions = range(len(config.actions))
    named = [f"x{i}" for i in range(len(xs))] + [f"p{j}" for j in actions]
    values = [*xs, *(f"candidate_probs[{j + 1}]" for j in actions)]
    columns = ", ".join(f"{value} AS {name}" for value, name in zip(values, named, strict=True))
    place = " ".join(f"WHEN action = {literal(name)} THEN {j}" for j, name in enumerate(config.actions))
    total = " + ".join(f"p{j}" for j in actions)
    seen = f"{' AND '.join(f'{name} IS NOT NULL' for name in named)} AND ABS({total} - 1e0) < 1e-3"
    coming = ", ".join(f"LEAD({name}) {NEXT} AS next_{name}" for name in (*named, "seen"))
    carried = ["ended", "a", *named]
    steps = weighted_steps(config, f"CASE {place} ELSE -1 END AS a, {columns}", carried)
    return f"""
        SELECT *, CASE WHEN kept = 1 AND seen = 1 AND a >= 0 AND r IS NOT NULL
                       AND (ended = 1 OR (last = 0 AND next_seen = 1)) THEN 1 ELSE 0 END AS fits,
            CASE WHEN used = 1 AND MIN(CASE WHEN a >= 0 THEN seen ELSE 0 END) {ALL} = 1
                 THEN 1 ELSE 0 END AS whole
        FROM (SELECT *, {coming}
              FROM (SELECT *, CASE WHEN {seen} THEN 1 ELSE 0 END AS seen,
                        CASE WHEN mixed + away = 0 THEN 1 ELSE 0 END AS kept
                    FROM ({steps}) AS weighted) AS seen_steps) AS followed"""


FAMILY = Family(
    "fqe", ("g",), _select, by_candidate=True, whole_episodes=True, whole_days=True, places=("i", "j")
)
