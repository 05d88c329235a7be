"""The road of a policy as lines of at most 80 columns, in colour on a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from gates import passes, stages
from gates.evidence import Event
from gates.stages import STAGES, short_name
from monitor.config import Config
from monitor.road import Road, others, road

WIDTH = 80
NEEDS_SHOWN = 3
OTHERS_SHOWN = 3
Brush = Callable[[str, str], str]
YEAR = timedelta(days=365)
COLOURS = {"PASS": "32", "FAIL": "31", "ERROR": "35", "INCONCLUSIVE": "33", "NO_DATA": "33"}
BOLD, DIM, RED = "1", "2", "31"


def lines(events: Sequence[Event], config: Config, as_of: datetime, *, colour: bool = False) -> Iterator[str]:
    """The candidate's road with what it still needs, those of earlier policies, the last good policy."""
    brush = _painted if colour else _plain
    candidate = config.policies.candidate
    yield from _candidate(road(events, candidate, as_of, config.cooldown), config, as_of, brush)
    earlier = others(events, candidate)
    for policy in earlier[:OTHERS_SHOWN]:
        yield from _earlier(road(events, policy, as_of, config.cooldown), as_of, brush)
    if len(earlier) > OTHERS_SHOWN:
        yield f"and {len(earlier) - OTHERS_SHOWN} earlier policies"
    good = passes.last_good(events, candidate, as_of)
    safe = f"{config.policies.safe}, the safe one; no other passed a live stage"
    yield f"last good policy: {_printable(good or safe)}"


def _candidate(found: Road, config: Config, as_of: datetime, brush: Brush) -> Iterator[str]:
    yield brush(found.policy, BOLD)
    yield from _road(found, as_of, brush)
    if found.stage is None:
        yield "  no verdict yet: `monitor gate --stage offline` begins its road"
        return
    if found.step_since is not None and found.since is not None and found.step_since != found.since:
        yield f"  in {found.stage} since {found.since:%Y-%m-%d}"
    if not found.entered and found.stage in stages.LIVE:
        yield f"  nobody entered it in {found.stage}: the gate was only asked"
    command = f"`monitor gate --stage {short_name(found.stage)}`"
    if found.verdict is None:
        yield f"  no verdict of this stage yet: {command}"
    else:
        yield from _verdict(found, found.verdict, config, as_of, brush)
    for waiver in found.waivers:
        yield from _folded(f"waived: {waiver}", "  ")


def _earlier(found: Road, as_of: datetime, brush: Brush) -> Iterator[str]:
    yield _printable(found.policy)
    yield from _road(found, as_of, brush)


def _road(found: Road, as_of: datetime, brush: Brush) -> Iterator[str]:
    """The four stages on one line, and how control was lost where it was."""
    if found.stage is not None:
        yield "  " + " > ".join(_stop(found, stage, as_of, brush) for stage in STAGES)
    if found.fell is not None:
        what = "overridden" if found.fell.kind == "override" else "rolled back"
        cools = f", cools down until {found.cools_until:%Y-%m-%d %H:%M} UTC" if found.cools_until else ""
        yield "  " + brush(f"{what} {found.fell.at:%Y-%m-%d %H:%M} UTC{cools}", RED)


def _stop(found: Road, stage: str, as_of: datetime, brush: Brush) -> str:
    name = short_name(stage)
    if stage == found.stage:
        step = f" step {found.step:g}" if found.step is not None else ""
        begun = found.since if found.step is None else found.step_since
        since = f" since {_day(begun, as_of)}" if begun else ""
        return brush(f"{name.upper()}{step}{since}", BOLD)
    if stage in found.passed:
        return brush(f"{name} PASS {_day(found.passed[stage], as_of)}", COLOURS["PASS"])
    return brush(name, DIM)


def _verdict(found: Road, verdict: Event, config: Config, as_of: datetime, brush: Brush) -> Iterator[str]:
    outcome, stage = str(verdict.body["outcome"]), str(found.stage)
    said = stages.instant_of(verdict.body["as_of"]) or as_of
    head = f"  {brush(outcome, COLOURS.get(outcome, BOLD))} as of {said:%Y-%m-%d %H:%M} UTC"
    about = f", about {found.days} day{'s' if found.days != 1 else ''} more" if found.days else ""
    if verdict.body.get("exit_code") == 5:
        yield f"{head}: a rollback was called for"
    elif outcome == "PASS":
        until, onward = said + config.pass_expires, stages.next_stage(stage)
        go = f", `monitor promote --to {short_name(onward)}`" if onward else ""
        yield f"{head}, {f'to {until:%m-%d}{go}' if until > as_of else f'expired {until:%m-%d}'}"
        return
    else:
        yield f"{head}{about}; it needs"
    lacks = list((found.open or {}).items())
    for item, needs in lacks[:NEEDS_SHOWN]:
        yield from _folded(f"{item}: {needs}", "    ")
    if len(lacks) > NEEDS_SHOWN:
        rest = ", ".join(item for item, _ in lacks[NEEDS_SHOWN:])
        yield from _folded(f"and {len(lacks) - NEEDS_SHOWN} more: {rest}", "    ")


def _folded(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        _printable(text), WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _day(at: datetime | None, as_of: datetime) -> str:
    """Month and day within the last year, else the year: both short."""
    if at is None:
        return "?"
    return f"{at:%m-%d}" if abs(as_of - at) < YEAR else f"{at:%Y}"


def _printable(words: str) -> str:
    """Names of the log may hold control characters; a terminal must not obey them."""
    return "".join(c if c.isprintable() else "?" for c in words)


def _painted(words: str, code: str) -> str:
    return f"\x1b[{code}m{_printable(words)}\x1b[0m"


def _plain(words: str, code: str) -> str:
    return _printable(words)
