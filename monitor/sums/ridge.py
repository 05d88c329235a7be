"""Sums from which a ridge model of the reward is fitted, and what doubly robust estimates take from it.

Features x: 1; numeric states less their median in the baseline, over their sd; one column a frozen
category; what is unknown is 0. `gram` holds Σ x_i x_j/k of each executed action (j = −1: Σ x_i r/k)
by 8 folds of units, from every row or, of large logs, from an even share of them. `ridge` holds by
32 buckets Σ w x, the same with shrunk weights, and Σ x π_e(a|x) for the candidate's actions: from
`candidate_probs` where the order of `actions` is declared, else from its recommended action, which
is taken for a draw. Both by whole days, and only of rows whose candidate distribution is known.
"""

from __future__ import annotations

from collections.abc import Sequence

from monitor.config import Config
from monitor.store import literal, quoted
from monitor.sums.family import Family, Frozen, clip, number
from monitor.sums.offpolicy import logs_weights, shrunk, weighted

MAX_FEATURES = 40
MAX_CATEGORIES = 20
FITTED_A_DAY = 20_000
DAY = "hour // 24 * 24 AS hour"
SCALARS = ("n_rows", "n", "k1", "r1", "wr1", "wsr1", "wor1")
MOMENTS = ("u", "us", "uo", "m")


