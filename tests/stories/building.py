"""Small logs, a folder with a monitor.yaml beside them, and the monitor run over it as if it were live."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from gates.evaluate import Verdict
from gates.outcome import Finding
from monitor import config as configuration
from monitor import jobs, verdicts
from monitor.config import CANONICAL, Loaded
from monitor.journal import Event, Journal, OutboxRow
from monitor.store import opened

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
LAG = timedelta(minutes=11)
CHECKLISTS = Path(__file__).parents[2] / "checklists"
MONITOR = Path(sys.executable).parent / "monitor"
Row = dict[str, Any]

CONFIG: dict[str, Any] = {
    "store": "var/monitor",
    "policies": {"candidate": "new", "incumbent": "old", "safe": "old"},
    "unit": {"column": "unit_id"},
    "reward": {"range": [0, 1], "missing_after_maturity": "exclude"},
    "constraints": {
        "slow": {"limit": 0.1, "margin": 0.05},
        "crash": {"limit": 0.0, "margin": 0.0, "hard": True},
    },
    "envelope": {"speed": [0.2, 1.0]},
    "rollback": {"kind": "file", "path": "var/active_policy.json"},
    "expectations": {"off": "they have stories of their own"},
}
STATE: dict[str, Any] = {
    "state": {"numeric": ["load"], "categorical": ["season"]},
    "conditions": {"season": ["low", "high"]},
    "baseline": {"policy": "old", "from": "2026-01-01", "to": "2026-01-04"},
}


# What no story here logs: a source that does not name them spares every pass the sums that need them.
NOT_LOGGED = {
    *("episode_id", "step", "terminal", "q_value", "candidate_value", "uncertainty", "shaping", "intrinsic"),
    *("action_probs", "candidate_probs", "proposed_action", "proxy_reward"),
}


def logged(body: Mapping[str, Any]) -> dict[str, Any]:
    """The log of a configuration: every column that `rows` may write, under its own name."""
    state = body.get("state") or {}
    names = [c for c in CANONICAL if c not in NOT_LOGGED]
    names += [f"state_{f}" for f in [*state.get("numeric", []), *state.get("categorical", [])]]
    names += [f"cost_{k}" for k in body.get("constraints") or {}]
    names += [f"{whose}action_{d}" for whose in ("", "candidate_") for d in body.get("envelope") or {}]
    source = {"paths": ["logs/*.jsonl"], "format": "jsonl", "columns": {name: name for name in names}}
    return {"sources": [source]}


def after(hours: float, minutes: float = 0) -> datetime:
    """A moment of the story, counted from its start."""
    return START + timedelta(hours=hours, minutes=minutes)


def rows(
    hours: Iterable[int],
    policy: str,
    *,
    per_hour: int = 20,
    candidate: str = "",
    seed: int = 0,
    **fields: Any,
) -> list[Row]:
    """Healthy decisions of one policy, `per_hour` evenly in each hour; with the recommendations of
    `candidate` where one is named: it differs from what was done in every fifth decision."""
    rng = np.random.default_rng([seed, *policy.encode()])
    made = []
    for hour in hours:
        load, arm = rng.normal(0, 1, per_hour), rng.integers(0, 3, per_hour)
        for i in range(per_hour):
            ts = START + hour * HOUR + i * HOUR / per_hour
            row: Row = {
                "decision_id": f"{policy}-{hour}-{i}", "ts": ts.isoformat(), "policy_id": policy,
                "unit_id": f"user-{(hour * per_hour + i) % 4999}", "action": "abc"[arm[i]],
                "propensity": 1 / 3, "reward": float(i % 2), "cost_slow": 0.0, "cost_crash": 0.0,
                "action_speed": 0.5,
                "irreversible": False, "state_load": round(float(load[i]), 6),
                "state_season": ("low", "high")[i % 2],
            }  # fmt: skip
            if candidate:
                other = "abc"[(arm[i] + (i % 5 == 0)) % 3]
                row |= {"candidate_id": candidate, "candidate_action": other, "candidate_propensity": 0.8}
            made.append(row | fields)
    return made


class Plant:
    """One installation: its configuration, its logs, its store, and the ways in.

    Its checklists are those that ship but for the trigger `stale`: stories write only the hours they are
    about. `checklists=None` is with it.
    """

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.folder = folder
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        (folder / "checklists").mkdir(exist_ok=True)
        for file in CHECKLISTS.glob("*.yaml"):
            text = file.read_text("utf-8")
            text = re.sub(r"^stale:\n(?:  .*\n)+", "", text, flags=re.MULTILINE)
            (folder / "checklists" / file.name).write_text(text, "utf-8")
        self.environ: Mapping[str, str] = {}
        self.configure(**changes)

    def copy(self, folder: Path) -> Plant:
        """The same installation in another folder."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return Plant(folder, **self.changes)

    def configure(self, **changes: Any) -> None:
        """Write monitor.yaml: `CONFIG` with these keys in place of its own (None: without it)."""
        self.changes = changes
        body = {k: v for k, v in (CONFIG | {"checklists": "checklists"} | changes).items() if v is not None}
        body.setdefault("log", logged(body))
        (self.folder / "monitor.yaml").write_text(json.dumps(body, indent=1), "utf-8")
        self.loaded: Loaded = configuration.load(self.folder / "monitor.yaml")

    def write(self, decisions: Iterable[Row], name: str = "log.jsonl") -> None:
        """Append decisions to a log file."""
        self.lines((json.dumps(row) for row in decisions), name)

    def lines(self, lines: Iterable[str], name: str = "log.jsonl") -> None:
        with (self.folder / "logs" / name).open("a", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in lines)

    def run(self, at: datetime, *, as_of: datetime | None = None, dry: bool = False) -> jobs.RunReport:
        """One pass at `at`, as a scheduler would have started it."""
        return jobs.run(self.loaded, now=at, as_of=as_of or at, dry=dry, environ=self.environ)

    def gate(self, at: datetime, stage: str = "shadow") -> Verdict:
        return verdicts.gate(self.loaded, stage=stage, as_of=at)

    def monitor(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """The real command line in a process of its own."""
        return subprocess.run(
            self.command(*arguments), cwd=self.folder, capture_output=True, text=True, timeout=60,
            env={**os.environ, **environ}, check=False,
        )  # fmt: skip

    def command(self, *arguments: str) -> list[str]:
        return [str(MONITOR), *arguments, "-c", str(self.folder / "monitor.yaml")]

    @contextmanager
    def journal(self) -> Iterator[Journal]:
        with Journal(verdicts.store_of(self.loaded).journal) as journal:
            yield journal

    def events(self, *kinds: str) -> list[Event]:
        with self.journal() as journal:
            return journal.events(*kinds)

    def outbox(self) -> list[OutboxRow]:
        """Every message, delivered or not, in the order they were put there."""
        with self.journal() as journal:
            columns = "id, key, channel, message, attempts, delivered_at"
            found = journal._rows(f"SELECT {columns} FROM outbox ORDER BY id")
        return [OutboxRow(r[0], r[1], r[2], json.loads(r[3]), START, r[5], r[4], None) for r in found]

    def told(self) -> list[str]:
        """The titles of all messages, without those on changed verdicts."""
        return [r.message["title"] for r in self.outbox() if not r.key.startswith("verdict:")]

    def pointer(self) -> dict[str, Any] | None:
        path = self.folder / "var" / "active_policy.json"
        return json.loads(path.read_text("utf-8")) if path.exists() else None

    def query(self, select: str, store: str = "decisions") -> list[Any]:
        path = getattr(verdicts.store_of(self.loaded), store)
        with opened(path, read_only=True) as connection:
            return list(connection.execute(select).fetchall())


def finding(verdict: Verdict, item: str, metric: str = "") -> Finding:
    """The finding of an item (on a metric, where it has several)."""
    (found,) = [f for f in verdict.findings if f.item == item and metric in ("", f.metric)]
    return found


def did(events: Iterable[Event]) -> list[str]:
    """What became of confirmed firings."""
    return [e.body["did"] for e in events if e.kind == "firing" and e.body["confirmed"]]
