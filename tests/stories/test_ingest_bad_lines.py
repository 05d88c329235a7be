"""A thousand bad lines of twenty kinds arrive among ten thousand good ones."""

from __future__ import annotations

import json
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from monitor import config as configuration
from monitor.config import Loaded
from monitor.log.ingest import ingest
from monitor.log.rejects import export, load_mended

NOW = datetime(2026, 3, 2, tzinfo=UTC)
CONFIG = """\
policies: {candidate: new, incumbent: old, safe: old}
log: {paths: ["*.jsonl"], format: jsonl}
state: {numeric: [load]}
reward: {range: [0, 1], missing_after_maturity: exclude}
constraints: {crash: {limit: 0.0, margin: 0.0, hard: true}}
"""


def good(number: int) -> dict[str, Any]:
    ts = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=8 * number)
    return {
        "decision_id": f"d{number}", "ts": ts.isoformat(), "policy_id": "old", "action": "left",
        "propensity": 0.5, "action_probs": [0.5, 0.5], "reward": 1.0, "state_load": 0.25, "cost_crash": 0.0,
        "irreversible": False,
    }  # fmt: skip


def text(row: dict[str, Any]) -> bytes:
    return json.dumps(row).encode()


# How each kind of bad line is made from a good row, and what must become of it.
REJECTED = {
    "invalid_utf8": lambda r: text(r).replace(b"left", b"le\xfft"),
    "nul_byte": lambda r: text(r).replace(b"left", b"le\x00t"),
    "truncated": lambda r: text(r)[:-30],
    "not_json": lambda r: b"Traceback (most recent call last):",
    "not_an_object": lambda r: b"[1, 2, 3]",
    "no_decision_id": lambda r: text({**r, "decision_id": None}),
    "no_decision_id nested": lambda r: text({**r, "decision_id": {"a": 1}}),
    "no_ts": lambda r: text({k: v for k, v in r.items() if k != "ts"}),
    "bad_ts": lambda r: text({**r, "ts": "yesterday"}),
    "future": lambda r: text({**r, "ts": "2027-01-01T00:00:00Z"}),
    "conflicting_repeat": lambda r: text({**r, "decision_id": "d0", "action": "right"}),
    "line_too_long": lambda r: text({**r, "note": "x" * (1 << 20)}),
}
FAULTY = {
    "propensity out_of_range": {"propensity": 1.7, "cost_crash": 1.0},
    "reward non_finite": {"reward": float("nan")},
    "reward wrong_type": {"reward": "lots"},
    "reward out_of_range": {"reward": 7},
    "state_load wrong_type": {"state_load": True},
    "propensity non_finite": {"propensity": float("inf")},
    "action_probs out_of_range": {"action_probs": [0.7, 0.7]},
    "policy_id missing": {"policy_id": ""},
    "irreversible wrong_type": {"irreversible": "perhaps"},
}


def kinds() -> list[str]:
    """A thousand: fifty of each kind, but only two of the one that takes a megabyte a line."""
    return [*[k for k in [*REJECTED, *FAULTY] if k != "line_too_long"] * 50, *["line_too_long"] * 2][2:]


@pytest.fixture
def story(tmp_path: Path) -> tuple[Loaded, dict[int, str], dict[int, bytes]]:
    """The log on disk; the kind of every line ("" is good); its bytes."""
    rng = random.Random(4)
    what = [*kinds(), *[""] * 9999]
    rng.shuffle(what)
    what = ["", *what]
    lines = {}
    for number, kind in enumerate(what):
        row = good(number)
        if kind in REJECTED:
            lines[number + 1] = REJECTED[kind](row)
        else:
            lines[number + 1] = text({**row, **FAULTY.get(kind, {})})
    (tmp_path / "log.jsonl").write_bytes(b"\n".join(lines.values()) + b"\n")
    (tmp_path / "monitor.yaml").write_text(CONFIG, "utf-8")
    loaded = configuration.load(tmp_path / "monitor.yaml")
    return loaded, {number + 1: kind for number, kind in enumerate(what)}, lines


