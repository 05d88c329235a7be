"""monitor.yaml is read strictly: all mistakes at once, each with its line and what to do."""

from pathlib import Path

import pytest

from monitor import config as configuration
from monitor.config import ConfigError
from tests.conftest import CONFIG


def errors_of(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "monitor.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as caught:
        configuration.load(path)
    return caught.value.errors


def test_three_mistakes_are_three_errors_with_their_lines_and_suggestions(tmp_path) -> None:
    text = CONFIG.replace("missing_after_maturity: exclude", "missing_after_maturity: exclud")
    text = text.replace("format: jsonl", "format: jsonnl").replace("rollback:", "rolback:")
    assert errors_of(tmp_path, text) == [
        "monitor.yaml:5: 'log.sources.0.format' must be 'jsonl', 'csv' or 'parquet', not 'jsonnl'; "
        "did you mean 'jsonl'?",
        "monitor.yaml:8: 'reward.missing_after_maturity' must be 0 or 'exclude', not 'exclud'; "
        "did you mean 'exclude'?",
        "monitor.yaml:16: key 'rolback' is not known; did you mean 'rollback'?",
    ]


def test_a_share_of_units_belongs_to_a_split_and_only_to_a_split(tmp_path) -> None:
    since = "from: 2025-11-25, days: 14"
    line = f"experiment: {{design: before_after, {since}}}\n"
    (tmp_path / "monitor.yaml").write_text(CONFIG + line, "utf-8")
    assert configuration.load(tmp_path / "monitor.yaml").config.experiment.share is None
    for wrong in ("design: switchback, share: 0.5", "design: split"):
        (error,) = errors_of(tmp_path, f"{CONFIG}experiment: {{{wrong}, {since}}}\n")
        assert error.startswith("monitor.yaml:17: ") and "design: split" in error


def test_a_key_of_a_later_version_is_refused_as_not_available_yet(tmp_path) -> None:
    (error,) = errors_of(tmp_path, CONFIG.replace("baseline: {", "baseline: {path: old.parquet, "))
    assert "'baseline.path' is not available yet in this version" in error


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("on_incident: {page: true}", "'on_incident'"),
        ("on_incident: [pause_training]", "on_incident must name rollback"),
        ("on_incident: [rollback, pause_training]", "where `pause_training` says how"),
        ("rollback: {kind: webhook, url: 'http://example.org/x'}", "must begin with https"),
        ("alerts: {on_call: [ann, ann]}", "names 'ann' twice"),
        ("alerts: {on_call: [ann], escalation: pagerduty}", "both say whom to wake next"),
        ("alerts: {digest_at: '25:00'}", "a time of day in UTC"),
        ("alerts: {channels: [{kind: console, channel: x}]}", "kind: console does not take `channel`"),
        ("alerts: {channels: [{kind: webhook}]}", "a webhook channel needs `url`"),
    ],
)
def test_what_is_told_and_switched_is_checked_before_anything_runs(tmp_path, line, says) -> None:
    without = "\n".join(one for one in CONFIG.splitlines() if not one.startswith("rollback:"))
    (error,) = errors_of(tmp_path, f"{without}\n{line}\n")
    assert error.startswith("monitor.yaml:16: ") and says in error


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("limit: 0.02", "limit: .nan", "finite"),
        ("limit: 0.02", "limit: -1", "greater than or equal to 0"),
        ("limit: 0.0, margin: 0.0, hard: true", "limit: 0.1, hard: true", "a hard constraint has limit 0.0"),
        ("range: [0, 2]", "range: [2, 0]", "lowest < highest"),
        ("numeric: [load]", "numeric: [Load]", "must be a name of small letters"),
        ("categorical: [season]", "categorical: [load]", "declared once"),
        ("format: jsonl", "format: jsonl, columns: {policy_id: p, state_wind: w}", "not declared"),
        ("format: jsonl", "format: jsonl, columns: {policy_id: p, cost_noise: w}", "under constraints"),
        ("unit: {column: unit_id}", "unit: {colum: x}", "did you mean 'column'?"),
        ("from: 2026-01-01, to: 2026-01-04", "from: 2026-01-04, to: 2026-01-01", "must be before `to`"),
        ("training: {until: 2026-01-01}", "training: {}", "is one of until: DATE"),
        ("training: {until: 2026-01-01}", "training: {algorithm: cql}", "is one of until: DATE"),
        ("{until: 2026-01-01}", "{until: 2026-01-01, algorithm: cqll}", "did you mean 'cql'?"),
        ("{until: 2026-01-01}", "{until: 2026-01-01, hyperparameters: {alpha: .inf}}", "finite"),
        ("{until: 2026-01-01}", "{until: 2026-01-01, transitions: -1}", "greater than or equal to 0"),
        ("store: var/monitor", "window: 90m", "must be whole hours"),
        ("store: var/monitor", "conditions: {weather: [hot]}", "neither 'segment' nor a feature"),
        ("policies: {candidate: new, ", "policies: {", "key 'policies.candidate' is missing"),
        ("format: jsonl", "format: jsonl, columns: {acton: a, policy_id: p}", "did you mean 'action'?"),
        ("format: jsonl", "format: jsonl, columns: {action: a}", "names its policy"),
        ("store: var/monitor", "store: var/monitor\nstore: elsewhere", "duplicate key"),
    ],
)
def test_a_mistake_names_the_thing_and_the_rule(tmp_path, before, after, says) -> None:
    assert before in CONFIG
    found = errors_of(tmp_path, CONFIG.replace(before, after, 1))
    assert len(found) == 1 and says in found[0] and found[0].startswith("monitor.yaml:")


