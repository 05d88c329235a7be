"""What a channel is: a place that takes a message, or says why it did not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class DeliveryError(Exception):
    """The message did not arrive; the sentence says why and holds no secret."""


class Channel(Protocol):
    """A way to tell people."""

    def deliver(self, message: Mapping[str, Any], key: str) -> None:
        """Hand over the message of the alert `key`. Raises DeliveryError when it was not taken."""


class ChannelSettings(Protocol):
    """One entry of `alerts.channels` in the configuration."""

    @property
    def kind(self) -> str: ...
    @property
    def channel(self) -> str | None: ...
    @property
    def base_url(self) -> str | None: ...
