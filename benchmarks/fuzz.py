"""Mutated logs, configurations and checklists: no traceback, no lost row, one clear sentence.

`python benchmarks/fuzz.py --lines 20000` feeds each reader that many mutated records (decisions, rewards and
recommendations, in JSON lines, CSV and Parquet), and as many mutated configurations, checklists, pointers and
reports as it takes. Hypothesis draws the seeds, so that a failure is shrunk and printed. Exit code 1 on the
first that is not accounted for.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from alerts.rollback import RollbackError  # noqa: E402
from alerts.rollback.file import PointerFile  # noqa: E402
from gates.checklist import load as load_checklist  # noqa: E402
from gates.stages import STAGES  # noqa: E402
from monitor import config as configuration  # noqa: E402
from monitor import reports, rules  # noqa: E402
from monitor.config import ConfigError  # noqa: E402
from monitor.log import schema  # noqa: E402
from monitor.log.ingest import ingest  # noqa: E402

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=2)
BATCH = 200
KINDS = ("decisions", "rewards", "recommendations")
ODD = (
    "NaN", "Infinity", "-Infinity", "1e400", "-0", "null", "true", "\x00", "\ufeff", "\u202e", "ü" * 50,
    "'", '"', "{", "}", "[", "]", "\\", "\\u0000", ",", ";", "\t", "2026-13-45T99:99:99Z", "9" * 400, "0x10",
    "1_000",
    "; DROP TABLE decisions", "../../etc/passwd", "=1+1", "\x1b[31m", "é̂", "99999999999999999999",
    "1969-01-01",
)  # fmt: skip
YAML = """\
policies: {candidate: new, incumbent: old, safe: old}
log:
  sources:
    - {paths: ["decisions.*"], format: FORMAT, constants: {policy_id: old}, columns: {decision_id: id, ts: at, action: a, propensity: p, reward: r, unit_id: u, state_load: load, cost_slow: slow, irreversible: gone}}
    - {paths: ["rewards.*"], format: FORMAT, kind: rewards, columns: {decision_id: id, reward: r, reward_ts: at}}
    - {paths: ["recommendations.*"], format: FORMAT, kind: recommendations, columns: {decision_id: id, candidate_action: a, candidate_propensity: p}}
