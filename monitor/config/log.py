"""`log` in monitor.yaml: which files hold decisions, and which of their columns are what."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from monitor.config.values import Duration, Model, Share, a_name

CANONICAL = (
    *("decision_id", "ts", "policy_id", "policy_version", "unit_id", "episode_id", "step", "terminal"),
    *("segment", "action", "propensity", "action_probs", "n_actions", "candidate_id", "candidate_action"),
    *("candidate_propensity", "candidate_probs", "proposed_action", "q_value", "candidate_value"),
    *("uncertainty", "reward", "reward_ts", "proxy_reward", "outcome", "shaping", "intrinsic"),
    *("keep_prob", "overridden", "irreversible", "activated"),
)
CANONICAL_PREFIXES = (
    "state_", "action_", "candidate_action_", "proposed_action_", "cost_", "predicted_"
)
REWARDING = ("reward", "proxy_reward", "outcome", "shaping", "intrinsic")


class Source(Model):
    """One set of log files of the same shape."""

    paths: Annotated[list[str], Field(min_length=1)]
    format: Literal["jsonl", "csv", "parquet"]
    kind: Literal["decisions", "rewards", "recommendations"] = "decisions"
    columns: dict[str, str | list[str]] = {}
    constants: dict[str, str | float | bool] = {}
    time: Literal["iso", "epoch_seconds", "epoch_milliseconds"] = "iso"
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","

    @field_validator("columns", "constants")
    @classmethod
    def _known_columns(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name, target in value.items():
            if name not in CANONICAL and not name.startswith(CANONICAL_PREFIXES):
                near = difflib.get_close_matches(name, CANONICAL, 1)
                hint = f"; did you mean '{near[0]}'?" if near else ""
                raise PydanticCustomError(
                    "column", "'{name}' is not a column of a decision{hint}", {"name": name, "hint": hint}
                )
            a_name(name)
            if isinstance(target, list) and name != "segment":
                raise PydanticCustomError(
                    "column",
                    "'{name}' takes one column of the log, only segment takes several",
                    {"name": name},
                )
        return value

    @model_validator(mode="after")
    def _says_who_decided(self) -> Source:
        given = {*self.columns, *self.constants}
        if self.kind == "decisions" and self.columns and "policy_id" not in given:
            raise PydanticCustomError(
                "policy", "a source of decisions names its policy: map `policy_id` or give it under constants"
            )
        return self


class Log(Model):
    sources: Annotated[list[Source], Field(min_length=1)]
    propensity: Literal["probability", "density", "log"] = "probability"
    lag: Duration = timedelta(minutes=10)
    max_rejects: Share = 0.01
    dedupe_within: Duration = timedelta(hours=48)
    combine: Literal["latest", "sum", "max"] = "latest"

    @model_validator(mode="before")
    @classmethod
    def _one_source_inline(cls, value: Any) -> Any:
        inline = set(Source.model_fields) & set(value) if isinstance(value, Mapping) else set()
        if not inline:
            return value
        if "sources" in value:
            raise PydanticCustomError(
                "sources", "takes either `sources` or the keys of one source, not both"
            )
        rest = {k: v for k, v in value.items() if k not in inline}
        return {**rest, "sources": [{k: value[k] for k in inline}]}
