"""Case files: what they may say, how they are judged, and the mistakes that are told with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from gates.case_file import read_cases
from gates.cases import cells, run, told
from gates.checks import CHECKS
from gates.matrix import ORDER, lines, matrix
from gates.outcome import Outcome
from monitor.config import ConfigError
from monitor.log_cases import run_all

CASE = """
stage: shadow
policy: v7
as_of: 2026-03-16
estimates:
  recommended_share: [1, 1, 1, 5000]
"""
HERE = Path(__file__).parents[2] / "checklists" / "cases"


def written(tmp_path: Path, text: str, name: str = "mine.yaml") -> Path:
    path = tmp_path / name
    path.write_text(CASE + text, "utf-8")
    return path


def mistakes(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        read_cases(written(tmp_path, text))
    return error.value.errors


def test_a_case_that_is_as_expected_shows_its_cells(tmp_path: Path) -> None:
    [case] = read_cases(written(tmp_path, "expect: {recommendations_logged: PASS, review: INCONCLUSIVE}\n"))
    result = run(case)
    assert result.wrong == () and told([result]) == ["ok   mine", "1 of 1 cases are as expected"]
    assert set(cells([result])) == {
        ("recommendations_logged", Outcome.PASS), ("review", Outcome.INCONCLUSIVE),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("expected", "says"),
    [
        ("expect: {recommendations_logged: FAIL}", "should say FAIL, it says PASS"),
        ("expect: {review: INCONCLUSIVE signoff_expired}", "says INCONCLUSIVE signoff_missing. Nobody has"),
        ("expect: {review: [INCONCLUSIVE, INCONCLUSIVE]}", "should say INCONCLUSIVE, INCONCLUSIVE"),
        ("verdict: {outcome: PASS}", "the outcome should be PASS, it is NO_DATA"),
        ("verdict: {exit_code: 0}", "the exit code should be 0, it is 3"),
        ("expect: {review: INCONCLUSIVE}\nsays: [in three weeks]", "no finding says 'in three weeks'"),
    ],
)
def test_what_is_not_as_expected_is_told_with_its_place_and_shows_nothing(
    tmp_path: Path, expected: str, says: str
) -> None:
    [case] = read_cases(written(tmp_path, expected + "\n"))
    result = run(case)
    assert len(result.wrong) == 1 and says in result.wrong[0]
    assert result.shown == frozenset()
    lines_ = told([result])
    assert lines_[0] == "NOT  mine" and lines_[-1] == "0 of 1 cases are as expected"
    assert f"{tmp_path.name}/mine.yaml:" in lines_[1]


def test_a_text_asks_for_the_worst_finding_of_an_item_not_for_any(tmp_path: Path) -> None:
    spoiled = "  rejected_share: [0.5, 0.5, 0.5, 5000]\nfacts: {max_rejects: 0.01}\n"
    [case] = read_cases(written(tmp_path, spoiled + "expect: {data_contract: PASS}\n"))
    assert "it says FAIL limit" in run(case).wrong[0]
    [case] = read_cases(written(tmp_path, spoiled + "expect: {data_contract: FAIL limit}\n"))
    assert run(case).wrong == ()


def test_days_of_a_case_go_on_from_each_other(tmp_path: Path) -> None:
    text = """
cases:
  - case: recommendations fade
    days:
      - {expect: {recommendations_logged: PASS}}
      - {as_of: 2026-03-17, estimates: {recommended_share: stale},
         expect: {recommendations_logged: NO_DATA stale}}
      - {as_of: 2026-03-18, expect: {recommendations_logged: NO_DATA stale}}
      - {as_of: 2026-03-19, estimates: {recommended_share: [0.5, 0.4, 0.6, 900]},
         expect: {recommendations_logged: PASS}}
