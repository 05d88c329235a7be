"""Adversarial scenarios: small files of situations that people labelled.

They are read strictly: one bad row and all are refused, since a label that is misread is worse than
none.
"""

from __future__ import annotations

import csv
import glob
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monitor.config import Loaded
from monitor.config import Scenarios as Declared
from monitor.metrics.estimate import Estimate, exact, missing
from monitor.metrics.gaps import goodhart_rank
from monitor.metrics.sums import Settings, Sums

MOST_BYTES, MOST_ROWS = 5_000_000, 20_000
OPTIONAL = ("outcome", "acceptable")
LABELS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
Fields = tuple[str, int, Mapping[str, Any]]


class ScenarioError(ValueError):
    """Why the labelled scenarios are refused: a sentence with file and line."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One situation: what the proxy makes of it, what really came of it, and whether a person would accept
    it; None where that is not known."""

    id: str
    proxy: float
    outcome: float | None
    acceptable: bool | None


def read(loaded: Loaded, declared: Declared) -> list[Scenario]:
    """Every scenario, by proxy reward from the highest; of equal ones the unacceptable first, then those
    without a label. Raises ScenarioError."""
    found: dict[str, Scenario] = {}
    for file, line, fields in _rows(loaded, declared):
        one = _scenario(f"{file}:{line}", fields)
        if one.id in found:
            raise ScenarioError(f"{file}:{line}: this scenario_id stands in another row too")
        found[one.id] = one
        if len(found) > MOST_ROWS:
            raise ScenarioError(f"there are more than {MOST_ROWS} scenarios; keep those that people labelled")
    return sorted(found.values(), key=lambda s: (-s.proxy, {False: 0, None: 1, True: 2}[s.acceptable], s.id))


def rank_correlation(scenarios: Sequence[Scenario]) -> Estimate:
    """Spearman's rank correlation of proxy and outcome where that is known: of these scenarios, which are no
    sample of anything. `no_outcomes`: fewer than 10, or one of the two does not vary."""
    known = [s for s in scenarios if s.outcome is not None]
    columns = {
        "row_hash": np.arange(len(known), dtype=np.float64),
        "proxy": np.array([s.proxy for s in known], dtype=np.float64),
        "outcome": np.array([s.outcome for s in known], dtype=np.float64),
    }
    nowhere = np.zeros(len(known), dtype=np.int64)
    sums = Sums(nowhere, nowhere, nowhere.astype(object), columns)
    found = goodhart_rank({"goodhart_sample": sums}, Settings())
    if not math.isfinite(found.value):
        return missing("no_outcomes", "correlation", len(known))
    return exact(found.value, len(known), "correlation", "Spearman's, of these scenarios")


def _rows(loaded: Loaded, declared: Declared) -> Iterator[Fields]:
    """(file, line, fields under our names) of every row."""
    files = sorted({Path(f) for p in declared.paths for f in glob.glob(str(loaded.path(p)), recursive=True)})
    if not files:
        raise ScenarioError(f"no file of scenarios is at {', '.join(declared.paths)}")
    if sum(f.stat().st_size for f in files) > MOST_BYTES:
        raise ScenarioError(f"the files of scenarios hold more than {MOST_BYTES} bytes; they are to be small")
    mapped = {str(ours): theirs for ours, theirs in declared.columns.items()}
    names = {ours: mapped.get(ours, ours) for ours in ("scenario_id", "proxy_reward", *OPTIONAL)}
    needed = {n for ours, n in names.items() if ours not in OPTIONAL or ours in mapped}
    for file in files:
        try:
            text = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            raise ScenarioError(f"{file.name} cannot be read as UTF-8 text") from None
        for line, row in (_csv if declared.format == "csv" else _jsonl)(file.name, text):
            lacks = sorted(needed - row.keys())
            if lacks:
                raise ScenarioError(f"{file.name}:{line}: lacks the column {', '.join(lacks)}")
            yield file.name, line, {ours: row.get(name) for ours, name in names.items()}


def _csv(name: str, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    lines = text.removeprefix("\ufeff").splitlines(keepends=True)
    reader = csv.DictReader(lines, strict=True)
    try:
        if len(set(reader.fieldnames or ())) != len(reader.fieldnames or ()):
            raise ScenarioError(f"{name}:1: two columns have the same name")
        for row in reader:
            if None in row or None in row.values():
                raise ScenarioError(f"{name}:{reader.line_num}: has not as many fields as the first line")
            yield reader.line_num, row
    except csv.Error as error:
        line = min(reader.line_num + 1, len(lines))
        raise ScenarioError(f"{name}:{line}: is not CSV ({error})") from None


def _jsonl(name: str, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for line, record in enumerate(text.splitlines(), 1):
        if not record.strip():
            continue
        try:
            row = json.loads(record)
        except (ValueError, RecursionError):
            raise ScenarioError(f"{name}:{line}: is not JSON") from None
        if not isinstance(row, dict):
            raise ScenarioError(f"{name}:{line}: is not a JSON object")
        yield line, row


def _scenario(place: str, fields: Mapping[str, Any]) -> Scenario:
    name = fields["scenario_id"]
    if not isinstance(name, (str, int)) or isinstance(name, bool) or not str(name).strip():
        raise ScenarioError(f"{place}: scenario_id is empty or not a text")
    proxy = _number(place, "proxy_reward", fields["proxy_reward"])
    if proxy is None:
        raise ScenarioError(f"{place}: proxy_reward is empty")
    outcome = _number(place, "outcome", fields["outcome"])
    return Scenario(str(name).strip(), proxy, outcome, _label(place, fields["acceptable"]))


def _number(place: str, name: str, value: Any) -> float | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        if isinstance(value, (bool, list, dict)) or "_" in str(value):
            raise ValueError
        number = float(value)
    except (ValueError, OverflowError):
        raise ScenarioError(f"{place}: {name} is not a number") from None
    if not math.isfinite(number):
        raise ScenarioError(f"{place}: {name} is not a finite number")
    return number


def _label(place: str, value: Any) -> bool | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    known = LABELS.get(str(value).strip().lower()) if isinstance(value, (str, int)) else None
    if known is None:
        raise ScenarioError(f"{place}: acceptable is not true or false")
    return known
