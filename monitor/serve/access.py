"""Who may look and who may act: tokens kept as hashes, sessions, and forms that nobody else can send."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from alerts.secrets import SecretError, secret

VIEW, OPERATE = "MONITOR_VIEW_TOKEN", "MONITOR_OPERATE_TOKEN"
SHORTEST = 16
LASTS = timedelta(hours=12)
MOST_SESSIONS = 1000
TRIES, WITHIN = 5, timedelta(minutes=1)
ALL_TRIES = 30
Role = Literal["view", "operate"]


class AccessError(Exception):
    """Nobody could be let in, or anybody; the sentence says which token is missing."""


class Throttled(Exception):
    """Too many wrong tokens; the next try may come later."""


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is in. `form` goes into every form of theirs and is in no cookie."""

    id: str
    role: Role
    form: str
    until: datetime


@dataclass
class Access:
    """Tokens are kept as hashes under a key of this process. Without tokens everybody who can reach a
    loopback address may look and act."""

    hashes: Mapping[Role, bytes]
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    _sessions: dict[str, Session] = field(default_factory=dict)
    _wrong: dict[str, deque[datetime]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, environ: Mapping[str, str], *, loopback: bool) -> Access:
        """The access that the environment asks for. Raises AccessError."""
        found = cls({})
        values: dict[Role, str] = {}
        roles: tuple[tuple[Role, str], ...] = (("view", VIEW), ("operate", OPERATE))
        for role, name in roles:
            if not environ.get(name) and not environ.get(f"{name}_FILE"):
                continue
            try:
                values[role] = secret(environ, name)
            except SecretError as error:
                raise AccessError(str(error)) from None
            if len(values[role]) < SHORTEST:
                raise AccessError(f"{name} is shorter than {SHORTEST} characters: anybody could guess it")
        if len(set(values.values())) < len(values):
            raise AccessError(f"{VIEW} and {OPERATE} are the same: then everybody who looks may act")
        if not values and not loopback:
            raise AccessError(f"it is not loopback, so {VIEW} must be set, and {OPERATE} for who may act")
        found.hashes = {role: found._hash(value) for role, value in values.items()}
        return found

    @property
    def open(self) -> bool:
        """Whether no token is asked for."""
        return not self.hashes

    def told(self) -> str:
        """Who may do what, in words."""
        if self.open:
            return "no token: everybody on this machine may look and act"
        return f"tokens: {' and '.join(sorted(self.hashes))}"

    def role_of(self, token: str) -> Role | None:
        """What a token opens. Every hash is compared, each in constant time."""
        asked = self._hash(token)
        found: Role | None = None
        for role, known in self.hashes.items():
            if hmac.compare_digest(asked, known):
                found = role
        return found

    def enter(self, token: str, client: str, now: datetime) -> Session | None:
        """A session for who has a token, None for a wrong one. Raises Throttled after too many wrong ones of
        one client, or of all together."""
        self._refuse(client, now)
        role = self.role_of(token)
        if role is not None:
            return self.begun(role, now)
        with self._lock:
            for who in (client, ""):
                self._wrong.setdefault(who, deque()).append(now)
        return None

    def begun(self, role: Role, now: datetime) -> Session:
        """A new session."""
        name = secrets.token_urlsafe(32)
        made = Session(name, role, hmac.new(self.key, name.encode(), "sha256").hexdigest(), now + LASTS)
        with self._lock:
            old = [s.id for s in self._sessions.values() if s.until <= now]
            if len(self._sessions) - len(old) >= MOST_SESSIONS:
                old.append(min(self._sessions.values(), key=lambda s: s.until).id)
            for one in old:
                self._sessions.pop(one, None)
            self._sessions[name] = made
        return made

    def session(self, name: str, now: datetime) -> Session | None:
        """The session of a cookie, None where it is not known or over."""
        found = self._sessions.get(name)
        return found if found is not None and now < found.until else None

    def left(self, name: str) -> None:
        """End a session."""
        with self._lock:
            self._sessions.pop(name, None)

    @staticmethod
    def own_form(session: Session, sent: str) -> bool:
        """Whether a form was sent from a page of this session."""
        return hmac.compare_digest(session.form.encode(), sent.encode())

    def _hash(self, token: str) -> bytes:
        return hashlib.sha256(self.key + token.encode("utf-8", "replace")).digest()

    def _refuse(self, client: str, now: datetime) -> None:
        with self._lock:
            for who in list(self._wrong):
                tries = self._wrong[who]
                while tries and now - tries[0] > WITHIN:
                    tries.popleft()
                if not tries:
                    del self._wrong[who]
            if len(self._wrong.get(client, ())) >= TRIES or len(self._wrong.get("", ())) >= ALL_TRIES:
                raise Throttled
