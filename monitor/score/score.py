"""Score a candidate on the logged states, batch by batch, into a file of recommendations."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from monitor.config import Config, Loaded
from monitor.score.call import Function, started
from monitor.score.rules import Array, ScoreError, drawn
from monitor.score.table import joined, load
from monitor.store import literal, opened, quoted
from monitor.verdicts import store_of

Progress = Callable[[str, int, int], None]
OUTPUTS = {".parquet": "parquet", ".jsonl": "jsonl"}
SCHEMA = {
    "decision_id": pa.string(), "ts": pa.timestamp("us"), "candidate_action": pa.string(),
    "candidate_propensity": pa.float64(), "candidate_probs": pa.list_(pa.float64()),
}
ALIGNED = 0.99


@dataclass(frozen=True)
class Asked:
    """A table or a callable; its actions in the order of its columns; hours `start` ≤ hour < `end`."""

    table: Path | None = None
    function: str | None = None
    actions: Sequence[str] = ()
    python: str | None = None
    folders: Sequence[Path] = ()
    start: int | None = None
    end: int | None = None
    batch: int = 10_000
    limit: float = 60.0


@dataclass
class Scored:
    """What was scored, and what was not: `unknown_state` decisions have no recommendation; in
    `unknown_action` the executed action is none of the candidate's, so its probability is 0."""

    rows: int = 0
    unknown_state: int = 0
    unknown_action: int = 0
    other_candidate: int = 0
    aligned: bool = True
    lines: list[str] = field(default_factory=list)


def score(loaded: Loaded, asked: Asked, output: Path, progress: Progress | None = None) -> Scored:
    """Write `output` (.parquet or .jsonl); it is there only when every batch was sound.

    The store is let go of before the candidate is asked. `candidate_action` is drawn from the
    probabilities by a hash of the decision; `candidate_propensity` is the probability of the executed
    action (its logarithm where `log.propensity` is log). Raises ScoreError, StoreError.
    """
    if output.suffix not in OUTPUTS:
        raise ScoreError(f"{output.name} must end in .parquet or .jsonl")
    if loaded.config.log.propensity == "density":
        raise ScoreError("log.propensity is density: only actions by name have probabilities to score")
    if asked.function and not asked.actions:
        raise ScoreError("--callable needs --actions: their names in the order of its columns")
    with tempfile.TemporaryDirectory(prefix="monitor-score-") as scratch:
        rows, part = Path(scratch) / "rows.parquet", Path(scratch) / "scored.parquet"
        found = _extract(loaded, asked, rows)
        with duckdb.connect(config={"python_enable_replacements": "false"}) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            source, table = f"SELECT * FROM read_parquet({literal(str(rows))})", None
            if asked.table:
                table = load(connection, asked.table, loaded.config, asked.actions or None)
                source = joined(table, source)
            actions = list(table.actions if table else asked.actions)
            found.aligned = _aligned(connection, source, actions)
            process = started(asked.function, asked.python, asked.folders, asked.limit) if asked.function \
                else nullcontext(None)
            with process as function, pq.ParquetWriter(part, pa.schema(SCHEMA)) as writer:
                for batch in _batches(connection, source, asked.batch, found, progress):
                    writer.write_table(_scored(batch, actions, function, loaded.config, found))
            _publish(connection, part, output, found.aligned)
    found.lines = _yaml(loaded, output, found.aligned)
    return found


def _extract(loaded: Loaded, asked: Asked, to: Path) -> Scored:
    """The columns that are needed, out of the store, in one go."""
    config, candidate = loaded.config, literal(loaded.config.policies.candidate)
    states = [f"state_{f}" for f in config.state.features]
    listing = ", ".join(map(quoted, ("decision_id", "ts", "row_hash", "segment", "action", "propensity",
                                     "action_probs", *states)))
    span = " AND ".join(
        f"hour {how} {hour}" for how, hour in ((">=", asked.start), ("<", asked.end)) if hour is not None
    ) or "TRUE"
    with opened(store_of(loaded).decisions, read_only=True) as connection:
        mine = f"COALESCE(candidate_id, '') IN ('', {candidate})"
        ((rows, named, other),) = connection.execute(
            f"SELECT COUNT(*) FILTER ({mine}), COUNT(action) FILTER ({mine}), COUNT(*) FILTER (NOT {mine}) "
            f"FROM decisions WHERE {span}"
        ).fetchall()
        if not rows:
            raise ScoreError("there is no decision to score in this stretch")
        if not named:
            raise ScoreError("no decision has an action by name, so none has a probability to score")
        connection.execute(
            f"COPY (SELECT {listing} FROM decisions WHERE {span} AND {mine}) TO {literal(str(to))} "
            "(FORMAT parquet)"
        )
    return Scored(rows=int(rows), other_candidate=int(other))


