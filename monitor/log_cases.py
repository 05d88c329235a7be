"""Cases that are sample logs: the monitor runs over one as if it were live, its gate is asked at the end."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from importlib.resources import as_file, files
from pathlib import Path

from gates.case_file import Case, files_of, read_cases
from gates.cases import Result, differences, run, shown_by
from monitor.config import ConfigError, did_you_mean

Progress = Callable[[str, int, int], None]


def run_all(
    paths: Sequence[Path], checklists: Path | None, progress: Progress | None = None
) -> list[Result]:
    """Every case of these files and folders, or of the package where none is named. Raises ConfigError with
    every mistake of every file."""
    if not paths:
        with as_file(files("checklists") / "cases") as shipped:
            return run_all([shipped], checklists, progress)
    cases: list[Case] = []
    errors: list[str] = []
    for file in files_of(paths):
        try:
            cases += read_cases(file, checklists)
        except ConfigError as error:
            errors += error.errors
    if errors:
        raise ConfigError(errors)
    if not cases:
        told = ", ".join(str(path) for path in paths)
        raise ConfigError([f"{told}: there is no case, so nothing would be judged"])
    results = []
    for done, case in enumerate(cases):
        if progress:
            progress(case.name, done, len(cases))
        results.append(_of_log(case) if case.log else run(case))
    return results


def _of_log(case: Case) -> Result:
    from sample_logs.demo import CATALOGUE, begin, monitored

    if case.log not in CATALOGUE:
        hint = did_you_mean(case.log, CATALOGUE)
        raise ConfigError([f"{case.place}: log: there is no sample log '{case.log}'{hint}"])
    assert case.expected is not None
    with tempfile.TemporaryDirectory() as scratch:
        begun = Path(scratch) / "begun"
        begun.mkdir()
        log = CATALOGUE[case.log]
        outcome = monitored(log, begin(log, begun), Path(scratch) / "log")
    verdict = outcome.verdicts[0]
    if verdict.stage != case.checklist.stage:
        raise ConfigError([f"{case.place}: the gate of {case.log} is that of {verdict.stage}"])
    wrong = [*differences(verdict, case.expected), *_fired(case, outcome.firings)]
    shown = frozenset() if wrong else shown_by(case.checklist, case.expected)
    return Result(case, tuple(wrong), frozenset(shown))


def _fired(case: Case, firings: Iterable[object]) -> list[str]:
    """Confirmed firings that were expected and did not come."""
    bodies = [f for f in firings if isinstance(f, dict) and f["confirmed"]]
    confirmed = {f"{b['trigger']} {b['key']}".strip() for b in bodies}
    assert case.expected is not None
    told = ", ".join(sorted(confirmed)) or "nothing"
    absent = [name for name in case.expected.fired if name not in confirmed]
    return [f"{name} should have been confirmed; what was: {told}" for name in absent]
