"""Case files: what was measured, and what the gate must say of it; read strictly from YAML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from gates.checklist import Checklist, load, read
from gates.evaluate import RecordedFiring
from gates.given import Given, GivenEvent
from gates.outcome import Outcome
from gates.stages import stage_named
from monitor.config import ConfigError, did_you_mean, line_of, read_yaml
from monitor.metrics.estimate import LEVEL, Estimate, Reading, missing

SETTING = (
    "stage", "policy", "as_of", "from", "facts", "estimates", "readings", "events", "firings", "without",
)  # fmt: skip
CASE = (*SETTING, "case", "raises", "expect", "verdict", "says", "fired", "days", "log")
FILE = (*CASE, "base", "checklist", "cases")
BROKE = "the evidence broke while it was judged"
HOURS = {"m": 1 / 60, "h": 1.0, "d": 24.0}


@dataclass(frozen=True)
class Expected:
    """What a moment of a case must come to: lines by item (a text: its worst finding; a list: all of them),
    outcome and exit code of the verdict, words that some finding says, confirmed firings as `trigger key`."""

    items: Mapping[str, Any]
    verdict: Mapping[str, Any]
    says: Sequence[str]
    fired: Sequence[str] = ()


@dataclass(frozen=True)
class Moment:
    """One look of the gate in a case: the evidence, and what is expected of it."""

    evidence: Given
    firings: Sequence[RecordedFiring]
    expected: Expected


@dataclass(frozen=True)
class Case:
    """A case: moments in their order, or the name of a sample log that the monitor plays."""

    name: str
    place: str
    checklist: Checklist
    moments: Sequence[Moment] = ()
    log: str = ""
    expected: Expected | None = None


def read_cases(path: Path, checklists: Path | None = None) -> list[Case]:
    """The cases of a file, judged by the user's `checklists` or those of the package. Raises ConfigError with
    every mistake, each with file:line."""
    document = _document(path)
    errors: list[str] = []
    base: Mapping[str, Any] = {}
    if "base" in document:
        base = _plain(_document(path.parent / str(document["base"])))
    _refuse_unknown(path, document, (), FILE, errors)
    common = _over(base, _plain({k: v for k, v in document.items() if k in SETTING}))
    alone = {"expect", "verdict", "says", "fired", "days", "log"} & set(document)
    listed = document.get("cases", [document] if alone else None)
    if errors:
        raise ConfigError(errors)
    if listed is None:
        return []  # a file that others are based on
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        raise ConfigError([f"{_shown(path)}:{line_of(document, ('cases',))}: 'cases' is a list"])
    found = []
    for position, given in enumerate(listed):
        at = ("cases", position) if "cases" in document else ()
        try:
            found.append(_case(path, document, at, given, common, checklists))
        except ConfigError as error:
            errors += error.errors
    if errors:
        raise ConfigError(errors)
    return found


def _case(
    path: Path, document: Any, at: tuple[Any, ...], given: Any, common: Mapping[str, Any], folder: Path | None
) -> Case:
    errors: list[str] = []
    if not isinstance(given, Mapping):
        raise ConfigError([f"{_shown(path)}:{line_of(document, at)}: a case has the keys {', '.join(CASE)}"])
    if at:
        _refuse_unknown(path, document, at, CASE, errors)
    if errors:
        raise ConfigError(errors)
    place = f"{_shown(path)}:{line_of(document, (*at, 'case') if 'case' in given else at)}"
    name = f"{path.stem}: {given['case']}" if "case" in given else path.stem
    try:
        setting = _over(common, _plain({k: v for k, v in given.items() if k in SETTING}))
        checklist = _checklist(path, document, str(setting.get("stage", "")), folder)
        if "log" in given:
            return Case(name, place, checklist, (), str(given["log"]), _expected(_plain(given), checklist))
        if "fired" in given:
            raise ValueError("`fired` goes with `log`: readings by hand make nothing fire")
        moments = []
        for step in given.get("days", [{}]):
            own = {**{key: given.get(key) for key in ("expect", "verdict", "says")}, **step}
            if not set(step) <= set(CASE):
                unknown = sorted(set(step) - set(CASE))[0]
                raise ValueError(f"'{unknown}' is not a key of a day{did_you_mean(unknown, CASE)}")
            setting = _over(setting, _plain({k: v for k, v in step.items() if k in SETTING}))
            raises = bool(step.get("raises", given.get("raises", False)))
            moments.append(_moment(setting, checklist, _plain(own), raises))
        if not moments:
            raise ValueError("`days` has no day, so nothing would be judged")
    except (KeyError, TypeError, ValueError) as error:
        said = f"'{error.args[0]}' is missing" if isinstance(error, KeyError) else str(error)
        if said == "'as_of' is missing":
            said += ": give it, or `base:` with a file that has it (healthy.yaml of the cases that ship)"
        raise ConfigError([f"{place}: {said}"]) from None
    return Case(name, place, checklist, moments)


def _moment(setting: Mapping[str, Any], checklist: Checklist, own: Mapping[str, Any], raises: bool) -> Moment:
    as_of = _instant(setting["as_of"])
    policy = str(setting["policy"])
    gone = setting.get("without", {})
    estimates = {_split(n): _estimate(e) for n, e in setting.get("estimates", {}).items() if e is not None}
    facts = {name: _aware(value) for name, value in setting.get("facts", {}).items()}
    kind = Raising if raises else Given
    evidence = kind(
        stage=checklist.stage,
        policy=policy,
        as_of=as_of,
        window_start=_instant(setting["from"]) if "from" in setting else None,
        window_end=as_of,
        facts=_Broken(facts) if raises else facts,
        estimates={n: e for n, e in estimates.items() if n[0] not in gone.get("estimates", ())},
        windows={
            _split(n): _readings(_split(n), r, policy, as_of)
            for n, r in setting.get("readings", {}).items()
            if n not in gone.get("readings", ()) and r is not None
        },
        journal=[
            _event(e, seq, policy, as_of)
            for seq, e in enumerate(setting.get("events", []))
            if e["kind"] not in gone.get("events", ()) or e.get("kept")
        ],
    )
    firings = [_firing(f) for f in setting.get("firings", [])]
    return Moment(evidence, firings, _expected(own, checklist))


class Raising(Given):
    """Evidence that breaks whenever a check looks at it."""

    def estimate(self, metric: str, key: str = "") -> Estimate:
        raise RuntimeError(BROKE)

    def series(self, metric: str, key: str = "") -> Sequence[Reading]:
        raise RuntimeError(BROKE)

    def keys(self, metric: str) -> Sequence[str]:
        raise RuntimeError(BROKE)

    def events(self, kind: str) -> Sequence[Any]:
        raise RuntimeError(BROKE)


class _Broken(dict[str, Any]):
    """Facts of which only the hash of the configuration can still be read."""

    def get(self, name: str, default: Any = None) -> Any:
        if name == "config_hash":
            return super().get(name, default)
        raise RuntimeError(BROKE)


def _expected(own: Mapping[str, Any], checklist: Checklist) -> Expected:
    items, verdict = own.get("expect") or {}, own.get("verdict") or {}
    if not items and not verdict and not own.get("fired"):
        raise ValueError("nothing is expected: add `expect` (item: OUTCOME reason) or `verdict`")
    known = [item.item for item in checklist.items]
    for item, lines in items.items():
        if item not in known:
            raise ValueError(f"expect: {checklist.stage} has no item '{item}'{did_you_mean(item, known)}")
        for line in [lines] if isinstance(lines, str) else lines:
            if str(line).partition(" ")[0] not in Outcome.__members__:
                hint = did_you_mean(str(line), Outcome.__members__)
                raise ValueError(f"expect: '{line}' of {item} does not begin with an outcome{hint}")
    for key in verdict:
        if key not in ("outcome", "exit_code"):
            raise ValueError(f"verdict: '{key}' is not known; it has `outcome` and `exit_code`")
    return Expected(items, verdict, own.get("says") or [], own.get("fired") or [])


def _checklist(path: Path, document: Any, stage: str, folder: Path | None) -> Checklist:
    stage = stage_named(stage)
    if "checklist" in document:
        return read(path.parent / str(document["checklist"]), stage)
    return load(stage, folder)


def _over(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes`: facts, estimates, readings and `without` by name, events added, the rest
    replaced."""
    merged = dict(base)
    for key, value in changes.items():
        before = merged.get(key)
        if key in ("facts", "estimates", "readings", "without") and isinstance(before, Mapping):
            merged[key] = {**before, **value}
        elif key == "events" and before:
            merged[key] = [*before, *({**event, "kept": True} for event in value)]
        else:
            merged[key] = value
    return merged


