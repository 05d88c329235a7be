"""Messages to Slack by an incoming webhook: no thread, no update, no plot; the address is the secret.

It comes from SLACK_WEBHOOK_URL or the file that SLACK_WEBHOOK_URL_FILE names. Delivered means status 200 and
the body `ok`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alerts.channels.channel import Channel, ChannelSettings, DeliveryError, Draw
from alerts.channels.posting import needed, posted
from alerts.channels.slack_blocks import blocks, fallback, mentioned

WHO = "the Slack webhook"


class SlackWebhook:
    """`base_url` stands for the address in tests only."""

    def __init__(self, environ: Mapping[str, str], base_url: str | None = None) -> None:
        self._environ, self._base_url = environ, base_url

    def deliver(
        self, message: Mapping[str, Any], key: str, thread: Mapping[str, Any] | None = None
    ) -> None:
        """Post the message; where its layout is refused, once more as plain text."""
        url = self._base_url or needed(self._environ, "SLACK_WEBHOOK_URL")
        text = mentioned(message) + fallback(message)
        try:
            answer = posted(url, {"text": text, "blocks": blocks(message, key)}, WHO)
        except DeliveryError as error:
            if "HTTP 400" not in str(error):
                raise
            answer = posted(url, {"text": f"{text}\nalert {key}"}, WHO)
        if answer.status != 200 or answer.body.strip() != b"ok":
            raise DeliveryError(f"{WHO} did not take the message: its answer is not `ok`")


def build(settings: ChannelSettings, environ: Mapping[str, str], draw: Draw | None = None) -> Channel:
    return SlackWebhook(environ, settings.base_url)
