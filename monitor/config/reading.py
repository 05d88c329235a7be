"""Reading monitor.yaml: refused with all its errors at once, each with file:line and a suggestion."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from monitor import suite
from monitor.config.log import Log, Source
from monitor.config.models import Config, Reach
from monitor.config.values import ConfigError, Model, did_you_mean

MOST_BYTES, MOST_NODES = 1 << 20, 100_000
SECRET = re.compile(
    r"xox[a-z]-[\w-]{8}|hooks\.slack\.com/services/|://[^/@\s]+@|[?&][\w-]*(?:token|key|secret|password)=",
    re.IGNORECASE,
)
NOT_YET = {
    "baseline.path": "a baseline from a file of its own",
}


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
    errors += [(line, text) for line, text in _secrets(document)]
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
    for key, place in (("store", config.store), ("reports", config.reports)):
        if place and not loaded.path(place).resolve().is_relative_to(loaded.folder):
            line = line_of(document, (key,))
            said = f"'{key}' leads out of the folder of monitor.yaml by a link"
            raise ConfigError([f"{path.name}:{line}: {said}"])
    if config.expectations and config.expectations.suite:
        try:
            suite.read(loaded.path(config.expectations.suite), suite.columns(config))
        except ValueError as error:
            raise ConfigError(str(error).splitlines()) from None
    return loaded


def load_reach(path: Path) -> tuple[Reach, Path, list[str]]:
    """What the override needs of `monitor.yaml`, its folder, and the mistakes of the rest of the file. Raises
    ConfigError where what it needs is wrong itself."""
    try:
        loaded = load(path)
    except ConfigError as error:
        document = read_yaml(path)
        if not isinstance(document, CommentedMap):
            raise
        try:
            return Reach.model_validate(_plain(document)), path.resolve().parent, error.errors
        except ValidationError:
            raise error from None
    return loaded.config.reach, loaded.folder, []


def read_yaml(path: Path) -> Any:
    """A YAML file as ruamel's commented containers, which know their lines: to be read, not changed,
    since the same text is parsed once in a process. Raises ConfigError."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigError([f"{path.name}: is larger than {MOST_BYTES >> 20} MiB: it holds only names"])
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
    except RecursionError:
        raise ConfigError([f"{path.name}:1: is nested too deeply"]) from None
    except (YAMLError, ValueError) as error:
        raise ConfigError([f"{path.name}:1: is not valid YAML: {str(error).splitlines()[0]}"]) from None


@lru_cache(maxsize=16)
def _parsed(text: str) -> Any:
    yaml = YAML(typ="rt")
    yaml.allow_duplicate_keys = False
    document = yaml.load(text)
    _counted(document, [MOST_NODES])
    return document


def _counted(node: Any, left: list[int]) -> None:
    """Raise ValueError for more nodes than a file of this size needs: aliases of aliases multiply."""
    left[0] -= 1
    if left[0] < 0:
        raise ValueError(f"it unfolds to more than {MOST_NODES} values")
    for value in node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ():
        _counted(value, left)


def _secrets(document: Any) -> Iterator[tuple[int, str]]:
    """Values that look like a secret: they belong into the environment. They are not repeated."""
    for at, node in _walk(document):
        if isinstance(node, str) and SECRET.search(node):
            dotted = ".".join(str(step) for step in at)
            said = f"'{dotted}' holds what looks like a secret: secrets come from the environment or a file"
            yield line_of(document, at), said


def _walk(node: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    yield at, node
    items = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from _walk(value, (*at, key))


def line_of(document: Any, location: tuple[Any, ...]) -> int:
    """1-based line of the key or item at `location`, or of the nearest parent that exists."""
    for end in range(len(location), 0, -1):
        line = _line_of(document, location[:end])
        if line is not None:
            return line
    return 1


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
    if kind == "address" or (isinstance(shown, str) and SECRET.search(shown)):
        shown = None  # it may hold a secret
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
