"""Messages to people: what happened, how bad it is, what was done, what to do next.

Pure builders; every one returns finished sentences with both numbers. A person who was woken
reads one message and knows the next step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from alerts.numbers import apart, count, moment, window

Severity = Literal["page", "warning", "info"]
State = Literal["", "firing", "acknowledged", "resolved"]
Action = Literal["rollback", "escalate", "alert", "observe", "watch"]
SECTIONS = (("What happened", "what_happened"), ("How bad", "how_bad"), ("What was done", "what_was_done"))
ORDER = ("PASS", "INCONCLUSIVE", "NO_DATA", "ERROR", "FAIL")
FINDINGS_SHOWN = 5


class FiringLike(Protocol):
    """What is read of a firing."""

    @property
    def trigger(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def policy_id(self) -> str: ...
    @property
    def window_start(self) -> datetime: ...
    @property
    def window_end(self) -> datetime: ...
    @property
    def value(self) -> float: ...
    @property
    def limit(self) -> float: ...
    @property
    def message(self) -> str: ...


class FindingLike(Protocol):
    """What is read of a finding."""

    @property
    def item(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def needs(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Message:
    """One message, the same for every channel. `what_to_do` holds one step an entry, `commands` lines
    to run, `links` addresses to open. `state` is what the incident became by it, `mention` who is called
    by name (their ids), `plot` what a channel may draw: title, unit, points of (time, value, low, high),
    limit, baseline, and the window that fired."""

    title: str
    severity: Severity
    what_happened: str
    how_bad: str
    what_was_done: str
    what_to_do: tuple[str, ...]
    incident: str = ""
    policy: str = ""
    stage: str = ""
    commands: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    state: State = ""
    mention: tuple[str, ...] = ()
    plot: Mapping[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The message as the outbox keeps it."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def for_firing(
    firing: FiringLike, *, action: Action, incident: str = "", stage: str = "", safe: str = ""
) -> Message:
    """A firing that did not move the pointer (for one that did, see `for_rollback`).

    `action`: `watch` (one window tripped, not confirmed), `observe` (acting is observe: would have
    rolled back to `safe`), `alert` (acting is alert), `escalate` (confirmed, and a person decides),
    `rollback` (confirmed and being rolled back now). Irreversible actions page whatever the action.
    """
    page = firing.trigger == "irreversible" or action in ("escalate", "alert", "rollback")
    done = {
        "watch": "Nothing: one window alone is recorded and watched, it does not roll anything back.",
        "observe": f"Nothing: acting is set to observe. Otherwise {_safe(safe)} would be in control now.",
        "alert": f"Nothing: acting is set to alert, so a person moves control to {_safe(safe)}.",
        "escalate": f"Nothing was moved: {firing.policy_id} is not rolled back for this by itself.",
        "rollback": f"{_capital(_safe(safe))} is being put in control.",
    }[action]
    return Message(
        title=_title(firing, "tripped" if action == "watch" else "fired"),
        severity="page" if page else "warning",
        what_happened=sentence(firing.message),
        how_bad=_how_bad(firing),
        what_was_done=done,
        what_to_do=_steps(firing, action, safe, incident),
        incident=incident, policy=firing.policy_id, stage=stage,
        commands=acknowledging(incident),
    )


def for_rollback(
    firing: FiringLike,
    *,
    status: str,
    safe: str,
    at: datetime,
    incident: str,
    error: str = "",
    stage: str = "",
) -> Message:
    """A rollback that was carried out (`status` done) or that failed (`status` failed, `error` says why)."""
    policy = firing.policy_id
    if status == "done":
        title = f"{policy} was rolled back to {safe}"
        done = f"{safe} was put in control in place of {policy} at {moment(at)}, and this was read back."
        steps = (
            f"Check in your service that {safe} decides now.",
            f"Find out what changed {_lower(_when(firing))}.",
            f"Acknowledge the incident; {policy} stays out of control until a person promotes it again.",
        )
    else:
        title = f"Rollback of {policy} failed: {policy} may still be in control"
        why = sentence(error or "no reason is known")
        done = f"Putting {safe} in control was tried at {moment(at)} and failed: {why}"
        steps = (
            f"Put {safe} in control by hand now.",
            "Mend the cause named above; the next `monitor run` tries the rollback again.",
            "Acknowledge the incident, so that others see that somebody has it.",
        )
    return Message(
        title=title, severity="page", what_happened=sentence(firing.message), how_bad=_how_bad(firing),
        what_was_done=done, what_to_do=steps, incident=incident, policy=policy, stage=stage,
        commands=acknowledging(incident),
    )


def for_verdict_change(
    policy: str,
    stage: str,
    *,
    before: str | None,
    after: str,
    findings: Sequence[FindingLike],
    as_of: datetime,
    waived: Sequence[str] = (),
) -> Message:
    """The verdict of a stage became another one. `findings` are those that are not PASS, worst first;
    `waived` tells each item that a person lets pass, by whom, until when and why."""
    worse = before is None or _rank(after) > _rank(before)
    passed = after == "PASS"
    was = f"It was {before} before." if before else "It is the first verdict of this stage."
    first = findings[:FINDINGS_SHOWN]
    shown = [sentence(f"{f.item}: {f.message}") for f in first]
    if len(findings) > len(first):
        shown.append(f"{count(len(findings) - len(first), 'more finding')} in the report.")
    if not shown:
        every = "Every item that counts passed." if waived else "Every item passed."
        shown.append(every if passed else "No finding says more than this verdict.")
    shown += [sentence(f"Waived, so it does not count: {told}") for told in dict.fromkeys(waived)]
    needs = tuple(dict.fromkeys(sentence(f"{f.item}: {f.needs}") for f in first if f.needs))
    opens = f"The gate is open: {policy} may be promoted by a person while the pass lasts."
    holds = (f"Do not promote {policy}.", *needs)
    return Message(
        title=f"{policy} in {stage}: {after}" + (f", was {before}" if before else ""),
        severity="warning" if worse and not passed else "info",
        what_happened=f"The gate of {stage} judged {policy} at {moment(as_of)}: {after}. {was}",
        how_bad=" ".join(shown),
        what_was_done="The verdict was recorded. Nothing was moved.",
        what_to_do=(opens,) if passed else holds,
        policy=policy, stage=stage, commands=(f"monitor gate --stage {stage}",),
    )


def for_summary(firings: Sequence[FiringLike], *, policy: str, act_within: str = "") -> Message:
    """One message for all firings that are too old to act on: the first run over months of old logs
    tells them once and disturbs nobody. Raises ValueError when there is none."""
    if not firings:
        raise ValueError("a summary needs at least one firing")
    first, last = min(f.window_start for f in firings), max(f.window_end for f in firings)
    rules = Counter(_rule(f) for f in firings)
    newest = max(firings, key=lambda f: f.window_end)
    counted = ", ".join(f"{rule} in {count(n, 'window')}" for rule, n in rules.most_common())
    old = f" They are older than {act_within}." if act_within else ""
    return Message(
        title=f"{count(len(firings), 'old firing')} of {policy} found in the log, nothing was done",
        severity="info",
        what_happened=f"Between {moment(first)} and {moment(last)} these rules were broken: {counted}.",
        how_bad=f"This is the past.{old} The newest: {sentence(newest.message)}",
        what_was_done="They were recorded as historical. Nothing was rolled back and nobody was paged.",
        what_to_do=(
            "Nothing now. Read the gate's report before you promote anything that was in control then.",
        ),
        policy=policy, commands=("monitor status",),
    )


def rollback_did_not_take(
    policy: str,
    safe: str,
    incident: str,
    *,
    decisions: int,
    since: datetime,
    until: datetime,
    stage: str = "",
    cause: str = "",
) -> Message:
    """The pointer says `safe`, and the log still shows decisions that `policy` made after it moved. `cause`
    names what moved it where that was no incident."""
    return Message(
        title=f"Rollback did not take: {policy} still decides",
        severity="page",
        what_happened=(
            f"{policy} gave way to {safe} at {moment(since)}, and it still made "
            f"{count(decisions, 'decision')} between then and {moment(until)}."
        ),
        how_bad=f"The service does not follow it: what caused {cause or incident} may still do harm.",
        what_was_done=f"Nothing more: the pointer was moved to {safe}, and the service must follow it.",
        what_to_do=(
            f"Put {safe} in control in the service itself, now.",
            "Check that the service reads the pointer, and that no cache or replica holds the old policy.",
            f"Look for the first decision of {safe} in the log.",
        ),
        incident=incident, policy=policy, stage=stage, commands=acknowledging(incident),
    )


def for_pause_failed(policy: str, incident: str, *, error: str, at: datetime) -> Message:
    """The training of a policy that was rolled back could not be paused."""
    return Message(
        title=f"Training of {policy} could not be paused",
        severity="page",
        what_happened=f"{policy} was rolled back, and pausing its training was tried at {moment(at)} and "
        f"failed: {sentence(error)}",
        how_bad="It goes on learning from decisions that caused the incident.",
        what_was_done="It is tried again by every `monitor run`.",
        what_to_do=(f"Pause the training of {policy} by hand.", "Mend the cause named above."),
        incident=incident, policy=policy, commands=acknowledging(incident),
    )


def pass_keeps_failing(
    name: str, *, failures: int, error: str, since: datetime, until: datetime
) -> Message:
    """A pass of `monitor schedule` (`run` or `fast`) failed several times in a row; told once until it
    works again."""
    undone = {
        "run": "Closed windows are not judged meanwhile, and no gate passes.",
        "fast": "Rows that break a hard constraint or the envelope are acted on only by the run pass.",
    }[name]
    return Message(
        title=f"monitor schedule: the {name} pass failed {failures} times in a row",
        severity="page",
        what_happened=f"From {moment(since)} to {moment(until)} no pass worked: {sentence(error)}",
        how_bad=undone,
        what_was_done="It is tried again at every tick; what is missing is done when it works.",
        what_to_do=(
            "Mend the cause named above.",
            "Check with the commands below that passes work again; until then, watch the policy yourself.",
        ),
        commands=("monitor doctor", "monitor run", "monitor status"),
    )


def channel_is_deaf(channel: str, title: str, *, error: str, since: datetime) -> Message:
    """A channel did not take a page, several times."""
    return Message(
        title=f"Pages do not reach {channel}",
        severity="page",
        what_happened=f"Since {moment(since)} {channel} has not taken a page: {sentence(title)}",
        how_bad=f"Whoever looks only there does not know of it. The reason: {sentence(error)}",
        what_was_done="It is tried again for three days, and told on the other channels.",
        what_to_do=(
            "See to the alert named above.", f"Mend {channel}; `monitor status` shows what waits for it.",
        ),
        commands=("monitor status",),
    )


def plain_text(message: Mapping[str, Any]) -> str:
    """The message as plain text: for a pipe, and as the fall-back of a channel that can show more."""
    steps = "".join(f"\n  {n}. {step}" for n, step in enumerate(message["what_to_do"], 1))
    run = "".join(f"\n  $ {command}" for command in message["commands"])
    parts = [
        f"[{message['severity']}] {message['title']}",
        *(f"{name}: {message[field]}" for name, field in SECTIONS),
        f"What to do next:{steps}" if steps else "",
        f"Run:{run}" if run else "",
        *message["links"],
        context(message),
    ]
    return "\n".join(part for part in parts if part)


def context(message: Mapping[str, Any]) -> str:
    """One line: incident, policy and stage, as far as they are known."""
    return ", ".join(f"{n} {message[n]}" for n in ("incident", "policy", "stage") if message[n])


def _how_bad(firing: FiringLike) -> str:
    if firing.trigger == "irreversible":
        return "It cannot be undone."
    value, limit, gap = apart(firing.value, firing.limit)
    measured = f"{_when(firing)} {_rule(firing)}"
    if not gap:
        return f"{measured} measured {value}; the limit is {limit}."
    side = "above" if firing.value > firing.limit else "below"
    return f"{measured} measured {value}, which is {gap} {side} the limit {limit}."


def _steps(firing: FiringLike, action: Action, safe: str, incident: str) -> tuple[str, ...]:
    look = f"Look at what changed {_lower(_when(firing))}."
    if action == "watch" and firing.trigger != "irreversible":
        return (look, "Nothing else yet: it acts by itself when the next windows confirm it.")
    first = {
        "rollback": f"Wait for the message that {_safe(safe)} is in control; if none comes, move it by hand.",
        "observe": f"Decide whether {_safe(safe)} should be in control, and move it if so.",
    }.get(action, f"Decide now whether {firing.policy_id} may go on; {_else(firing.policy_id, safe)}")
    last = ("Acknowledge the incident, so that others see that somebody has it.",) if incident else ()
    return (first, look, *last)


def _else(policy: str, safe: str) -> str:
    if policy == safe:
        return f"it is the safe policy itself, so if not, run your plant without {policy}."
    return f"if not, put {_safe(safe)} in control (`monitor override`)."


def _when(firing: FiringLike) -> str:
    known = window(firing.window_start, firing.window_end)
    return f"In the window {known}" if " to " in known else f"At {known}"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _title(firing: FiringLike, verb: str) -> str:
    return f"{_rule(firing)} {verb} on {firing.policy_id}"


def _rule(firing: FiringLike) -> str:
    return f"{firing.trigger} ({firing.key})" if firing.key else firing.trigger


def acknowledging(incident: str) -> tuple[str, ...]:
    """The command that says that somebody has an incident."""
    return (f'monitor ack {incident} --by NAME --reason "…"',) if incident else ()


def _safe(safe: str) -> str:
    return safe or "the safe policy"


def _rank(outcome: str) -> int:
    return ORDER.index(outcome) if outcome in ORDER else len(ORDER)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:] if text == _safe("") else text


def sentence(text: str) -> str:
    """`text` with a full stop where it has no end."""
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
