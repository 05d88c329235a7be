"""`monitor gate`: what was asked for, and the verdict told where it was asked for.

The command line declares the options; what they mean stands here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gates.evaluate import Verdict
from gates.formats import ENDINGS, FORMATS
from gates.outcome import EXIT_ERROR, EXIT_FAIL, EXIT_FIRING
from monitor.config import ConfigError, did_you_mean


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


def tell(verdict: Verdict, report: Report, *, out: Callable[[str], None], say: Callable[[str], None]) -> int:
    """Write the verdict to its files and to `out`; returns the exit code. A file that could not be written
    is an error (4), which never hides FAIL (1) or a rollback (5)."""
    code = verdict.exit_code
    for file in report.files:
        form = ENDINGS.get(file.suffix, report.format)
        try:
            _replace(file, FORMATS[form](verdict, colour=False, width=report.width))
        except OSError as error:
            say(f"--output {file} was not written: {error.strerror}")
            code = code if code in (EXIT_FAIL, EXIT_FIRING) else EXIT_ERROR
    if not report.quiet:
        out(FORMATS[report.format](verdict, colour=report.colour, width=report.width))
    return code


def _replace(file: Path, text: str) -> None:
    """The whole text or, where that fails, what was there before."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, "utf-8", errors="replace")
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
