"""What monitor.yaml may hold, block by block."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from monitor.config.log import REWARDING, Log
from monitor.config.reacting import Alerts, PauseTraining, Rollback, address, inside
from monitor.config.values import (
    Duration,
    Finite,
    Instant,
    Label,
    Model,
    Name,
    Share,
    a_label,
    did_you_mean,
    in_words,
)

PERSONAL = ("decision_id", "unit_id", "episode_id")
RETENTION_SLACK = timedelta(days=7)


class Policies(Model):
    candidate: str
    incumbent: str
    safe: str


class State(Model):
    numeric: list[Name] = []
    categorical: list[Name] = []

    @model_validator(mode="after")
    def _each_once(self) -> State:
        features = self.numeric + self.categorical
        twice = sorted({f for f in features if features.count(f) > 1})
        if twice:
            raise PydanticCustomError(
                "feature", "lists '{name}' twice; a feature is declared once", {"name": twice[0]}
            )
        return self

    @property
    def features(self) -> list[str]:
        return [*self.numeric, *self.categorical]


class Unit(Model):
    column: str | None = None
    block: Duration | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Unit:
        if (self.column is None) == (self.block is None):
            raise PydanticCustomError("unit", "is {{column: NAME}}, {{block: 24h}} or decision")
        return self


class Reward(Model):
    range: tuple[Finite, Finite]
    discount: Share = 1.0
    matures_after: Duration = timedelta(0)
    missing_after_maturity: Literal[0, "exclude"]

    @field_validator("range")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not value[0] < value[1]:
            raise PydanticCustomError("range", "must be [lowest, highest] with lowest < highest")
        return value


class OutcomeColumn(Model):
    matures_after: Duration


class Constraint(Model):
    """d_k is `limit`, δ is `margin`."""

    limit: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    measure: Literal["rate", "mean_cost", "episode_cost"] = "rate"
    hard: bool = False

    @model_validator(mode="after")
    def _hard_is_zero(self) -> Constraint:
        if self.hard and (self.limit or self.margin):
            raise PydanticCustomError("hard", "a hard constraint has limit 0.0 and margin 0.0")
        if self.hard and self.measure != "rate":
            raise PydanticCustomError("hard", "a hard constraint is judged row by row: its measure is rate")
        if self.measure == "rate" and self.limit > 1:
            raise PydanticCustomError("limit", "the limit of a rate is at most 1")
        return self


class OffPolicy(Model):
    """`clip` is λ, the largest weight that clipped estimators keep; `ridge` whether a value model is
    fitted; `cell` the features whose bins, with the segment, stand for the state in fitted propensities."""

    clip: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    ridge: bool = True
    cell: list[Name] = []


class Period(Model):
    start: Annotated[Instant, Field(alias="from")]
    end: Annotated[Instant, Field(alias="to")]

    @model_validator(mode="after")
    def _ordered(self) -> Period:
        if not self.start < self.end:
            raise PydanticCustomError("period", "`from` must be before `to`")
        return self


class Baseline(Period):
    policy: str


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Algorithm = Literal["cql", "iql", "linucb", "thompson", "lagrangian", "ppo", "rollout", "other"]


class Training(Model):
    """What the candidate was trained on (one of `until`, `ids`, `none`), and how."""

    until: Instant | None = None
    ids: str | None = None
    none: str | None = None
    algorithm: Annotated[list[Algorithm], BeforeValidator(_listed)] = []
    hyperparameters: dict[Name, Finite] = {}
    transitions: Annotated[int, Field(ge=0)] | None = None
    trained_at: Instant | None = None
    behaviour_cloning: bool | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Training:
        if sum(v is not None for v in (self.until, self.ids, self.none)) != 1:
            raise PydanticCustomError(
                "training", "is one of until: DATE, ids: FILE, none: REASON (and beside it how)"
            )
        return self


class Scenarios(Model):
    """Labelled adversarial scenarios; `reward` is the hash of the reward they were labelled for."""

    paths: Annotated[list[str], Field(min_length=1)]
    format: Literal["jsonl", "csv"]
    columns: dict[Literal["scenario_id", "proxy_reward", "outcome", "acceptable"], str] = {}
    reward: Annotated[str, BeforeValidator(a_label)] | None = None


class Looks(Model):
    """Gates look again and again: `tightest_at` is n* of their confidence sequences, in decisions."""

    tightest_at: Annotated[int, Field(ge=200)] = 10_000


class Experiment(Model):
    """A comparison of the candidate with `control` (a role) from `from` on, for at least `days`, in these
    `segments` (none: everywhere). `split`: the candidate decides for a planned `share` of the units, the
    control for the others. One plant is one unit: `switchback`, they take turns; `before_after`, the
    candidate decides alone, and the control did until then."""

    design: Literal["split", "switchback", "before_after"] = "split"
    share: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] | None = None
    start: Annotated[Instant, Field(alias="from")]
    days: Annotated[int, Field(ge=1, le=3650)]
    control: Literal["incumbent", "safe"] = "incumbent"
    segments: list[str] = []

    @model_validator(mode="after")
    def _split_by_a_share(self) -> Experiment:
        if (self.design == "split") != (self.share is not None):
            raise PydanticCustomError("share", "share belongs to design: split, which needs it")
        return self


class Expectations(Model):
    """Absent: on. `off` is the reason why they are off, `suite` a file of further expectations."""

    off: Annotated[str, Field(min_length=1)] | None = None
    suite: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _off_needs_a_reason(cls, value: Any) -> Any:
        if value in ("off", False):
            raise PydanticCustomError("off", "needs a reason to be off: {off: REASON}")
        return value

    @model_validator(mode="after")
    def _one_of(self) -> Expectations:
        if (self.off is None) == (self.suite is None):
            raise PydanticCustomError("expectations", "is {off: REASON} or {suite: FILE}")
        return self


class Reach(Model):
    """What the override needs of monitor.yaml, and nothing else: it works while other blocks are wrong."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    store: str = "var/monitor"
    policies: Policies
    rollback: Rollback = Rollback()
    alerts: Alerts = Alerts()


