"""A verdict in every format: what is in it, and that nothing in it is obeyed by what reads it."""

from __future__ import annotations

import io
import json
import re
import string
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import jsonschema
import junitparser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gates.checklist import load
from gates.evaluate import RecordedFiring, Verdict, judge
from gates.formats import ENDINGS, FORMATS
from gates.given import Given
from gates.outcome import Finding, Outcome, exit_code, worst
from gates.stages import STAGES
from gates.table import next_step
from monitor import cli
from monitor.config import ConfigError
from monitor.gating import Report, tell

AS_OF = datetime(2026, 3, 16, 12, tzinfo=UTC)
SCHEMA = json.loads((files("gates") / "verdict.schema.json").read_text("utf-8"))
NASTY = "a|b <img src=x> `c|d` [x](http://e) 100% \\ \x1b[31m\x00 ]]>\nline::two, &amp; \u2028 *b*"
FIRING = RecordedFiring(
    "constraint", "rollback", True, False, "v7", "heat", AS_OF, AS_OF, 0.06, 0.03, "Rate 0.06, above.", "i-1"
)


def found(outcome: Outcome, item: str = "it", role: str = "guardrail", **fields: object) -> Finding:
    said = {} if outcome is Outcome.PASS else {"needs": "more of it", "reason": "straddles"}
    return Finding(item, "check", role, outcome, **{"message": f"{item} says so.", **said, **fields})  # type: ignore[arg-type]


def verdict(*findings: Finding, firings: tuple[RecordedFiring, ...] = (), dry: bool = False) -> Verdict:
    outcome = worst(findings)
    fired = any(f.confirmed and f.action == "rollback" for f in firings)
    code = exit_code(outcome, fired)
    return Verdict(
        "shadow_mode", "v7", AS_OF, "store", outcome, code, "aa", "bb", findings, firings, dry
    )


def of_the_stages() -> list[Verdict]:
    """What the gates say to an empty store: every item that ships."""
    return [judge(load(s), Given(s, "v7", AS_OF, AS_OF - timedelta(days=9), AS_OF)) for s in STAGES]


