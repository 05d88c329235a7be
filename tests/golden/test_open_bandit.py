"""The real logs reproduce the published numbers; skipped where the data cannot be downloaded."""

import csv
from pathlib import Path

import numpy as np
import pytest

from monitor.config import load
from sample_logs import open_bandit
from sample_logs.open_bandit import LOGS, NotAvailable, thompson_probabilities

GOLDEN = Path(__file__).parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    try:
        return open_bandit.download(tmp_path_factory.mktemp("download"))
    except NotAvailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def random_all(wheel, tmp_path_factory):
    folder = open_bandit.write("random_all", tmp_path_factory.mktemp("random_all"), wheel)
    return folder, _columns(folder)


def _columns(folder):
    with (folder / "logs" / "decisions.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _weights(columns):
    return columns["candidate_propensity"].astype(float) / columns["propensity_score"].astype(float)


@pytest.mark.parametrize("campaign", ["all", "men"])
def test_the_thompson_probabilities_are_those_of_the_reference_table(wheel, campaign):
    table = thompson_probabilities(wheel, campaign)
    with (GOLDEN / f"obd_bts_{campaign}.csv").open() as file:
        reference = list(csv.DictReader(file))
    assert len(reference) == table.size
    for row in reference:
        expected = float(row["probability"])
        noise = np.sqrt(2 * max(expected * (1 - expected), 1e-5) / open_bandit.DRAWS)
        assert abs(table[int(row["item_id"]), int(row["position"]) - 1] - expected) < 5 * noise


def test_random_to_thompson_gives_the_known_values(random_all):
    _, columns = random_all
    w, r = _weights(columns), columns["click"].astype(float)
    assert len(w) == 10_000
    assert (w * r).mean() == pytest.approx(0.00455288, rel=0.02)
    assert (w * r).sum() / w.sum() == pytest.approx(0.00477583, rel=0.02)
    assert w.sum() ** 2 / (w**2).sum() == pytest.approx(1639.5, rel=0.03)
    assert w.mean() == pytest.approx(0.953316, rel=0.01)
    assert w.max() == pytest.approx(19.598, rel=0.02)


def test_the_config_maps_columns_that_the_log_has(random_all):
    folder, columns = random_all
    (source,) = load(folder / "monitor.yaml").config.log.sources
    assert set(source.columns.values()) <= set(columns)


def test_thompson_to_uniform_rests_on_two_rows(wheel, tmp_path):
    w = _weights(_columns(open_bandit.write("bts_women", tmp_path, wheel)))
    assert w.sum() ** 2 / (w**2).sum() < 3


@pytest.mark.parametrize("name", LOGS)
def test_every_real_log_has_a_config_with_its_two_policies(name):
    log = LOGS[name]
    path = Path(open_bandit.__file__).parent / f"open_bandit_{log.policy}.yaml"
    config = load(path).config
    assert (config.policies.candidate, config.policies.incumbent) == (log.candidate, log.policy)
    assert config.log.sources[0].constants == {"policy_id": log.policy, "candidate_id": log.candidate}


def test_without_a_package_index_it_says_so_in_one_sentence_and_exits_with_4(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert open_bandit.main(["random_all", "-o", str(tmp_path)]) == 4
    said = capsys.readouterr().err
    assert said.startswith("The Open Bandit logs were not written because pip could not download obp==0.4.1")
    assert len(said.splitlines()) == 1


def test_a_package_of_other_bytes_is_not_read(tmp_path):
    (tmp_path / open_bandit.WHEEL).write_bytes(b"something else")
    with pytest.raises(NotAvailable, match="SHA-256"):
        open_bandit.download(tmp_path)
