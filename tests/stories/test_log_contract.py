"""The log itself goes wrong: values in another unit, rows that are missing, rows that come late."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from gates.outcome import Finding, Outcome
from monitor import config as configuration
from monitor import jobs, verdicts
from sample_logs.make import LOGS
from sample_logs.news import END, START

DAY = timedelta(days=1)
PERCENT, THIN = START + 13 * DAY, START + 14 * DAY


def test_a_healthy_log_meets_every_expectation_in_every_batch(tmp_path: Path) -> None:
    for until in (START + 7.4 * DAY, START + 15.3 * DAY, END):
        LOGS["shadow_healthy"].write(tmp_path, until)
        report = validated(tmp_path, until)
        assert (report.unmet, report.problem) == ([], None)
    found = contract(tmp_path, END)
    assert found.outcome is Outcome.PASS and found.n > 300


def test_percent_for_fraction_and_missing_rows_fail_and_late_rows_mend_their_day(tmp_path: Path) -> None:
    until = THIN + DAY + timedelta(hours=2)
    LOGS["shadow_healthy"].write(tmp_path, until)
    log = tmp_path / "logs/decisions.jsonl"
    kept, dropped = spoiled(log.read_text("utf-8").splitlines())
    log.write_text("\n".join(kept) + "\n", "utf-8")

    report = validated(tmp_path, until)
    told = "\n".join(report.unmet)
    assert "2026-01-18: state_interest: mean between" in told and "it is 4" in told
    assert "2026-01-18: state_interest: sd between" in told
    assert "2026-01-19: batch: volume at least 0.4" in told and "it is 0.3" in told
    assert {line[:10] for line in report.unmet} == {"2026-01-18", "2026-01-19"}
    found = contract(tmp_path, until)
    assert (found.outcome, found.metric) == (Outcome.FAIL, "expectation_failed")
    assert "batch: volume at least" in found.message and "on 2026-01-19" in found.message

    (tmp_path / "logs/late.jsonl").write_text("\n".join(dropped) + "\n", "utf-8")
    report = validated(tmp_path, until)
    assert [line for line in report.unmet if "volume" in line] == []
    assert any("2026-01-19: batch: late_share at most 0.05" in line for line in report.unmet)
    found = contract(tmp_path, until)
    assert found.outcome is Outcome.FAIL and "volume" not in found.message
    assert found.key.startswith("state_interest: mean") and "Warnings: batch: late_share" in found.message


def test_evidence_without_a_validation_is_held_and_off_is_said(tmp_path: Path, monkeypatch) -> None:
    until = START + 8 * DAY
    LOGS["shadow_healthy"].write(tmp_path, until)

    def broken(*_: object) -> None:
        raise RuntimeError("no such engine")

    monkeypatch.setattr("monitor.expectations.validate", broken)
    report = validated(tmp_path, until)
    assert report.problem == "expectations were not validated: RuntimeError: no such engine"
    assert (contract(tmp_path, until).outcome, contract(tmp_path, until).reason) == (
        Outcome.NO_DATA, "not_validated",
    )
    monkeypatch.undo()
    assert validated(tmp_path, until).problem is None
    assert contract(tmp_path, until).outcome is Outcome.PASS


def spoiled(lines: list[str]) -> tuple[list[str], list[str]]:
    """One day's `interest` in percent, and of the next day two thirds of the rows not delivered."""
    draw = random.Random(1)
    kept, dropped = [], []
    for line in lines:
        row = json.loads(line)
        at = datetime.fromisoformat(row["ts"])
        if PERCENT <= at < PERCENT + DAY:
            row["state_interest"] *= 100
            line = json.dumps(row)
        missing = THIN <= at < THIN + DAY and draw.random() < 2 / 3
        (dropped if missing else kept).append(line)
    return kept, dropped


def validated(folder: Path, until: datetime) -> jobs.RunReport:
    """One pass a few minutes after `until`, with expectations on."""
    path = folder / "monitor.yaml"
    lines = [n for n in path.read_text("utf-8").splitlines() if not n.startswith("expectations:")]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    now = until + timedelta(minutes=11)
    return jobs.run(configuration.load(path), now=now, as_of=now, dry=False, environ={})


def contract(folder: Path, until: datetime) -> Finding:
    loaded = configuration.load(folder / "monitor.yaml")
    verdict = verdicts.gate(loaded, stage="shadow", as_of=until + timedelta(minutes=11))
    (found,) = [f for f in verdict.findings if f.metric.startswith("expectation")]
    return found


@pytest.fixture(autouse=True)
def quiet(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Great Expectations draws no progress bars."""
    yield
    assert "Calculating Metrics" not in capsys.readouterr().err
