"""Weeks of logs, pruned: what the gate says stays as it was, and a kill leaves the store right."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gates.evaluate import to_json
from monitor import config as configuration
from monitor import jobs, verdicts
from monitor.config import ConfigError, Loaded
from monitor.log import schema
from monitor.store import opened

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 16
NOW = START + timedelta(days=DAYS, minutes=30)
CONFIG = """\
policies: {candidate: new, incumbent: old, safe: old}
log:
  sources: [{paths: ["logs/*.jsonl"], format: jsonl}]
  dedupe_within: 24h
unit: decision
state: {numeric: [load]}
reward: {range: [0, 1], missing_after_maturity: exclude}
constraints: {slow: {limit: 0.5, margin: 0.1}}
baseline: {policy: old, from: 2026-01-01, to: 2026-01-05}
training: {none: a rule}
held_out: {from: 2026-01-05, to: 2026-02-01}
expectations: {off: not in this story}
retention: RETENTION
"""
OF_THE_BASELINE = ("state", "state_sample", "pair", "tails", "clipped", "valued", "gram", "ridge")
FAMILIES = ("reward", "constraint", "action", "offpolicy", "sample", "units", "quality", *OF_THE_BASELINE)


@pytest.fixture
def plant(tmp_path: Path) -> Loaded:
    """16 days of decisions, 12 an hour, each with a recommendation; ingested, summed and judged once."""
    (tmp_path / "logs").mkdir()
    dice = random.Random(5)
    with (tmp_path / "logs/a.jsonl").open("w") as out:
        out.writelines(line(dice, number) for number in range(DAYS * 24 * 12))
    loaded = configured(tmp_path, "60d")
    jobs.run(loaded, now=NOW, as_of=NOW, dry=False, environ={})
    return loaded


def line(dice: random.Random, number: int) -> str:
    row = {
        "decision_id": f"d{number}", "ts": (START + timedelta(minutes=5 * number)).isoformat(),
        "policy_id": "old", "candidate_id": "new", "action": dice.choice("ab"), "propensity": 0.5,
        "candidate_action": dice.choice("ab"), "candidate_propensity": 0.5, "reward": dice.random(),
        "state_load": dice.gauss(0, 1), "cost_slow": float(dice.random() < 0.1),
    }
    return json.dumps(row) + "\n"


def configured(folder: Path, retention: str, **other: str) -> Loaded:
    text = CONFIG.replace("RETENTION", retention)
    for before, after in other.items():
        text = text.replace(before, after)
    (folder / "monitor.yaml").write_text(text)
    return configuration.load(folder / "monitor.yaml")


def sums(loaded: Loaded, before: datetime | None = None) -> dict[str, list]:
    limit = f"WHERE hour < {int(before.timestamp() // 3600)}" if before else ""
    with opened(verdicts.store_of(loaded).sums, read_only=True) as connection:
        return {
            f: connection.execute(f"SELECT * FROM sums_{f} {limit} ORDER BY ALL").fetchall() for f in FAMILIES
        }


def verdict(loaded: Loaded) -> dict:
    judged = to_json(verdicts.gate(loaded, stage="offline", as_of=NOW))
    assert any(f["n"] for f in judged["findings"])
    return judged


def count(loaded: Loaded, what: str = "decisions") -> int:
    with opened(verdicts.store_of(loaded).decisions, read_only=True) as connection:
        return int(connection.execute(f"SELECT COUNT(*) FROM {what}").fetchall()[0][0])


def test_pruning_rows_inside_and_outside_the_evidence_changes_no_sum_and_no_verdict(plant) -> None:
    loaded = configured(plant.folder, "9d")
    before = sums(loaded), verdict(loaded)
    for now in (NOW, NOW + timedelta(days=5)):
        jobs.prune(loaded, now=now, dry=False)
        assert (sums(loaded), verdict(loaded)) == before
    assert count(loaded) == 24 * 12 * 4


def test_a_run_prunes_by_itself_and_says_so_and_keeps_the_sums_of_what_is_gone(plant) -> None:
    before = sums(plant, START + timedelta(days=7))
    loaded = configured(plant.folder, "9d")
    report = jobs.run(loaded, now=NOW, as_of=NOW, dry=False, environ={})
    assert f"before 2026-01-08: {24 * 12 * 7} decisions deleted; their sums stay" in report.done
    again = jobs.run(loaded, now=NOW, as_of=NOW, dry=False, environ={})
    assert not [text for text in again.done if "deleted" in text]
    assert sums(loaded, START + timedelta(days=7)) == before


def test_a_late_row_is_rejected_as_pruned_and_its_hour_keeps_its_sums(plant) -> None:
    loaded = configured(plant.folder, "9d")
    jobs.prune(loaded, now=NOW, dry=False)
    before = sums(loaded)
    (loaded.folder / "logs/late.jsonl").write_text(line(random.Random(1), 7).replace('"d7"', '"late"'))
    report = jobs.run(loaded, now=NOW, as_of=NOW, dry=False, environ={})
    assert (report.account.rejected, report.account.pruned) == (1, 1)
    assert sums(loaded) == before


def test_a_family_whose_sql_changed_keeps_its_sums_of_pruned_days(plant) -> None:
    loaded = configured(plant.folder, "9d")
    floor = jobs.prune(loaded, now=NOW, dry=False).before
    before = sums(loaded, floor)
    with opened(verdicts.store_of(loaded).sums) as connection:
        connection.execute("UPDATE families SET sql_hash = 'of an older version'")
    report = jobs.run(loaded, now=NOW, as_of=NOW, dry=False, environ={})
    after = sums(loaded, floor)
    assert {f for f in FAMILIES if after[f] != before[f]} == {f for f in OF_THE_BASELINE if before[f]}
    assert f"gone for {', '.join(OF_THE_BASELINE)}:" in told(report)
    assert before["state"] and before["pair"] and not any(after[f] for f in OF_THE_BASELINE)


def test_sums_of_another_reward_range_are_dropped_and_not_mixed_with_new_ones(plant) -> None:
    loaded = configured(plant.folder, "9d")
    floor = int(jobs.prune(loaded, now=NOW, dry=False).before.timestamp() // 3600)
    loaded = configured(plant.folder, "9d", **{"range: [0, 1]": "range: [0, 2]"})
    assert "reward" in told(jobs.run(loaded, now=NOW, as_of=NOW, dry=False, environ={}))
    assert min(hour for _, _, hour, *_ in sums(loaded)["reward"]) == floor


def test_prune_refuses_while_the_sums_are_those_of_another_configuration(plant) -> None:
    loaded = configured(plant.folder, "9d", **{"range: [0, 1]": "range: [0, 2]"})
    with pytest.raises(ConfigError, match="run `monitor run` first"):
        jobs.prune(loaded, now=NOW, dry=False)
    assert count(loaded) == DAYS * 24 * 12


def test_prune_without_retention_is_refused(plant) -> None:
    (plant.folder / "monitor.yaml").write_text(CONFIG.replace("retention: RETENTION", ""))
    with pytest.raises(ConfigError, match="`retention` is not set"):
        jobs.prune(configuration.load(plant.folder / "monitor.yaml"), now=NOW, dry=False)


@pytest.mark.parametrize("moment", ["DELETE FROM decisions", "INSERT INTO pruned", "COMMIT", "CHECKPOINT"])
def test_a_kill_in_the_middle_leaves_all_of_it_or_none_and_the_next_prune_finishes(plant, moment) -> None:
    loaded = configured(plant.folder, "9d")
    before = sums(loaded), verdict(loaded)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(loaded.folder), moment], check=False)
    assert killed.returncode == -signal.SIGKILL
    everything = DAYS * 24 * 12
    with opened(verdicts.store_of(loaded).decisions) as connection:
        schema.create(connection, loaded.config)
    done = moment == "CHECKPOINT"
    pruned = (everything - 7 * 288, 1)
    assert (count(loaded), count(loaded, "pruned")) == (pruned if done else (everything, 0))
    jobs.prune(loaded, now=NOW, dry=False)
    assert (count(loaded), count(loaded, "pruned")) == pruned
    assert (sums(loaded), verdict(loaded)) == before


def told(report: jobs.RunReport) -> str:
    return next((t for t in report.done if "are gone" in t), "")


KILLED = textwrap.dedent(f"""
    import os, signal, sys
    from datetime import datetime
    from pathlib import Path
    from monitor import config, jobs, retention

    class Doomed:
        "A connection whose process is killed when it is asked for `moment`."
        def __init__(self, connection): self.connection = connection
        def execute(self, sql, *rest):
            if sql.startswith(sys.argv[2]): os.kill(os.getpid(), signal.SIGKILL)
            return self.connection.execute(sql, *rest)

    whole = retention.prune
    retention.prune = lambda connection, *a, **k: whole(Doomed(connection), *a, **k)
    loaded = config.load(Path(sys.argv[1]) / "monitor.yaml")
    jobs.prune(loaded, now=datetime.fromisoformat({NOW.isoformat()!r}), dry=False)
""")
