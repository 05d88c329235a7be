"""monitor.yaml: read strictly, refused with all its errors at once, each with file:line.

Only names and numbers live in the file. Unknown keys are errors with a suggestion; keys whose
feature is not built yet are refused as such. Paths are relative to the file.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from monitor import suite

NAME = re.compile(r"[a-z][a-z0-9_]*")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
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
PERSONAL = ("decision_id", "unit_id", "episode_id")
RETENTION_SLACK = timedelta(days=7)
NOT_YET = {
    "on_incident": "further acts on an incident",
    "alerts.on_call": "escalation to an on-call list",
    "alerts.escalate_after": "escalation to an on-call list",
    "baseline.path": "a baseline from a file of its own",
}


class ConfigError(Exception):
    """Every mistake found in one configuration, a sentence each."""

    def __init__(self, errors: list[str]) -> None:
        self.errors = errors
        super().__init__("\n".join(errors))


def _not_yet(what: str) -> PydanticCustomError:
    return PydanticCustomError("not_yet", "{what} is not available yet in this version", {"what": what})


def _duration(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", str(value))
    if not match:
        raise PydanticCustomError("duration", "must be a duration such as 10m, 1h, 24h or 30d")
    return timedelta(seconds=float(match[1]) * UNITS[match[2]])


def _shown(value: timedelta) -> str:
    """A duration as the file writes it, in days where they are whole."""
    seconds = int(value.total_seconds())
    unit = next(u for u in ("d", "h", "m", "s") if seconds % UNITS[u] == 0)
    return f"{seconds // UNITS[unit]}{unit}"


def _instant(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise PydanticCustomError("instant", "must be a date or a time such as 2026-01-31") from None
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    raise PydanticCustomError("instant", "must be a date or a time such as 2026-01-31")


def _name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise PydanticCustomError(
            "name", "must be a name of small letters, digits and _ that starts with a letter"
        )
    return value


def _label(value: Any) -> Any:
    """A name that YAML reads as a whole number is still a name."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Label = Annotated[str, BeforeValidator(_label)]
