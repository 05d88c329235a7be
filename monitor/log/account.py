"""What became of every record: the account of a file, and of a whole ingest."""

from __future__ import annotations

from dataclasses import dataclass, field

OUTCOMES = ("loaded", "duplicates", "late_rewards", "recommendations", "rejected")


class AccountError(Exception):
    """Records that went missing or were counted twice: a defect, and the file is not loaded."""


@dataclass
class FileAccount:
    """Counts of one file. rows_in = loaded + duplicates + late_rewards + recommendations + rejected;
    `waiting` are those late rewards and recommendations whose decision has not arrived; `pruned` the
    rejected ones that are older than what was pruned; `faults` are fields set to NULL. `problem` says
    why the file was not read at all."""

    file: str
    kind: str
    rows_in: int = 0
    loaded: int = 0
    duplicates: int = 0
    late_rewards: int = 0
    recommendations: int = 0
    waiting: int = 0
    rejected: int = 0
    pruned: int = 0
    faults: int = 0
    problem: str | None = None

    def check(self) -> None:
        """Raises AccountError unless every record has exactly one outcome."""
        told = sum(getattr(self, name) for name in OUTCOMES)
        if told != self.rows_in:
            raise AccountError(
                f"{self.file}: {self.rows_in} records were read but {told} are accounted for; "
                "nothing was loaded"
            )


@dataclass
class Account:
    """Totals over `files`. `unmatched` are the patterns of the configuration that match no file."""

    files: list[FileAccount] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """What to tell a person: one line with all outcomes, then what was not read."""
        lines = [
            f"{self.rows_in} rows in = {self.loaded} loaded + {self.duplicates} duplicates + "
            f"{self.late_rewards} late rewards + {self.recommendations} recommendations + "
            f"{self.rejected} rejected; {self.faults} faults; {self.files_read} "
            f"{'file' if self.files_read == 1 else 'files'} read"
        ]
        if self.pruned:
            lines.append(f"{self.pruned} rejected rows are from before the days that were pruned")
        lines += [f"not read: {problem}" for problem in self.problems]
        return lines + [f"no file matches {pattern}" for pattern in self.unmatched]

    def _total(self, name: str) -> int:
        return sum(getattr(f, name) for f in self.files)

    @property
    def rows_in(self) -> int:
        return self._total("rows_in")

    @property
    def loaded(self) -> int:
        return self._total("loaded")

    @property
    def duplicates(self) -> int:
        return self._total("duplicates")

    @property
    def late_rewards(self) -> int:
        return self._total("late_rewards")

    @property
    def recommendations(self) -> int:
        return self._total("recommendations")

    @property
    def waiting(self) -> int:
        return self._total("waiting")

    @property
    def rejected(self) -> int:
        return self._total("rejected")

    @property
    def pruned(self) -> int:
        return self._total("pruned")

    @property
    def faults(self) -> int:
        return self._total("faults")

    @property
    def files_read(self) -> int:
        return sum(f.problem is None for f in self.files)

    @property
    def problems(self) -> list[str]:
        """One sentence for each file that was not read."""
        return [f.problem for f in self.files if f.problem is not None]
