"""The ways to tell people, by the name they have in the configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from alerts.channels import apprise, console, pagerduty, slack, slack_webhook, webhook
from alerts.channels.channel import Channel, ChannelSettings, DeliveryError, Draw, Receipt

__all__ = [
    "CHANNELS",
    "Channel",
    "ChannelSettings",
    "DeliveryError",
    "Draw",
    "Receipt",
    "build",
    "name_of",
]

CHANNELS: dict[str, Callable[[ChannelSettings, Mapping[str, str], Draw | None], Channel]] = {
    "console": console.build,
    "slack": slack.build,
    "slack_webhook": slack_webhook.build,
    "pagerduty": pagerduty.build,
    "webhook": webhook.build,
    "apprise": apprise.build,
}


def build(
    settings: Iterable[ChannelSettings], environ: Mapping[str, str], draw: Draw | None = None
) -> dict[str, Channel]:
    """The channels of `alerts.channels`, by the name that the outbox knows them under. Secrets are
    looked up in `environ` when a message is sent: a missing one is a failed delivery, not an error here.
    `draw` makes a PNG of a message's plot, for channels that can show one."""
    return {name_of(one): CHANNELS[one.kind](one, environ, draw) for one in settings}


def name_of(settings: ChannelSettings) -> str:
    """`console`, `slack:#rl-oncall`, `webhook:hooks.example.org/alerts`: the same as long as the entry means
    the same place."""
    place = settings.channel or (settings.url or "").partition("://")[2]
    return f"{settings.kind}:{place}" if place else settings.kind