Duration = Annotated[timedelta, BeforeValidator(_duration)]
Instant = Annotated[datetime, BeforeValidator(_instant)]
Name = Annotated[str, AfterValidator(_name)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Policies(Model):
    candidate: str
    incumbent: str
    safe: str


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
            _name(name)
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
    reward: Annotated[str, BeforeValidator(_label)] | None = None


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
            raise _not_yet(f"rollback kind {value}")
        return value


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


class Channel(Model):
    kind: Literal["console", "slack", "webhook", "pagerduty", "apprise"]
    channel: str | None = None
    base_url: str | None = None

    @field_validator("kind")
    @classmethod
    def _built(cls, value: str) -> str:
        if value not in ("console", "slack"):
            raise _not_yet(f"channel kind {value}")
        return value

    @model_validator(mode="after")
    def _slack_has_a_channel(self) -> Channel:
        if self.kind == "slack" and not self.channel:
            raise PydanticCustomError("channel", "a slack channel needs `channel`, such as \"#rl-oncall\"")
        return self


class Alerts(Model):
    channels: list[Channel] = [Channel(kind="console")]
    escalation: Literal["none", "pagerduty"] = "none"



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
    alerts: Alerts = Alerts()
    expectations: Expectations | None = None
    checklists: str | None = None
    retention: Duration | None = None
    pii: list[str] = []

    @field_validator("window")
    @classmethod
    def _whole_hours(cls, value: timedelta) -> timedelta:
        hours = value.total_seconds() / 3600
        if hours < 1 or hours != int(hours) or 24 % hours:
            raise PydanticCustomError("window", "must be whole hours that divide a day: 1h, 2h … 24h")
        return value

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
                {"value": _shown(value), "least": _shown(least)},
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
    def config_hash(self) -> str:
        """Hash of what changes numbers: not store, alerts, rollback or what is kept how long."""
        unchanging = {
            *("store", "alerts", "rollback", "acting", "act_within", "cooldown", "retention", "pii")
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


class Loaded(Model):
    """A valid configuration and the folder its paths are relative to."""

    config: Config
    folder: Path

    def path(self, relative: str) -> Path:
        return self.folder / relative


def load(path: Path) -> Loaded:
    """Read and check `monitor.yaml`. Raises ConfigError with every mistake, each with file:line."""
    if not path.exists():
        here = "`monitor init LOG…` writes one, `-c FILE` names another"
        raise ConfigError([f"{path.name}: cannot be read: there is no such file; {here}"])
    document = read_yaml(path)
    if not isinstance(document, CommentedMap):
        raise ConfigError([f"{path.name}:1: the file is empty or not a mapping of keys"])
    errors: list[tuple[int, str]] = []
    for dotted, what in NOT_YET.items():
        line = _line_of(document, tuple(dotted.split(".")))
        if line is not None:
            errors.append(
                (line, f"key '{dotted}' is not available yet in this version ({what}); remove it")
            )
    plain = _plain(document)
    for dotted in NOT_YET:
        _drop(plain, dotted.split("."))
    config: Config | None = None
    try:
        config = Config.model_validate(plain)
    except ValidationError as error:
        errors += [_describe(document, detail) for detail in _deepest(error.errors())]
    if errors:
        unique = sorted(set(errors))
        raise ConfigError([f"{path.name}:{line}: {text}" for line, text in unique])
    assert config is not None
    loaded = Loaded(config=config, folder=path.resolve().parent)
    if config.expectations and config.expectations.suite:
        try:
            suite.read(loaded.path(config.expectations.suite), suite.columns(config))
        except ValueError as error:
            raise ConfigError(str(error).splitlines()) from None
    return loaded


def read_yaml(path: Path) -> Any:
    """A YAML file as ruamel's commented containers, which know their lines: to be read, not changed,
    since the same text is parsed once in a process. Raises ConfigError."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError([f"{path.name}: cannot be read: {error.strerror or error}"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path.name}: is not UTF-8 text (byte {error.start})"]) from None
    try:
        return _parsed(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = (error.problem or "is not valid YAML").splitlines()[0]
        raise ConfigError([f"{path.name}:{line}: {problem}"]) from None
    except (YAMLError, ValueError) as error:
        raise ConfigError([f"{path.name}:1: is not valid YAML: {str(error).splitlines()[0]}"]) from None


@lru_cache(maxsize=16)
def _parsed(text: str) -> Any:
    yaml = YAML(typ="rt")
    yaml.allow_duplicate_keys = False
    return yaml.load(text)


def line_of(document: Any, location: tuple[Any, ...]) -> int:
    """1-based line of the key or item at `location`, or of the nearest parent that exists."""
    for end in range(len(location), 0, -1):
        line = _line_of(document, location[:end])
        if line is not None:
            return line
    return 1


def did_you_mean(word: str, known: Any) -> str:
    """`; did you mean 'x'?` for the nearest known word, or nothing."""
    near = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean '{near[0]}'?" if near else ""


def _line_of(document: Any, location: tuple[Any, ...]) -> int | None:
    node, line = document, None
    for step in location:
        if isinstance(node, CommentedMap) and step in node:
            line = node.lc.key(step)[0] + 1
        elif isinstance(node, CommentedSeq) and isinstance(step, int) and step < len(node):
            line = node.lc.item(step)[0] + 1
        else:
            return None
        node = node[step]
    return line


def _plain(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {str(k): _plain(v) for k, v in node.items()}
    if isinstance(node, list):
        return [_plain(v) for v in node]
    if isinstance(node, bool) or node is None:
        return node
    if isinstance(node, (int, float)):
        return float(node) if isinstance(node, float) else int(node)
    if isinstance(node, (datetime, date)):
        return node
    return str(node)


def _drop(node: Any, dotted: list[str]) -> None:
    for step in dotted[:-1]:
        node = node.get(step) if isinstance(node, dict) else None
    if isinstance(node, dict):
        node.pop(dotted[-1], None)


def _deepest(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Without "must be 'decision'" where the mapping that stands there has mistakes of its own."""
    return [
        d
        for d in details
        if d["type"] != "literal_error"
        or not any(o["loc"][: len(d["loc"]) - 1] == d["loc"][:-1] and o is not d for o in details)
        or not isinstance(d["input"], Mapping)
    ]


def _describe(document: CommentedMap, detail: ErrorDetails) -> tuple[int, str]:
    at = detail.get("ctx", {}).get("at")
    location = tuple(at.split(".")) if at else tuple(_document_path(document, detail["loc"]))
    line = line_of(document, location)
    dotted = ".".join(str(step) for step in location)
    kind, message = detail["type"], detail["msg"]
    if kind == "extra_forbidden":
        siblings = _known_keys(location[:-1])
        return line, f"key '{dotted}' is not known{did_you_mean(str(location[-1]), siblings)}"
    if kind == "missing":
        return line, f"key '{dotted}' is missing; it must be set"
    shown = detail["input"]
    value = f", not {shown!r}" if isinstance(shown, (str, int, float, bool, date)) else ""
    if kind == "model_type":
        return line, f"'{dotted}' must be a mapping of keys{value}"
    if kind == "literal_error":
        expected = detail.get("ctx", {}).get("expected", "")
        return line, f"'{dotted}' must be {expected}{value}{_literal_hint(shown, expected)}"
    return line, f"'{dotted}': {message[:1].lower()}{message[1:]}{value}"


def _literal_hint(shown: Any, expected: str) -> str:
    return did_you_mean(str(shown), re.findall(r"'([^']+)'", expected))


def _document_path(document: Any, location: tuple[Any, ...]) -> Iterator[Any]:
    """The location as the file has it: without pydantic's branch names, one inline source unfolded."""
    node = document
    steps = list(location)
    if steps[:3] == ["log", "sources", 0] and "sources" not in (document.get("log") or {}):
        steps = ["log", *steps[3:]]
    for position, step in enumerate(steps):
        last = position == len(steps) - 1
        present = (isinstance(node, Mapping) and step in node) or (
            isinstance(node, list) and isinstance(step, int) and step < len(node)
        )
        if present:
            yield step
            node = node[step]
        elif last and isinstance(step, str) and not step.startswith(("function-", "literal[")) and (
            isinstance(node, Mapping) and step not in ("Unit",)
        ):
            yield step


def _known_keys(parents: tuple[Any, ...]) -> list[str]:
    model: Any = Config
    for step in parents:
        if isinstance(step, int):
            continue
        field = next((f for n, f in model.model_fields.items() if (f.alias or n) == step), None)
        inner = _model_of(field.annotation) if field else None
        if inner is None:
            return []
        model = inner
    keys = [f.alias or n for n, f in model.model_fields.items()]
    return keys + (list(Source.model_fields) if model is Log else [])


def _model_of(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_of(inner)
        if found is not None:
            return found
    return None
