"""Rollback by a pointer file that the service reads to learn which policy controls.

`{"schema": 1, "policy", "stage", "previous", "incident", "at"}`, mode 0644. A reader sees the old
pointer or the new one, never half of one, also after a power cut.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alerts.rollback.target import RollbackError

READABLE = 0o644


class PointerFile:
    """The pointer at `path`, which must lie inside `folder` once links are followed."""

    def __init__(self, path: Path, folder: Path) -> None:
        self._path = path
        self._folder = folder

    @property
    def reads(self) -> bool:
        return True

    def write(self, pointer: Mapping[str, Any]) -> None:
        """Replace the pointer atomically: temporary file beside it, fsync, rename, fsync of the folder.

        Raises RollbackError when the path leaves the folder or cannot be written.
        """
        path = self._confined()
        try:
            _folder(path.parent)
            _replace(path, json.dumps(dict(pointer), indent=2, allow_nan=False).encode() + b"\n")
        except OSError as error:
            raise RollbackError(f"{path.name} cannot be written: {error.strerror}") from None

    def read(self) -> dict[str, Any] | None:
        """The pointer as it stands; None where there is none yet. Raises RollbackError when the file
        cannot be read or is not a pointer of schema 1."""
        path = self._confined()
        try:
            pointer = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RollbackError(f"{path.name} cannot be read: {error.strerror}") from None
        except (ValueError, RecursionError):
            raise RollbackError(f"{path.name} is not JSON; it does not say which policy controls") from None
        if not isinstance(pointer, dict) or pointer.get("schema") != 1:
            raise RollbackError(f"{path.name} is not a pointer of schema 1")
        if not isinstance(pointer.get("policy"), str):
            raise RollbackError(f"{path.name} names no policy")
        return pointer

    def _confined(self) -> Path:
        try:
            folder = self._folder.resolve(strict=True)
            path = (folder / self._path).resolve()
            if path.is_symlink():
                raise RuntimeError
        except (OSError, RuntimeError):
            raise RollbackError(f"rollback.path {self._path.name} cannot be followed to a file") from None
        if folder not in path.parents:
            raise RollbackError(
                f"rollback.path {self._path.name} leads out of the folder of the configuration; "
                "name a file inside it"
            )
        return path


def _folder(folder: Path) -> None:
    """Made so that the service may look into it, whatever the umask."""
    if folder.exists():
        return
    before = os.umask(0o022)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    finally:
        os.umask(before)


def _replace(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), READABLE)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
