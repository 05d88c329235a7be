"""What a channel is: a place that takes a message, or says why it did not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

Receipt = dict[str, Any]
Draw = Callable[[Mapping[str, Any]], bytes]


class DeliveryError(Exception):
    """The message did not arrive; the sentence says why and holds no secret. `retry_after`: seconds that
    the receiver asked to be left alone."""

    def __init__(self, sentence: str, retry_after: float | None = None) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class Channel(Protocol):
    """A way to tell people."""

    def deliver(
        self, message: Mapping[str, Any], key: str, thread: Mapping[str, Any] | None = None
    ) -> Receipt | None:
        """Hand over the message of the alert `key`. `thread` is what this returned for the first message of
        the same incident, None for the first. Raises DeliveryError when it was not taken."""


class ChannelSettings(Protocol):
    """One entry of `alerts.channels` in the configuration."""

    @property
    def kind(self) -> str: ...
    @property
    def channel(self) -> str | None: ...
    @property
    def base_url(self) -> str | None: ...
    @property
    def url(self) -> str | None: ...
    @property
    def unsigned(self) -> bool: ...
    @property
    def severities(self) -> Sequence[str]: ...
