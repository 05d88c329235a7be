"""Columns that ingest works out: hour, unit, hashes, and sums over logged distributions."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.config import Config, Unit
from monitor.log import schema
from monitor.store import literal, quoted

DEFAULT_BLOCK = 24 * 3600
ROUNDING = "1e-9"
ALWAYS = ("policy_id", "candidate_id", "unit_id", "episode_id", "segment", "n_actions", "irreversible",
          "keep_prob", *schema.LATE)  # fmt: skip


def filled(present: Sequence[str], config: Config) -> dict[str, str]:
    """The columns of a typed batch and their kinds: what its source gives, and what is always needed."""
    return {c: kind for c, kind in schema.logged(config).items() if c in present or c in ALWAYS}


def completed(checked: str, present: Sequence[str], config: Config) -> str:
    """A SELECT of the columns of a typed batch: defaults filled in, derived columns worked out."""
    listing = ", ".join(
        f"{_default(name, present, config)}::{schema.TYPES[kind]} AS {quoted(name)}"
        for name, kind in filled(present, config).items()
    )
    probs = "action_probs" in present
    recommended = probs and "candidate_probs" in present
    known = {
        "greedy": greedy("propensity", "action_probs") if probs and "propensity" in present else None,
        "candidate_kl": kl("candidate_probs", "action_probs") if probs and recommended else None,
        "unsupported_mass": unsupported("candidate_probs", "action_probs") if probs and recommended else None,
    }
    extra = "".join(
        f", {known[c] or 'NULL'}::{schema.TYPES[kind]} AS {c}"
        for c, kind in schema.derived(config).items() if c in known
    )  # fmt: skip
    return f"""
        SELECT *, {hour("ts")} AS hour, {_unit(config)} AS unit, {hash63("decision_id")} AS row_hash,
            {_entropy() if probs else "NULL::DOUBLE"} AS probs_entropy,
            {"list_sum(list_transform(action_probs, lambda p: p * p))" if probs else "NULL::DOUBLE"}
                AS probs_agreement,
            {cross_agreement("action_probs", "candidate_probs") if recommended else "NULL::DOUBLE"}
                AS cross_agreement,
            {total_variation("action_probs", "candidate_probs") if recommended else "NULL::DOUBLE"}
                AS total_variation{extra}
        FROM (SELECT line, reason, ok, late, {listing} FROM ({checked}))"""


def hour(ts: str) -> str:
    """Hours since 1970-01-01 of a timestamp, rounded down."""
    return f"CAST(floor(epoch_us({ts}) / 3600000000) AS BIGINT)"


def hash63(text: str) -> str:
    """63 bits of the md5 of a text. It costs half a microsecond, so units are hashed once each."""
    return f"CAST(md5_number_lower({text}) & 9223372036854775807 AS BIGINT)"


def cross_agreement(first: str, second: str) -> str:
    """Σ π_b π_e of two distributions over the same actions, NULL where their sizes differ."""
    # list_dot_product fails on a batch in which some other row's list holds a NULL.
    terms = f"list_transform({first}, lambda p, i: p * {second}[i])"
    return f"CASE WHEN len({first}) = len({second}) THEN list_sum({terms}) END"


def total_variation(first: str, second: str) -> str:
    """½ Σ |π_e − π_b| of two distributions over the same actions, NULL where their sizes differ."""
    gaps = f"list_transform({first}, lambda p, i: abs(p - {second}[i]))"
    return f"CASE WHEN len({first}) = len({second}) THEN list_sum({gaps}) / 2 END"


def greedy(propensity: str, probs: str) -> str:
    """Whether the executed action is one of the most probable: its propensity is the largest probability,
    up to rounding in the last digits."""
    return f"({propensity} >= list_max({probs}) * (1 - {ROUNDING}))"


def kl(first: str, second: str) -> str:
    """Σ q ln(q/p) of q from p over the actions that both may take, NULL where their sizes differ."""
    terms = (
        f"list_transform({first}, lambda q, i: "
        f"CASE WHEN q > 0 AND {second}[i] > 0 THEN q * ln(q / {second}[i]) ELSE 0e0 END)"
    )
    return f"CASE WHEN len({first}) = len({second}) THEN list_sum({terms}) END"


def unsupported(first: str, second: str) -> str:
    """Probability that q gives to actions of which p is 0, NULL where their sizes differ."""
    terms = f"list_transform({first}, lambda q, i: CASE WHEN {second}[i] > 0 THEN 0e0 ELSE q END)"
    return f"CASE WHEN len({first}) = len({second}) THEN list_sum({terms}) END"


def _default(name: str, present: Sequence[str], config: Config) -> str:
    column = quoted(name) if name in present else "NULL"
    if name == "candidate_id":
        candidate = literal(config.policies.candidate)
        return f"CASE WHEN recommends THEN coalesce({column}, {candidate}) ELSE '' END"
    if name in ("policy_id", "segment"):
        return f"coalesce({column}, '')"
    if name == "n_actions" and "action_probs" in present:
        return f"coalesce({column}, len(action_probs))"
    if name == "keep_prob":
        return f"coalesce({column}, 1e0)"
    return column


def _unit(config: Config) -> str:
    """The text of the unit. Where a row lacks its unit it joins the block of its day: too large a
    cluster makes an interval wider, never narrower."""
    unit = config.unit
    if unit == "decision":
        return "decision_id"
    if isinstance(unit, Unit) and unit.block is not None:
        return _block(unit.block.total_seconds())
    named = "unit_id" if isinstance(unit, Unit) else "unit_id, episode_id"
    return f"coalesce({named}, {_block(DEFAULT_BLOCK)})"


def _block(seconds: float) -> str:
    return f"'block ' || CAST(floor(epoch_us(ts) / {int(seconds * 1_000_000)}) AS BIGINT)"


def _entropy() -> str:
    terms = "list_transform(action_probs, lambda p: CASE WHEN p > 0 THEN -p * ln(p) ELSE 0e0 END)"
    return f"list_sum({terms})"
