"""Real decisions that the proxy reward likes best, as scenarios for people to label."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from monitor import pii
from monitor.config import ConfigError, Loaded
from monitor.readings import hour_of
from monitor.store import literal, opened, quoted
from monitor.verdicts import evidence_of, opened_journal, store_of

# Of equal proxies those first that did worst: they are what the proxy hides.
ORDER = "decisions.proxy_reward DESC, decisions.outcome NULLS LAST, decisions.decision_id"
FORMATS = {".csv": "csv, HEADER", ".jsonl": "json"}


def mine(loaded: Loaded, output: Path, *, top: int, as_of: datetime) -> list[str]:
    """Write the decisions of highest proxy reward in the evidence of offline validation, for people to label;
    returns what to do next. Raises ConfigError."""
    if output.suffix not in FORMATS:
        raise ConfigError([f"--output {output.name} must end in .csv or .jsonl"])
    if output.exists():
        raise ConfigError([f"--output {output.name} is there already; labels in it would be lost"])
    store, stage = store_of(loaded), "offline_validation"
    store.create()
    with opened_journal(store) as journal, evidence_of(journal, loaded, stage, as_of) as evidence:
        policy, start, end = evidence.controlling, evidence.window_start, evidence.window_end
    rows = "FROM decisions WHERE policy_id = ? AND hour >= ? AND hour < ? AND isfinite(proxy_reward)"
    within = [policy, hour_of(start), hour_of(end)]
    with opened(store.decisions, read_only=True) as connection:
        pii.arm(connection, loaded)
        found = connection.execute(f"SELECT COUNT(*) {rows}", within).fetchone()
        n = min(top, int(found[0]) if found else 0)
        if not n:
            raise ConfigError(
                [f"no decision of {policy} from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} has a "
                 "`proxy_reward`; map it, or widen `held_out`"]
            )  # fmt: skip
        chosen = f"SELECT {_shown(loaded)} {rows} ORDER BY {ORDER}"
        connection.execute(
            f"COPY ({chosen} LIMIT {int(top)}) TO {literal(str(output))} (FORMAT {FORMATS[output.suffix]})",
            within,
        )
    return _next(loaded, output, n, policy)


def _shown(loaded: Loaded) -> str:
    """The columns that help a person to judge, personal ones hashed; the label is empty."""
    config = loaded.config
    beside = ["ts", "segment", "action", *(f"action_{d}" for d in config.action_dims)]
    beside += [f"state_{f}" for f in config.state.features]
    columns = [f"{pii.shown('decision_id', config)} AS scenario_id"]
    columns += [f"{pii.shown(c, config)} AS {quoted(c)}" for c in beside]
    return ", ".join([*columns, "proxy_reward", "outcome", "CAST(NULL AS VARCHAR) AS acceptable"])


def _next(loaded: Loaded, output: Path, n: int, policy: str) -> list[str]:
    reward, place = loaded.config.reward_hash, output.resolve()
    inside = place.is_relative_to(loaded.folder)
    place = place.relative_to(loaded.folder) if inside else output
    return [
        f"{n} decisions of {policy} with the highest proxy reward written to {output}",
        f"the reward is defined as {reward}",
        "next: a person writes true or false under `acceptable` in every row, and adds rows for situations "
        "in which the reward could be had without doing well; then in monitor.yaml:",
        "scenarios:",
        f"  paths: [{json.dumps(place.as_posix())}]",
        f"  format: {output.suffix.removeprefix('.')}",
        f"  reward: {json.dumps(reward)}",
    ]
