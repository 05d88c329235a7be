"""Labelled scenarios are read strictly, and refused whole with a sentence."""

import json

import pytest

from monitor import config as configuration
from monitor.config import ConfigError
from monitor.scenarios import Scenario, ScenarioError, rank_correlation, read
from tests.conftest import CONFIG

HEAD = "scenario_id,proxy_reward,outcome,acceptable\n"


@pytest.fixture
def reading(tmp_path):
    """Writes a file of scenarios and reads it by a configuration."""

    def run(text, name="s.csv", more=""):
        (tmp_path / name).write_text(text, "utf-8")
        kind = name.rsplit(".")[-1]
        line = f"scenarios: {{paths: ['s*.{kind}'], format: {kind}{more}}}\n"
        (tmp_path / "monitor.yaml").write_text(CONFIG + line, "utf-8")
        loaded = configuration.load(tmp_path / "monitor.yaml")
        return read(loaded, loaded.config.scenarios)

    return run


def test_scenarios_come_by_proxy_and_of_equal_ones_the_worst_first(reading) -> None:
    text = HEAD + "a,1,0.5,true\nb,3,,\nc,3,-1,no\nd,3,2,yes\ne,0.5,0,1\nf,2,1e3,FALSE\n"
    assert reading(text) == [
        Scenario("c", 3, -1, False), Scenario("b", 3, None, None), Scenario("d", 3, 2, True),
        Scenario("f", 2, 1000, False), Scenario("a", 1, 0.5, True), Scenario("e", 0.5, 0, True),
    ]  # fmt: skip


def test_json_lines_say_the_same_and_columns_may_have_other_names(reading) -> None:
    rows = [{"case": "a", "p": 1, "ok": True, "else": [1]}, {"case": 7, "p": "0.5", "ok": None}]
    text = "\n".join(json.dumps(r) for r in rows) + "\n\n"
    more = ", columns: {scenario_id: case, proxy_reward: p, acceptable: ok}"
    assert reading(text, "s.jsonl", more) == [Scenario("a", 1, None, True), Scenario("7", 0.5, None, None)]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("a,1,0,maybe", "s.csv:3: acceptable is not true or false"),
        ("a,1,0,2", "s.csv:3: acceptable is not true or false"),
        ("a,high,0,true", "s.csv:3: proxy_reward is not a number"),
        ("a,1_000,0,true", "s.csv:3: proxy_reward is not a number"),
        ("a,,0,true", "s.csv:3: proxy_reward is empty"),
        ("a,nan,0,true", "s.csv:3: proxy_reward is not a finite number"),
        ("a,1,inf,true", "s.csv:3: outcome is not a finite number"),
        (" ,1,0,true", "s.csv:3: scenario_id is empty or not a text"),
        ("first,1,0,true", "s.csv:3: this scenario_id stands in another row too"),
        ("a,1,0", "s.csv:3: has not as many fields as the first line"),
        ("a,1,0,true,more", "s.csv:3: has not as many fields as the first line"),
        ('a,1,0,"tr"ue', "s.csv:3: is not CSV"),
    ],
)
def test_one_bad_row_and_all_of_the_file_is_refused_with_its_line(reading, row, says) -> None:
    with pytest.raises(ScenarioError) as caught:
        reading(f"{HEAD}first,2,1,true\n{row}\n")
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "is not JSON"), ("[1]", "is not a JSON object"), ("[" * 100_000, "is not JSON"),
        ('{"scenario_id": "a"}', "lacks the column proxy_reward"),
        ('{"scenario_id": true, "proxy_reward": 1}', "scenario_id is empty or not a text"),
        ('{"scenario_id": "a", "proxy_reward": true}', "proxy_reward is not a number"),
        ('{"scenario_id": "a", "proxy_reward": [1]}', "proxy_reward is not a number"),
        ('{"scenario_id": "a", "proxy_reward": NaN}', "proxy_reward is not a finite number"),
        ('{"scenario_id": "a", "proxy_reward": 1, "acceptable": 0.5}', "acceptable is not true or false"),
    ],
)  # fmt: skip
def test_json_is_read_as_strictly(reading, line, says) -> None:
    with pytest.raises(ScenarioError, match=rf"^s\.jsonl:1: {says}"):
        reading(line + "\n", "s.jsonl")


def test_files_that_are_not_there_or_too_large_or_lack_a_column_are_refused(reading, monkeypatch) -> None:
    with pytest.raises(ScenarioError, match="no file of scenarios is at s"):
        reading(HEAD, "other.csv")
    with pytest.raises(ScenarioError, match=r"s\.csv:2: lacks the column scenario_id"):
        reading("proxy_reward\n1\n")
    with pytest.raises(ScenarioError, match=r"s\.csv:2: lacks the column judged"):
        reading(HEAD + "a,1,1,true\n", more=", columns: {acceptable: judged}")
    with pytest.raises(ScenarioError, match="same name"):
        reading("scenario_id,proxy_reward,proxy_reward\na,1,2\n")
    monkeypatch.setattr("monitor.scenarios.MOST_ROWS", 2)
    with pytest.raises(ScenarioError, match="more than 2 scenarios"):
        reading(HEAD + "a,1,1,true\nb,1,1,true\nc,1,1,true\n")
    monkeypatch.setattr("monitor.scenarios.MOST_BYTES", 20)
    with pytest.raises(ScenarioError, match="more than 20 bytes"):
        reading(HEAD + "a,1,1,true\n")


def test_an_unknown_column_is_refused_in_the_configuration(reading) -> None:
    with pytest.raises(ConfigError, match="did you mean 'acceptable'"):
        reading(HEAD, more=", columns: {acceptible: ok}")


def test_the_rank_correlation_is_that_of_the_scenarios_with_an_outcome() -> None:
    rising = [Scenario(str(i), i, i**3, None) for i in range(12)]
    assert rank_correlation(rising).value == 1 and rank_correlation(rising).n == 12
    falling = [Scenario(str(i), i, -i, None) for i in range(12)]
    found = rank_correlation(falling)
    assert (found.value, found.low, found.high, found.reason) == (-1, -1, -1, None)
    unknown = [Scenario(str(i), i, None, True) for i in range(12)]
    assert rank_correlation([*rising[:9], *unknown]).reason == "no_outcomes"
    assert rank_correlation([Scenario(str(i), i, 1.0, None) for i in range(12)]).reason == "no_outcomes"
    assert rank_correlation([]).reason == "no_outcomes"
