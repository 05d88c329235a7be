"""The demo: the stretch that logs share, when its passes run, and what it takes for wrong."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from types import SimpleNamespace

import pytest

from gates.outcome import Outcome as Found
from sample_logs import calendar, demo, expected, make
from sample_logs.expected import Outcome
from sample_logs.make import COOLING_LOGS, LOGS
from sample_logs.parts import Part

HOUR = timedelta(hours=1)
COLLAPSE, HEALTHY = LOGS["live_reward_collapse"], LOGS["live_healthy"]
HEAT_WAVE, PLANT = COOLING_LOGS["cooling_live_heat_wave"], COOLING_LOGS["cooling_shadow_healthy"]


def _firing(log, trigger=None, window=3, **changed):
    """A confirmed firing of the window-th window from the planted one."""
    span = calendar.CALENDARS[log.family].window
    planted = calendar.CALENDARS[log.family].planted
    end = (planted if span == HOUR else planted.replace(hour=0)) + window * span
    return {
        "trigger": trigger or log.trigger, "key": "", "confirmed": True, "action": log.action or "rollback",
        "did": {"rollback": "rolled_back"}.get(log.action, "escalated"), "message": "it fired.",
        "window_start": (end - span).isoformat(), "window_end": end.isoformat(), **changed,
    }  # fmt: skip


def _finding(item, outcome=Found.NO_DATA, reason="missing_propensity"):
    return SimpleNamespace(item=item, outcome=outcome, reason=reason)


def _verdict(exit_code, findings=()):
    fired = SimpleNamespace(confirmed=True, action="rollback")
    return SimpleNamespace(
        exit_code=exit_code, outcome=Found.INCONCLUSIVE, stage="offline_validation", findings=findings,
        firings=[fired] if exit_code == 5 else [],
    )  # fmt: skip


def _outcome(*firings, exit_code=None, pointer=None, more=()):
    rolled = any(f["did"] == "rolled_back" for f in firings)
    code = exit_code if exit_code is not None else 5 if rolled else 3
    moved = "uniform" if rolled else None
    return Outcome(firings, [_verdict(code), *more], [], "", pointer or moved, "uniform")


def _wrong(log, outcome):
    return " | ".join(expected.wrong(log, outcome))


def test_a_rollback_in_time_by_the_trigger_of_the_fault_is_as_expected():
    assert _wrong(COLLAPSE, _outcome(_firing(COLLAPSE))) == ""


@pytest.mark.parametrize(
    ("firings", "said"),
    [
        ([], "reward_drop should have been confirmed"),
        ([_firing(COLLAPSE, window=5)], "in window 5, later than 4"),
        ([_firing(COLLAPSE, window=0)], "confirmed without a fault"),
        ([_firing(COLLAPSE, "state_shift")], "state_shift was confirmed before reward_drop"),
        ([_firing(COLLAPSE, did="historical")], "should have rolled back"),
    ],
)
def test_a_fault_that_was_not_found_as_it_should_be_is_told(firings, said):
    assert said in _wrong(COLLAPSE, _outcome(*firings))


def test_a_rollback_that_moved_no_pointer_or_does_not_show_at_the_gate_is_told():
    fired = _firing(COLLAPSE)
    assert "the pointer names linucb" in _wrong(COLLAPSE, _outcome(fired, pointer="linucb"))
    assert "the gate exits 0 after 1 rollbacks" in _wrong(COLLAPSE, _outcome(fired, exit_code=0))


def test_nothing_may_be_confirmed_in_a_healthy_log():
    assert _wrong(HEALTHY, _outcome()) == ""
    assert "confirmed without a fault" in _wrong(HEALTHY, _outcome(_firing(COLLAPSE)))
    told = _firing(COLLAPSE, "state_shift", did="escalated", action="escalate")
    assert "confirmed without a fault" in _wrong(HEALTHY, _outcome(told))


def test_a_fault_that_escalates_may_only_be_rolled_back_by_the_trigger_that_the_catalogue_names():
    told, later = _firing(HEAT_WAVE), _firing(HEAT_WAVE, "reward_drop", action="rollback", did="rolled_back")
    assert _wrong(HEAT_WAVE, _outcome(told)) == ""
    assert _wrong(HEAT_WAVE, _outcome(told, later)) == ""
    assert "called for a rollback" in _wrong(HEAT_WAVE, _outcome(told, {**later, "trigger": "constraint"}))
    assert "should have escalated" in _wrong(HEAT_WAVE, _outcome({**told, "did": "historical"}))


def test_a_shadow_log_may_not_roll_back_and_opens_its_gate_only_where_it_is_healthy():
    log = LOGS["shadow_reward_collapse"]
    assert _wrong(log, _outcome(_firing(log, did="escalated"), exit_code=0)) == ""
    assert "controlled nothing" in _wrong(log, _outcome(_firing(log)))
    assert "should pass, exit code 3" in _wrong(LOGS["shadow_healthy"], _outcome(exit_code=3))


def test_in_a_shadow_log_another_trigger_may_tell_first_but_its_own_must_in_time():
    log = COOLING_LOGS["cooling_shadow_chiller_fault"]
    sooner = _firing(log, "state_shift", window=2, did="escalated", action="escalate")
    own = {"did": "escalated", "action": "escalate"}
    assert _wrong(log, _outcome(sooner, _firing(log, **own), exit_code=0)) == ""
    assert "later than 4" in _wrong(log, _outcome(sooner, _firing(log, window=6, **own), exit_code=0))
    assert "state_shift was confirmed before reward_drop" in _wrong(log, _outcome(sooner, exit_code=0))


def test_without_propensities_no_item_that_needs_them_may_pass_in_silence():
    held = [_finding(name) for name in expected.NEED_PROPENSITIES]
    assert _wrong(PLANT, _outcome(exit_code=0, more=[_verdict(3, held)])) == ""
    for bad in (_finding("beats_baseline", Found.PASS, None), _finding("beats_baseline", reason="low_n")):
        said = _wrong(PLANT, _outcome(exit_code=0, more=[_verdict(3, [*held, bad])]))
        assert said == "beats_baseline should say that propensities are missing"
    assert "held_out_value should say" in _wrong(PLANT, _outcome(exit_code=0, more=[_verdict(3, held[1:])]))
    assert "should hold" in _wrong(PLANT, _outcome(exit_code=0, more=[_verdict(0, held)]))


def test_the_healthy_plant_may_hold_for_the_trend_of_its_disagreement_and_for_nothing_else():
    open_trend = _finding("disagreement", Found.INCONCLUSIVE, "straddles")
    told = [_finding(name) for name in expected.NEED_PROPENSITIES]

    def said(*held, code=3):
        outcome = _outcome(exit_code=code, more=[_verdict(3, told)])
        return _wrong(PLANT, replace(outcome, verdicts=[_verdict(code, held), *outcome.verdicts[1:]]))

    assert said(open_trend) == ""
    for held in ([], [open_trend, _finding("review")], [_finding("disagreement", Found.FAIL, "limit")]):
        assert "should pass, exit code 3" in said(*held)
    assert "should pass, exit code 1" in said(open_trend, code=1)


def test_the_summary_counts_windows_from_the_planted_hour():
    row = dict(zip(expected.HEAD, expected.row(COLLAPSE, _outcome(_firing(COLLAPSE)), ()), strict=True))
    assert (row["first confirmed"], row["did"]) == ("reward_drop", "rolled back")
    assert (row["planted"], row["confirmed in"], row["window"]) == ("01-22 10:00", "01-22 13:00", "3")
    assert row["as expected"] == "yes"
    creep = LOGS["live_constraint_creep"]
    assert expected.row(creep, _outcome(_firing(creep, window=12)), ("late",))[-2:] == ("4", "NO (1)")


@pytest.mark.parametrize("name", demo.CATALOGUE)
def test_every_log_goes_on_after_the_stretch_it_shares_and_ends_when_all_has_matured(name):
    log = demo.CATALOGUE[name]
    before, after = calendar.before(log), calendar.after(log)
    days = calendar.CALENDARS[log.family]
    assert before == sorted(before) and after == sorted(after)
    assert before[-1] == calendar.branches(log) < days.planted < after[0]
    assert before[0] >= days.start + timedelta(days=days.baseline_days)
    assert after[-1] > days.end
    if log.fault is None and log.stage == "live":
        gaps = [b - a for passes in (before, after) for a, b in pairwise(passes)]
        assert max(gaps) <= timedelta(days=1)


@pytest.mark.parametrize("name", ["live_constraint_creep", "shadow_missing_propensity"])
def test_the_end_of_a_log_is_laid_out_as_in_the_whole_log_and_begins_as_the_healthy_one(name):
    log = LOGS[name]
    since = make.PLANTED - HOUR
    healthy, whole, rest = LOGS[demo._healthy(log)].parts(), log.parts(), log.parts(since)
    for h, w, r in zip(healthy, whole, rest, strict=True):
        assert w.lines[: w.seen(make.PLANTED)] == h.lines[: h.seen(make.PLANTED)]
        assert r.lines == w.lines[w.seen(since) :]
        assert (r.header, r.at[0]) == (w.header, w.at[w.seen(since)])


def test_a_log_goes_on_in_the_files_of_another_only_where_it_was_the_same(tmp_path):
    at = [f"2026-01-0{day}T00:00:00.000Z" for day in (1, 2, 3)]
    whole = Part("logs/a.csv", "head\n", ["1\n", "2\n", "3\n"], at)
    second, third = (make.START.replace(day=day, hour=1) for day in (2, 3))
    demo.Growing([whole], tmp_path).grow(second)
    assert (tmp_path / "logs" / "a.csv").read_text() == "head\n1\n2\n"
    rest = replace(whole, lines=whole.lines[1:], at=whole.at[1:])
    demo.Growing([rest], tmp_path, second).grow(third)
    assert (tmp_path / "logs" / "a.csv").read_text() == "head\n1\n2\n3\n"
    other = replace(whole, lines=["1\n", "2\n", "x\n"])
    with pytest.raises(ValueError, match="another log before"):
        demo.Growing([other], tmp_path, third)


def test_an_unknown_name_is_refused_with_those_of_both_families(capsys):
    assert demo.show(["live_helthy"], None, print) == 2
    said = capsys.readouterr().out
    assert "'live_helthy' is not known" in said
    assert "live_healthy" in said and "cooling_live_healthy" in said


def test_one_log_is_played_from_the_shared_stretch_to_its_rollback(tmp_path, monkeypatch):
    log = LOGS["live_irreversible"]
    passes = calendar.before(log)
    monkeypatch.setattr(calendar, "before", lambda _: [passes[0], passes[-1]])
    shown = demo.play(log, demo.begin(log, tmp_path / "begun"), tmp_path / log.name)
    assert shown.wrong == ()
    # FAIL: with the passes that are left out here, windows of an hour were not measured in time
    assert shown.summary[:5] == (log.name, "FAIL", "5", "irreversible", "rolled back")
    table = "".join(shown.lines).splitlines()
    assert any(line.startswith("FAIL") and "continuous_monitoring" in line for line in table)
    assert shown.lines[0] == "== live_irreversible: live, irreversible planted at 2026-01-22 10:00 UTC"
