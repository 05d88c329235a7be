"""`rollback` and `alerts` in monitor.yaml: what is changed and who is told."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import field_validator, model_validator
from pydantic_core import PydanticCustomError

from monitor.config.values import Model


def not_yet(what: str) -> PydanticCustomError:
    return PydanticCustomError("not_yet", "{what} is not available yet in this version", {"what": what})


class Rollback(Model):
    kind: Literal["file", "command", "webhook"] = "file"
    path: str = "var/active_policy.json"

    @field_validator("path")
    @classmethod
    def _inside(cls, value: str) -> str:
        if Path(value).is_absolute() or ".." in Path(value).parts:
            raise PydanticCustomError("path", "must lie inside the folder of monitor.yaml")
        return value

    @field_validator("kind")
    @classmethod
    def _file_only(cls, value: str) -> str:
        if value != "file":
            raise not_yet(f"rollback kind {value}")
        return value


class Channel(Model):
    kind: Literal["console", "slack", "webhook", "pagerduty", "apprise"]
    channel: str | None = None
    base_url: str | None = None

    @field_validator("kind")
    @classmethod
    def _built(cls, value: str) -> str:
        if value not in ("console", "slack"):
            raise not_yet(f"channel kind {value}")
        return value

    @model_validator(mode="after")
    def _slack_has_a_channel(self) -> Channel:
        if self.kind == "slack" and not self.channel:
            raise PydanticCustomError("channel", "a slack channel needs `channel`, such as \"#rl-oncall\"")
        return self


class Alerts(Model):
    channels: list[Channel] = [Channel(kind="console")]
    escalation: Literal["none", "pagerduty"] = "none"
