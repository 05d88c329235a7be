"""Rollback by an address: the pointer as JSON by POST, signed, retried, read back by GET.

Requests carry `Idempotency-Key`, the incident, and are signed with ROLLBACK_WEBHOOK_SECRET (see
`alerts.http.signed`). Any answer from 200 to 299 has taken it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from alerts.http import Answer, HttpError, request, signed
from alerts.rollback.target import RollbackError
from alerts.secrets import SecretError, secret

SECRET = "ROLLBACK_WEBHOOK_SECRET"
FIRST_PAUSE = 0.5


class Webhook:
    """`url` takes a pointer, `read_url` says which policy controls. `pause` waits between tries."""

    def __init__(
        self,
        url: str,
        read_url: str | None,
        environ: Mapping[str, str],
        *,
        unsigned: bool = False,
        seconds: float = 30.0,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url, self._read_url, self._environ = url, read_url, environ
        self._unsigned, self._seconds, self._pause = unsigned, seconds, pause

    @property
    def reads(self) -> bool:
        return self._read_url is not None

    def write(self, pointer: Mapping[str, Any]) -> None:
        """POST the pointer until it is taken, in bounded time; an answer of 400 to 499 (but 408 and 429) is
        a refusal and ends it. Raises RollbackError."""
        body = json.dumps(dict(pointer), sort_keys=True).encode()
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": str(pointer.get("incident", "")),
            **self._signature(body),
        }
        self._tried(lambda left: request(self._url, body, headers, timeout=left), "rollback.url")

    def read(self) -> dict[str, Any] | None:
        """What `read_url` answers: JSON that names the policy; None for an empty answer. Raises
        RollbackError."""
        assert self._read_url is not None
        url = self._read_url
        headers = self._signature(url.encode())
        answer = self._tried(lambda left: request(url, headers=headers, timeout=left), "rollback.read_url")
        if not answer.body.strip():
            return None
        try:
            found = json.loads(answer.body)
        except ValueError:
            raise RollbackError("rollback.read_url answered something that is not JSON") from None
        if not isinstance(found, dict):
            raise RollbackError("rollback.read_url answered no JSON object that names a policy")
        return found

    def _signature(self, content: bytes) -> dict[str, str]:
        if self._unsigned:
            return {}
        try:
            return signed(secret(self._environ, SECRET), content)
        except SecretError as error:
            said = f"{error}, or `unsigned: true` for a receiver that checks no signature"
            raise RollbackError(said) from None

    def _tried(self, ask: Callable[[float], Answer], what: str) -> Answer:
        deadline, pause = time.monotonic() + self._seconds, FIRST_PAUSE
        while True:
            left = max(0.1, deadline - time.monotonic())
            try:
                answer = ask(left)
                if 200 <= answer.status < 300:
                    return answer
                problem = f"answered HTTP {answer.status}"
                final = 300 <= answer.status < 500 and answer.status not in (408, 429)
            except HttpError as error:
                problem, final = f"failed: {error}", False
            if final or time.monotonic() + pause >= deadline:
                raise RollbackError(f"{what} {problem}")
            self._pause(pause)
            pause *= 2
