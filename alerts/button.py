"""Messages on what a person did by hand: an override, a drill."""

from __future__ import annotations

from datetime import datetime

from alerts.message import Message, sentence
from alerts.numbers import moment, number


def for_override(
    policy: str, safe: str, *, by: str, reason: str, at: datetime, error: str = "", stands: str = ""
) -> Message:
    """Somebody pressed the button; `error` says why it did not take, `stands` who controls then."""
    if error:
        return Message(
            title=f"Override failed: {policy} may still be in control",
            severity="page",
            what_happened=f"{by} tried to put {safe} in control at {moment(at)}: {sentence(reason)}",
            how_bad=f"It did not take: {sentence(error)}",
            what_was_done=sentence(stands),
            what_to_do=(
                f"Put {safe} in control in the service itself, now.", "Mend the cause, then press again."
            ),
            policy=policy, commands=('monitor override --by NAME --reason "…"',),
        )  # fmt: skip
    return Message(
        title=f"{by} put {safe} in control in place of {policy}",
        severity="warning",
        what_happened=f"{by} pressed the override at {moment(at)}: {sentence(reason)}",
        how_bad=f"{policy} is out of control until a person promotes it again.",
        what_was_done=f"{safe} was put in control, and this was read back.",
        what_to_do=(
            f"Check in your service that {safe} decides now.", f"Ask {by} before you promote {policy} again."
        ),
        policy=policy, commands=("monitor status",),
    )  # fmt: skip


def for_drill(
    kind: str, policy: str, safe: str, *, seconds: float, error: str, back: str, by: str
) -> Message:
    """A drill is over. `error` says what went wrong, `back` why what stood before is not in control again."""
    took = f"{safe} was in control after {number(seconds)} s, and what stood before is in control again."
    return Message(
        title=f"Drill of the {kind}: {'failed' if error else 'it works'}",
        severity="page" if error else "info",
        what_happened=f"{by} played the {kind} of {policy}. " + (sentence(error) if error else took),
        how_bad="Control is not where it was." if back
        else "It does not show that a real one works." if error else "Nothing is wrong.",
        what_was_done="What stood before could not be put back." if back
        else "What stood before is in control again." if error else "It was written into the journal.",
        what_to_do=(f"Check which policy controls, and mend the cause before {policy} goes on.",) if error
        else ("Nothing.",),
        policy=policy, commands=("monitor status",) if error else (),
    )  # fmt: skip
