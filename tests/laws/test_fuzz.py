"""Mutated logs and files: every row is accounted for, and what cannot be read is one sentence.

`python benchmarks/fuzz.py --lines 20000` is the long version.
"""

from pathlib import Path

import pytest

from benchmarks.fuzz import FILES, KINDS, configured, fuzzed, ingested


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_every_mutated_record_is_accounted_for(tmp_path: Path, form: str, kind: str) -> None:
    found = fuzzed(lambda seed: ingested(tmp_path, form, kind, seed), 4)
    assert found["rows"] >= (400 if form != "parquet" else 0) and found["loaded"] >= 800


@pytest.mark.parametrize("what", FILES)
def test_a_mutated_file_is_read_or_refused_with_a_sentence(tmp_path: Path, what: str) -> None:
    found = fuzzed(lambda seed: configured(tmp_path, what, seed), 40)
    assert found["files"] >= 40 and found["refused"] > 0


def test_a_torn_line_whose_value_begins_with_a_bracket_costs_its_file_nothing(tmp_path: Path) -> None:
    from tests.stories.building import Plant, after, rows

    plant = Plant(tmp_path)
    plant.write(rows(range(2), "new"))
    plant.lines(['{"decision_id": "x", "ts": "2026-01-01T00:00:00Z", "policy_id": "new", "action": "{b", '])
    account = plant.run(after(3)).account
    assert (account.loaded, account.rejected, account.problems) == (40, 1, [])
