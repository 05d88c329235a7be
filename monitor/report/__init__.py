"""What people look at: charts of what was measured, and the report that puts them on one page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.config import Loaded


def written(
    loaded: Loaded,
    output: Path,
    *,
    stage: str | None,
    policy: str | None,
    as_of: datetime,
    environ: Mapping[str, str],
) -> str:
    """Write the report of a stage, by default the one the candidate is in; what to tell of it. The file is
    replaced whole or left as it was. Raises ConfigError, ValueError, JournalError."""
    from gates.stages import stage_named
    from monitor.config import ConfigError, did_you_mean
    from monitor.gating import replace_text
    from monitor.report.collect import collect
    from monitor.report.page import html
    from monitor.status import in_control
    from monitor.verdicts import store_of

    store, candidate = store_of(loaded), loaded.config.policies.candidate
    if policy is not None and policy != candidate:
        hint = did_you_mean(policy, [candidate])
        raise ConfigError([f"--policy {policy} is not the candidate of monitor.yaml, {candidate}{hint}"])
    if not store.journal.exists():
        raise ConfigError(["nothing has run yet, so there is nothing to report; run `monitor run` first"])
    try:
        stage = stage and stage_named(stage)
    except ValueError as error:
        raise ConfigError([f"--stage: {error}"]) from None
    stage, controls = stage or stage_now(loaded, as_of), in_control(loaded, environ)
    found = collect(loaded, stage=stage, as_of=as_of, controls=controls)
    try:
        replace_text(output, html(found))
    except OSError as error:
        raise ConfigError([f"--output {output}: cannot be written: {error.strerror}"]) from None
    verdict = found.verdict
    return f"{output}: {verdict.outcome.name} {verdict.stage} of {candidate}; open it in a browser"


def stage_now(loaded: Loaded, as_of: datetime) -> str:
    """The stage the candidate is in."""
    from monitor.journal import Journal
    from monitor.stage import stage_of
    from monitor.verdicts import store_of

    store = store_of(loaded)
    with Journal(store.journal) as journal:
        return stage_of(journal, store, loaded.config, as_of)
