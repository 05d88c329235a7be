"""`monitor init`: from log files to a monitor.yaml that loads, and a table of what can be judged with it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from monitor import config as configuration
from monitor.config import ConfigError
from monitor.first_hour import profiles
from monitor.first_hour.draft import Draft, draft
from monitor.first_hour.items import Known, item_rows, table
from monitor.first_hour.text import text
from monitor.log.look import FileError, log_files, look

CHECKLISTS = "checklists"


@dataclass(frozen=True)
class Begun:
    """What `init` wrote and says. `complete` is False where a run could not read a single row yet."""

    lines: list[str]
    complete: bool


def init(
    logs: Sequence[Path], output: Path, *, profile: str | None, force: bool, now: datetime
) -> Begun:
    """Write `output` from a look at the logs, and with a profile the user's own checklists beside it.

    Raises ConfigError: no log file, a file that is none, a file that is there already without `force`.
    """
    if profile is not None and profile not in profiles.PROFILES:
        raise ConfigError([f"--profile {profile} is not known; it is {', '.join(profiles.PROFILES)}"])
    if output.exists() and not force:
        raise ConfigError([f"{output.name} is there already; give another -o FILE, or --force to replace it"])
    folder = output.resolve().parent
    try:
        files = [f.resolve() for given in logs for f in log_files(given)]
        found = draft(look(list(dict.fromkeys(files))), folder)
    except FileError as error:
        raise ConfigError([str(error)]) from None
    folder.mkdir(parents=True, exist_ok=True)
    changed = _profile(profile, folder)
    _write(output, text(found, CHECKLISTS if profile is not None else None))
    loaded = configuration.load(output)
    rows = item_rows(
        Known(loaded.config, frozenset(found.has), found.per_day), folder / CHECKLISTS if profile else None
    )
    lacks = [c for c in ("decision_id", "ts") if c not in found.main.columns]
    return Begun([*_told(found, output, profile, changed, lacks, now), "", *table(rows)], not lacks)


def _profile(profile: str | None, folder: Path) -> list[str]:
    if profile is None:
        return []
    try:
        return profiles.write(profile, folder / CHECKLISTS)
    except FileExistsError as error:
        raise ConfigError(
            [f"{error} is there already, with somebody's numbers; move it away, or leave --profile out"]
        ) from None


def _write(output: Path, content: str) -> None:
    """Write the file at once, and only when it loads."""
    trial = output.with_name(f".{output.name}.new")
    trial.write_text(content, "utf-8")
    try:
        configuration.load(trial)
        os.replace(trial, output)
    finally:
        trial.unlink(missing_ok=True)


def _told(
    found: Draft,
    output: Path,
    profile: str | None,
    changed: Sequence[str],
    lacks: Sequence[str],
    now: datetime,
) -> list[str]:
    period = (
        f"{found.start:%Y-%m-%d %H:%M} to {found.end:%Y-%m-%d %H:%M} UTC"
        if found.start and found.end
        else "unknown"
    )
    volume = f"about {found.per_day:.0f} decisions a day" if found.per_day > 0 else "volume unknown"
    lines = [f"{output.name} written; {period}, {volume}, windows of {found.window_hours} h, acting: observe"]
    for target, guess in found.main.columns.items():
        lines.append(f"  {target} = {guess.path}: {guess.why}")
    lines += [f"  not used: {doubt}" for doubt in found.doubts]
    if profile is not None:
        lines.append(f"{CHECKLISTS}/ written: profile {profile}, {len(changed)} numbers other than standard")
        lines += [f"  {change}" for change in changed]
    if lacks:
        lines.append(
            f"before `monitor run`: map {' and '.join(lacks)} in {output.name}; no row can be read without"
        )
    else:
        lines.append(f"next: read {output.name}, then")
        lines += [f"  {command}" for command in _next(found, output, now)]
    return lines


def _next(found: Draft, output: Path, now: datetime) -> list[str]:
    """The commands to go on with; a log that ended a while ago is judged as of its end."""
    where = "" if output.name == "monitor.yaml" else f" --config {output.name}"
    stage = "shadow" if any(c.startswith("candidate_") for c in found.has) else "offline"
    as_of = ""
    if found.end is not None and found.end < now - timedelta(days=1):
        hour = found.end.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        as_of = f" --as-of {hour:%Y-%m-%dT%H}:15"
    commands = ["monitor run", f"monitor gate --stage {stage}{as_of}", f"monitor doctor{as_of}"]
    return [command + where for command in commands]
