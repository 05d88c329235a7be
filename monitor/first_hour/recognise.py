"""Which column of a log is which column of a decision: by its name, and only if its content agrees."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from monitor.first_hour.facts import Facts
from monitor.first_hour.words import (
    ACTION_PREFIXES,
    CONSTRAINT_WORDS,
    NAMES,
    OTHER_POLICY,
    STATE_PREFIXES,
    UNIT_ENDS,
    UNIT_WORDS,
)

MANY = 50
READ_TIMES = ("iso", "epoch_seconds", "epoch_milliseconds")


@dataclass(frozen=True)
class Guess:
    """A column of a decision (`target`), where the log has it (`path`), and why it is taken for that."""

    target: str
    path: str
    why: str


@dataclass(frozen=True)
class Recognised:
    """What was recognised in records of one shape. `doubts` are columns whose name says one thing and
    whose content another, with a sentence; `left` columns that nothing is known about."""

    guesses: Mapping[str, Guess]
    facts: Mapping[str, Facts]
    doubts: Sequence[str] = ()
    left: Sequence[str] = field(default=())

    def of(self, target: str) -> Facts | None:
        """Facts of the column that was taken for `target`."""
        guess = self.guesses.get(target)
        return self.facts[guess.path] if guess else None


def recognise(columns: Sequence[Facts]) -> Recognised:
    """Recognise the columns of one log: each column once, each target once."""
    facts, free = {c.name: c for c in columns}, {c.name: c for c in columns}
    guesses: dict[str, Guess] = {}
    doubts: list[str] = []
    doubted: dict[str, Facts] = {}

    def take(target: str, column: Facts, why: str) -> None:
        guesses[target] = Guess(target, column.name, why)
        free.pop(column.name)

    for target, names in NAMES.items():
        named = _named(free.values(), names)
        faults = [CONTENT[target](column) for column in named]
        if "" in faults:
            column = named[faults.index("")]
            take(target, column, _seen(column))
        elif named and target != "segment":
            doubts.append(f"column '{named[0].name}' is named like {target}, but {faults[0]}")
            doubted[named[0].name] = named[0]
    free = {name: column for name, column in free.items() if name not in doubted}
    for target, column, why in _related(list(free.values()), guesses):
        if target not in guesses and not CONTENT[target](column):
            take(target, column, f"{why}; {_seen(column)}")
    if "ts" not in guesses:
        times = [c for c in free.values() if c.time in READ_TIMES and c.filled == c.rows and not _odd_time(c)]
        if len(times) == 1:
            take("ts", times[0], f"the only column that holds times: {_seen(times[0])}")
    if "decision_id" not in guesses:
        unique = [c for c in free.values() if c.unique and c.time is None and (c.kind == "text" or c.whole)]
        if len(unique) == 1:
            take("decision_id", unique[0], "the only column with another value in every row")
    if "decision_id" not in guesses and "ts" in guesses and facts[guesses["ts"].path].unique:
        why = "no column is an id; the time is another one in every row of the sample"
        guesses["decision_id"] = Guess("decision_id", guesses["ts"].path, why)
    for target, column in _families(list(free.values()), "action" in guesses):
        if target.startswith("state_") and _outcome_like(column):
            doubts.append(
                f"column '{column.name}' holds only 0 and 1: a reward, a cost_NAME or a state_NAME? "
                "it is not used until you map it"
            )
        elif target not in guesses:
            take(target, column, _seen(column))
    return Recognised(guesses, facts, doubts, list(free))


def snake(name: str) -> str:
    """`userId`, `user-id` and `User ID` as `user_id`; a name that monitor.yaml takes."""
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    text = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return text if text[:1].isalpha() else f"x_{text}" if text else "x"


def propensity_form(column: Facts) -> str | None:
    """probability, density or log, by range: (0, 1], above 1 somewhere, never above 0."""
    if column.kind != "number" or not column.filled:
        return None
    if column.high <= 0:
        return "log"
    if column.low < 0:
        return None
    named = any(w in snake(column.name).split("_") for w in ("density", "pdf"))
    return "density" if named or column.high > 1 else "probability"


def _named(columns: Iterable[Facts], names: Sequence[str]) -> list[Facts]:
    """The columns that are called one of `names`, the most telling name first."""
    listed, found = list(columns), dict[str, Facts]()
    for part in (snake, lambda n: snake(n.rsplit(".", 1)[-1])):
        by_name = {part(c.name): c for c in reversed(listed)}
        for column in (by_name[name] for name in names if name in by_name):
            if part is snake or not _is_state(column.name):
                found.setdefault(column.name, column)
    return list(found.values())


def _is_state(name: str) -> bool:
    return snake(name.split(".")[0]) in STATE_PREFIXES and "." in name


def _related(free: Sequence[Facts], guesses: Mapping[str, Guess]) -> list[tuple[str, Facts, str]]:
    """What is named after a column that was recognised, or after somebody who returns.

    The executed action's or propensity's name with the word for another policy before or after it is
    that of the candidate: `offer` and `shadow_offer`. `customer_ref` names a unit.
    """
    found = []
    for own, target in (("action", "candidate_action"), ("propensity", "candidate_propensity")):
        name = snake(guesses[own].path) if own in guesses else ""
        for column in free:
            words = {snake(column.name).replace(f"{p}_", "", 1) for p in OTHER_POLICY}
            ends = {snake(column.name).removesuffix(f"_{p}") for p in OTHER_POLICY}
            if name and snake(column.name) != name and name in words | ends:
                found.append((target, column, f"named like {guesses[own].path}, for another policy"))
    for column in free:
        words_of = snake(column.name).split("_")
        if len(words_of) > 1 and words_of[-1] in UNIT_ENDS and set(words_of) & set(UNIT_WORDS):
            found.append(("unit_id", column, "who or what comes again"))
    return found


def _outcome_like(column: Facts) -> bool:
    """Only 0 and 1, and nothing says that it is known before the decision: it may be a result of it."""
    return column.kind == "number" and column.zero_one and not _prefixed(column.name)


def _families(free: Sequence[Facts], one_action: bool) -> list[tuple[str, Facts]]:
    """Costs, dimensions of a continuous action and states: as many columns as there are."""
    found: list[tuple[str, Facts]] = []
    rest = []
    for column in free:
        name = snake(column.name)
        if column.kind == "number" and column.zero_one and any(word in name for word in CONSTRAINT_WORDS):
            last = snake(column.name.rsplit(".", 1)[-1])
            found.append(("cost_" + (last.removeprefix("cost_") or name), column))
            continue
        dimension = None if column.kind != "number" else _dimension(name)
        if dimension and not (one_action and dimension[0] == "action_"):
            found.append(("".join(dimension), column))
            continue
        rest.append(column)
    states = [(s, c) for c in rest if (s := _state(c)) and _varies(c)]
    marked = [(s, c) for s, c in states if _prefixed(c.name)]
    return found + [("state_" + s, c) for s, c in marked or states]


def _dimension(name: str) -> tuple[str, str] | None:
    for target, prefixes in ACTION_PREFIXES.items():
        for prefix in prefixes:
            if name.startswith(prefix + "_"):
                return target + "_", name.removeprefix(prefix + "_")
    return None


def _state(column: Facts) -> str:
    """The feature's name without its prefix, '' for a column that is none."""
    if column.kind not in ("number", "text", "flag") or column.time is not None:
        return ""
    if column.kind == "text" and column.distinct > MANY:
        return ""
    if column.unique and column.whole and column.kind == "number":
        return ""
    parts = column.name.split(".")
    name = snake(parts[-1] if len(parts) > 1 and snake(parts[0]) in STATE_PREFIXES else column.name)
    return name.removeprefix("state_") or name