def _refuse_unknown(
    path: Path, document: Any, at: tuple[Any, ...], known: Sequence[str], errors: list[str]
) -> None:
    node = document
    for step in at:
        node = node[step]
    for key in node:
        if key not in known:
            line = line_of(document, (*at, key))
            errors.append(f"{_shown(path)}:{line}: key '{key}' is not known{did_you_mean(str(key), known)}")


def _document(path: Path) -> Any:
    try:
        document = read_yaml(path)
    except ConfigError as error:
        raise ConfigError([f"{path.parent.name}/{text}" for text in error.errors]) from None
    if not isinstance(document, Mapping):
        raise ConfigError([f"{_shown(path)}:1: a case file has the keys {', '.join(FILE)}"])
    return document


def _shown(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _split(name: str) -> tuple[str, str]:
    metric, _, key = str(name).partition("/")
    return metric, key


def _estimate(given: Any) -> Estimate:
    """`[value, low, high, n]`, a fifth is its reason; `[value, n]` counted; a text is why it is missing."""
    if isinstance(given, str):
        return missing(given)
    if len(given) == 2:
        value, n = given
        return Estimate(value, value, value, LEVEL, n, "", "counted")
    value, low, high, n, *reason = given
    return Estimate(value, low, high, LEVEL, n, "", "by hand", *reason)


def _readings(name: tuple[str, str], given: Any, policy: str, as_of: datetime) -> list[Reading]:
    """`[value, ago]` for each window: when it ended, such as 2h."""
    found = []
    for value, ago in [given] if not isinstance(given[0], Sequence) else given:
        end = as_of - _span(ago)
        estimate = Estimate(value, value, value, LEVEL, 1000.0, "", "by hand")
        found.append(Reading(estimate, *name, policy, "", end - timedelta(hours=1), end))
    return found


def _event(given: Mapping[str, Any], seq: int, policy: str, as_of: datetime) -> GivenEvent:
    at = _instant(given["at"]) if "at" in given else as_of - _span(given["ago"])
    body = {name: _aware(value) for name, value in given.get("body", {}).items()}
    return GivenEvent(str(given["kind"]), at, str(given.get("subject", policy)), body, seq)


def _firing(given: Mapping[str, Any]) -> RecordedFiring:
    return RecordedFiring(**{**given, "window_start": None, "window_end": None})


def _span(text: Any) -> timedelta:
    number, unit = str(text)[:-1], str(text)[-1:]
    if unit not in HOURS:
        raise ValueError(f"'{text}' is not a time span such as 20m, 3h or 6d")
    return timedelta(hours=float(number) * HOURS[unit])


def _instant(value: Any) -> datetime:
    found = _aware(value)
    if not isinstance(found, datetime):
        found = datetime.fromisoformat(str(value))
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def _aware(value: Any) -> Any:
    """Dates and times of YAML as aware datetimes, inside mappings too."""
    if isinstance(value, Mapping):
        return {name: _aware(v) for name, v in value.items()}
    if isinstance(value, datetime):
        return datetime.fromisoformat(value.isoformat()).replace(tzinfo=value.tzinfo or UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return value


def _plain(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {str(k): _plain(v) for k, v in node.items()}
    return [_plain(v) for v in node] if isinstance(node, list) else node


def files_of(paths: Sequence[Path]) -> Iterator[Path]:
    """The case files that are named, or that lie in folders that are; raises ConfigError where none is."""
    for path in paths:
        found = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
        if not found or not found[0].exists():
            raise ConfigError([f"{path}: there are no case files (*.yaml) there"])
        yield from found
