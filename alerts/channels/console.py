"""Messages on standard error: coloured on a terminal, plain text in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, TextIO

from alerts.channels.channel import Channel, ChannelSettings, DeliveryError, Draw
from alerts.message import plain_text

STYLES = {"page": "bold red", "warning": "yellow", "info": "cyan"}


class ConsoleChannel:
    """Writes to `stream`, or to whatever standard error is at the time of the message."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def deliver(
        self, message: Mapping[str, Any], key: str, thread: Mapping[str, Any] | None = None
    ) -> None:
        """Write the message and flush. Raises DeliveryError when the stream is closed or broken."""
        stream = self._stream or sys.stderr
        text = _printable(plain_text(message), stream.encoding or "utf-8")
        try:
            if stream.isatty():
                _on_terminal(text, STYLES.get(message["severity"], ""), stream)
            else:
                stream.write(f"{text}\n\n")
            stream.flush()
        except (OSError, ValueError) as error:
            raise DeliveryError(f"standard error cannot be written: {error}") from None


def build(settings: ChannelSettings, environ: Mapping[str, str], draw: Draw | None = None) -> Channel:
    """The console channel; it has no settings."""
    return ConsoleChannel()


def _on_terminal(text: str, style: str, stream: TextIO) -> None:
    from rich.console import Console
    from rich.text import Text

    title, _, rest = text.partition("\n")
    console = Console(file=stream)
    console.print(Text(title, style=style))
    console.print(Text(f"{rest}\n"))


def _printable(text: str, encoding: str) -> str:
    """Without control characters, which a name in a log could use to write on the terminal, and
    without characters that the stream has no code for."""
    shown = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
    return shown.encode(encoding, "backslashreplace").decode(encoding)