def _prefixed(name: str) -> bool:
    return _is_state(name) or any(snake(name).startswith(f"{p}_") for p in STATE_PREFIXES)


def _varies(column: Facts) -> bool:
    return column.distinct > 1


def _seen(column: Facts) -> str:
    """What the sample shows of the column, in a few words."""
    gaps = (
        f", empty in {100 * (1 - column.filled / column.rows):.2g} %" if column.filled < column.rows else ""
    )
    if column.time is not None:
        return f"times as {column.time.replace('_', ' ')}{gaps}"
    if column.unique and (column.kind == "text" or column.whole):
        return "another value in every row"
    if column.kind == "number":
        few = f", {column.distinct} values" if column.distinct <= MANY else ""
        return f"{column.low:.6g} to {column.high:.6g}{few}{gaps}"
    if column.kind in ("text", "flag"):
        if column.distinct > MANY:
            return f"{column.distinct} different values in {column.rows} rows{gaps}"
        shown = " ".join(", ".join(list(column.common)[:3]).split())
        values = "1 value" if column.distinct == 1 else f"{column.distinct} values"
        return f"{values}: {shown[:50]}{' …' if column.distinct > 3 else ''}{gaps}"
    return f"lists of numbers{gaps}" if column.kind == "numbers" else "nothing that can be read"


