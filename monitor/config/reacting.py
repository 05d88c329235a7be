"""`rollback`, `pause_training` and `alerts` in monitor.yaml: what is changed and who is told."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from monitor.config.values import Duration, Model

TARGET_KEYS = {
    "file": {"path"},
    "command": {"command", "read", "env", "time_limit"},
    "webhook": {"url", "read_url", "unsigned", "time_limit"},
}
CHANNEL_KEYS = {
    "console": set[str](),
    "slack": {"channel", "base_url"},
    "slack_webhook": {"base_url"},
    "pagerduty": {"base_url"},
    "webhook": {"url", "unsigned"},
    "apprise": set[str](),
}
LOCAL = ("localhost", "127.0.0.1", "::1")


def _only(model: Model, allowed: set[str]) -> None:
    kind = str(getattr(model, "kind", ""))
    strange = sorted(model.model_fields_set - allowed - {"kind"})
    if strange:
        takes = ", ".join(f"`{key}`" for key in sorted(allowed)) or "no other keys"
        raise PydanticCustomError(
            "kind", "kind: {kind} does not take `{key}`; it takes {takes}",
            {"kind": kind, "key": strange[0], "takes": takes},
        )  # fmt: skip


def inside(value: str | None) -> str | None:
    """A path that is written to: it lies in the folder of monitor.yaml."""
    if value is not None and (Path(value).is_absolute() or ".." in Path(value).parts):
        raise PydanticCustomError("path", "must lie inside the folder of monitor.yaml")
    return value


def address(value: str | None) -> str | None:
    """An https address without a user or password in it; http only to this machine. It is not repeated where
    it is refused: it may hold a secret."""
    if value is None:
        return None
    parts = urlsplit(value)
    if parts.username or parts.password:
        raise PydanticCustomError(
            "address", "must not hold a user or password; secrets come from the environment"
        )
    if parts.hostname == "hooks.slack.com":
        raise PydanticCustomError(
            "address",
            "is a Slack webhook, a secret: use kind: slack_webhook and set SLACK_WEBHOOK_URL_FILE",
        )
    local = parts.scheme == "http" and parts.hostname in LOCAL
    if not parts.hostname or not (parts.scheme == "https" or local):
        raise PydanticCustomError("address", "must begin with https:// (http:// only to this machine)")
    return value


class Target(Model):
    """Where something is switched: a file, a command or an address."""

    kind: Literal["file", "command", "webhook"] = "file"
    path: str = "var/active_policy.json"
    command: list[str] = []
    read: list[str] = []
    env: list[str] = []
    time_limit: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(minutes=10))] = timedelta(
        seconds=30
    )
    url: str | None = None
    read_url: str | None = None
    unsigned: bool = False

    @field_validator("path")
    @classmethod
    def _inside(cls, value: str) -> str:
        return str(inside(value))

    @field_validator("url", "read_url")
    @classmethod
    def _safe(cls, value: str | None) -> str | None:
        return address(value)

    @model_validator(mode="after")
    def _keys_of_its_kind(self) -> Target:
        _only(self, TARGET_KEYS[self.kind])
        if self.kind == "command" and not self.command:
            raise PydanticCustomError("command", "kind: command needs `command`, a list of arguments")
        if self.kind == "webhook" and not self.url:
            raise PydanticCustomError("url", "kind: webhook needs `url`")
        return self


class Rollback(Target):
    """What puts a policy in control. It must be possible to read back which one is."""

    @model_validator(mode="after")
    def _can_be_read_back(self) -> Rollback:
        needed = {"command": ("read", self.read), "webhook": ("read_url", self.read_url)}.get(self.kind)
        if needed and not needed[1]:
            raise PydanticCustomError(
                "read",
                "kind: {kind} needs `{key}`: a rollback that cannot be read back may not have happened",
                {"kind": self.kind, "key": needed[0]},
            )
        return self


class PauseTraining(Target):
    path: str = "var/training_paused.json"


class Channel(Model):
    kind: Literal["console", "slack", "slack_webhook", "pagerduty", "webhook", "apprise"]
    channel: str | None = None
    base_url: str | None = None
    url: str | None = None
    unsigned: bool = False
    severities: Annotated[list[Literal["page", "warning", "info"]], Field(min_length=1)] = [
        "page", "warning", "info",
    ]

    @field_validator("url", "base_url")
    @classmethod
    def _safe(cls, value: str | None) -> str | None:
        return address(value)

    @model_validator(mode="after")
    def _keys_of_its_kind(self) -> Channel:
        _only(self, CHANNEL_KEYS[self.kind] | {"severities"})
        if self.kind == "slack" and not self.channel:
            raise PydanticCustomError("channel", "a slack channel needs `channel`, such as \"#rl-oncall\"")
        if self.kind == "webhook" and not self.url:
            raise PydanticCustomError("url", "a webhook channel needs `url`")
        return self


class Alerts(Model):
    """`escalation: pagerduty` leaves it to PagerDuty whom to wake next; else `on_call` is the order."""

    channels: list[Channel] = [Channel(kind="console")]
    escalation: Literal["none", "pagerduty"] = "none"
    on_call: list[str] = []
    escalate_after: Annotated[Duration, Field(ge=timedelta(minutes=1))] = timedelta(minutes=10)
    escalate_only: Literal["digest", "page"] = "digest"
    digest_at: str = "08:00"

    @field_validator("digest_at")
    @classmethod
    def _a_time(cls, value: str) -> str:
        if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
            raise PydanticCustomError("time", "must be a time of day in UTC such as \"08:00\"")
        return value

    @model_validator(mode="after")
    def _one_way_to_escalate(self) -> Alerts:
        if self.on_call and self.escalation == "pagerduty":
            raise PydanticCustomError(
                "on_call", "alerts.on_call and `escalation: pagerduty` both say whom to wake next; keep one"
            )
        twice = sorted({one for one in self.on_call if self.on_call.count(one) > 1})
        if twice:
            raise PydanticCustomError("on_call", "alerts.on_call names '{name}' twice", {"name": twice[0]})
        return self
