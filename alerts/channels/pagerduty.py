"""Pages to PagerDuty, by Events API v2: trigger, acknowledge and resolve under the incident's id.

The integration key comes from PAGERDUTY_ROUTING_KEY or the file that PAGERDUTY_ROUTING_KEY_FILE names. Only
pages wake somebody: warnings and news are taken and not sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alerts.channels.channel import Channel, ChannelSettings, Draw
from alerts.channels.posting import needed, posted

BASE_URL = "https://events.pagerduty.com"
ACTIONS = {"acknowledged": "acknowledge", "resolved": "resolve"}
SUMMARY = 1024


class PagerDuty:
    def __init__(self, environ: Mapping[str, str], base_url: str | None = None) -> None:
        self._environ, self._url = environ, f"{(base_url or BASE_URL).rstrip('/')}/v2/enqueue"

    def deliver(
        self, message: Mapping[str, Any], key: str, thread: Mapping[str, Any] | None = None
    ) -> dict[str, Any] | None:
        """Trigger for a page, acknowledge or resolve for what was triggered here."""
        action = ACTIONS.get(message.get("state", ""), "trigger")
        if action == "trigger" and message["severity"] != "page":
            return None
        incident = message["incident"] or key
        if action != "trigger" and thread is None:
            return None
        body = {
            "routing_key": needed(self._environ, "PAGERDUTY_ROUTING_KEY"),
            "event_action": action,
            "dedup_key": incident,
        }
        if action == "trigger":
            body |= {"client": "monitor", "payload": _payload(message), "links": _links(message)}
        posted(self._url, body, "PagerDuty")
        return {"dedup_key": incident}


def build(settings: ChannelSettings, environ: Mapping[str, str], draw: Draw | None = None) -> Channel:
    return PagerDuty(environ, settings.base_url)


def _payload(message: Mapping[str, Any]) -> dict[str, Any]:
    details = {name: message[name] for name in ("what_happened", "how_bad", "what_was_done", "what_to_do")}
    return {
        "summary": message["title"][:SUMMARY],
        "severity": "critical",
        "source": message["policy"] or "monitor",
        "component": message["stage"] or "monitor",
        "custom_details": {**details, "run": message["commands"]},
    }


def _links(message: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"href": link, "text": link} for link in message["links"]]