def _odd_time(column: Facts) -> str:
    if column.time is None:
        return "it holds no times of this century"
    return (
        ""
        if column.time in READ_TIMES
        else f"its times are {column.time.replace('_', ' ')}: divide to milliseconds"
    )


def _time(column: Facts) -> str:
    return _odd_time(column) or ("" if column.filled else "it is empty")


def _identity(column: Facts) -> str:
    if column.distinct >= 0.98 * column.filled > 0 and column.filled >= 0.98 * column.rows:
        return ""
    return f"its values repeat: {column.distinct} in {column.rows} rows"


def _few(column: Facts) -> str:
    if column.distinct == 0 or column.kind not in ("text", "number", "flag"):
        return "it is no name"
    return "" if column.distinct <= MANY else f"it has {column.distinct} values"


def _groups(column: Facts) -> str:
    return "" if column.distinct > 1 else f"it has {column.distinct} value"


def _name(column: Facts) -> str:
    return "" if column.kind in ("text", "number", "flag") and column.distinct else "it holds no single value"


def _number(column: Facts) -> str:
    if column.kind == "flag":
        return "it holds true and false: log 1 and 0"
    return "" if column.kind == "number" and column.filled else "it holds no numbers"


def _share(column: Facts) -> str:
    return "" if column.kind == "number" and column.low > 0 and column.high <= 1 else "it is not in (0, 1]"


def _propensity(column: Facts) -> str:
    return (
        ""
        if propensity_form(column)
        else f"its values are neither in (0, 1] nor all below 0: {_seen(column)}"
    )


def _flag(column: Facts) -> str:
    return "" if column.zero_one else "it is not yes or no"


def _list(column: Facts) -> str:
    return "" if column.kind == "numbers" else "it holds no lists of numbers"


CONTENT: dict[str, Callable[[Facts], str]] = {
    "decision_id": _identity, "ts": _time, "reward_ts": _time, "policy_id": _few, "policy_version": _name,
    "candidate_id": _few, "unit_id": _groups, "episode_id": _groups, "step": _number, "terminal": _flag,
    "action": _name, "candidate_action": _name, "proposed_action": _name, "propensity": _propensity,
    "candidate_propensity": _propensity, "action_probs": _list, "candidate_probs": _list,
    "n_actions": _number, "reward": _number, "proxy_reward": _number, "outcome": _number,
    "keep_prob": _share, "q_value": _number, "candidate_value": _number, "uncertainty": _number,
    "overridden": _flag, "irreversible": _flag, "activated": _flag, "segment": _few,
}  # fmt: skip