def features(config: Config, baseline: Frozen) -> list[str]:
    """SQL of the features, at most MAX_FEATURES; columns of personal categories are left out."""
    found = ["1e0"]
    for name in config.state.numeric:
        bins = baseline.bins.get(name, {})
        edges, sd = bins.get("edges"), bins.get("sd")
        if edges and sd:
            middle = number(edges[len(edges) // 2])
            found.append(f"COALESCE(({quoted('state_' + name)} - {middle}) / {number(sd)}, 0e0)")
    for name in config.state.categorical:
        if f"state_{name}" not in config.pii:
            categories = baseline.bins.get(name, {}).get("categories", [])[:MAX_CATEGORIES]
            column = quoted("state_" + name)
            found += [f"CASE WHEN {column} = {literal(c)} THEN 1e0 ELSE 0e0 END" for c in categories]
    return found[:MAX_FEATURES]


def _select_gram(config: Config, baseline: Frozen | None) -> str | None:
    if not _fits(config, baseline):
        return None
    assert baseline is not None
    xs = features(config, baseline)
    share = max(1, int(baseline.rows_per_day // FITTED_A_DAY))
    sampled = f"{_known(config)} AND row_hash % {share} = 0" if share > 1 else _known(config)
    places = [(i, j) for i in range(len(xs)) for j in (-1, *range(i, len(xs)))]
    wide = ", ".join(
        f"SUM({'r' if j < 0 else f'x{j}'} * x{i} * k) AS g{at}" for at, (i, j) in enumerate(places)
    )
    picked = " ".join(f"WHEN {at} THEN g{at}" for at in range(len(places)))
    listed = ", ".join(f"({at}, {i}, {j})" for at, (i, j) in enumerate(places))
    return f"""
        SELECT policy_id, candidate_id, hour, bucket, key, i, j, CASE place {picked} END AS g
        FROM (SELECT policy_id, candidate_id, hour, unit_hash % 64 // 8 AS bucket, action AS key, {wide}
              FROM {_rows(config, xs, sampled)} GROUP BY 1, 2, 3, 4, 5) AS wide
        CROSS JOIN (VALUES {listed}) AS places(place, i, j)"""


def _select(config: Config, baseline: Frozen | None) -> str | None:
    if not _fits(config, baseline):
        return None
    assert baseline is not None
    xs = features(config, baseline)
    switch, dros = shrunk(clip(config, baseline.weight_clip))
    rows = f"""(SELECT *, w * k AS wk, {switch} * k AS wsk, {dros} * k AS wok
                FROM {_rows(config, xs, _known(config))}) AS terms"""
    parts = [_executed(rows, len(xs)), _drawn(config, rows, len(xs)), _counted(config)]
    if _declares_probs(config):
        parts.append(_distributed(config, rows, len(xs)))
    sums = ", ".join(f"SUM({name}) AS {name}" for name in (*SCALARS, *MOMENTS))
    return f"""
        SELECT policy_id, candidate_id, hour, bucket, key, i, {sums}
        FROM ({" UNION ALL ".join(parts)}) AS parts GROUP BY 1, 2, 3, 4, 5, 6"""


def _fits(config: Config, baseline: Frozen | None) -> bool:
    told = config.maps("candidate_action") or _declares_probs(config)
    return bool(baseline and config.off_policy.ridge and logs_weights(config) and told)


def _declares_probs(config: Config) -> bool:
    return bool(config.actions) and config.maps("candidate_probs")


def _has_probs(config: Config) -> str:
    if not _declares_probs(config):
        return "1 = 0"
    return f"(candidate_probs IS NOT NULL AND array_length(candidate_probs) = {len(config.actions)})"


def _known(config: Config) -> str:
    """SQL for: an executed action by name, and what the candidate would do."""
    drawn = "(candidate_action IS NOT NULL AND candidate_action <> '')"
    return f"action IS NOT NULL AND action <> '' AND ({drawn} OR {_has_probs(config)})"


def _rows(config: Config, xs: Sequence[str], condition: str) -> str:
    states = [quoted(f"state_{f}") for f in config.state.features]
    listed = ", ".join(f"{x} AS x{i}" for i, x in enumerate(xs))
    relation = weighted(config, "action", "candidate_action", "candidate_probs", "row_hash", *states)
    return f"""(SELECT policy_id, candidate_id, {DAY}, unit_hash, action, candidate_action,
                  candidate_probs, r, k, w, {listed} FROM {relation} WHERE {condition}) AS featured"""


def _executed(rows: str, size: int) -> str:
    """Rows i of each executed action: Σ w x_i, and at i = 0 the sums without a feature."""
    wide = ", ".join(
        f"SUM(wk * x{i}) AS u{i}, SUM(wsk * x{i}) AS us{i}, SUM(wok * x{i}) AS uo{i}" for i in range(size)
    )
    scalars = {"n": "n", "k1": "k1", "r1": "r1", "wr1": "wr1", "wsr1": "wsr1", "wor1": "wor1"}
    moments = {m: f"CASE i {' '.join(f'WHEN {i} THEN {m}{i}' for i in range(size))} END"
               for m in ("u", "us", "uo")}  # fmt: skip
    filled = {name: f"CASE WHEN i = 0 THEN {column} ELSE 0e0 END" for name, column in scalars.items()}
    return f"""
        SELECT policy_id, candidate_id, hour, bucket, key, i, {_columns({**filled, **moments})}
        FROM (SELECT policy_id, candidate_id, hour, unit_hash % 64 // 2 AS bucket, action AS key,
                  COUNT(*) AS n, SUM(k) AS k1, SUM(r * k) AS r1, SUM(r * wk) AS wr1, SUM(r * wsk) AS wsr1,
                  SUM(r * wok) AS wor1, {wide}
              FROM {rows} GROUP BY 1, 2, 3, 4, 5) AS wide
        CROSS JOIN (VALUES {_places(size)}) AS places(i)"""


def _drawn(config: Config, rows: str, size: int) -> str:
    """Σ x_i of each recommended action, where that is all that is known of the candidate."""
    wide = ", ".join(f"SUM(k * x{i}) AS m{i}" for i in range(size))
    return _of_candidate(
        f"""(SELECT policy_id, candidate_id, hour, unit_hash % 64 // 2 AS bucket, candidate_action AS key,
                  {wide} FROM {rows} WHERE NOT {_has_probs(config)} GROUP BY 1, 2, 3, 4, 5) AS wide""",
        size,
    )


def _distributed(config: Config, rows: str, size: int) -> str:
    """Σ x_i π_e(a|x) of each action a of the candidate's distribution."""
    names = ", ".join(f"({at}, {literal(name)})" for at, name in enumerate(config.actions, 1))
    wide = ", ".join(f"SUM(q * x{i}) AS m{i}" for i in range(size))
    xs = ", ".join(f"x{i}" for i in range(size))
    # A list's place must be a literal, or other databases would count it from 0.
    chances = " ".join(f"WHEN {at} THEN candidate_probs[{at}]" for at in range(1, len(config.actions) + 1))
    return _of_candidate(
        f"""(SELECT policy_id, candidate_id, hour, bucket, key, {wide}
              FROM (SELECT policy_id, candidate_id, hour, unit_hash % 64 // 2 AS bucket, name AS key,
                        k * CASE spot {chances} END AS q, {xs}
                    FROM {rows} CROSS JOIN (VALUES {names}) AS named(spot, name)
                    WHERE {_has_probs(config)}) AS exploded
              WHERE q > 0e0 GROUP BY 1, 2, 3, 4, 5) AS wide""",
        size,
    )


def _of_candidate(wide: str, size: int) -> str:
    mean = f"CASE i {' '.join(f'WHEN {i} THEN m{i}' for i in range(size))} END"
    return f"""
        SELECT policy_id, candidate_id, hour, bucket, key, i, {_columns({"m": mean})}
        FROM {wide} CROSS JOIN (VALUES {_places(size)}) AS places(i)"""


def _counted(config: Config) -> str:
    """Every row with a weight, whether or not the candidate's distribution is known."""
    return f"""
        SELECT policy_id, candidate_id, {DAY}, unit_hash % 64 // 2 AS bucket, '' AS key, -1 AS i,
            {_columns({"n_rows": "COUNT(*)"})}
        FROM {weighted(config)} GROUP BY 1, 2, 3, 4, 5, 6"""


def _columns(given: dict[str, str]) -> str:
    return ", ".join(f"{given.get(name, '0e0')} AS {name}" for name in (*SCALARS, *MOMENTS))


def _places(size: int) -> str:
    return ", ".join(f"({i})" for i in range(size))


GRAM = Family(
    "gram", ("g",), _select_gram, by_candidate=True, inner="key", whole_days=True, places=("i", "j")
)
FAMILY = Family(
    "ridge", (*SCALARS, *MOMENTS), _select, by_candidate=True, inner="key", whole_days=True, places=("i",)
)
