"""The ways to tell people, by the name they have in the configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from alerts.channels import console, slack
from alerts.channels.channel import Channel, ChannelSettings, DeliveryError

__all__ = ["CHANNELS", "Channel", "ChannelSettings", "DeliveryError", "build", "name_of"]

CHANNELS: dict[str, Callable[[ChannelSettings, Mapping[str, str]], Channel]] = {
    "console": console.build,
    "slack": slack.build,
}


def build(settings: Iterable[ChannelSettings], environ: Mapping[str, str]) -> dict[str, Channel]:
    """The channels of `alerts.channels`, by the name that the outbox knows them under. Secrets are
    looked up in `environ` when a message is sent: a missing one is a failed delivery, not an error here."""
    return {name_of(one): CHANNELS[one.kind](one, environ) for one in settings}


def name_of(settings: ChannelSettings) -> str:
    """`console`, `slack:#rl-oncall`: the same as long as the entry means the same place."""
    return f"{settings.kind}:{settings.channel}" if settings.channel else settings.kind
