"""What was measured as one table, each number beside its target."""

from __future__ import annotations

from collections.abc import Mapping

Seconds = Mapping[str, tuple[float, float]]
Row = tuple[str, str, str, str, str, str]

HEAD: Row = ("what", "wall s", "CPU s", "peak GiB", "ratio", "target")
MEMORY = 3.0
STEPS = ("summing", "writing", "measuring")
EVALUATIONS = (
    ("evaluate", "evaluate scan", 5, "monitor evaluate, all estimators"),
    ("evaluate, ridge", "ridge scan", 15, "monitor evaluate with a ridge model"),
)
CAUSES = {
    "monitor evaluate, all estimators": "it reads cells of hour, bucket and segment, and units",
    "monitor evaluate with a ridge model": "it reads the weights of each feature by day, bucket and action",
    "ingest": "each id is hashed and looked up, every cell checked, columns are worked out, and each file is "
    "a transaction of its own, which weighs more the smaller the files are",
    "gate, with start-up": "interpreter and libraries take half of it, the sums of the evidence the rest",
    "a further hour after the last day: read, summed, measured": "each known file is looked at again, and "
    "rows are replaced in tables that have grown",
    "largest peak of ours": "DuckDB keeps blocks in memory while there is room; memory_limit is not set",
    "NannyML D_JS": "the pass makes every sum and reading, not one distance a feature",
    "  memory": "the pass makes every sum and reading, not one distance a feature",
}


def text(seconds: Seconds, peaks: Mapping[str, float], imported: list[str], nannyml: str) -> str:
    """The table in Markdown. A target that is missed says so, and what the time went to."""
    rows: list[Row] = [HEAD]
    rows.append(_row("plain scan", seconds["scan"], peaks["scan"]))
    rows.append(_row("plain load (CREATE TABLE AS)", seconds["load"], peaks["load"]))
    times = _times(seconds, "ingest", "load", 3)
    rows.append(_row("ingest", seconds["ingest"], peaks["ingest"], *times))
    rows.append(_row("baseline frozen, once", seconds["freeze"], peaks["freeze"]))
    for step, spent in seconds.items():
        if step.startswith(STEPS):
            share = f"{spent[0] / seconds['scan'][0]:.1f} x scan"
            rows.append((f"  {step}", f"{spent[0]:.3f}", f"{spent[1]:.3f}", "", share, ""))
    whole = {**seconds, "pass": (_add(seconds, 0), _add(seconds, 1))}
    peak = max(peaks["sums"], peaks["readings"])
    rows.append(_row("measuring pass", whole["pass"], peak, *_times(whole, "pass", "scan", 10)))
    rows.append(_row("judging every window, once", seconds["judge"], peaks["judge"]))
    for step, scan, most, what in EVALUATIONS:
        rows.append(_row(what, seconds[step], peaks["evaluate"], *_times(seconds, step, scan, most)))
        anew = f"{step}: sums"
        rows.append(_row("  its sums of every row made anew, as one `run` does", seconds[anew],
                         peaks["evaluate"], f"{seconds[anew][0] / seconds[scan][0]:.1f} x scan"))
    quick = _target("1 s", seconds["gate"][0] <= 1)
    rows.append(_row("gate, with start-up", seconds["gate"], peaks["gate"], "", quick))
    none = _target("no heavy import", not imported)
    rows.append(("gate imports", "", "", "", ", ".join(imported) or "none of them", none))
    for part, what in (("", "read, summed, measured"), (", judged", "then judged, with the verdict")):
        early, late = seconds[f"early{part}"], seconds[f"late{part}"]
        change = late[0] / early[0] - 1
        rows.append(_row(f"a further hour after the first day: {what}", early, peaks["early"]))
        rows.append(_row(f"a further hour after the last day: {what}", late, peaks["late"], f"{change:+.0%}",
                         "" if part else _target("±20 %", abs(change) <= 0.2)))
    ours = ("ingest", "sums", "readings", "gate", "early", "late")
    largest = max(peaks[s] for s in ours)
    rows.append(("largest peak of ours", "", "", f"{largest:.2f}", "", _target("3 GiB", largest <= MEMORY)))
    if "nannyml" in seconds:
        theirs = seconds["nannyml"]
        faster = f"ours {whole['pass'][0] / theirs[0]:.2f} x"
        slower = _target("slower than ours", theirs[0] > whole["pass"][0])
        rows.append(_row("NannyML D_JS", theirs, peaks["nannyml"], faster, slower))
        less = _target("ours < 1/3 of its memory", peak < peaks["nannyml"] / 3)
        rows.append(("  memory", "", "", "", f"ours {peak / peaks['nannyml']:.2f} x", less))
    causes = {**CAUSES, "measuring pass": f"of its time, {_largest(seconds)}"}
    missed = [f"MISSED {row[0].strip()}: {causes[row[0]]}." for row in rows if row[5].endswith("MISSED")]
    return "\n".join([_markdown(rows), "", *missed, f"NannyML: {nannyml}."])


def _largest(seconds: Seconds) -> str:
    """The three steps that take longest, with their shares."""
    steps = {step: spent[0] for step, spent in seconds.items() if step.startswith(STEPS)}
    ordered = sorted(steps, key=lambda step: -steps[step])[:3]
    return ", ".join(f"{steps[s] / sum(steps.values()):.0%} is {s}" for s in ordered)


def _add(seconds: Seconds, which: int) -> float:
    return seconds["sums"][which] + seconds["readings"][which]


def _times(seconds: Seconds, ours: str, plain: str, most: int) -> tuple[str, str]:
    ratio, cpu = (seconds[ours][i] / seconds[plain][i] for i in (0, 1))
    return f"{ratio:.1f} x {plain} (CPU {cpu:.1f})", _target(f"{most} x", ratio <= most)


def _target(limit: str, met: bool) -> str:
    return f"{limit}: {'met' if met else 'MISSED'}"


def _row(what: str, spent: tuple[float, float], peak: float, ratio: str = "", target: str = "") -> Row:
    cpu = f"{spent[1]:.3f}" if spent[1] else ""
    return what, f"{spent[0]:.3f}", cpu, f"{peak:.2f}", ratio, target


def _markdown(rows: list[Row]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)
