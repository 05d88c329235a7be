"""A log that nobody described: what its columns are taken for, and a monitor.yaml that loads."""

from __future__ import annotations

import csv
import gzip
import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gates.checklist import load as load_checklist
from gates.stages import STAGES
from monitor import config as configuration
from monitor.config import ConfigError, Loaded
from monitor.first_hour import profiles
from monitor.first_hour.facts import facts
from monitor.first_hour.init import Begun, init
from monitor.first_hour.recognise import propensity_form, recognise, snake
from monitor.log.look import look

START = datetime(2026, 3, 2, tzinfo=UTC)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def rows_of(n: int, every: timedelta = MINUTE) -> list[dict]:
    """Decisions under names of their own."""
    return [
        {
            "eventId": f"e{i}", "tsMs": int((START + i * every).timestamp() * 1000), "served_by": "rules",
            "user": f"u{i % 37}", "arm": "abc"[i % 3], "logp": math.log([0.5, 0.3, 0.2][i % 3]),
            "shadow": {"arm": "abc"[i % 2]},
            "context": {"load": (i * 7919) % 1000 / 10, "device": "xy"[i % 2]},
            "clicked": int(i % 5 == 0), "unsafe_content": int(i % 50 == 0), "note": f"free text {i}",
        }
        for i in range(n)
    ]  # fmt: skip


