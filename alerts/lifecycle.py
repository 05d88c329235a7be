"""Messages on what became of an incident: acknowledged, resolved, nobody answered; digests and test pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from alerts.escalate import Page
from alerts.message import Message, acknowledging, sentence
from alerts.numbers import count, moment, span


def for_acknowledged(
    incident: str, policy: str, *, by: str, reason: str, at: datetime, real: bool, accepted: bool
) -> Message:
    """Somebody has it: nobody else is called."""
    if accepted:
        means = "The change is agreed: its windows are the new reference."
    else:
        false = "It counts as a false alarm: its windows stay in the reference."
        means = "It counts as real." if real else false
    return Message(
        title=f"{by} has it",
        severity="info",
        what_happened=f"{by} acknowledged {incident} at {moment(at)}: {sentence(reason)}",
        how_bad=means,
        what_was_done="Nobody else is called for it.",
        what_to_do=(f"Ask {by} before you act on {policy}." if policy else f"Ask {by}.",),
        incident=incident, policy=policy, state="acknowledged",
    )  # fmt: skip


def for_resolved(
    incident: str, policy: str, *, reason: str, opened: datetime, at: datetime, rolled_back_to: str = ""
) -> Message:
    """It is over."""
    lasted = f"It lasted {span(at - opened)}, from {moment(opened)} to {moment(at)}"
    stays = f"{rolled_back_to} stays in control." if rolled_back_to else "Nothing was moved."
    steps = (
        f"Find out why it happened before {policy} is promoted again.",
        "`monitor status` tells what its road needs.",
    )
    return Message(
        title=f"Resolved: {incident}",
        severity="info",
        what_happened=f"{lasted}: {sentence(reason)}",
        how_bad="What was measured is back within its limits.",
        what_was_done=f"The incident was closed. {stays}",
        what_to_do=steps if rolled_back_to else ("Nothing. If it comes back, you are told that it did.",),
        incident=incident, policy=policy, state="resolved",
    )  # fmt: skip


def for_escalation(page: Page, names: Sequence[str], *, everybody: bool, waited: timedelta) -> Message:
    """Nobody acknowledged a page: the next person is called, in the end everybody."""
    called = "everybody on call" if everybody else "the next person on call"
    bad = "Nothing was moved: what caused it may still do harm."
    if not page.burns:
        safe = page.rolled_back_to
        test = "Nothing is wrong: it is a test."
        bad = f"{safe} is in control, so there is time to look." if safe else test
    return Message(
        title=f"Nobody has answered for {span(waited)}: {page.title}",
        severity="page",
        what_happened=f"{page.incident} was paged {span(waited)} ago and nobody has acknowledged it.",
        how_bad=bad,
        what_was_done=f"This calls {called}.",
        what_to_do=(
            "Acknowledge it with the command below, so that nobody else is woken.",
            "Read the first message of this incident and do what it says.",
        ),
        incident=page.incident, policy=page.policy, commands=acknowledging(page.incident),
        mention=tuple(names),
    )  # fmt: skip


def for_test_page(page: str, *, by: str, reason: str, at: datetime, on_call: Sequence[str] = ()) -> Message:
    """A page that only asks whether somebody wakes up."""
    return Message(
        title="Test page: please acknowledge",
        severity="page",
        what_happened=f"{by} sent a test page at {moment(at)}: {sentence(reason)}",
        how_bad="Nothing is wrong. It shows whether a real page would reach somebody.",
        what_was_done="Nothing.",
        what_to_do=("Acknowledge it with the command below, as you would a real one.",),
        incident=page, commands=acknowledging(page), mention=tuple(on_call[:1]), state="firing",
    )  # fmt: skip


def for_digest(messages: Sequence[Message]) -> Message:
    """Once a day, what a person should look at and nobody needs to be woken for."""
    shown = " ".join(f"({n}) {sentence(m.title)} {m.what_happened}" for n, m in enumerate(messages, 1))
    commands = tuple(command for m in messages for command in m.commands)
    policies = sorted({m.policy for m in messages if m.policy})
    about = f" on {', '.join(policies)}" if policies else ""
    return Message(
        title=f"{count(len(messages), 'thing')} to look at today{about}",
        severity="warning",
        what_happened=shown,
        how_bad="None of these rules rolls back by itself. They tell that something is changing.",
        what_was_done="Nothing was moved, and nobody was woken.",
        what_to_do=(
            "Look at each within the day; `monitor status` lists what is still open.",
            "Acknowledge each, and say with --accept or --false-alarm what it was.",
        ),
        policy=policies[0] if len(policies) == 1 else "", commands=commands,
    )  # fmt: skip


def together(lead: Message, others: Sequence[Message]) -> Message:
    """One message for several new incidents of a policy."""
    also = " ".join(f"{sentence(m.title)} {m.what_happened}" for m in others)
    return replace(
        lead,
        title=f"{lead.title}, and {count(len(others), 'more incident')}",
        what_happened=f"{lead.what_happened} In the same pass: {also}",
        commands=tuple(dict.fromkeys(c for m in (lead, *others) for c in m.commands)),
    )


def again(message: Message, *, former: str, resolved: datetime, times: int) -> Message:
    """The message of an incident that came back: which one it was before, and how often."""
    said = f" It is the {_ordinal(times)} time: {former} was resolved at {moment(resolved)}."
    return replace(message, how_bad=message.how_bad + said)


def _ordinal(n: int) -> str:
    ends = {1: "st", 2: "nd", 3: "rd"}
    return f"{n}{'th' if 10 <= n % 100 <= 20 else ends.get(n % 10, 'th')}"