texts = st.text(st.characters(exclude_categories=[]), max_size=30)
findings = st.builds(
    lambda outcome, role, waived, text, key, value: found(
        outcome, "item", role, waived=waived, message=f"It is {text}.", key=key, value=value,
        **({} if outcome is Outcome.PASS else {"needs": f"x {text}", "reason": "low_n"}),
    ),
    st.sampled_from(Outcome), st.sampled_from(["guardrail", "sign_off", "signal", "off"]),
    st.none() | st.just("by Ada until 2026-03-17 00:00 UTC: Monday"), texts, texts, st.floats(),
)  # fmt: skip
firings = st.builds(
    lambda action, confirmed, text: replace(
        FIRING, action=action, confirmed=confirmed, key=text, message=text
    ),
    st.sampled_from(["rollback", "escalate"]), st.booleans(), texts,
)  # fmt: skip
verdicts = st.builds(
    lambda some, fired, dry: verdict(*some, firings=tuple(fired), dry=dry),
    st.lists(findings, max_size=6), st.lists(firings, max_size=3), st.booleans(),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(verdicts)
def test_json_is_what_the_schema_says_whatever_was_found(said: Verdict) -> None:
    body = json.loads(FORMATS["json"](said))
    jsonschema.validate(body, SCHEMA, format_checker=jsonschema.FormatChecker())
    assert body.get("dry", False) is said.dry


@pytest.mark.parametrize("stage", STAGES)
def test_json_of_the_checklists_that_ship_is_what_the_schema_says(stage: str) -> None:
    said = next(v for v in of_the_stages() if v.stage == stage)
    body = json.loads(FORMATS["json"](said))
    jsonschema.validate(body, SCHEMA)
    assert [f["item"] for f in body["findings"]] == [f.item for f in said.findings]


@settings(max_examples=200, deadline=None)
@given(verdicts)
def test_junit_loads_and_is_without_a_failure_exactly_where_the_gate_is_open(said: Verdict) -> None:
    suite = one_suite(said)
    assert (suite.failures + suite.errors == 0) is (said.exit_code == 0)
    cases = list(suite)
    assert suite.tests == len(cases)
    assert suite.failures == sum(isinstance(r, junitparser.Failure) for c in cases for r in c.result)
    names = [c.name for c in cases]
    assert len(set(names)) == len(names)


def test_junit_tells_each_outcome_in_its_own_way() -> None:
    said = verdict(
        found(Outcome.PASS, "good"),
        found(Outcome.FAIL, "bad", reason="limit"),
        found(Outcome.INCONCLUSIVE, "open"),
        found(Outcome.NO_DATA, "empty", reason="no_data"),
        found(Outcome.ERROR, "broken", reason="error"),
        found(Outcome.FAIL, "hint", "signal", reason="limit"),
        found(Outcome.INCONCLUSIVE, "aside", "off", reason="off"),
        found(Outcome.FAIL, "let", reason="limit", waived="by Ada until Monday: tests"),
    )
    suite = one_suite(said)
    results = {c.name: [(type(r).__name__, getattr(r, "type", None)) for r in c.result] for c in suite}
    assert results == {
        "good": [], "bad": [("Failure", "limit")], "open": [("Failure", "straddles")],
        "empty": [("Failure", "no_data")], "broken": [("Error", "error")], "hint": [],
        "aside": [("Skipped", None)], "let": [],
    }  # fmt: skip
    assert (suite.failures, suite.errors, suite.skipped) == (3, 1, 1)
    said_aside = {c.name: c.system_out for c in suite}
    assert said_aside["hint"] == "FAIL (signal): hint says so. Needs: more of it."
    assert "Waived by Ada until Monday: tests." in str(said_aside["let"])
    assert {p.name: p.value for p in suite.properties()}["exit_code"] == "1"


def test_a_rollback_fails_in_junit_although_every_item_passes() -> None:
    suite = one_suite(verdict(found(Outcome.PASS), firings=(FIRING,)))
    assert [c.name for c in suite if c.result] == ["rollback constraint heat"]


def test_many_firings_of_one_rule_are_told_by_the_newest() -> None:
    many = tuple(replace(FIRING, message=f"Rate {n}.", incident=f"i-{n}") for n in range(300))
    said = verdict(found(Outcome.PASS), firings=many)
    assert [c.name for c in one_suite(said) if c.result] == ["rollback constraint heat"]
    assert len(FORMATS["github"](said).splitlines()) == 2 and "Rate 299." in FORMATS["github"](said)
    told = FORMATS["markdown"](said)
    assert "295 earlier confirmed firings are not shown" in told and told.count("Fired: ") == 5
    assert "Rate 299." in told and "Rate 294." not in told


def test_where_everything_is_waived_junit_still_tells_that_the_gate_is_shut() -> None:
    said = verdict(found(Outcome.FAIL, waived="by Ada until Monday: tests"))
    assert said.exit_code == 3
    (case,) = [c for c in one_suite(said) if c.result]
    assert case.name == "verdict" and case.result[0].type == "no_data"


def one_suite(said: Verdict) -> junitparser.TestSuite:
    text = FORMATS["junit"](said)
    whole = junitparser.JUnitXml.fromroot(junitparser.JUnitXml.fromstring(text.encode("utf-8"))._elem)
    (suite,) = list(whole)
    return suite


def test_markdown_of_nineteen_items_is_one_table_with_a_row_an_item() -> None:
    rows = []
    for said in of_the_stages():
        lines = FORMATS["markdown"](said).splitlines()
        assert lines[0] == f"## {said.outcome.name} {said.stage} of v7 as of 2026-03-16 12:00 UTC"
        assert lines[2] == f"{next_step(said)} (exit code {said.exit_code})"
        rows += [(cells(line)[1].split("<br>")[0], said.stage) for line in lines[6:]]
    assert rows == [(f.item, v.stage) for v in of_the_stages() for f in v.findings] and len(rows) >= 19


@settings(max_examples=200, deadline=None)
@given(verdicts)
def test_a_row_of_markdown_has_four_cells_whatever_is_in_it(said: Verdict) -> None:
    lines = FORMATS["markdown"](said).split("\n")
    rows = lines[6 : 6 + len(said.findings)]
    assert all(len(cells(row)) == 4 for row in [*lines[4:6], *rows])
    assert not any(c in "".join(rows) for c in ("<i", "<I", "\x1b", "\x00", "\r"))


def test_markdown_keeps_code_and_obeys_nothing_else() -> None:
    line = FORMATS["markdown"](verdict(found(Outcome.FAIL, message=NASTY, needs="`monitor run --x a|b`")))
    row = cells(line.splitlines()[6])
    assert row[2] == (
        "a\\|b &lt;img src=x> `c\\|d` &#91;x&#93;(http://e) 100% &#92; ?&#91;31m? &#93;&#93;><br>"
        "line::two, &amp;amp; ? &#42;b&#42;"
    )
    assert row[3] == "`monitor run --x a\\|b`" and row[0] == "**FAIL**"


def cells(row: str) -> list[str]:
    assert row.startswith("|") and row.endswith("|")
    return [c.strip() for c in re.split(r"(?<!\\)\|", row)[1:-1]]


@settings(max_examples=200, deadline=None)
@given(verdicts)
def test_every_line_for_github_is_one_annotation(said: Verdict) -> None:
    lines = FORMATS["github"](said).removesuffix("\n").split("\n")
    open_ = [f for f in said.findings if f.outcome is not Outcome.PASS]
    rolled = {f.key for f in said.firings if f.confirmed and f.action == "rollback"}
    assert len(lines) == 1 + len(open_) + len(rolled)
    for line in lines:
        assert re.fullmatch(r"::(error|warning|notice) title=[^:,\r\n]+::[^\r\n]+", line), line
        assert not set(line) - set(string.printable[:95]) or line.isprintable()


@pytest.mark.parametrize(
    ("finding", "level"),
    [
        (found(Outcome.FAIL), "error"),
        (found(Outcome.ERROR), "error"),
        (found(Outcome.INCONCLUSIVE), "warning"),
        (found(Outcome.NO_DATA), "warning"),
        (found(Outcome.FAIL, role="signal"), "notice"),
        (found(Outcome.INCONCLUSIVE, role="off"), "notice"),
        (found(Outcome.FAIL, waived="by Ada until Monday: tests"), "notice"),
    ],
)
def test_the_level_of_an_annotation_follows_what_the_finding_does(finding: Finding, level: str) -> None:
    assert FORMATS["github"](verdict(finding)).splitlines()[1].startswith(f"::{level} title=shadow_mode it")


def test_github_escapes_as_github_asks() -> None:
    said = verdict(found(Outcome.FAIL, "a,b:c", message="50 % of it,\r\nnow: yes"))
    line = FORMATS["github"](said).splitlines()[1]
    assert line == (
        "::error title=shadow_mode a%2Cb%3Ac%3A FAIL::50 %25 of it,%0D%0Anow: yes Needs: more of it."
    )


def test_every_format_is_told_in_the_docs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "commands.md").read_text("utf-8")
    assert [f for f in FORMATS if f"| `{f}` |" not in page] == []
    assert [e for e in ENDINGS if f"`{e}`" not in page] == []


