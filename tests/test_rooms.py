"""Which room may import what: an AST walk over every module, so that a line stays where it belongs."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("monitor", "gates", "alerts", "checklists", "sample_logs")

# room (longest prefix wins) -> what its modules may import beside the standard library
WIRING = {
    f"monitor/{name}.py"
    for name in (
        *("gating", "measuring", "stateless", "log_cases", "telling", "reports", "looking"),
        *("cli", "jobs", "verdicts", "judge", "acting", "acts", "status", "capture", "sheet", "readings"),
        *("rules", "breaches", "evidence", "live_evidence", "evaluate", "promotion", "place", "waiving"),
        *("road", "road_lines", "mining", "day_readings"),
    )
}
STORES = {"duckdb", "pyarrow", "numpy"}
ROOMS: dict[str, set[str]] = {
    "monitor/__init__.py": set(),
    "monitor/config": {"pydantic", "pydantic_core", "ruamel", "monitor.suite", "monitor.config"},
    "monitor/suite.py": set(),
    "monitor/reference.py": {"duckdb", "monitor.config", "monitor.log"},
    "monitor/expectations.py": {"monitor", "pandas", "great_expectations"},
    "monitor/chain.py": set(),
    "monitor/journal.py": {"monitor.chain"},
    "monitor/incidents.py": {"monitor.chain", "monitor.journal"},
    "monitor/windows.py": {"monitor.journal"},
    "monitor/level.py": {"monitor.journal"},
    "monitor/target.py": {"gates", "monitor.journal"},
    "monitor/button.py": {
        "alerts", "gates", "monitor.chain", "monitor.config", "monitor.journal", "monitor.target",
    },
    "monitor/drills.py": {
        "alerts", "gates", "monitor.button", "monitor.chain", "monitor.config", "monitor.journal",
        "monitor.target",
    },
    "monitor/scenarios.py": {"numpy", "monitor.config", "monitor.metrics"},
    "monitor/conditions.py": {"monitor.config", "monitor.sums"},
    "monitor/schedule.py": {"apscheduler", "monitor", "alerts"},
    "monitor/store.py": {"duckdb"},
    "monitor/pii.py": {"duckdb", "monitor.config", "monitor.store"},
    "monitor/retention.py": {"duckdb", "monitor.config", "monitor.store"},
    "monitor/first_hour": {*STORES, "monitor", "gates", "ruamel"},
    "monitor/report": {"jinja2", "markupsafe", "duckdb", "monitor", "gates", "alerts"},
    "monitor/report/charts.py": {"vl_convert"},
    "monitor/serve": {
        *("starlette", "anyio", "uvicorn", "prometheus_client", "markupsafe"), "monitor", "gates", "alerts",
    },
    "monitor/stage.py": {"duckdb", "gates", "monitor"},
    "monitor/replay": {"duckdb", "monitor", "gates"},
    "monitor/score": {*STORES, "monitor"},
    "monitor/score/worker.py": set(),
    "monitor/metrics": {"numpy", "scipy", "diptest", "monitor.metrics"},
    "monitor/triggers": {"numpy", "scipy", "monitor.metrics", "monitor.triggers"},
    "monitor/log": {
        *STORES, "monitor.log", "monitor.config", "monitor.store", "monitor.suite", "monitor.pii",
        "monitor.retention",
    },
    "monitor/sums": {
        *STORES, "monitor.sums", "monitor.metrics", "monitor.config", "monitor.store", "monitor.pii",
        "monitor.retention",
    },
    **{
        file: {*STORES, "monitor", "gates", "alerts", "sample_logs", "typer", "rich"}
        for file in WIRING
    },
    "gates": {"gates", "monitor.metrics.estimate", "monitor.config", "rich"},
    "alerts": {"alerts", "monitor.chain", "monitor.journal", "rich", "slack_sdk", "apprise"},
    "checklists": set(),
    "sample_logs/pictures.py": {"playwright", "monitor"},
    "sample_logs": {*STORES, "scipy", "ruamel", "sample_logs", "monitor", "gates", "alerts"},
}
# a dependency or module with a home of its own -> the only files that import it
HOMES: dict[str, set[str]] = {
    "slack_sdk": {"alerts/channels/slack.py"},
    "apprise": {"alerts/channels/apprise.py"},
    "vl_convert": {"monitor/report/charts.py"},
    "jinja2": {"monitor/report/page.py"},
    "starlette": {"monitor/serve/app.py"},
    "uvicorn": {"monitor/serve/__init__.py"},
    "prometheus_client": {"monitor/serve/machine.py"},
    "sqlite3": {"monitor/journal.py"},
    "pydantic": {f"monitor/config/{name}.py" for name in ("log", "models", "reacting", "reading", "values")},
    "ruamel": {"monitor/config/reading.py", "sample_logs/open_bandit.py"},
    "typer": {"monitor/cli.py"},
    "great_expectations": {"monitor/expectations.py"},
    "pandas": {"monitor/expectations.py"},
    "apscheduler": {"monitor/schedule.py"},
    "diptest": {"monitor/metrics/modes.py"},
    "subprocess": {"sample_logs/open_bandit.py", "monitor/score/call.py", "alerts/rollback/command.py"},
    "urllib.request": {"alerts/http.py"},
}
# only inside functions: a fast gate
LAZY = (
    *("scipy", "slack_sdk", "apprise", "vl_convert", "rich", "great_expectations", "pandas", "apscheduler"),
    "diptest", "uvicorn",
)
NEVER = (
    *("scipy.stats", "pickle", "marshal", "shelve", "yaml", "sqlglot"),
    *("socket", "requests"),
)
EVALUATES = ("eval", "exec", "__import__", "os.system", "os.popen")
CLOCK = {"monitor/cli.py", "monitor/jobs.py", "sample_logs/demo.py", "sample_logs/open_bandit_demo.py"}
CLOCK_CALLS = {
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today"),
    *("time.time", "time.time_ns", "time.localtime", "time.gmtime"),
}
LOCK_WAIT = {
    "monitor/store.py", "monitor/journal.py", "sample_logs/demo.py", "alerts/rollback/webhook.py",
    "alerts/delivery.py", "monitor/button.py", "monitor/drills.py",
}
FILES = sorted(str(p.relative_to(ROOT)) for package in PACKAGES for p in (ROOT / package).rglob("*.py"))


class Imported(NamedTuple):
    name: str
    line: int
    lazy: bool


@pytest.mark.parametrize("file", FILES)
def test_a_module_imports_only_what_its_room_may(file: str) -> None:
    allowed = ROOMS[_room(file)]
    wrong = [
        f"{file}:{i.line} imports {i.name}"
        for i in _imports(file)
        if not _standard(i.name) and not any(_within(i.name, a) for a in allowed)
    ]
    assert not wrong, "\n".join(wrong)


def test_a_dependency_with_a_home_is_imported_nowhere_else() -> None:
    found: dict[str, set[str]] = {name: set() for name in HOMES}
    for file in FILES:
        for imported in _imports(file):
            for name in HOMES:
                if _within(imported.name, name):
                    found[name].add(file)
    assert found == HOMES


def test_heavy_modules_are_imported_inside_functions() -> None:
    assert not [
        f"{file}:{i.line} imports {i.name} at its top"
        for file in FILES
        if not file.startswith("sample_logs/")
        for i in _imports(file)
        if not i.lazy and any(_within(i.name, heavy) for heavy in LAZY)
    ]


def test_nothing_imports_what_is_unsafe_or_not_installed_with_the_application() -> None:
    assert not [
        f"{file}:{i.line} imports {i.name}"
        for file in FILES
        for i in _imports(file)
        if any(_within(i.name, never) for never in NEVER)
    ]


def test_nothing_evaluates_text_or_starts_a_shell() -> None:
    wrong = []
    for file in FILES:
        for call in (n for n in ast.walk(_tree(file)) if isinstance(n, ast.Call)):
            shell = any(k.arg == "shell" for k in call.keywords)
            unsafe_yaml = any(k.arg == "typ" and ast.unparse(k.value) == "'unsafe'" for k in call.keywords)
            if shell or unsafe_yaml or _called(call) in EVALUATES:
                wrong.append(f"{file}:{call.lineno} calls {_called(call)}")
    assert not wrong, "\n".join(wrong)


def test_only_the_command_line_and_the_jobs_read_the_clock() -> None:
    wrong = []
    for file in FILES:
        for call in (n for n in ast.walk(_tree(file)) if isinstance(n, ast.Call)):
            name = ".".join(_called(call).split(".")[-2:])
            if name in CLOCK_CALLS and file not in CLOCK:
                wrong.append(f"{file}:{call.lineno} calls {name}")
            if name in ("time.monotonic", "time.perf_counter") and file not in LOCK_WAIT:
                wrong.append(f"{file}:{call.lineno} calls {name}")
    assert not wrong, "\n".join(wrong)


def test_wiring_computes_no_statistics() -> None:
    assert not [f"{file} imports {i.name}" for file in WIRING for i in _imports(file) if "scipy" in i.name]


def _room(file: str) -> str:
    found = [room for room in ROOMS if file == room or file.startswith(f"{room}/")]
    assert found, f"{file} is in no room; add it to the table of this test and of ARCHITECTURE.md"
    return max(found, key=len)


def _imports(file: str) -> Iterator[Imported]:
    """Every import but those that only the type checker sees."""
    tree = _tree(file)
    functions = [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    lazy = {id(inner) for function in functions for inner in ast.walk(function)}
    typing = {
        id(inner)
        for n in ast.walk(tree)
        if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"
        for inner in ast.walk(n)
    }
    for node in ast.walk(tree):
        if id(node) in typing:
            continue
        if isinstance(node, ast.Import):
            yield from (Imported(a.name, node.lineno, id(node) in lazy) for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}:{node.lineno} imports relatively"
            for a in node.names:
                yield Imported(_module(str(node.module), a.name), node.lineno, id(node) in lazy)


def _module(module: str, name: str) -> str:
    """`from monitor import config` imports the module monitor.config."""
    place = ROOT / Path(*module.split("."), name)
    return f"{module}.{name}" if place.with_suffix(".py").exists() or place.is_dir() else module


def _tree(file: str) -> ast.Module:
    return ast.parse((ROOT / file).read_text("utf-8"))


def _called(call: ast.Call) -> str:
    return ast.unparse(call.func)


def _within(name: str, room: str) -> bool:
    return name == room or name.startswith(f"{room}.")


def _standard(name: str) -> bool:
    return name.split(".")[0] in sys.stdlib_module_names
