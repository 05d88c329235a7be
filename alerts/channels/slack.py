"""Messages to Slack with a bot token, by `chat.postMessage`.

The token comes from SLACK_BOT_TOKEN, or from the file that SLACK_BOT_TOKEN_FILE names, and is read
anew for every message. It never appears in a log or an error. One try a message: the outbox retries.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from alerts.channels.channel import Channel, ChannelSettings, DeliveryError, Draw, Receipt
from alerts.channels.posting import retry_after
from alerts.channels.slack_blocks import blocks, fallback, mentioned, updated
from alerts.secrets import SecretError, secret

if TYPE_CHECKING:
    from slack_sdk import WebClient

BASE_URL = "https://slack.com/api/"
TIMEOUT_SECONDS = 10
LOCAL = ("localhost", "127.0.0.1", "::1")
LAYOUT_ERRORS = ("invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long")
NEXT_STEP = {
    "invalid_auth": "check the bot token",
    "not_authed": "check the bot token",
    "token_revoked": "issue a new bot token",
    "account_inactive": "issue a new bot token",
    "missing_scope": "give the bot the scope chat:write",
    "channel_not_found": "check alerts.channels in the configuration",
    "not_in_channel": "invite the bot to the channel",
    "is_archived": "name a channel that is in use",
}


class SlackChannel:
    """One Slack channel; `base_url` points elsewhere for tests and proxies. `draw` makes the picture."""

    def __init__(
        self,
        channel: str,
        environ: Mapping[str, str],
        *,
        base_url: str | None = None,
        timeout: int = TIMEOUT_SECONDS,
        draw: Draw | None = None,
    ) -> None:
        self._channel = channel
        self._environ = environ
        self._base_url = base_url or BASE_URL
        self._timeout = timeout
        self._draw = draw

    def deliver(
        self, message: Mapping[str, Any], key: str, thread: Mapping[str, Any] | None = None
    ) -> Receipt | None:
        """Post the message; where Slack refuses its layout, once more as plain text. A later message of an
        incident goes into the thread of its first one, which is changed to say how things stand.

        Delivered means that Slack answered `ok: true` to the post; a picture or a change that it does not
        take is left out. Raises DeliveryError for all else: no token, refused, rate limited, server error,
        time out, connection cut.
        """
        _check_address(self._base_url)
        token = bot_token(self._environ)
        client = _client(token, self._base_url, self._timeout)
        text = mentioned(message) + fallback(message)
        at = {"thread_ts": str(thread["ts"])} if thread else {}
        told = self._post(client, token, text=text, blocks=blocks(message, key), **at)
        if told.layout:
            told = self._post(client, token, text=f"{text}\nalert {key}", **at)
        if told.error:
            raise DeliveryError(
                f"Slack did not take the message for {self._channel}: {told.error}", told.retry_after
            )
        if thread:
            self._change(client, thread, message)
            return None
        where = {"channel": told.channel or self._channel, "ts": told.ts}
        receipt = {**where, "key": key, "first": _plain(message)}
        if message.get("plot") and self._draw and told.ts:
            self._attach(client, receipt, message["plot"])
        return receipt if told.ts else None

    def _post(self, client: WebClient, token: str, **content: Any) -> _Told:
        from slack_sdk.errors import SlackApiError

        try:
            answer = client.chat_postMessage(
                channel=self._channel, unfurl_links=False, unfurl_media=False, **content
            )
        except SlackApiError as error:
            status, code = error.response.status_code, _code(error.response.data)
            said = _redacted(_refusal(status, code, error.response.headers), token)
            layout = status == 400 or code in LAYOUT_ERRORS
            return _Told(said, layout, retry_after(error.response.headers))
        except Exception as error:
            return _Told(_redacted(f"{type(error).__name__}: {error}", token))
        data = answer.data
        if not isinstance(data, dict) or data.get("ok") is not True:
            return _Told("the answer does not say ok: true")
        return _Told("", channel=str(data.get("channel", "")), ts=str(data.get("ts", "")))

    def _change(self, client: WebClient, thread: Mapping[str, Any], message: Mapping[str, Any]) -> None:
        first = thread.get("first")
        if not message.get("state") or not first:
            return
        with suppress(Exception):  # the message itself has arrived
            client.chat_update(
                channel=thread["channel"], ts=thread["ts"], text=fallback(first),
                blocks=updated(first, message, str(thread.get("key", ""))),
            )

    def _attach(self, client: WebClient, receipt: Mapping[str, Any], plot: Mapping[str, Any]) -> None:
        assert self._draw is not None
        with suppress(Exception):  # a picture that cannot be drawn or sent never holds up an alert
            client.files_upload_v2(
                channel=receipt["channel"], thread_ts=receipt["ts"], content=self._draw(plot),
                filename="incident.png", title=str(plot.get("title", "")), alt_txt=_described(plot),
            )


@dataclass(frozen=True)
class _Told:
    """What became of a post: the error, empty when Slack took it; whether its layout was what Slack refused;
    seconds to wait; where the message is."""

    error: str
    layout: bool = False
    retry_after: float | None = None
    channel: str = ""
    ts: str = ""


def build(settings: ChannelSettings, environ: Mapping[str, str], draw: Draw | None = None) -> Channel:
    """The channel that the configuration names; the token is looked for when a message is sent."""
    return SlackChannel(settings.channel or "", environ, base_url=settings.base_url, draw=draw)


def bot_token(environ: Mapping[str, str]) -> str:
    """The bot token. Raises DeliveryError, without the token, when there is none that can be sent."""
    try:
        return secret(environ, "SLACK_BOT_TOKEN")
    except SecretError as error:
        raise DeliveryError(f"there is no Slack token: {error}") from None


def _plain(message: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name != "plot"}


def _described(plot: Mapping[str, Any]) -> str:
    """What the picture shows, for those who cannot see it."""
    limit = f", the limit is {plot['limit']:g}" if plot.get("limit") is not None else ""
    return f"{plot.get('title', '')} over time{limit}"


def _client(token: str, base_url: str, timeout: int) -> WebClient:
    from slack_sdk import WebClient

    # All that the SDK would log is in the DeliveryError, redacted; at INFO and below it logs addresses
    # and bodies.
    logging.getLogger("slack_sdk").setLevel(logging.WARNING)
    logger = logging.getLogger("alerts.slack")
    logger.setLevel(logging.CRITICAL)
    client = WebClient(token=token, base_url=base_url, timeout=timeout, logger=logger, retry_handlers=[])
    if urlsplit(base_url).hostname in LOCAL:
        client.proxy = None
    return client


def _check_address(base_url: str) -> None:
    parts = urlsplit(base_url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOCAL):
        raise DeliveryError("base_url of a slack channel must be https, so that the token is not sent openly")


def _refusal(status: int, code: str, headers: Mapping[str, str]) -> str:
    wait = next((v for k, v in headers.items() if k.lower() == "retry-after"), "")
    if status == 429:
        return f"rate limited (HTTP 429), try again in {wait or 'some'} s"
    if status != 200:
        return f"HTTP {status}" + (f", {code}" if code else "")
    step = NEXT_STEP.get(code)
    return (code or "the answer does not say ok: true") + (f"; {step}" if step else "")


def _code(data: Any) -> str:
    """Slack's short error code; an answer of another form is not repeated."""
    code = data.get("error") if isinstance(data, dict) else None
    return code if isinstance(code, str) and re.fullmatch(r"[a-z0-9_]{1,60}", code) else ""


def _redacted(text: str, token: str) -> str:
    return text.replace(token, "[token]")[:300]
