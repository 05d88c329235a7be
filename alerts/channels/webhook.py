"""Messages to any address, as CloudEvents 1.0 in JSON, signed with ALERT_WEBHOOK_SECRET.

`id` is the alert's key, so a receiver can tell a repeat; `subject` the incident. See `alerts.http.signed` for
the signature.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from alerts.channels.channel import Channel, ChannelSettings, Draw
from alerts.channels.posting import needed, posted
from alerts.http import signed

SECRET = "ALERT_WEBHOOK_SECRET"


class WebhookChannel:
    def __init__(self, url: str, environ: Mapping[str, str], *, unsigned: bool = False) -> None:
        self._url, self._environ, self._unsigned = url, environ, unsigned

    def deliver(
        self, message: Mapping[str, Any], key: str, thread: Mapping[str, Any] | None = None
    ) -> None:
        """POST the event; any answer from 200 to 299 has taken it."""
        event = {
            "specversion": "1.0",
            "id": key,
            "source": "/monitor",
            "type": f"monitor.alert.{message['severity']}",
            "subject": message["incident"] or message["policy"] or "monitor",
            "datacontenttype": "application/json",
            "data": dict(message),
        }
        body = json.dumps(event, sort_keys=True).encode()
        signature = {} if self._unsigned else signed(needed(self._environ, SECRET), body)
        posted(
            self._url, body, "the webhook", {"Content-Type": "application/cloudevents+json", **signature}
        )


def build(settings: ChannelSettings, environ: Mapping[str, str], draw: Draw | None = None) -> Channel:
    return WebhookChannel(settings.url or "", environ, unsigned=settings.unsigned)
