"""Validate the profile of each batch with Great Expectations; unmet expectations become readings.

Great Expectations takes seconds to import, so it is imported only where there is a profile to
validate, and by no other file. It runs in memory, writes nothing and reports to nobody.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from monitor import readings, suite
from monitor.config import Loaded
from monitor.log.profile import DAY, TABLES
from monitor.metrics.estimate import Estimate, Reading, exact, missing
from monitor.readings import moment
from monitor.reference import Frame, batches, reference
from monitor.store import Store, has_table, opened
from monitor.suite import Expectation

MET, FAILED = "expectations_met", "expectation_failed"
_ONE_AT_A_TIME = threading.Lock()


@dataclass
class Validated:
    """Days that were validated, a sentence for each unmet expectation, and why a validation failed."""

    days: list[int] = field(default_factory=list)
    unmet: list[str] = field(default_factory=list)
    problem: str | None = None


def measure(loaded: Loaded, store: Store, baseline: str | None, closed: int) -> Validated:
    """Validate the batches that are pending, or all of them when the expectations changed, and store
    the readings `expectations_met` (share of met critical expectations, one a day) and
    `expectation_failed` (value by "column: rule", one for each unmet expectation of a day).

    `baseline` is the hash of the frozen baseline, `closed` the hour up to which windows are closed.
    """
    config = loaded.config
    with opened(store.decisions) as connection:
        connection.execute(TABLES)
        against = reference(connection, config, baseline)
        expected = expectations(loaded, against)
        digest = hashlib.sha256(json.dumps([asdict(e) for e in expected]).encode()).hexdigest()[:16]
        pending = "" if _known_suite(store) != digest else "WHERE pending"
        found = connection.execute(f"SELECT day FROM profile_batches {pending} ORDER BY 1").fetchall()
        days = [int(day) for (day,) in found]
        frame = batches(connection, days, against, closed)
    if not days:
        return Validated()
    rows: list[Reading] = []
    told = Validated(days)
    try:
        unmet = validate(frame, expected)
        for day, row in frame.items():
            rows += _readings(day, row, expected, unmet.get(day, []))
            told.unmet += [_sentence(day, row, e) for e in unmet.get(day, [])]
    except Exception as error:
        told.problem = f"expectations were not validated: {type(error).__name__}: {error}".splitlines()[0]
        rows = [_reading(day, MET, "", missing("not_validated", "share")) for day in days]
    readings.replace_batches(store, (MET, FAILED), [day * DAY for day in days], rows)
    if told.problem is None:
        _settle(store, days, digest)
    return told


def expectations(loaded: Loaded, against: Mapping[str, Any] | None) -> list[Expectation]:
    """Those of the configuration, then those of the user's own suite file. Raises ValueError."""
    found = suite.built(loaded.config, against)
    own = loaded.config.expectations.suite if loaded.config.expectations else None
    return found + (suite.read(loaded.path(own), suite.columns(loaded.config)) if own else [])


def validate(frame: Frame, expected: Sequence[Expectation]) -> dict[int, list[Expectation]]:
    """The unmet expectations of each day of `frame`. A missing number meets every expectation but
    `not_be_null`. Raises what Great Expectations raises, and RuntimeError when a rule could not run."""
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.environ["GX_ANALYTICS_ENABLED"] = "false"
        import great_expectations as gx
        import pandas as pd
        from great_expectations.data_context.types.base import ProgressBarsConfig

        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
        names = sorted({name for row in frame.values() for name in row} | {e.column for e in expected})
        table = pd.DataFrame(
            {"day": list(frame), **{n: [row.get(n, math.nan) for row in frame.values()] for n in names}}
        ).astype(dict.fromkeys(names, "float64"))
        batch = (
            context.data_sources.add_pandas("profile")
            .add_dataframe_asset("batches")
            .add_batch_definition_whole_dataframe("all")
            .get_batch(batch_parameters={"dataframe": table})
        )
        asked = gx.ExpectationSuite(
            name="data_contract",
            expectations=[
                {"type": e.type, "kwargs": dict(e.kwargs), "severity": e.severity, "meta": {"at": at}}
                for at, e in enumerate(expected)
            ],
        )
        answer = batch.validate(
            asked, result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["day"]}
        )
    return _unmet([result.to_json_dict() for result in answer.results], expected)


def _unmet(
    results: Sequence[Mapping[str, Any]], expected: Sequence[Expectation]
) -> dict[int, list[Expectation]]:
    """Great Expectations answers in an order of its own: each result names its place in `meta`."""
    failed: dict[int, list[int]] = {}
    places = sorted(result["expectation_config"]["meta"]["at"] for result in results)
    if places != list(range(len(expected))):
        raise RuntimeError(f"{len(results)} of {len(expected)} expectations were answered")
    for result in results:
        at = result["expectation_config"]["meta"]["at"]
        rows = result["result"].get("unexpected_index_list")
        if not result["success"] and not rows:
            raise RuntimeError(f"'{expected[at].key}' could not be validated")
        for row in rows or ():
            failed.setdefault(int(row["day"]), []).append(at)
    return {day: [expected[at] for at in sorted(set(places))] for day, places in failed.items()}


def _readings(
    day: int, row: Mapping[str, float], expected: Sequence[Expectation], unmet: Sequence[Expectation]
) -> list[Reading]:
    critical = [e for e in expected if e.severity == "critical"]
    n = sum(e.type == suite.NOT_NULL or not math.isnan(row.get(e.column, math.nan)) for e in critical)
    broken = sum(e.severity == "critical" for e in unmet)
    return [
        _reading(day, MET, "", exact(1 - broken / n, n, "share") if n else missing("low_n", "share")),
        *(_reading(day, FAILED, e.key, _value(row.get(e.column, math.nan), row, e)) for e in unmet),
    ]


def _value(value: float, row: Mapping[str, float], unmet: Expectation) -> Estimate:
    """The value that did not meet its rule; `method` says how much it matters."""
    return exact(value, row["batch.rows"], "", unmet.severity)


def _reading(day: int, metric: str, key: str, estimate: Estimate) -> Reading:
    return Reading(estimate, metric, key, "", "", moment(day * DAY), moment((day + 1) * DAY))


def _sentence(day: int, row: Mapping[str, float], unmet: Expectation) -> str:
    value = row.get(unmet.column, math.nan)
    return f"{moment(day * DAY):%Y-%m-%d}: {unmet.key} is not met, it is {value:.4g} ({unmet.severity})"


def _known_suite(store: Store) -> str | None:
    if not store.sums.exists():
        return None
    with opened(store.sums, read_only=True) as connection:
        if not has_table(connection, "validated_suite"):
            return None
        found = connection.execute("SELECT digest FROM validated_suite").fetchall()
    return str(found[0][0]) if found else None


def _settle(store: Store, days: Sequence[int], digest: str) -> None:
    """Note that these days were validated, and against which expectations."""
    with opened(store.sums) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS validated_suite (digest VARCHAR)")
        connection.execute("BEGIN")
        connection.execute("DELETE FROM validated_suite")
        connection.execute("INSERT INTO validated_suite VALUES (?)", [digest])
        connection.execute("COMMIT")
    with opened(store.decisions) as connection:
        connection.execute(
            "UPDATE profile_batches SET pending = false WHERE day IN (SELECT unnest(?::BIGINT[]))",
            [list(days)],
        )