unit: {column: u}
state: {numeric: [load]}
reward: {range: [0, 1], missing_after_maturity: exclude}
constraints: {slow: {limit: 0.05, margin: 0.02}}
"""  # noqa: E501


def records(kind: str, rng: random.Random, first: int) -> list[dict[str, Any]]:
    """A batch of good records; rewards and recommendations belong to decisions that are there."""
    made = []
    for i in range(first, first + BATCH):
        at = (START + timedelta(seconds=i)).isoformat()
        row: dict[str, Any] = {"id": f"d{i}", "at": at, "a": "abc"[i % 3], "p": 1 / 3, "r": float(i % 2)}
        if kind == "decisions":
            row |= {"u": f"u{i % 40}", "load": rng.gauss(0, 1), "slow": 0.0, "gone": False}
        made.append(row)
    return made


def mutated(text: str, rng: random.Random) -> bytes:
    """One line, changed in one to three ways."""
    data = bytearray(text.encode())
    for _ in range(rng.randint(1, 3)):
        place = rng.randrange(len(data) + 1)
        match rng.randrange(7):
            case 0 if data:
                data[place - 1] = rng.randrange(256)
            case 1:
                data[place:place] = rng.choice(ODD).encode()
            case 2:
                del data[place : place + rng.randint(1, 20)]
            case 3:
                del data[place:]
            case 4:
                data += data[place:]
            case 5:
                data[place:place] = bytes(rng.randrange(256) for _ in range(rng.randint(1, 8)))
            case 6:
                other = rng.randrange(len(data) + 1)
                data[place:place] = data[min(place, other) : max(place, other)]
    return bytes(data).replace(b"\n", b" ")


def ingested(folder: Path, form: str, kind: str, seed: int) -> Counter[str]:
    """A batch of mutated records of one kind, read into an empty store; what became of them."""
    rng = random.Random(seed)
    for old in folder.iterdir():
        old.unlink()
    (folder / "monitor.yaml").write_text(YAML.replace("FORMAT", form), "utf-8")
    _good(folder, form, "decisions", rng)
    target = folder / f"{kind}.{'jsonl' if form == 'jsonl' else form}"
    made = records(kind, rng, BATCH if kind == "decisions" else 0)
    if form == "parquet":
        rows = _parquet(target, made, rng)
    else:
        lines = _lines(form, made)
        head = [lines[0].encode()] if form == "csv" else []
        body = [mutated(line, rng) for line in lines[len(head) :]]
        with target.open("ab" if kind == "decisions" else "wb") as file:
            file.write(b"\n".join((head if kind != "decisions" else []) + body) + b"\n")
        rows = sum(bool(b.strip()) for b in body)
    loaded = configuration.load(folder / "monitor.yaml")
    with duckdb.connect(":memory:") as connection:
        schema.create(connection, loaded.config)
        account = ingest(connection, loaded, as_of=NOW, now=NOW)
        kept = connection.execute("SELECT COUNT(*) FROM rejects").fetchone()
    told = account.loaded + account.duplicates + account.late_rewards + account.recommendations
    lost = account.rows_in - told - account.rejected
    assert lost == 0, f"{lost} of {account.rows_in} rows are not accounted for"
    assert kept is not None and kept[0] == account.rejected, "a rejected row was not kept"
    if rows is not None:
        assert not account.problems, account.problems
        assert account.rows_in == BATCH + rows, (account.rows_in, BATCH + rows)
    refused = len(account.problems)
    return Counter(rows=rows or 0, loaded=account.loaded, rejected=account.rejected, refused=refused)


def _good(folder: Path, form: str, kind: str, rng: random.Random) -> None:
    made, target = records(kind, rng, 0), folder / f"{kind}.{form}"
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(made), target)
    else:
        target.write_text("\n".join(_lines(form, made)) + "\n", "utf-8")


def _lines(form: str, made: list[dict[str, Any]]) -> list[str]:
    if form == "jsonl":
        return [json.dumps(row) for row in made]
    return [",".join(made[0]), *(",".join(str(v) for v in row.values()) for row in made)]


def _parquet(target: Path, made: list[dict[str, Any]], rng: random.Random) -> int | None:
    """Rows with odd values in text columns (how many), or a file with changed bytes (None: nobody knows)."""
    place = target.with_name(f"{target.stem}.more.parquet")
    odd = [{k: (rng.choice(ODD) if rng.random() < 0.2 else str(v)) for k, v in row.items()} for row in made]
    pq.write_table(pa.Table.from_pylist(odd), place)
    if rng.random() < 0.5:
        data = bytearray(place.read_bytes())
        for _ in range(rng.randint(1, 5)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        place.write_bytes(bytes(data[: rng.randint(1, len(data))] if rng.random() < 0.3 else data))
        return None
    return BATCH


def configured(folder: Path, what: str, seed: int) -> Counter[str]:
    """One mutated file that a person or a service writes: read, or refused with a sentence."""
    rng = random.Random(seed)
    for old in folder.iterdir():
        old.unlink()
    source, read = FILES[what](folder)
    target = folder / source.name
    lines = source.read_text("utf-8").split("\n")
    changed = [mutated(line, rng) if rng.random() < 0.1 else line.encode() for line in lines]
    target.write_bytes(b"\n".join(changed))
    try:
        read()
    except (ConfigError, RollbackError, reports.ReportError) as error:
        assert str(error).strip() and "Traceback" not in str(error)
        return Counter(files=1, refused=1)
    return Counter(files=1, read=1)


Read = tuple[Path, Callable[[], object]]


def _monitor_yaml(folder: Path) -> Read:
    source = folder / "monitor.yaml"
    source.write_text(YAML.replace("FORMAT", "jsonl"), "utf-8")
    return source, lambda: configuration.load(source)


def _checklists(name: str) -> Callable[[Path], Read]:
    def files(folder: Path) -> Read:
        source = ROOT / f"checklists/{name}.yaml"
        return source, lambda: rules.load(folder) if name == "triggers" else load_checklist(name, folder)

    return files


def _pointer(folder: Path) -> Read:
    source = folder / "active.json"
    body = {"schema": 1, "policy": "old", "stage": "x", "previous": "new", "incident": "i", "at": "2026"}
    source.write_text(json.dumps(body, indent=1), "utf-8")
    return source, PointerFile(Path("active.json"), folder).read


def _report(folder: Path) -> Read:
    source = folder / "report.json"
    body = {"decision_id": "d1", "reason": "valve", "at": "2026-01-01"}
    source.write_text(json.dumps(body, indent=1), "utf-8")
    return source, lambda: reports.read(source, _Terms())  # type: ignore[arg-type]


class _Terms:
    now, candidate = NOW, "new"


FILES: dict[str, Callable[[Path], Read]] = {
    "monitor.yaml": _monitor_yaml,
    **{f"{stage}.yaml": _checklists(stage) for stage in STAGES},
    "triggers.yaml": _checklists("triggers"),
    "pointer": _pointer, "report": _report,
}  # fmt: skip


def fuzzed(work: Callable[[int], Counter[str]], examples: int) -> Counter[str]:
    """`work` on as many seeds as asked for, drawn by hypothesis; the sum of what it counted."""
    found: Counter[str] = Counter()

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.integers(0, 2**63 - 1))
    def run(seed: int) -> None:
        found.update(work(seed))

    run()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--lines", type=int, default=20_000)
    given_ = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="monitor-fuzz-") as name:
        folder = Path(name)
        for form in ("jsonl", "csv", "parquet"):
            for kind in KINDS:
                begin = time.monotonic()
                work = lambda seed, form=form, kind=kind: ingested(folder, form, kind, seed)  # noqa: E731
                found = fuzzed(work, -(-given_.lines // BATCH))
                told = ", ".join(f"{n:,} {what}" for what, n in found.items() if what != "rows")
                print(f"{form} {kind}: {found['rows']:,} mutated records: {told}; every row accounted for "
                      f"({time.monotonic() - begin:.0f} s)", flush=True)
        for what in FILES:
            found = fuzzed(lambda seed, what=what: configured(folder, what, seed), given_.lines // 40)
            print(f"{what}: {found['files']:,} mutated files: {found['read']:,} read, {found['refused']:,} "
                  "refused with a sentence", flush=True)


if __name__ == "__main__":
    main()
