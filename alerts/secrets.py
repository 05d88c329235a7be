"""Secrets: read from the environment or from a file that it names, kept out of everything that is said."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

NAMES = (
    "SLACK_BOT_TOKEN", "SLACK_WEBHOOK_URL", "PAGERDUTY_ROUTING_KEY", "ALERT_WEBHOOK_SECRET",
    "ROLLBACK_WEBHOOK_SECRET", "APPRISE_URLS", "MONITOR_VIEW_TOKEN", "MONITOR_OPERATE_TOKEN",
)
HIDDEN = "[secret]"
SHORTEST, LONG_PART = 6, 16


class SecretError(Exception):
    """A secret that is not there or cannot be sent; the sentence does not hold it."""


def secret(environ: Mapping[str, str], name: str) -> str:
    """The value of `name`, else the text of the file that `name`_FILE names, without white space around it.
    Read anew each time, so that a changed file counts. Raises SecretError."""
    value, source = environ.get(name, ""), name
    if not value and environ.get(f"{name}_FILE"):
        source = f"the file of {name}_FILE"
        try:
            value = Path(environ[f"{name}_FILE"]).read_text("utf-8")
        except OSError as error:
            raise SecretError(f"{source} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise SecretError(f"{source} is not text") from None
    value = value.strip()
    if not value:
        raise SecretError(f"{name} is not set; set {name} or {name}_FILE")
    if not re.fullmatch(r"[\x21-\x7e]+", value):
        raise SecretError(f"{source} holds spaces or other characters that do not belong there")
    return value


def known(environ: Mapping[str, str]) -> list[str]:
    """The secrets that are set, longest first; of addresses also their passwords and long parts."""
    found = set()
    for name in NAMES:
        try:
            value = secret(environ, name)
        except SecretError:
            continue
        found |= {value, *(part for part in re.split(r"[,/?&=@:]+", value) if len(part) >= LONG_PART)}
        found |= {word for pair in re.findall(r"://([^/@,]+)@", value) for word in pair.split(":")[1:]}
    return sorted((s for s in found if len(s) >= SHORTEST), key=len, reverse=True)


def redact(text: str, secrets: Iterable[str]) -> str:
    """`text` with `[secret]` in the place of each secret."""
    for one in secrets:
        text = text.replace(one, HIDDEN)
    return text


class Redacting(logging.Filter):
    """Hides secrets in the records of every logger: message, arguments and exception."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__()
        self._environ = environ

    def filter(self, record: logging.LogRecord) -> bool:
        """True: the record stays, with its text redacted."""
        secrets = known(self._environ)
        record.msg, record.args = redact(record.getMessage(), secrets), ()
        if record.exc_info:
            record.exc_text = redact(logging.Formatter().formatException(record.exc_info), secrets)
            record.exc_info = None
        return True


def guard_logs(environ: Mapping[str, str]) -> None:
    """Put a redacting handler on the root logger, so that what any library logs passes through it.

    Warnings and worse go to standard error; less is dropped."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.addFilter(Redacting(environ))
    logging.getLogger().handlers[:] = [handler]