def test_every_line_is_accounted_for_with_its_reason_and_no_good_line_is_lost(story: Any) -> None:
    loaded, what, lines = story
    connection = duckdb.connect()
    account = ingest(connection, loaded, as_of=NOW, now=NOW)
    bad = {line: kind for line, kind in what.items() if kind in REJECTED}
    faulty = {line: kind for line, kind in what.items() if kind in FAULTY}
    assert len(bad) + len(faulty) == 1000 and len(REJECTED) + len(FAULTY) >= 20

    assert not account.problems
    assert (account.rows_in, account.loaded, account.rejected, account.faults) == (
        11_000, 11_000 - len(bad), len(bad), len(faulty),
    )  # fmt: skip
    assert account.rows_in == sum(
        [account.loaded, account.duplicates, account.late_rewards, account.recommendations, account.rejected]
    )

    rejects = connection.execute("SELECT line, reason, raw FROM rejects").fetchall()
    assert {line: reason for line, reason, _ in rejects} == {n: k.split()[0] for n, k in bad.items()}
    for line, _, raw in rejects:
        assert raw == lines[line].decode("utf-8", "backslashreplace")

    faults = connection.execute("SELECT line, column_name || ' ' || reason FROM faults").fetchall()
    assert dict(faults) == faulty and len(faults) == len(faulty)

    ids = {i for (i,) in connection.execute("SELECT decision_id FROM decisions").fetchall()}
    assert ids == {f"d{line - 1}" for line in what if line not in bad}


def test_a_row_with_an_impossible_propensity_keeps_its_hard_violation(story: Any) -> None:
    loaded, what, _ = story
    connection = duckdb.connect()
    ingest(connection, loaded, as_of=NOW, now=NOW)
    found = connection.execute("SELECT line, rule, key, value, rejected FROM breaches").fetchall()
    expected = {n for n, kind in what.items() if kind == "propensity out_of_range"}
    assert {line for line, *_ in found} == expected and len(found) == 50
    assert {tuple(rest) for _, *rest in found} == {("hard", "crash", 1.0, False)}
    stored = connection.execute("SELECT propensity FROM decisions WHERE cost_crash > 0").fetchall()
    assert stored == [(None,)] * 50


def test_rejects_are_exported_mended_and_loaded(story: Any, tmp_path: Path) -> None:
    loaded, what, _ = story
    connection = duckdb.connect()
    ingest(connection, loaded, as_of=NOW, now=NOW)
    count = export(connection, tmp_path / "rejects.txt")
    records = [json.loads(line) for line in (tmp_path / "rejects.txt").read_text().splitlines()]
    assert count == len(records) == sum(kind in REJECTED for kind in what.values())
    mendable = [r for r in records if r["reason"] == "bad_ts"]
    for record in mendable:
        record["raw"] = record["raw"].replace("yesterday", "2026-03-01T12:00:00")
    still_bad = [r for r in records if r["reason"] == "not_json"]
    (tmp_path / "mended.txt").write_text("\n".join(json.dumps(r) for r in mendable + still_bad) + "\n")

    account = load_mended(connection, loaded, tmp_path / "mended.txt", as_of=NOW, now=NOW)

    assert (account.loaded, account.rejected) == (len(mendable), len(still_bad))
    left = connection.execute("SELECT reason FROM rejects WHERE mended_at IS NULL").fetchall()
    expected = Counter(r["reason"] for r in records)
    del expected["bad_ts"]
    assert Counter(reason for (reason,) in left) == expected
    lines = {r["line"] for r in mendable}
    noon = "SELECT decision_id FROM decisions WHERE ts = '2026-03-01 12:00:00'"
    assert {f"d{line - 1}" for line in lines} <= {i for (i,) in connection.execute(noon).fetchall()}


def test_a_torn_line_still_shows_its_irreversible_action(tmp_path: Path) -> None:
    (tmp_path / "monitor.yaml").write_text(CONFIG, "utf-8")
    row = {"decision_id": "torn", "policy_id": "new", "cost_crash": 2.5, "irreversible": True,
           "note": "never ends"}  # fmt: skip
    (tmp_path / "log.jsonl").write_bytes(text(good(0)) + b"\n" + text(row)[:-8] + b"\n")
    connection = duckdb.connect()
    account = ingest(
        connection, configuration.load(tmp_path / "monitor.yaml"), as_of=NOW, now=NOW
    )
    assert (account.loaded, account.rejected) == (1, 1)
    found = connection.execute(
        "SELECT decision_id, policy_id, rule, value, rejected FROM breaches ORDER BY rule"
    ).fetchall()
    assert found == [
        ("torn", "new", "hard", 2.5, True),
        ("torn", "new", "irreversible", 1.0, True),
    ]
