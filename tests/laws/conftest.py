"""The laws hold for every family: their configuration maps predictions too, and names its actions."""

from pathlib import Path

import pytest

from monitor import config as configuration
from monitor.config import Loaded
from tests.conftest import CONFIG

SOURCE = '    - {paths: ["logs/*.jsonl"], format: jsonl}\n'
PLANNED = (
    '    - {paths: ["planned/*.jsonl"], format: jsonl, '
    "columns: {policy_id: policy, predicted_load: load_next}}\n"
)
EXPERIMENT = "experiment: {share: 0.2, from: 2025-11-25, days: 14}\n"


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    """The small configuration of the other tests, a second source and an experiment."""
    assert SOURCE in CONFIG
    path = tmp_path / "monitor.yaml"
    text = CONFIG.replace(SOURCE, SOURCE + PLANNED) + "actions: [a, b, c]\n" + EXPERIMENT
    path.write_text(text, "utf-8")
    return configuration.load(path)
