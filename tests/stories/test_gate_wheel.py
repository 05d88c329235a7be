"""The built wheel, installed in an environment of its own and used outside the checkout."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from pathlib import Path

import jsonschema
import pytest

import monitor
from tests.stories.building import Plant
from tests.stories.test_gate_empty import SCHEMA, WRONG

ROOT = Path(monitor.__file__).parents[1]
PACKAGES = ("monitor", "gates", "alerts", "checklists", "sample_logs")


def ran(arguments: Sequence[str | Path], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(a) for a in arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of a new environment that has the wheel and, behind it, what the
    running one has, so that nothing is downloaded."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__", "generated")
        shutil.copytree(ROOT / package, source / package, ignore=ignored)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    built = ran([sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", folder, source], folder)
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = Path(ran([python, "-c", asked], folder).stdout.strip())
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python, "install"]
    done = ran([*pip, "--no-deps", "--no-index", "--quiet", wheel], folder)
    assert done.returncode == 0, done.stderr
    (own / "behind.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    return folder / "env" / "bin"


def test_the_wheel_carries_everything_it_needs(installed: Path, tmp_path: Path) -> None:
    code = f"import {', '.join(PACKAGES)}; print(*(m.__file__ for m in ({', '.join(PACKAGES)})))"
    done = ran([installed / "python", "-c", code], tmp_path)
    assert done.returncode == 0, done.stderr
    places = {package: Path(file).parent for package, file in zip(PACKAGES, done.stdout.split(), strict=True)}
    for package, place in places.items():
        assert place.is_relative_to(installed.parent)
        here = {p.relative_to(ROOT / package) for p in (ROOT / package).rglob("*.py")}
        assert here == {p.relative_to(place) for p in place.rglob("*.py")}
    assert ran([installed / "monitor", "version"], tmp_path).stdout.strip() == monitor.__version__


def test_the_installed_gate_holds_on_an_empty_store_and_its_json_is_valid(
    installed: Path, tmp_path: Path
) -> None:
    plant = Plant(tmp_path)
    for stage in ("shadow", "offline", "limited", "full"):
        done = ran([installed / "monitor", "gate", "--stage", stage, "--format", "json"], plant.folder)
        assert (done.returncode, done.stderr) == (3, "")
        jsonschema.validate(json.loads(done.stdout), SCHEMA)
    run = ran([installed / "monitor", "run"], plant.folder)
    assert run.returncode == 0, run.stderr


def test_the_installed_command_names_three_mistakes_with_file_and_line(
    installed: Path, tmp_path: Path
) -> None:
    (tmp_path / "monitor.yaml").write_text(WRONG, "utf-8")
    done = ran([installed / "monitor", "gate", "--stage", "shadow"], tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    named = [line.split(": ")[0] for line in done.stderr.splitlines()]
    assert named == ["monitor.yaml:4", "monitor.yaml:5", "monitor.yaml:7"]