def _batches(
    connection: duckdb.DuckDBPyConnection, source: str, size: int, found: Scored, progress: Progress | None
) -> Iterator[tuple[str, pa.Table]]:
    done = 0
    for number, batch in enumerate(connection.sql(source).to_arrow_reader(size), 1):
        if batch.num_rows:
            if progress:
                progress("scoring", done, found.rows)
            name = f"batch {number} (rows {done + 1} to {done + batch.num_rows})"
            yield name, pa.Table.from_batches([batch])
            done += batch.num_rows


def _scored(
    batch: tuple[str, pa.Table], actions: list[str], function: Function | None, config: Config, found: Scored
) -> pa.Table:
    name, rows = batch
    if function is not None:
        states = {c.removeprefix("state_"): rows[c].to_pylist() for c in rows.column_names
                  if c.startswith("state_") or c == "segment"}
        probabilities = function.ask(states, rows.num_rows, len(actions), name)
    else:
        known = rows["probs"].is_valid()
        found.unknown_state += rows.num_rows - int(known.to_numpy().sum())
        rows = rows.filter(known)
        flat = rows["probs"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        probabilities = flat.astype(np.float64).reshape(-1, len(actions))
    names = pa.array(actions, pa.string())
    chosen = drawn(probabilities, rows["row_hash"].to_numpy())
    return pa.table(
        {
            "decision_id": rows["decision_id"],
            "ts": rows["ts"],
            "candidate_action": names.take(pa.array(chosen)),
            "candidate_propensity": _of_executed(rows, names, probabilities, config, found),
            "candidate_probs": pa.ListArray.from_arrays(
                np.arange(0, probabilities.size + 1, len(actions), dtype=np.int32), probabilities.ravel()
            ),
        },
        schema=pa.schema(SCHEMA),
    )


def _of_executed(
    rows: pa.Table, names: pa.Array, probabilities: Array, config: Config, found: Scored
) -> pa.Array:
    """Probability of the executed action: 0 where the candidate lacks it, NULL where none was logged."""
    import pyarrow.compute as pc

    place = pc.index_in(rows["action"], names).combine_chunks().to_numpy(zero_copy_only=False)
    missing = ~rows["action"].is_valid().to_numpy()
    strange = np.isnan(place.astype(np.float64))
    found.unknown_action += int((strange & ~missing).sum())
    at = np.where(strange, 0, place).astype(np.int64)
    values = np.where(strange, 0.0, probabilities[np.arange(len(at)), at])
    if config.log.propensity == "log":
        with np.errstate(divide="ignore"):
            values = np.log(values)
    return pa.array(values, mask=missing)


def _aligned(connection: duckdb.DuckDBPyConnection, source: str, actions: list[str]) -> bool:
    """Whether logged `action_probs` list the actions in the candidate's order: the place of the executed
    action holds its propensity. True where none are logged."""
    listed = "[" + ", ".join(map(literal, actions)) + "]"
    same = f"action_probs[list_position({listed}, action)] - propensity"
    ((rows, right),) = connection.execute(
        f"SELECT COUNT(*), COUNT(*) FILTER (len(action_probs) = {len(actions)} AND ABS({same}) < 1e-6) "
        f"FROM ({source}) WHERE action_probs IS NOT NULL AND propensity IS NOT NULL"
    ).fetchall()
    return not rows or right / rows >= ALIGNED


def _publish(connection: duckdb.DuckDBPyConnection, part: Path, output: Path, aligned: bool) -> None:
    """Put the finished file in its place at once."""
    output.parent.mkdir(parents=True, exist_ok=True)
    columns = [c for c in SCHEMA if aligned or c != "candidate_probs"]
    listing = ", ".join(columns)
    shape = "FORMAT parquet"
    if output.suffix == ".jsonl":
        listing = listing.replace("ts", "strftime(ts, '%Y-%m-%dT%H:%M:%S.%fZ') AS ts", 1)
        shape = "FORMAT json"
    temporary = output.with_name(f".{output.name}.part")
    select = f"SELECT {listing} FROM read_parquet({literal(str(part))})"
    connection.execute(f"COPY ({select}) TO {literal(str(temporary))} ({shape})")
    os.replace(temporary, output)


def _yaml(loaded: Loaded, output: Path, aligned: bool) -> list[str]:
    """The source that reads the file, for `log.sources` of monitor.yaml."""
    path: Any = output.resolve()
    if path.is_relative_to(loaded.folder):
        path = path.relative_to(loaded.folder)
    columns = ", ".join(f"{c}: {c}" for c in SCHEMA if aligned or c != "candidate_probs")
    return [
        f'    - {{paths: ["{path}"], format: {OUTPUTS[output.suffix]}, kind: recommendations,',
        f"       columns: {{{columns}}}}}",
    ]
