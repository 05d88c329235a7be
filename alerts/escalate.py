"""Whom to call next when nobody answers a page.

After each `escalate_after` the next person of `on_call`, the chain ends at everybody. From then on everybody
is called again every hour, but for a policy that is out of control already: there nothing burns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

AGAIN_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Page:
    """A page that nobody acknowledged: its incident, what it said and when. `rolled_back_to` is the policy
    that is in control since, "" where nothing was moved. `burns`: harm may go on until somebody acts."""

    incident: str
    policy: str
    title: str
    at: datetime
    rolled_back_to: str = ""
    burns: bool = True


@dataclass(frozen=True, slots=True)
class Call:
    """One step of the chain: the `names` called so far, or everybody."""

    page: Page
    step: int
    names: tuple[str, ...]
    everybody: bool

    @property
    def key(self) -> str:
        """The alert's key: a step is taken once."""
        return f"{self.page.incident}:escalated:{self.step}"


def due(pages: Iterable[Page], on_call: Sequence[str], after: timedelta, now: datetime) -> list[Call]:
    """The step that each page has come to, none where its first person still has time. A pass that comes late
    takes the newest step alone, which calls all before it too."""
    calls = []
    for page in pages:
        waited, last = now - page.at, len(on_call)
        step = min(waited // after, last)
        if not on_call or step < 1:
            continue
        if step == last and page.burns:
            step += (waited - last * after) // AGAIN_AFTER
        calls.append(Call(page, step, tuple(on_call[: step + 1]), step >= last))
    return calls
