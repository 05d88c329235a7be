"""A runner without access to the store judges given files: `monitor gate --logs`."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from gates.checks import CHECKS
from gates.evaluate import Verdict, to_json
from gates.outcome import Finding, Outcome
from monitor import acts, stateless
from monitor.config import ConfigError
from monitor.journal import Journal, JournalError
from monitor.stateless import Given
from monitor.verdicts import store_of
from tests.stories.building import LAG, STATE, Plant, after, finding, rows

LAST = 72 + 15 * 24
AT = after(LAST) + LAG
NOW = after(LAST + 24 * 90)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    """A healthy shadow log, read, judged and signed off by a run that had a store."""
    plant = Plant(tmp_path_factory.mktemp("healthy"), **STATE)
    plant.write(rows(range(72), "old"), "a.jsonl")
    plant.write(rows(range(72, LAST), "old", candidate="new"), "b.jsonl")
    plant.run(AT)
    (plant.folder / "review.csv").write_text("50 labelled, 48 sensible\n", "utf-8")
    acts.attest(
        plant.loaded, "review", by="Ada", reason="looked at 50", evidence=str(plant.folder / "review.csv"),
        expires="30d", approved=True, at=after(LAST),
    )  # fmt: skip
    return plant


def judged(plant: Plant, *logs: Path, stage: str = "shadow", **given: Any) -> Verdict:
    said = Given(logs or [plant.folder / "logs"], **given)
    return stateless.gate(plant.loaded, said, stage=stage, now=NOW)[0]


def store(plant: Plant) -> Path:
    return store_of(plant.loaded).folder


def frozen(plant: Plant) -> Path:
    return next((store(plant) / "baselines").glob("*.json"))


def numbers(findings: tuple[Finding, ...]) -> list[Any]:
    """The findings that no journal tells, with numbers that can be compared (NaN is not itself)."""
    names = ("value", "low", "high", "limit", "n")
    plain = [replace(f, **{name: repr(getattr(f, name)) for name in names}) for f in findings]
    return [f for f in plain if not CHECKS[f.check].events]


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {str(p): (p.stat().st_mtime_ns, p.read_bytes()) for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_same_files_give_the_same_numbers_as_the_store(made: Plant) -> None:
    with_store, without = made.gate(AT), judged(made, as_of=AT)
    assert numbers(without.findings) == numbers(with_store.findings) and len(numbers(without.findings)) >= 6
    assert [f.item for f in without.findings] == [f.item for f in with_store.findings]
    assert without.checklist_hash == with_store.checklist_hash
    assert without.config_hash == with_store.config_hash
    assert (with_store.scope, without.scope) == ("store", "logs")


def test_what_the_journal_tells_is_open_without_one_and_judged_with_one(made: Plant) -> None:
    without, its = judged(made), store(made) / "journal.db"
    review = finding(without, "review")
    assert (review.outcome, review.reason) == (Outcome.INCONCLUSIVE, "no_journal")
    assert "`--journal FILE`" in review.needs
    assert {f.outcome for f in without.findings if f.item != "review"} == {Outcome.PASS}
    assert without.exit_code == 3
    with_journal = judged(made, journal=its)
    assert finding(with_journal, "review").outcome is Outcome.PASS
    assert (with_journal.scope, with_journal.exit_code) == ("logs and journal", 0)


@pytest.mark.parametrize("stage", ["offline", "shadow", "limited", "full"])
def test_with_journal_and_baseline_every_item_says_what_it_says_in_the_store(made: Plant, stage: str) -> None:
    given = judged(made, stage=stage, journal=store(made) / "journal.db", baseline=frozen(made), as_of=AT)
    stored = made.gate(AT, stage)
    told = [[(f.item, f.metric, f.key, f.outcome, f.reason, f.message, f.needs) for f in v.findings]
            for v in (given, stored)]  # fmt: skip
    assert told[0] == told[1] and given.exit_code == stored.exit_code


def test_no_item_that_reads_events_passes_without_a_journal(made: Plant) -> None:
    for stage in ("offline", "shadow", "limited", "full"):
        for found in judged(made, stage=stage).findings:
            if CHECKS[found.check].events and found.role != "off":
                assert (found.outcome, found.reason) == (Outcome.INCONCLUSIVE, "no_journal"), found.item


def test_nothing_of_the_user_is_touched_and_nothing_is_left_behind(
    made: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    before = everything(made.folder)
    judged(made, journal=store(made) / "journal.db", baseline=frozen(made))
    assert everything(made.folder) == before
    assert list(temporary.iterdir()) == []


def test_it_needs_no_store_at_all(made: Plant, tmp_path: Path) -> None:
    plant = made.copy(tmp_path)
    shutil.rmtree(tmp_path / "var")
    assert numbers(judged(plant).findings) == numbers(judged(made).findings)
    assert not (tmp_path / "var").exists()


def test_it_is_judged_when_the_window_of_the_newest_row_had_closed(made: Plant) -> None:
    assert judged(made).as_of == after(LAST, 10)
    until = judged(made, as_of=after(LAST - 48, 10))
    assert until.as_of == after(LAST - 48, 10) and until.findings[0].window_end == after(LAST - 48)
    assert finding(judged(made, as_of=after(LAST + 24)), "recommendations_logged").reason == "stale"


def test_a_journal_is_seen_as_of_then(made: Plant) -> None:
    signed_later = judged(made, journal=store(made) / "journal.db", as_of=after(LAST - 1, 10))
    assert finding(signed_later, "review").reason == "signoff_missing"


# baseline


def test_a_baseline_that_is_not_in_the_logs_comes_from_its_file(made: Plant) -> None:
    later = made.folder / "logs" / "b.jsonl"
    alone = judged(made, later)
    assert finding(alone, "duration_and_coverage", "baseline_longest_gap_hours").reason == "baseline_missing"
    file = frozen(made)
    assert numbers(judged(made, later, baseline=file).findings) == numbers(judged(made).findings)


def test_a_baseline_of_another_specification_is_refused(made: Plant, tmp_path: Path) -> None:
    file = frozen(made)
    other = made.copy(tmp_path)
    other.configure(**STATE | {"baseline": {"policy": "old", "from": "2026-01-01", "to": "2026-01-03"}})
    with pytest.raises(ConfigError, match=r"another specification: monitor\.yaml has another to"):
        judged(other, baseline=file)
    other.configure(**STATE | {"baseline": None})
    with pytest.raises(ConfigError, match="declares no `baseline`"):
        judged(other, baseline=file)


@pytest.mark.parametrize("name", ["changed", "not_json", "other_json", "missing"])
def test_a_baseline_that_is_not_what_was_frozen_is_refused(made: Plant, tmp_path: Path, name: str) -> None:
    file = tmp_path / frozen(made).name
    body = json.loads(frozen(made).read_text("utf-8"))
    texts = {"changed": json.dumps(body | {"rows": 7}), "not_json": "{", "other_json": "[]"}
    if name in texts:
        file.write_text(texts[name], "utf-8")
    with pytest.raises(ConfigError, match=r"changed after it was frozen|cannot be read"):
        judged(made, baseline=file)


def test_a_copy_of_a_baseline_may_have_any_name(made: Plant, tmp_path: Path) -> None:
    shutil.copy(frozen(made), tmp_path / "baseline.json")
    assert judged(made, baseline=tmp_path / "baseline.json").findings


# firings


def test_a_rollback_rule_that_fires_in_the_files_is_exit_code_5(tmp_path: Path) -> None:
    plant = Plant(tmp_path, **STATE)
    plant.write(rows(range(72), "old"))
    plant.write(rows(range(72, 120), "new", per_hour=40))
    plant.write(rows(range(72, 120), "old"))
    assert judged(plant, stage="limited").exit_code == 3
    plant.write(rows([120], "new", per_hour=40, cost_crash=1.0))
    said = judged(plant, stage="limited")
    assert said.exit_code == 5
    (fired,) = {(f.trigger, f.key, f.action, f.confirmed, f.historical) for f in said.firings if f.confirmed}
    assert fired == ("constraint", "crash", "rollback", True, True)


def test_a_firing_that_the_journal_has_too_is_told_once_with_its_incident(tmp_path: Path) -> None:
    plant = Plant(tmp_path, **STATE)
    plant.write(rows(range(72), "old"))
    plant.run(after(72) + LAG)
    plant.write(rows(range(72, 76), "new", per_hour=40, cost_slow=1.0))
    plant.run(after(76) + LAG)
    known = plant.gate(after(76) + LAG, "limited")
    both = judged(plant, stage="limited", journal=store(plant) / "journal.db", as_of=after(76) + LAG)
    assert known.exit_code == both.exit_code == 5
    assert [f.incident for f in both.firings] == [f.incident for f in known.firings]
    assert any(f.incident for f in both.firings)


# mistakes


def test_a_file_that_cannot_be_read_never_passes(made: Plant, tmp_path: Path) -> None:
    plant = made.copy(tmp_path)
    (tmp_path / "logs" / "c.jsonl.gz").write_bytes(b"\x1f\x8b\x08 and no more")
    verdict, told = stateless.gate(plant.loaded, Given([tmp_path / "logs"]), stage="shadow", now=NOW)
    assert finding(verdict, "data_contract", "rejected_share").reason == "unread"
    assert any(line.startswith("not read: ") for line in told)


def test_files_that_are_not_there_are_told_at_once(made: Plant, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError) as caught:
        judged(made, tmp_path / "empty", tmp_path / "gone.jsonl")
    assert len(caught.value.errors) == 2


def test_no_decision_at_all_is_no_data(made: Plant, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("", "utf-8")
    verdict = judged(made, tmp_path / "x.jsonl")
    assert (verdict.exit_code, finding(verdict, "recommendations_logged").reason) == (3, "no_data")


def test_each_file_goes_to_the_source_whose_pattern_it_matches(tmp_path: Path) -> None:
    plant = Plant(tmp_path, **STATE)
    (source,) = json.loads((tmp_path / "monitor.yaml").read_text("utf-8"))["log"]["sources"]
    del source["columns"]["reward"]
    late = {"paths": ["in/rewards-*.jsonl"], "format": "jsonl", "kind": "rewards"}
    late["columns"] = {"decision_id": "decision_id", "reward": "reward", "reward_ts": "ts"}
    plant.configure(**STATE, log={"sources": [source | {"paths": ["in/decisions-*.jsonl"]}, late]})
    made = rows(range(100), "old", candidate="new")
    plant.write(made, "decisions-1.jsonl")
    told_later = ({k: r[k] for k in ("decision_id", "reward", "ts")} for r in made)
    plant.lines(map(json.dumps, told_later), "rewards-1.jsonl")
    _, told = stateless.gate(plant.loaded, Given([tmp_path / "logs"]), stage="shadow", now=NOW)
    assert told[0].startswith("4000 rows in = 2000 loaded + 0 duplicates + 2000 late rewards")
    plant.lines(["{}"], "other.jsonl")
    with pytest.raises(ConfigError, match=r"other\.jsonl: its name matches the patterns of no source"):
        judged(plant)


def test_a_journal_that_was_changed_or_is_none_is_refused(made: Plant, tmp_path: Path) -> None:
    changed = tmp_path / "journal.db"
    shutil.copy(store(made) / "journal.db", changed)
    with sqlite3.connect(changed) as connection:
        connection.execute("DROP TRIGGER events_not_changed")
        connection.execute("UPDATE events SET body = replace(body, 'Ada', 'Eve') WHERE kind = 'attest'")
    connection.close()
    with pytest.raises(JournalError, match="was changed"):
        judged(made, journal=changed)
    (tmp_path / "none.db").write_text("no database", "utf-8")
    for name in ("none.db", "gone.db"):
        with pytest.raises(JournalError, match=name):
            judged(made, journal=tmp_path / name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["journal.db", "none.db"]


def test_a_journal_is_read_with_what_is_still_in_its_log_of_writes(made: Plant, tmp_path: Path) -> None:
    plant = made.copy(tmp_path)
    file = store(plant) / "journal.db"
    with Journal(file) as journal:
        journal.append("waive", "new", {
            "item": "duration_and_coverage", "stage": "shadow_mode", "policy": "new", "by": "Ada",
            "reason": "short", "expires": after(LAST + 48).isoformat(),
        }, at=after(LAST))  # fmt: skip
        assert file.with_name("journal.db-wal").stat().st_size > 0
        said = judged(plant, plant.folder / "logs" / "a.jsonl", journal=file, as_of=after(LAST, 10))
    assert {f.waived is not None for f in said.findings if f.item == "duration_and_coverage"} == {True}


# the command line


def test_the_command_line_takes_files_and_what_belongs_to_them(made: Plant, tmp_path: Path) -> None:
    its = store(made)
    files = sorted(str(f) for f in (made.folder / "logs").iterdir())
    before = everything(made.folder)
    done = made.monitor(
        "gate", "--stage", "shadow", "--logs", *files, "--journal", str(its / "journal.db"),
        "--output", str(tmp_path / "v.json"),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    first, second, *_ = done.stdout.splitlines()
    assert first == "PASS  shadow_mode  new  as of 2026-01-19 00:10 UTC"
    assert second.startswith("The gate is open") and "from logs and journal)" in " ".join(done.stdout.split())
    assert done.stderr.startswith("8640 rows in = 8640 loaded")
    assert json.loads((tmp_path / "v.json").read_text("utf-8"))["scope"] == "logs and journal"
    assert everything(made.folder) == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--baseline", "x"), "--baseline goes with --logs"),
        (("--journal", "x"), "--journal goes with --logs"),
        (("x.jsonl",), "files to judge follow --logs"),
        (("--logs", "gone"), "--logs gone: there is no file"),
    ],
)
def test_options_that_do_not_go_together_are_mistakes(
    made: Plant, arguments: tuple[str, ...], says: str
) -> None:
    done = made.monitor("gate", "--stage", "shadow", *arguments)
    assert (done.returncode, says in done.stderr, done.stdout) == (2, True, "")


def test_the_json_of_such_a_verdict_is_finite_and_tells_its_scope(made: Plant) -> None:
    body = to_json(judged(made))
    assert body["scope"] == "logs"
    assert all(f["value"] is None or math.isfinite(f["value"]) for f in body["findings"])
    assert datetime.fromisoformat(body["as_of"]) and os.sep not in json.dumps(body)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_gate_over_files_that_is_stopped_takes_its_decisions_along(
    made: Plant, tmp_path: Path, how: signal.Signals
) -> None:
    command = made.command("gate", "--logs", str(made.folder / "logs"), "--stage", "shadow")
    process = subprocess.Popen(
        command, cwd=made.folder, env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("monitor-gate-*/decisions.duckdb")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(how)
    assert process.wait(30) == 128 + how
    assert list(tmp_path.glob("monitor-gate-*")) == []