def test_tags_that_would_make_python_objects_make_none(tmp_path) -> None:
    text = CONFIG.replace("store: var/monitor", "store: !!python/object/apply:os.system ['true']")
    (error,) = errors_of(tmp_path, text)
    assert error.startswith("monitor.yaml:1:")


def test_a_missing_or_empty_file_is_one_sentence(tmp_path) -> None:
    assert errors_of(tmp_path, "") == ["monitor.yaml:1: the file is empty or not a mapping of keys"]
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read.*monitor init"):
        configuration.load(tmp_path / "nowhere.yaml")


def test_the_hash_covers_what_changes_numbers_and_nothing_else(tmp_path) -> None:
    def hash_of(before: str, after: str) -> str:
        path = tmp_path / "other.yaml"
        path.write_text(CONFIG.replace(before, after), "utf-8")
        return configuration.load(path).config.config_hash

    same = hash_of("store", "store")
    assert hash_of("store: var/monitor", "store: elsewhere") == same
    assert hash_of("path: var/active_policy.json", "path: var/other.json") == same
    assert hash_of("limit: 0.02", "limit: 0.03") != same
    assert hash_of("range: [0, 2]", "range: [0, 3]") != same
    assert hash_of("{until: 2026-01-01}", "{until: 2026-01-01, trained_at: 2026-01-02}") != same


def test_one_algorithm_may_stand_without_a_list(tmp_path) -> None:
    def trained(text: str) -> list[str]:
        path = tmp_path / "other.yaml"
        path.write_text(CONFIG.replace("{until: 2026-01-01}", f"{{until: 2026-01-01, {text}}}"), "utf-8")
        training = configuration.load(path).config.training
        assert training is not None
        return list(training.algorithm)

    assert trained("algorithm: ppo") == ["ppo"] == trained("algorithm: [ppo]")
    assert trained("algorithm: [ppo, lagrangian]") == ["ppo", "lagrangian"]


def test_one_source_may_stand_directly_under_log(tmp_path, loaded) -> None:
    text = CONFIG.replace("  sources:\n    - {paths: [\"logs/*.jsonl\"], format: jsonl}\n",
                          "  paths: [\"logs/*.jsonl\"]\n  format: jsonl\n")
    path = tmp_path / "inline.yaml"
    path.write_text(text, "utf-8")
    assert configuration.load(path).config == loaded.config


def test_the_cost_of_episodes_needs_episodes(tmp_path) -> None:
    text = CONFIG.replace("limit: 0.02, margin: 0.01}", "limit: 2.5, margin: 0.5, measure: episode_cost}")
    (tmp_path / "monitor.yaml").write_text(text, "utf-8")
    assert configuration.load(tmp_path / "monitor.yaml").config.constraints["slow"].limit == 2.5
    columns = "format: jsonl, columns: {policy_id: who, cost_slow: slow}}"
    (error,) = errors_of(tmp_path, text.replace("format: jsonl}", columns))
    assert error.endswith("constraints.slow.measure is episode_cost, and no source maps `episode_id`")