class Config(Model):
    store: str = "var/monitor"
    policies: Policies
    log: Log
    unit: Unit | Literal["decision"] | None = None
    state: State = State()
    actions: list[Label] = []
    off_policy: OffPolicy = OffPolicy()
    season: Literal["24h", "7d"] = "24h"
    reward: Reward
    outcome: OutcomeColumn | None = None
    constraints: dict[Name, Constraint] = {}
    envelope: dict[Name, tuple[Finite, Finite]] = {}
    baseline: Baseline | None = None
    training: Training | None = None
    held_out: Period | None = None
    scenarios: Scenarios | None = None
    experiment: Experiment | None = None
    conditions: dict[Name, list[str]] = {}
    window: Duration = timedelta(hours=1)
    episode_timeout: Annotated[Duration, Field(ge=timedelta(minutes=1))] = timedelta(hours=24)
    looks: Looks = Looks()
    acting: Literal["observe", "alert", "rollback"] = "rollback"
    act_within: Duration = timedelta(hours=24)
    pass_expires: Duration = timedelta(days=7)
    cooldown: Duration = timedelta(days=7)
    rollback: Rollback = Rollback()
    on_incident: list[Literal["rollback", "pause_training"]] = ["rollback"]
    pause_training: PauseTraining | None = None
    alerts: Alerts = Alerts()
    expectations: Expectations | None = None
    checklists: str | None = None
    reports: str | None = None
    dashboard: str | None = None
    max_file_bytes: Annotated[int, Field(ge=1)] = 64 << 30
    retention: Duration | None = None
    pii: list[str] = []

    @field_validator("reports", "store")
    @classmethod
    def _inside(cls, value: str | None) -> str | None:
        return inside(value)

    @field_validator("window")
    @classmethod
    def _whole_hours(cls, value: timedelta) -> timedelta:
        hours = value.total_seconds() / 3600
        if hours < 1 or hours != int(hours) or 24 % hours:
            raise PydanticCustomError("window", "must be whole hours that divide a day: 1h, 2h … 24h")
        return value

    @field_validator("dashboard")
    @classmethod
    def _may_be_called(cls, value: str | None) -> str | None:
        return address(value)

    @field_validator("retention")
    @classmethod
    def _outlasts_what_comes_late(cls, value: timedelta | None, info: ValidationInfo) -> timedelta | None:
        if value is None or not {"reward", "outcome", "log"} <= set(info.data):
            return value
        outcome = info.data["outcome"]
        matures = max(info.data["reward"].matures_after, outcome.matures_after if outcome else timedelta(0))
        least = matures + info.data["log"].dedupe_within + RETENTION_SLACK
        if value < least:
            raise PydanticCustomError(
                "retention",
                "{value} is less than {least}, which is maturity + log.dedupe_within + 7d: rewards and "
                "repeats would come for decisions that are gone",
                {"value": in_words(value), "least": in_words(least)},
            )
        return value

    @field_validator("pii")
    @classmethod
    def _can_be_hidden(cls, value: list[str], info: ValidationInfo) -> list[str]:
        state, conditions = info.data.get("state", State()), info.data.get("conditions", {})
        known = [*PERSONAL, *(f"state_{f}" for f in state.categorical)]
        for name in value:
            if name not in known:
                raise PydanticCustomError(
                    "pii",
                    "'{name}' cannot be hidden: only {known} can, because numbers and what reports are "
                    "grouped by stay readable{hint}",
                    {"name": name, "known": ", ".join(known), "hint": did_you_mean(name, known)},
                )
            if name.removeprefix("state_") in conditions:
                raise PydanticCustomError(
                    "pii",
                    "'{name}' cannot be hidden while conditions.{feature} shows its values in every report",
                    {"name": name, "feature": name.removeprefix("state_")},
                )
        return list(dict.fromkeys(value))

    @model_validator(mode="after")
    def _costs_of_episodes_have_episodes(self) -> Config:
        for name, constraint in self.constraints.items():
            if constraint.measure == "episode_cost" and not self.maps("episode_id"):
                raise PydanticCustomError(
                    "measure",
                    "constraints.{name}.measure is episode_cost, and no source maps `episode_id`",
                    {"name": name, "at": f"constraints.{name}.measure"},
                )
        return self

    @model_validator(mode="after")
    def _incidents_roll_back(self) -> Config:
        if "rollback" not in self.on_incident:
            raise PydanticCustomError(
                "on_incident", "on_incident must name rollback; `acting` says what may be done",
                {"at": "on_incident"},
            )  # fmt: skip
        if ("pause_training" in self.on_incident) != (self.pause_training is not None):
            raise PydanticCustomError(
                "on_incident",
                "on_incident names pause_training where `pause_training` says how, and only there",
                {"at": "on_incident"},
            )  # fmt: skip
        return self

    @model_validator(mode="after")
    def _known_conditions(self) -> Config:
        for name in self.conditions:
            if name != "segment" and name not in self.state.categorical:
                raise PydanticCustomError(
                    "conditions",
                    "conditions.{name} is neither 'segment' nor a feature under state.categorical",
                    {"name": name, "at": f"conditions.{name}"},
                )
        return self

    @model_validator(mode="after")
    def _mapped_columns_are_declared(self) -> Config:
        places = {"state_": (self.state.features, "state"), "cost_": (list(self.constraints), "constraints")}
        for column in sorted({c for s in self.log.sources for c in s.columns}):
            for prefix, (known, place) in places.items():
                name = column.removeprefix(prefix)
                if column.startswith(prefix) and name not in known:
                    raise PydanticCustomError(
                        "undeclared",
                        "column '{column}' is mapped, and '{name}' is not declared under {place}{hint}",
                        {"column": column, "name": name, "place": place, "hint": did_you_mean(name, known),
                         "at": "log"},
                    )
        return self

    @model_validator(mode="after")
    def _actions_and_cells_can_be_told_apart(self) -> Config:
        twice = sorted({a for a in self.actions if self.actions.count(a) > 1})
        if twice:
            raise PydanticCustomError(
                "actions", "actions lists '{name}' twice; names stand once, in the order of `action_probs`",
                {"name": twice[0], "at": "actions"},
            )
        for name in self.off_policy.cell:
            if name not in self.state.features:
                raise PydanticCustomError(
                    "cell", "off_policy.cell names '{name}', which is not declared under state{hint}",
                    {"name": name, "hint": did_you_mean(name, self.state.features), "at": "off_policy.cell"},
                )
        return self

    @field_validator("envelope")
    @classmethod
    def _bounds_in_order(cls, value: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        for dimension, (low, high) in value.items():
            if not low < high:
                raise PydanticCustomError(
                    "envelope", "{dimension} must be [lowest, highest] with lowest < highest",
                    {"dimension": dimension},
                )
        return value

    @property
    def hard(self) -> list[str]:
        return [k for k, c in self.constraints.items() if c.hard]

    @property
    def soft(self) -> list[str]:
        return [k for k, c in self.constraints.items() if not c.hard]

    @property
    def action_dims(self) -> list[str]:
        """Continuous dimensions of the action, from the envelope and the mapped columns."""
        mapped = (c for s in self.log.sources for c in s.columns if c.startswith("action_"))
        return sorted({*self.envelope, *(c.removeprefix("action_") for c in mapped)} - {"probs"})

    def maps(self, column: str) -> bool:
        """Whether some source of decisions or recommendations may give this column of a decision."""
        return any(
            not s.columns or column in s.columns or column in s.constants
            for s in self.log.sources
            if s.kind != "rewards"
        )

    @property
    def predicted(self) -> list[str]:
        """Numeric features whose prediction a source maps by name."""
        mapped = {c for s in self.log.sources for c in s.columns}
        return [f for f in self.state.numeric if f"predicted_{f}" in mapped]

    @property
    def control(self) -> str:
        """The policy that an experiment compares the candidate with."""
        role = self.experiment.control if self.experiment else "incumbent"
        return str(getattr(self.policies, role))

    @property
    def expectations_off(self) -> str | None:
        """The reason why no batch is validated, None where they are."""
        return self.expectations.off if self.expectations else None

    @property
    def reach(self) -> Reach:
        """The part that the override needs."""
        return Reach.model_construct(
            store=self.store, policies=self.policies, rollback=self.rollback, alerts=self.alerts
        )

    @property
    def config_hash(self) -> str:
        """Hash of what changes numbers: not store, alerts, rollback or what is kept how long."""
        unchanging = {
            *("store", "alerts", "rollback", "on_incident", "pause_training", "acting", "act_within"),
            *("cooldown", "retention", "pii", "reports", "dashboard", "max_file_bytes"),
        }
        body = self.model_dump(mode="json", exclude=unchanging)
        return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def reward_hash(self) -> str:
        """Hash of what the reward is: the `reward` block, `outcome`, how several are combined, and which
        columns of the log they are."""
        taken = {
            (name, str(source.columns.get(name, "" if source.columns else name)),
             str(source.constants.get(name, "")))
            for source in self.log.sources
            if source.kind != "recommendations"
            for name in REWARDING
        }
        body = self.model_dump(mode="json", include={"reward", "outcome"})
        text = json.dumps([body, self.log.combine, sorted(taken)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