def jsonl(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def begin(log: Path, **options: object) -> tuple[Begun, Loaded, str]:
    output = log.parent.parent / "monitor.yaml" if log.parent.name == "logs" else log.parent / "monitor.yaml"
    begun = init([log], output, **{"profile": None, "force": False, "now": NOW, **options})  # type: ignore[arg-type]
    return begun, configuration.load(output), output.read_text("utf-8")


def test_columns_under_other_names_are_recognised_by_name_and_content(tmp_path) -> None:
    _, loaded, _ = begin(jsonl(tmp_path / "logs/a.jsonl", rows_of(4000)))
    (source,) = loaded.config.log.sources
    assert source.columns == {
        "decision_id": "eventId", "ts": "tsMs", "policy_id": "served_by", "unit_id": "user", "action": "arm",
        "propensity": "logp", "candidate_action": "shadow.arm", "reward": "clicked",
        "cost_unsafe_content": "unsafe_content", "state_load": "context.load",
        "state_device": "context.device",
    }  # fmt: skip
    assert (source.format, source.time, loaded.config.log.propensity) == (
        "jsonl",
        "epoch_milliseconds",
        "log",
    )
    assert loaded.config.state.numeric == ["load"] and loaded.config.state.categorical == ["device"]
    assert loaded.config.acting == "observe"


def test_a_source_is_the_folder_of_its_files_and_relative_to_the_configuration(tmp_path) -> None:
    jsonl(tmp_path / "logs/a.jsonl", rows_of(40))
    jsonl(tmp_path / "logs/b.jsonl", rows_of(40))
    init([tmp_path / "logs"], tmp_path / "monitor.yaml", profile=None, force=False, now=NOW)
    (source,) = configuration.load(tmp_path / "monitor.yaml").config.log.sources
    assert source.paths == ["logs/*.jsonl"]


def test_files_of_two_shapes_in_one_folder_become_patterns_that_tomorrows_file_matches(tmp_path) -> None:
    for day in ("2026-01-03", "2026-01-04"):
        rows = [{**r, "eventId": f"{day}-{i}"} for i, r in enumerate(rows_of(40))]
        jsonl(tmp_path / f"logs/served-{day}.jsonl", rows)
        late = [{"eventId": r["eventId"], "reward": i % 2} for i, r in enumerate(rows)]
        jsonl(tmp_path / f"logs/late-{day}.jsonl", late)
    init([tmp_path / "logs"], tmp_path / "monitor.yaml", profile=None, force=False, now=NOW)
    sources = configuration.load(tmp_path / "monitor.yaml").config.log.sources
    assert [s.paths for s in sources] == [["logs/late-*.jsonl"], ["logs/served-*.jsonl"]]
    some = [tmp_path / f"logs/served-2026-01-0{d}.jsonl" for d in (3, 4)]
    jsonl(tmp_path / "logs/served-later.jsonl", rows_of(40))
    init(some, tmp_path / "monitor.yaml", profile=None, force=True, now=NOW)
    (source,) = configuration.load(tmp_path / "monitor.yaml").config.log.sources
    assert source.paths == [f"logs/served-2026-01-0{d}.jsonl" for d in (3, 4)]  # not what was not shown


def test_a_limit_is_half_as_much_again_as_the_rate_in_the_sample(tmp_path) -> None:
    rows = [{**r, "unsafe_content": int(i % 50 == 0)} for i, r in enumerate(rows_of(1000))]
    _, loaded, _ = begin(jsonl(tmp_path / "logs/a.jsonl", rows))
    assert loaded.config.constraints["unsafe_content"].limit == 0.03
    rows = [{**r, "unsafe_content": int(i % 100 == 0)} for i, r in enumerate(rows_of(1000))]
    _, loaded, _ = begin(jsonl(tmp_path / "b/logs/a.jsonl", rows))
    assert loaded.config.constraints["unsafe_content"].limit == 0.015


@pytest.mark.parametrize(
    ("every", "hours"),
    [(MINUTE, 1), (timedelta(minutes=5), 3), (timedelta(minutes=30), 24), (timedelta(hours=3), 24)],
)
def test_the_window_is_the_shortest_with_thirty_decisions(tmp_path, every, hours) -> None:
    _, loaded, text = begin(jsonl(tmp_path / "logs/a.jsonl", rows_of(600, every)))
    assert loaded.config.window == timedelta(hours=hours)
    assert ("under 30, so windows will be merged" in text) == (every == timedelta(hours=3))


def test_volume_of_a_long_file_is_told_from_a_sample_of_it(tmp_path) -> None:
    log = jsonl(tmp_path / "logs/a.jsonl", rows_of(9000))
    (seen,) = look([log], sample=1000)
    assert len(seen.records) == 1500 and seen.rows == pytest.approx(9000, rel=0.05)
    assert seen.records[-1]["eventId"] == "e8999"


def test_the_baseline_is_the_first_week_or_the_first_third(tmp_path) -> None:
    _, week, _ = begin(jsonl(tmp_path / "a/logs/a.jsonl", rows_of(16000, 2 * MINUTE)))
    _, third, _ = begin(jsonl(tmp_path / "b/logs/a.jsonl", rows_of(4320)))
    assert week.config.baseline is not None and third.config.baseline is not None
    assert week.config.baseline.end - week.config.baseline.start == timedelta(days=7)
    assert third.config.baseline.end - third.config.baseline.start == timedelta(days=1)


def test_the_baseline_holds_72_windows_where_the_log_is_twice_as_long(tmp_path) -> None:
    _, long, _ = begin(jsonl(tmp_path / "a/logs/a.jsonl", rows_of(6000, timedelta(minutes=5))))
    assert long.config.baseline is not None and long.config.window == timedelta(hours=3)
    assert long.config.baseline.end - long.config.baseline.start == timedelta(days=9)


def test_what_only_people_know_is_left_commented_out(tmp_path) -> None:
    _, loaded, text = begin(jsonl(tmp_path / "logs/a.jsonl", rows_of(400)))
    assert loaded.config.training is None and loaded.config.held_out is None
    assert "# training:" in text and "# held_out:" in text and "# candidate_propensity: …  needs" in text


def test_csv_and_parquet_and_gzip_give_the_same_columns(tmp_path) -> None:
    rows = [{k: v for k, v in r.items() if not isinstance(v, dict)} for r in rows_of(300)]
    jsonl(tmp_path / "j/logs/a.jsonl", rows)
    for name in ("c", "p", "g"):
        (tmp_path / name / "logs").mkdir(parents=True)
    with (tmp_path / "c/logs/a.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "p/logs/a.parquet")
    packed = tmp_path / "g/logs/a.jsonl.gz"
    packed.write_bytes(gzip.compress((tmp_path / "j/logs/a.jsonl").read_bytes()))
    logs = [tmp_path / "j/logs/a.jsonl", tmp_path / "c/logs/a.csv", tmp_path / "p/logs/a.parquet", packed]
    found = [begin(log)[1].config.log for log in logs]
    assert [f.sources[0].format for f in found] == ["jsonl", "csv", "parquet", "jsonl"]
    assert found[1].sources[0].delimiter == ";"
    assert {tuple(sorted(f.sources[0].columns.items())) for f in found} == {
        tuple(sorted(found[0].sources[0].columns.items()))
    }


def test_rewards_in_files_of_their_own_become_a_source_with_their_delay(tmp_path) -> None:
    rows = rows_of(600)
    late = [
        {"eventId": r["eventId"], "clicked": r["clicked"], "rewarded_at": r["tsMs"] + 5 * 3_600_000}
        for r in rows
    ]
    for row in rows:
        del row["clicked"]
    jsonl(tmp_path / "decisions/a.jsonl", rows)
    jsonl(tmp_path / "rewards/a.jsonl", late)
    folders = [tmp_path / "decisions", tmp_path / "rewards"]
    init(folders, tmp_path / "monitor.yaml", profile=None, force=False, now=NOW)
    config = configuration.load(tmp_path / "monitor.yaml").config
    assert [s.kind for s in config.log.sources] == ["decisions", "rewards"]
    assert config.log.sources[1].columns == {
        "decision_id": "eventId", "reward": "clicked", "reward_ts": "rewarded_at",
    }  # fmt: skip
    assert config.reward.matures_after == timedelta(hours=5)


def test_without_propensities_the_table_says_never_and_asks_for_a_sign_off(tmp_path) -> None:
    rows = rows_of(400)
    for row in rows:
        del row["logp"]
    begun, _, text = begin(jsonl(tmp_path / "logs/a.jsonl", rows))
    never = [line for line in begun.lines if "held_out_value" in line]
    assert len(never) == 1 and "never" in never[0] and "grade C" in never[0] and "sign-off" in never[0]
    assert "# propensity: …  needs" in text


def test_the_table_has_every_item_of_every_stage(tmp_path) -> None:
    begun, _, _ = begin(jsonl(tmp_path / "logs/a.jsonl", rows_of(400)))
    table = begun.lines[begun.lines.index("") :]
    items = [item.item for stage in STAGES for item in load_checklist(stage).items]
    shown = [line.split()[1] for line in table if line.startswith("  ")]
    assert shown == items
    numbers = {line.split()[0] for line in table if line.startswith("  ")}
    assert {str(n) for n in range(1, 20)} <= numbers


def test_without_an_id_a_time_that_never_repeats_stands_for_it(tmp_path) -> None:
    rows = rows_of(200)
    for row in rows:
        del row["eventId"], row["note"]
    begun, loaded, text = begin(jsonl(tmp_path / "logs/a.jsonl", rows))
    assert begun.complete and loaded.config.log.sources[0].columns["decision_id"] == "tsMs"
    assert "no column is an id" in text


def test_a_log_without_an_id_is_not_complete_and_says_so(tmp_path) -> None:
    rows = rows_of(200)
    for row in rows:
        del row["eventId"], row["note"]
    rows[1]["tsMs"] = rows[0]["tsMs"]
    begun, _, text = begin(jsonl(tmp_path / "logs/a.jsonl", rows))
    assert not begun.complete and "# decision_id: …  needs" in text
    assert any("map decision_id" in line for line in begun.lines)


def test_a_configuration_that_is_there_is_not_replaced_without_force(tmp_path) -> None:
    log = jsonl(tmp_path / "logs/a.jsonl", rows_of(200))
    begin(log)
    (tmp_path / "monitor.yaml").write_text("mine", "utf-8")
    with pytest.raises(ConfigError, match="is there already"):
        begin(log)
    assert (tmp_path / "monitor.yaml").read_text("utf-8") == "mine"
    assert begin(log, force=True)[0].complete


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02\x03 not a log", b"just one line\nand another\n"])
def test_a_file_that_is_no_log_is_refused_with_its_name(tmp_path, content) -> None:
    log = tmp_path / "logs/a.jsonl"
    log.parent.mkdir()
    log.write_bytes(content)
    with pytest.raises(ConfigError, match=r"a\.jsonl"):
        begin(log)


def test_lines_that_are_no_record_are_left_out_of_the_sample(tmp_path) -> None:
    log = jsonl(tmp_path / "logs/a.jsonl", rows_of(200))
    log.write_text(log.read_text("utf-8") + '{"torn": \n[1, 2]\n', "utf-8")
    (seen,) = look([log])
    assert (len(seen.records), seen.unread) == (200, 2)


@pytest.mark.parametrize("profile", profiles.PROFILES)
def test_a_profile_is_a_copy_of_the_checklists_that_loads(tmp_path, profile) -> None:
    begun, loaded, _ = begin(jsonl(tmp_path / "logs/a.jsonl", rows_of(200)), profile=profile)
    assert loaded.config.checklists == "checklists" and begun.complete
    for stage in STAGES:
        own, usual = load_checklist(stage, tmp_path / "checklists"), load_checklist(stage)
        changed = profiles.PROFILES[profile].get(stage, {})
        assert (own.hash == usual.hash) == (not changed)
        assert [i.item for i in own.items] == [i.item for i in usual.items]


def test_a_profile_does_not_replace_checklists_that_are_there(tmp_path) -> None:
    log = jsonl(tmp_path / "logs/a.jsonl", rows_of(200))
    begin(log, profile="high_stakes")
    with pytest.raises(ConfigError, match="somebody's numbers"):
        begin(log, profile="low_stakes", force=True)


@pytest.mark.parametrize(
    ("values", "form"),
    [
        ([0.1, 1.0], "probability"), ([0.0, 0.5], "probability"), ([-0.1, -3.0], "log"), ([0.0, -2.0], "log"),
        ([0.2, 1.7], "density"), ([-0.5, 0.5], None), (["a", "b"], None),
    ],
)  # fmt: skip
def test_the_form_of_propensities_is_told_by_their_range(values, form) -> None:
    assert propensity_form(facts("p", values)) == form


@pytest.mark.parametrize(
    ("values", "form"),
    [
        (["2026-03-01T10:00:00Z", "2026-03-01 11:00"], "iso"),
        ([1_772_400_000, 1_772_400_001.5], "epoch_seconds"),
        (["1772400000000"], "epoch_milliseconds"), ([1_772_400_000_000_000], "epoch_microseconds"),
        ([17], None), (["soon"], None), ([START], "iso"),
    ],
)  # fmt: skip
def test_the_form_of_times_is_told_by_their_size(values, form) -> None:
    assert facts("t", values).time == form


def test_a_name_that_its_content_does_not_bear_out_is_a_doubt_and_not_a_guess() -> None:
    found = recognise([facts("propensity", [-0.5, 0.5]), facts("ts", [1, 2]), facts("id", ["a", "a"])])
    assert not found.guesses
    assert len(found.doubts) == 3 and all("is named like" in doubt for doubt in found.doubts)


def test_rewards_of_true_and_false_are_a_doubt_because_ingest_takes_numbers() -> None:
    found = recognise([facts("reward", [True, False])])
    assert "reward" not in found.guesses and "log 1 and 0" in found.doubts[0]


def test_columns_named_after_the_action_and_the_propensity_are_those_of_the_candidate() -> None:
    found = recognise([
        facts("offer", ["a", "b"] * 4), facts("logprob", [-0.5, -1.5] * 4),
        facts("shadow_offer", ["b", "b"] * 4), facts("shadow_logprob", [-0.7, -1.0] * 4),
        facts("customer_ref", ["c1", "c2"] * 4), facts("bought", [0, 1] * 4), facts("refund", [0, 1] * 4),
    ])  # fmt: skip
    assert {t: g.path for t, g in found.guesses.items()} == {
        "action": "offer", "propensity": "logprob", "candidate_action": "shadow_offer",
        "candidate_propensity": "shadow_logprob", "unit_id": "customer_ref", "reward": "bought",
        "cost_refund": "refund",
    }  # fmt: skip


def test_a_column_of_0_and_1_may_be_a_result_and_is_not_taken_for_a_state() -> None:
    load, happy = facts("load", [0.5, 1.5, 2]), facts("happy", [0, 1, 1])
    assert set(recognise([load, happy, facts("state_vip", [0, 1, 1])]).guesses) == {"state_vip"}
    found = recognise([load, happy])
    assert set(found.guesses) == {"state_load"}
    assert "'happy' holds only 0 and 1" in found.doubts[0] and "happy" in found.left


def test_dimensions_of_a_continuous_action_are_recognised() -> None:
    found = recognise([facts("action.pump", [0.2, 0.9]), facts("recommended_action.pump", [0.1, 0.3])])
    assert {t: g.path for t, g in found.guesses.items()} == {
        "action_pump": "action.pump", "candidate_action_pump": "recommended_action.pump",
    }  # fmt: skip


def test_a_recommendation_must_name_every_dimension_of_the_action(tmp_path) -> None:
    rows = [
        {"id": f"e{i}", "ts": (START + i * MINUTE).isoformat(), "action": {"pump": 0.1 + i / 999, "fan": 0.5},
         "candidate_action": {"pump": 0.2}}
        for i in range(300)
    ]  # fmt: skip
    begun, _, text = begin(jsonl(tmp_path / "logs/a.jsonl", rows))
    assert "# candidate_action_fan: …  needs" in text
    (line,) = [line for line in begun.lines if " disagreement " in line]
    assert "needs" in line and "candidate_action_fan" in line and "candidate_action_pump" not in line


@pytest.mark.parametrize(
    ("name", "word"), [("userId", "user_id"), ("User ID", "user_id"), ("3d-score", "x_3d_score"), ("ß", "x")]
)
def test_names_become_names_that_the_configuration_takes(name, word) -> None:
    assert snake(name) == word
