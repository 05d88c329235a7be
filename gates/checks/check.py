"""What a check is: a pure function, and a row that declares its numbers and what it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gates.evidence import Evidence
from gates.outcome import Finding, Outcome

# The numbers of the item by name; `item`, the item's own name; `two_person`, whether two persons sign it.
Params = Mapping[str, Any]
# Every check returns a list: one finding, or one for each part or key it judges; never none.
Function = Callable[[Params, Evidence], list[Finding]]


@dataclass(frozen=True)
class Number:
    """A number a checklist may set: its default, and the range it must lie in (ends included).

    `whole`: an integer. `many`: a list of such numbers, rising. `default` None: it need not be
    set, and the part of the check that uses it is then not judged.
    """

    default: float | list[float] | None
    low: float
    high: float
    whole: bool = False
    many: bool = False


@dataclass(frozen=True)
class Check:
    """A row of the registry.

    `metrics`: the estimates a PASS rests on; `shown`: estimates that are only told in the message
    (their absence changes nothing); `events`: the kinds of journal events it reads. `sign_off`: it
    judges a person's word. `attestable`: a sign-off of the item (`attest`) may stand for its estimates or
    events; `attested`: other sign-offs that it rests on. `impossible`: outcomes that it cannot
    have, whatever the evidence, and why.
    """

    function: Function
    params: Mapping[str, Number] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    sign_off: bool = False
    attestable: bool = False
    attested: tuple[str, ...] = ()
    impossible: Mapping[Outcome, str] = field(default_factory=dict)
