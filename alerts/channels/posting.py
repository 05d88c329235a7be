"""A POST of JSON by a channel: the answer, or a DeliveryError that names the receiver and no secret."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from alerts.channels.channel import DeliveryError
from alerts.http import Answer, HttpError, request
from alerts.secrets import SecretError, secret


def posted(
    url: str, body: Mapping[str, Any] | bytes, who: str, headers: Mapping[str, str] | None = None
) -> Answer:
    """The answer of status 200 to 299. Raises DeliveryError for any other, with what it asked to wait."""
    content = body if isinstance(body, bytes) else json.dumps(dict(body)).encode()
    try:
        answer = request(url, content, {"Content-Type": "application/json", **(headers or {})})
    except HttpError as error:
        raise DeliveryError(f"{who} did not take the message: {error}") from None
    if not 200 <= answer.status < 300:
        wait = retry_after(answer.headers)
        later = f", try again in {wait:g} s" if wait else ""
        raise DeliveryError(f"{who} did not take the message: HTTP {answer.status}{later}", wait)
    return answer


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After header that is a number; None for none, or for a date."""
    given = next((v for k, v in headers.items() if k.lower() == "retry-after"), "")
    return float(given) if given.isdigit() else None


def needed(environ: Mapping[str, str], name: str) -> str:
    """A secret. Raises DeliveryError where it is not there."""
    try:
        return secret(environ, name)
    except SecretError as error:
        raise DeliveryError(str(error)) from None
