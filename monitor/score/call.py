"""A candidate as a Python callable, run in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from monitor.score.rules import Array, ScoreError, distributions

WORKER = Path(__file__).with_name("worker.py")


class Function:
    """`module:function`, asked batch by batch: f(states) -> probabilities of shape (rows, actions).

    `states` is a dict from column name (features, and `segment`) to a list of one value a row. The
    process is killed when a batch takes longer than `limit` seconds.
    """

    def __init__(self, process: subprocess.Popen[str], said: IO[str], name: str, limit: float) -> None:
        self._process, self._said, self._name, self._limit = process, said, name, limit

    def ask(self, states: Mapping[str, Sequence[Any]], rows: int, actions: int, batch: str) -> Array:
        """The probabilities of one batch. Raises ScoreError."""
        late = threading.Event()
        timer = threading.Timer(self._limit, self._stop, [late])
        timer.start()
        try:
            answer = self._exchange(json.dumps(states))
        finally:
            timer.cancel()
        if late.is_set():
            raise ScoreError(f"{batch}: {self._name} took longer than {self._limit:g} s and was stopped")
        if not answer:
            raise ScoreError(f"{batch}: {self._name} ended: {self._last_words()}")
        try:
            given = json.loads(answer)["probabilities"]
        except (ValueError, KeyError, TypeError):
            raise ScoreError(f"{batch}: {self._name} gave an answer that cannot be read") from None
        return distributions(given, rows, actions, batch)

    def _stop(self, late: threading.Event) -> None:
        late.set()
        self._process.kill()

    def _exchange(self, line: str) -> str:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            return self._process.stdout.readline()
        except OSError:
            return ""

    def _last_words(self) -> str:
        self._process.wait()
        self._said.seek(0)
        lines = [line.strip() for line in self._said if line.strip()]
        return lines[-1] if lines else f"exit code {self._process.returncode}"


@contextmanager
def started(
    target: str, python: str | None, folders: Sequence[Path], limit: float
) -> Iterator[Function]:
    """The process of a callable, ended with the block. Raises ScoreError when it cannot be started."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        command = [python or sys.executable, str(WORKER), target, *(str(f.resolve()) for f in folders)]
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True,
                encoding="utf-8",
            )
        except OSError as error:
            raise ScoreError(f"{command[0]} cannot be started: {error.strerror or error}") from None
        try:
            yield Function(process, said, target, limit)
        finally:
            process.kill()
            process.communicate()
