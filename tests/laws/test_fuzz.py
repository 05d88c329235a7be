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
    assert found["rows"] >= 800 and found["loaded"] >= 800


@pytest.mark.parametrize("what", FILES)
def test_a_mutated_file_is_read_or_refused_with_a_sentence(tmp_path: Path, what: str) -> None:
    found = fuzzed(lambda seed: configured(tmp_path, what, seed), 40)
    assert found["files"] >= 40 and found["refused"] > 0
