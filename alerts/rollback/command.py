"""Rollback by a command: an argument list, no shell, a time limit, read back by a second one.

In each argument `{policy}`, `{previous}`, `{stage}`, `{incident}` and `{at}` stand for what the pointer
says; the whole pointer comes as JSON on standard input. The child sees PATH, HOME and the variables that
`env` names, nothing else of ours.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from alerts.rollback.target import RollbackError
from alerts.secrets import known, redact

ALWAYS = ("PATH", "HOME", "LANG")
SHOWN = 300
PLACES = ("policy", "previous", "stage", "incident", "at")


class Command:
    """`write` runs one command, `read` another, both in `folder`."""

    def __init__(
        self,
        command: Sequence[str],
        read: Sequence[str],
        folder: Path,
        environ: Mapping[str, str],
        *,
        env: Sequence[str] = (),
        seconds: float = 30.0,
    ) -> None:
        self._write, self._read, self._folder, self._seconds = list(command), list(read), folder, seconds
        self._environ = environ
        self._env = {name: environ[name] for name in (*ALWAYS, *env) if name in environ}

    @property
    def reads(self) -> bool:
        return bool(self._read)

    def write(self, pointer: Mapping[str, Any]) -> None:
        """Run the command. Raises RollbackError where it does not end with 0 in time."""
        self._run([_filled(part, pointer) for part in self._write], json.dumps(dict(pointer)))

    def read(self) -> dict[str, Any] | None:
        """What the read command prints: a pointer as JSON, or the name of the policy alone; None for
        nothing. Raises RollbackError."""
        said = self._run(self._read, "").strip()
        if not said:
            return None
        if not said.startswith("{"):
            return {"policy": said}
        try:
            found = json.loads(said)
        except ValueError:
            raise RollbackError(f"{self._read[0]} printed something that is not JSON") from None
        return dict(found)

    def _run(self, arguments: list[str], given: str) -> str:
        name = arguments[0]
        try:
            process = subprocess.Popen(
                arguments, cwd=self._folder, env=self._env, text=True, errors="replace",
                start_new_session=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
        except OSError as error:
            raise RollbackError(f"{name} cannot be started: {error.strerror}") from None
        try:
            out, err = process.communicate(given, timeout=self._seconds)
        except subprocess.TimeoutExpired:
            _end(process)
            raise RollbackError(f"{name} did not end within {self._seconds:g} s and was stopped") from None
        except BaseException:
            _end(process)
            raise
        if process.returncode:
            last = redact((err.strip() or out.strip())[-SHOWN:], known(self._environ))
            said = f": {' '.join(last.split())}" if last else ""
            raise RollbackError(f"{name} ended with exit code {process.returncode}{said}")
        return out


def _filled(argument: str, pointer: Mapping[str, Any]) -> str:
    for place in PLACES:
        argument = argument.replace("{" + place + "}", str(pointer.get(place, "")))
    return argument


def _end(process: subprocess.Popen[str]) -> None:
    """Stop the command and all it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