"""
    [case] = read_cases(written(tmp_path, text))
    [wrong] = run(case).wrong
    assert wrong.startswith("as of 2026-03-19: recommendations_logged should say PASS, it says FAIL")


def test_a_users_own_checklist_judges_the_cases(tmp_path: Path) -> None:
    own = tmp_path / "checklists"
    own.mkdir()
    item = "{item: few, check: recommendations_logged, role: guardrail, share: 0.4}"
    (own / "shadow_mode.yaml").write_text(f"stage: shadow_mode\nitems: [{item}]\n", "utf-8")
    path = written(tmp_path, "  more: null\nverdict: {outcome: PASS, exit_code: 0}\nexpect: {few: PASS}\n")
    [case] = read_cases(path, own)
    assert run(case).wrong == ()
    with pytest.raises(ConfigError, match="shadow_mode has no item 'few'"):
        read_cases(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("expct: {review: PASS}\n", ":7: key 'expct' is not known; did you mean 'expect'?"),
        ("cases:\n  - {case: a, expect: {review: PASS}}\n  - {case: b, fact: 1}\n", ":9: key 'fact' is not"),
        ("expect: {reviews: PASS}\n", "shadow_mode has no item 'reviews'; did you mean 'review'?"),
        ("expect: {review: PASSED}\n", "'PASSED' of review does not begin with an outcome; did you mean"),
        ("verdict: {outcme: PASS}\n", "'outcme' is not known"),
        ("cases: [{case: nothing}]\n", "nothing is expected"),
        ("cases: 3\n", "'cases' is a list"),
        ("events: [{ago: 3d, kind: drill}, {kind: drill}]\nexpect: {review: PASS}\n", "'ago' is missing"),
        ("events: [{ago: 3 days, kind: drill}]\nexpect: {review: PASS}\n", "'3 days' is not a time span"),
        ("cases: [{case: a, stage: shaddow, expect: {review: PASS}}]\n", "stage 'shaddow' is not known"),
        ("expect: {review: ''}\n", "'' of review does not begin with an outcome"),
        ("days: []\nexpect: {review: PASS}\n", ": `days` has no day, so nothing would be judged"),
        ("fired: [constraint slow]\n", "`fired` goes with `log`"),
        ("expect: {review: PASS}\nfired: [constraint slow]\n", "`fired` goes with `log`"),
        ("base: gone.yaml\nexpect: {review: PASS}\n", "gone.yaml: cannot be read"),
    ],
)
def test_a_mistake_is_told_with_file_and_line(tmp_path: Path, text: str, says: str) -> None:
    assert any(says in error for error in mistakes(tmp_path, text)), mistakes(tmp_path, text)


def test_a_case_without_a_time_is_told_what_has_one(tmp_path: Path) -> None:
    path = tmp_path / "alone.yaml"
    path.write_text("stage: shadow\npolicy: p\ncases: [{case: a, expect: {review: PASS}}]\n")
    with pytest.raises(ConfigError, match=r"alone\.yaml:3: 'as_of' is missing: .*healthy\.yaml"):
        read_cases(path)


def test_the_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    for name in ("a", "b"):
        written(tmp_path, "cases: [{case: x}, {case: y}]\n", f"{name}.yaml")
    with pytest.raises(ConfigError) as error:
        run_all([tmp_path], None)
    assert len(error.value.errors) == 4
    with pytest.raises(ConfigError, match="no case files"):
        run_all([tmp_path / "nothing"], None)


@pytest.mark.parametrize("text", ["cases: []\n", ""])
def test_files_without_a_case_are_not_as_expected(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="there is no case, so nothing would be judged"):
        run_all([written(tmp_path, text)], None)


def test_a_sample_log_that_does_not_exist_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, "log: shadow_helthy\nverdict: {exit_code: 0}\n")
    with pytest.raises(ConfigError, match="no sample log 'shadow_helthy'; did you mean 'shadow_healthy'"):
        run_all([path], None)


HAND_WRITTEN = [f for f in sorted(HERE.glob("*.yaml")) if f.stem != "sample_logs"]


@pytest.mark.parametrize("file", HAND_WRITTEN, ids=lambda f: f.stem)
def test_the_cases_that_ship_are_as_expected(file: Path) -> None:
    assert [(r.case.name, r.wrong) for r in map(run, read_cases(file)) if r.wrong] == []


def test_every_check_shows_every_outcome_it_can_have_and_each_exit_code_of_a_verdict_is_there() -> None:
    results = [run(case) for file in HAND_WRITTEN for case in read_cases(file)]
    found = matrix(cells(results))
    assert (found.missing, found.contradicted) == ((), ())
    assert lines(found)[-1] == f"{len(CHECKS)} of {len(CHECKS)} checks show every outcome they can have"
    codes = {m.expected.verdict.get("exit_code") for r in results for m in r.case.moments}
    assert {0, 1, 3, 4, 5} <= codes


def test_a_cell_that_no_case_shows_or_that_should_be_impossible_is_named() -> None:
    every = {(name, outcome): "x: y" for name in CHECKS for outcome in ORDER}
    [impossible] = [c for c in matrix(every).contradicted if c[0] == "review"]
    assert impossible == ("review", Outcome.NO_DATA)
    assert "declared impossible, and shown: review NO_DATA" in lines(matrix(every))
    del every["review", Outcome.FAIL]
    assert matrix(every).missing == (("review", Outcome.FAIL),)
    assert "no case shows review FAIL" in lines(matrix(every))
    assert max(map(len, lines(matrix(every))[: len(CHECKS) + 1])) <= 100 + 30
