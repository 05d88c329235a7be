"""`monitor gate`: what was asked for, and the verdict told where it was asked for.

The command line declares the options; what they mean stands here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from gates.checklist import load as load_checklist
from gates.evaluate import Verdict
from gates.formats import ENDINGS, FORMATS
from gates.outcome import EXIT_ERROR, EXIT_FAIL, EXIT_FIRING
from gates.stages import SHORT, stage_named
from monitor import verdicts
from monitor.config import ConfigError, Loaded, did_you_mean

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Report:
    """How a verdict is told: `format` on stdout unless `quiet`; each of `files` in the format that its
    ending names, else in `format`. `colour` and `width` are those of the terminal."""

    format: str = "table"
    files: Sequence[Path] = ()
    quiet: bool = False
    colour: bool = False
    width: int = 80

    def refuse_mistakes(self) -> None:
        """Raise ConfigError for a format that is not known or a file that cannot be there: before anything
        is judged and written down."""
        errors = []
        if self.format not in FORMATS:
            hint = did_you_mean(self.format, FORMATS)
            errors.append(f"--format {self.format} is not known{hint}; it is one of {', '.join(FORMATS)}")
        for file in self.files:
            if not file.parent.is_dir():
                errors.append(f"--output {file}: there is no folder {file.parent}")
            elif file.is_dir():
                errors.append(f"--output {file} is a folder")
        if errors:
            raise ConfigError(errors)


@dataclass(frozen=True)
class Asked:
    """What is to be judged: a stage from what is stored or, with `logs`, from these files (`more` are those
    that a shell put behind the first); `dry` marks the verdict; `explain` names one item to be told at
    length instead."""

    stage: str | None
    logs: Sequence[Path] = ()
    more: Sequence[Path] = ()
    baseline: Path | None = None
    journal: Path | None = None
    dry: bool = False
    explain: str | None = None

    def refuse_mistakes(self) -> None:
        """Raise ConfigError where the options do not go together."""
        errors = []
        if self.stage is None:
            errors.append(f"--stage is missing: {', '.join(SHORT)}")
        if not self.logs:
            given = {"--baseline": self.baseline, "--journal": self.journal}
            alone = [option for option, file in given.items() if file]
            errors += [f"{option} goes with --logs: the store has its own" for option in alone]
            errors += [f"argument {file} is not known; files to judge follow --logs" for file in self.more]
        if self.logs and self.explain:
            errors.append("--explain tells of the store and does not go with --logs")
        if errors:
            raise ConfigError(errors)


def judged(
    loaded: Loaded, asked: Asked, as_of: datetime | None, now: datetime, progress: Progress | None
) -> tuple[Verdict, list[str]]:
    """The verdict, and what to tell beside it. Raises ConfigError, StoreError, JournalError."""
    stage = _stage(asked)
    if not asked.logs:
        return verdicts.gate(loaded, stage=stage, as_of=as_of or now, dry=asked.dry), []
    from monitor import stateless

    given = stateless.Given([*asked.logs, *asked.more], asked.baseline, asked.journal, as_of)
    verdict, told = stateless.gate(loaded, given, stage=stage, now=now, progress=progress)
    return replace(verdict, dry=asked.dry), told


def explained(loaded: Loaded, asked: Asked, as_of: datetime) -> list[str]:
    """One item at length, as things stand; written down nowhere. Raises ConfigError."""
    from gates.explain import explain

    stage, name = _stage(asked), str(asked.explain)
    checklist = load_checklist(stage, verdicts.checklists_of(loaded))
    item = next((i for i in checklist.items if i.item == name), None)
    if item is None:
        known = [i.item for i in checklist.items]
        hint = did_you_mean(name, known) or f"; its items are {', '.join(known)}"
        raise ConfigError([f"--explain {name}: {stage} has no such item{hint}"])
    store = verdicts.store_of(loaded)
    store.create()
    with verdicts.opened_journal(store) as journal:
        verdict = verdicts.verdict_of(journal, loaded, stage, as_of)
        return explain(item, verdict, journal.events("verdict", subject=verdict.policy, until=as_of))


def _stage(asked: Asked) -> str:
    try:
        return stage_named(str(asked.stage))
    except ValueError as error:
        raise ConfigError([str(error)]) from None


def tell(verdict: Verdict, report: Report, *, out: Callable[[str], None], say: Callable[[str], None]) -> int:
    """Write the verdict to its files and to `out`; returns the exit code. A file that could not be written
    is an error (4), which never hides FAIL (1) or a rollback (5)."""
    code = verdict.exit_code
    for file in report.files:
        form = ENDINGS.get(file.suffix, report.format)
        try:
            replace_text(file, FORMATS[form](verdict, colour=False, width=report.width))
        except OSError as error:
            say(f"--output {file} was not written: {error.strerror}")
            code = code if code in (EXIT_FAIL, EXIT_FIRING) else EXIT_ERROR
    if not report.quiet:
        out(FORMATS[report.format](verdict, colour=report.colour, width=report.width))
    return code


def replace_text(file: Path, text: str) -> None:
    """The whole text or, where that fails, what was there before."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, "utf-8", errors="replace")
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
