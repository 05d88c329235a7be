"""One HTTP request and its answer: https only (plain http to this machine), no redirects, bounded."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 10.0
MOST_BYTES = 1 << 20
LOCAL = ("localhost", "127.0.0.1", "::1")


class HttpError(Exception):
    """No answer came; the sentence names the host and not the whole address, which may be a secret."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers (names in small letters) and at most 1 MiB of the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def fault(url: str) -> str:
    """Why an address may not be used, "" where it may."""
    parts = urlsplit(url)
    if parts.username or parts.password:
        return "holds a user or a password; secrets come from the environment"
    if parts.scheme == "https" and parts.hostname:
        return ""
    local = parts.scheme == "http" and parts.hostname in LOCAL
    return "" if local else "must begin with https:// (http:// only to this machine)"


def request(
    url: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    timeout: float = TIMEOUT_SECONDS,
) -> Answer:
    """POST `body` (GET where it is None) and read the answer; any status is an answer, also a redirect,
    which is not followed. Raises HttpError."""
    wrong = fault(url)
    if wrong:
        raise HttpError(f"the address {wrong}")
    import urllib.error
    import urllib.request
    from http.client import HTTPException

    class NoRedirects(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            """None: the redirect itself is the answer."""

    host = urlsplit(url).hostname or ""
    asked = urllib.request.Request(url, data=body, headers=dict(headers or {}))
    handlers: list[Any] = [NoRedirects()]
    if host in LOCAL:
        handlers.append(urllib.request.ProxyHandler({}))
    try:
        with urllib.request.build_opener(*handlers).open(asked, timeout=timeout) as answer:
            return _read(answer)
    except urllib.error.HTTPError as error:
        with error:
            return _read(error)
    except urllib.error.URLError as error:
        reason = error.reason
        raise HttpError(f"{host} cannot be reached: {_why(reason)}") from None
    except (OSError, HTTPException, ValueError) as error:
        raise HttpError(f"{host} gave no answer: {_why(error)}") from None


def signed(secret: str, content: bytes) -> dict[str, str]:
    """The header with which a receiver can tell who sent `content`: X-Monitor-Signature, `sha256=` and its
    HMAC-SHA256 in hex. Bodies carry an id and a time of their own against repeats."""
    digest = hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()
    return {"X-Monitor-Signature": f"sha256={digest}"}


def _read(answer: Any) -> Answer:
    headers = {str(name).lower(): str(value) for name, value in answer.headers.items()}
    return Answer(int(answer.status), headers, answer.read(MOST_BYTES))


def _why(error: object) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long"
    text = getattr(error, "strerror", None)
    return str(text) if text else type(error).__name__
