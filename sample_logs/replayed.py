"""Replay sample logs that `monitor demo --keep DIR` left: `python -m sample_logs.replayed DIR [NAME…]`.

A row a log: the alarms that the configured triggers would have given before its fault was planted, and
how long after it each trigger tripped and was confirmed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from monitor import config as configuration
from monitor.replay import play, words
from monitor.replay.tally import a_month
from sample_logs.make import COOLING_LOGS, LOGS, SampleLog

END = datetime(2100, 1, 1, tzinfo=UTC)  # everything that is measured
KNOWN = LOGS | COOLING_LOGS
OF_ONE_ROW = ("hard_violation", "irreversible", "layer_failure")
HEADS = ("log", "days before", "alarms (letter)", "a month (95 %)", "trigger", "first trip", "confirmed")


def main(arguments: list[str], as_of: datetime = END) -> int:
    """Print the table for every kept log, or for those named. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sample_logs.replayed")
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*")
    given = parser.parse_args(arguments)
    names = given.names or [n for n in KNOWN if (given.folder / n / "monitor.yaml").exists()]
    print("| " + " | ".join(HEADS) + " |")
    print("|" + "---|" * len(HEADS))
    for name in names:
        for row in rows(KNOWN[name], given.folder / name, as_of):
            print("| " + " | ".join(row) + " |", flush=True)
    return 0


def rows(log: SampleLog, folder: Path, as_of: datetime) -> Iterator[tuple[str, ...]]:
    """What the replay of one log says: a row for each trigger that saw the fault or should have."""
    loaded = configuration.load(folder / "monitor.yaml")
    asked = play.Asked(change=log.planted)
    (found,) = play.replay(loaded, asked, as_of=as_of, progress=None)
    wanted = "single rows" if log.fault in OF_ONE_ROW else log.trigger
    before = (log.planted.timestamp() / 3600 if log.planted else found.end) - found.start
    alarms = sum(t.alarms for t in found.tallies)
    letter = sum(t.letter_alarms for t in found.tallies)
    windows = max(t.windows for t in found.tallies)
    month = words.rate(a_month(alarms, windows, found.span))
    first = (log.name, f"{before / 24:.3g}", f"{alarms} ({letter})", month)
    shown = [t for t in found.tallies if t.trigger == wanted or t.first_confirmed] or found.tallies[:1]
    if log.planted is None:
        yield (*first, "(healthy)", "", "")
        return
    for tally in shown:
        name = tally.trigger if tally.trigger == wanted or tally.first_confirmed else "(none)"
        confirmed = words.seen(tally.first_confirmed)
        yield (*first, name, words.seen(tally.first_trip if name != "(none)" else None), confirmed)
        first = ("",) * len(first)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
