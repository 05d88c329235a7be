"""What is kept how long: the rule for `retention`, and what pruning deletes and leaves."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from monitor import config as configuration
from monitor import retention
from monitor.config import ConfigError, Loaded
from monitor.log import schema
from monitor.log.ingest import ingest

START = datetime(2026, 1, 1, tzinfo=UTC)
CONFIG = """\
policies: {candidate: new, incumbent: old, safe: old}
log:
  sources:
    - {paths: ["*.jsonl"], format: jsonl}
    - {paths: ["*.csv"], format: csv, kind: rewards}
  combine: sum
reward: {range: [0, 1], matures_after: 24h, missing_after_maturity: exclude}
outcome: {matures_after: 5d}
constraints: {crash: {limit: 0.0, margin: 0.0, hard: true}}
retention: 14d
"""


class Kept:
    """Logs of one decision an hour, a store in memory, and its clock."""

    def __init__(self, folder, text: str = CONFIG) -> None:
        self.folder = folder
        (folder / "monitor.yaml").write_text(text)
        self.loaded: Loaded = configuration.load(folder / "monitor.yaml")
        self.connection = duckdb.connect()
        schema.create(self.connection, self.loaded.config)

    def log(self, file: str, hours, **other) -> None:
        rows = (
            {"decision_id": f"d{h}", "ts": (START + timedelta(hours=h)).isoformat(), "policy_id": "old",
             "action": "a", "reward": 1, **other} for h in hours
        )
        (self.folder / file).write_text("".join(json.dumps(r) + "\n" for r in rows))

    def ingest(self, now: datetime):
        return ingest(self.connection, self.loaded, as_of=now, now=now)

    def settle(self) -> None:
        self.connection.execute("DELETE FROM dirty_hours")
        self.connection.execute("UPDATE breaches SET judged_at = TIMESTAMP '2026-01-30'")

    def prune(self, now: datetime, **more) -> retention.Pruned:
        return retention.prune(
            self.connection, self.loaded.config, now=now, baseline_frozen=True, **more
        )

    def ask(self, sql: str):
        return self.connection.execute(sql).fetchall()


@pytest.fixture
def kept(tmp_path) -> Kept:
    return Kept(tmp_path)


def test_retention_is_at_least_maturity_and_repeats_and_a_week_and_the_error_names_both(tmp_path) -> None:
    Kept(tmp_path)
    (tmp_path / "monitor.yaml").write_text(CONFIG.replace("14d", "13d"))
    with pytest.raises(ConfigError, match=r"monitor.yaml:10: 'retention': 13d is less than 14d"):
        configuration.load(tmp_path / "monitor.yaml")


def test_retention_and_hidden_columns_change_no_number_so_not_the_hash_of_the_configuration(tmp_path) -> None:
    with_both = Kept(tmp_path, CONFIG + "pii: [unit_id]\n").loaded.config.config_hash
    assert Kept(tmp_path, CONFIG.replace("retention: 14d", "")).loaded.config.config_hash == with_both


def test_whole_days_older_than_the_retention_go_from_every_book_and_newer_rows_stay(kept) -> None:
    kept.log("a.jsonl", range(48), propensity=7, cost_crash=1)
    (kept.folder / "b.jsonl").write_text('{"ts": "2026-01-01T05:00:00"}\n{"ts": "2026-01-02T05:00:00"}\n')
    now = START + timedelta(days=15, hours=5)
    kept.ingest(now)
    kept.settle()
    pruned = kept.prune(now)
    assert pruned.before == START + timedelta(days=1)
    assert pruned.rows == {
        "reward_parts": 24, "decisions": 24, "rejects": 1, "faults": 24, "breaches": 24, "waiting": 0
    }
    for table, column in (("decisions", "ts"), ("breaches", "ts")):
        assert kept.ask(f"SELECT MIN({column}), COUNT(*) FROM {table}") == [(datetime(2026, 1, 2), 24)]
    assert kept.ask("SELECT (SELECT COUNT(*) FROM rejects), (SELECT COUNT(*) FROM faults)") == [(1, 24)]
    assert kept.ask("SELECT decision_id FROM reward_parts ORDER BY ALL LIMIT 1") == [("d24",)]


def test_a_dry_run_counts_the_same_and_deletes_nothing(kept) -> None:
    kept.log("a.jsonl", range(48))
    now = START + timedelta(days=15)
    kept.ingest(now)
    kept.settle()
    assert kept.prune(now, dry=True).rows["decisions"] == 24
    assert kept.ask("SELECT COUNT(*) FROM decisions") == [(48,)]
    assert kept.ask("FROM pruned") == []
    assert kept.prune(now).rows["decisions"] == 24


def test_an_unjudged_breach_and_hours_not_summed_yet_stay(kept) -> None:
    kept.log("a.jsonl", range(48), cost_crash=1)
    now = START + timedelta(days=30)
    kept.ingest(now)
    kept.connection.execute("DELETE FROM dirty_hours WHERE hour < (SELECT MAX(hour) FROM dirty_hours)")
    pruned = kept.prune(now)
    assert pruned.rows["decisions"] == 24 and pruned.rows["breaches"] == 0
    assert "not summed yet" in (pruned.kept_back or "")


def test_a_late_row_from_before_the_floor_is_rejected_without_its_text_and_dirties_no_hour(kept) -> None:
    kept.log("a.jsonl", range(48))
    now = START + timedelta(days=15)
    kept.ingest(now)
    kept.settle()
    kept.prune(now)
    kept.log("late.jsonl", [3.5, 30.5])
    account = kept.ingest(now)
    assert (account.loaded, account.rejected, account.pruned) == (1, 1, 1)
    assert kept.ask("SELECT reason, raw, line FROM rejects") == [("pruned", "", 1)]
    assert kept.ask("FROM dirty_hours") == [(int(START.timestamp()) // 3600 + 30,)]
    kept.settle()
    assert kept.prune(now + timedelta(hours=3)).rows["rejects"] == 1


def test_late_rewards_of_pruned_decisions_wait_for_one_more_retention_and_no_longer(kept) -> None:
    kept.log("a.jsonl", range(24))
    now = START + timedelta(days=15)
    kept.ingest(now)
    kept.settle()
    kept.prune(now)
    (kept.folder / "r.csv").write_text(
        f"decision_id,reward,reward_ts\nd1,1,{now.isoformat()}\nd2,1,\nd3,1,2026-01-01T09:00:00\n"
    )
    assert kept.ingest(now).waiting == 3
    assert kept.prune(now + timedelta(days=1)).rows["waiting"] == 1
    assert kept.ask("SELECT decision_id FROM waiting ORDER BY 1") == [("d1",), ("d2",)]
    assert kept.prune(now + timedelta(days=15)).rows["waiting"] == 2


def test_nothing_to_delete_notes_no_floor_so_old_logs_can_still_be_loaded(kept) -> None:
    now = START + timedelta(days=30)
    assert kept.prune(now).total == 0
    assert retention.floor(kept.connection) is None
    kept.log("a.jsonl", range(3))
    assert kept.ingest(now).loaded == 3


def test_a_run_prunes_again_only_when_a_day_has_passed(kept) -> None:
    kept.log("a.jsonl", range(72))
    now = START + timedelta(days=15, hours=2)
    kept.ingest(now)
    kept.settle()
    config = kept.loaded.config
    assert retention.due(kept.connection, config, now)
    kept.prune(now)
    assert not retention.due(kept.connection, config, now + timedelta(hours=21))
    assert retention.due(kept.connection, config, now + timedelta(hours=22))


def test_the_period_of_a_baseline_that_is_not_frozen_stays(tmp_path) -> None:
    kept = Kept(tmp_path, CONFIG + "baseline: {policy: old, from: 2026-01-02, to: 2026-01-03}\n")
    kept.log("a.jsonl", range(72))
    now = START + timedelta(days=40)
    kept.ingest(now)
    kept.settle()
    pruned = retention.prune(kept.connection, kept.loaded.config, now=now, baseline_frozen=False)
    assert pruned.rows["decisions"] == 24 and "2026-01-02" in (pruned.kept_back or "")
    assert kept.prune(now).rows["decisions"] == 48
