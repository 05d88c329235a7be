"""Messages by any service that the library apprise knows: mail, Teams, Telegram and a hundred more.

Its addresses hold secrets, so they come from APPRISE_URLS (separated by commas) or the file that
APPRISE_URLS_FILE names. The library is an optional extra: `pip install 'policy-monitor[apprise]'`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from alerts.channels.channel import Channel, ChannelSettings, DeliveryError, Draw
from alerts.channels.posting import needed
from alerts.message import plain_text

KINDS = {"page": "failure", "warning": "warning", "info": "info"}


class AppriseChannel:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def deliver(
        self, message: Mapping[str, Any], key: str, thread: Mapping[str, Any] | None = None
    ) -> None:
        """Notify every address; all of them must take it, so a repeat may reach some twice."""
        urls = [url for url in needed(self._environ, "APPRISE_URLS").split(",") if url]
        try:
            from apprise import Apprise
        except ImportError:
            raise DeliveryError("the library apprise is not installed; install the extra `apprise`") from None
        logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it logs addresses
        sender = Apprise()
        unknown = sum(not sender.add(url) for url in urls)
        if unknown:
            raise DeliveryError(f"{unknown} of the {len(urls)} addresses of APPRISE_URLS are not understood")
        kind = KINDS.get(message["severity"], "info")
        if not sender.notify(title=message["title"], body=plain_text(message), notify_type=kind):
            raise DeliveryError("a service of APPRISE_URLS did not take the message")


def build(settings: ChannelSettings, environ: Mapping[str, str], draw: Draw | None = None) -> Channel:
    return AppriseChannel(environ)
