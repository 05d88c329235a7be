"""What may be done now: the level of acting that was spoken of last."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.journal import Event


def effective_level(events: Sequence[Event], configured: str) -> str:
    """What may be done, from the `arm` events in their order and `acting` of monitor.yaml: whichever
    spoke last. A person's `monitor arm` counts until `acting` in monitor.yaml says something other
    than it said then; each event keeps what that was as `configured`."""
    return str(events[-1].body["level"]) if events and heard(events[-1]) == configured else configured


def heard(event: Event) -> str:
    """What monitor.yaml said when this `arm` event was written."""
    return str(event.body.get("configured", event.body["level"]))