@pytest.mark.parametrize(
    ("terminal", "environ", "colour"),
    [(True, {}, True), (True, {"NO_COLOR": "1"}, False), (False, {}, False)],
)
def test_colour_is_for_a_terminal_that_does_not_forbid_it(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, environ: dict[str, str], colour: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout", type("Stream", (io.StringIO,), {"isatty": lambda _: terminal})())
    assert cli._colour() is colour


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_says_that_a_dry_run_opens_nothing(form: str) -> None:
    wet, dry = (FORMATS[form](verdict(found(Outcome.FAIL), dry=d), width=200) for d in (False, True))
    others = {"json": '"dry": true', "junit": '<property name="dry" value="true" />'}
    words = others.get(form, "A dry run: this verdict opens no stage.")
    assert words in dry and words not in wet


# where it is told


def told(said: Verdict, report: Report) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    return tell(said, report, out=out.write, say=err.write), out.getvalue(), err.getvalue()


def test_a_file_is_in_the_format_of_its_ending_and_stdout_in_that_asked_for(tmp_path: Path) -> None:
    said = verdict(found(Outcome.INCONCLUSIVE))
    names = ["a.json", "a.xml", "a.md", "a.txt"]
    code, out, err = told(said, Report("github", [tmp_path / n for n in names]))
    assert (code, out, err) == (3, FORMATS["github"](said), "")
    assert {n: (tmp_path / n).read_text("utf-8") for n in names} == {
        n: FORMATS[ENDINGS.get(Path(n).suffix, "github")](said) for n in names
    }
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(names)


def test_quiet_prints_nothing_and_still_writes_the_file(tmp_path: Path) -> None:
    code, out, err = told(verdict(found(Outcome.FAIL)), Report(files=[tmp_path / "v.json"], quiet=True))
    assert (code, out, err) == (1, "", "") and json.loads((tmp_path / "v.json").read_text("utf-8"))


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (verdict(found(Outcome.PASS)), 4),
        (verdict(found(Outcome.INCONCLUSIVE)), 4),
        (verdict(found(Outcome.FAIL)), 1),
        (verdict(found(Outcome.PASS), firings=(FIRING,)), 5),
    ],
)
def test_a_file_that_was_not_written_is_an_error_that_hides_nothing_worse(
    tmp_path: Path, said: Verdict, code: int
) -> None:
    gone = tmp_path / "gone" / "v.json"
    assert told(said, Report(files=[gone]))[0] == code
    assert f"--output {gone} was not written" in told(said, Report(files=[gone]))[2]


def test_a_mistake_in_what_was_asked_for_is_told_before_anything_is_judged(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        Report("junt", [tmp_path / "gone" / "v.xml", tmp_path]).refuse_mistakes()
    first, second, third = caught.value.errors
    assert first.startswith("--format junt is not known; did you mean 'junit'?; it is one of table, json")
    assert second.endswith(f"there is no folder {tmp_path / 'gone'}")
    assert third == f"--output {tmp_path} is a folder"


def test_what_was_in_the_file_stays_when_the_new_text_cannot_be_written_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "v.json"
    file.write_text("before", "utf-8")

    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    code, _, err = told(verdict(found(Outcome.PASS)), Report(files=[file]))
    assert code == 4 and "No space left" in err
    assert file.read_text("utf-8") == "before" and [p.name for p in tmp_path.iterdir()] == ["v.json"]
