"""One line of `monitor doctor`: what, why it matters, what to do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Complaint:
    """`blocks`: while it lasts a gate stays shut or nobody is told; otherwise it is good to know."""

    what: str
    why: str
    do: str
    blocks: bool = False
