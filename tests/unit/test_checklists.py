"""The checklists that ship, and how mistakes in a user's own are refused."""

from importlib.resources import files
from pathlib import Path

import pytest

from gates.checklist import load
from gates.checks import CHECKS
from gates.stages import STAGES
from monitor import rules
from monitor.config import ConfigError
from monitor.triggers import NUMBERS, TRIGGERS

README = Path(__file__).parents[2] / "checklists" / "README.md"
# The nineteen items of the deployment checklist, by stage, with the checks that belong to one item.
NINETEEN = {
    "offline_validation": [
        ["held_out_value"],
        ["beats_baseline", "constraint_value"],
        ["reward_hacking"],
        ["worst_case"],
    ],
    "shadow_mode": [
        ["recommendations_logged"],
        ["disagreement"],
        ["large_disagreement", "review"],
        ["duration_and_coverage"],
    ],
    "limited_deployment": [
        ["blast_radius"],
        ["override_ready"],
        ["dashboard_fresh"],
        ["hard_constraints"],
        ["ab_test", "offline_online_gap"],
    ],
    "full_deployment": [
        ["continuous_monitoring"],
        ["state_shift"],
        ["offline_reevaluation"],
        ["rollback_armed"],
        ["on_call_path"],
        ["red_team"],
    ],
}
ALSO = {
    "offline_validation": {"data_contract", "hyperparameters", "data_volume", "policy_age"},
    "shadow_mode": {"data_contract"},
    "limited_deployment": {"data_contract", "frozen_rules", "exploration", "safety_layer", "support"},
    "full_deployment": {"data_contract", "frozen_rules", "exploration", "safety_layer", "support"},
}


def test_all_nineteen_items_ship_and_every_one_of_them_enforces():
    assert sum(map(len, NINETEEN.values())) == 19
    for stage, groups in NINETEEN.items():
        roles = {item.check: item.role for item in load(stage).items}
        for check in [name for group in groups for name in group]:
            assert roles[check] in ("guardrail", "sign_off"), check
        assert set(roles) == {name for group in groups for name in group} | ALSO[stage]


def test_every_check_is_in_a_checklist_or_is_the_sign_off_for_items_of_ones_own():
    used = {item.check for stage in STAGES for item in load(stage).items}
    assert set(CHECKS) - used == {"sign_off"}


@pytest.mark.parametrize("stage", STAGES)
def test_the_numbers_that_ship_are_the_defaults(stage):
    for item in load(stage).items:
        declared = CHECKS[item.check].params
        assert dict(item.params) == {name: number.default for name, number in declared.items()}


def test_every_check_and_its_numbers_are_explained_in_the_readme():
    rows = [line for line in README.read_text("utf-8").splitlines() if line.startswith("| ")]
    for name, check in CHECKS.items():
        [row] = [line for line in rows if line.split("|")[2].strip() == f"`{name}`"]
        for number in check.params:
            assert f"`{number}`" in row, f"{name}: {number}"
    for trigger, numbers in NUMBERS.items():
        [row] = [line for line in rows if line.split("|")[1].strip() == f"`{trigger}`"]
        assert all(f"`{number}`" in row for number in numbers), trigger


# hash


@pytest.fixture
def own(tmp_path):
    """Writes a checklist of shadow mode and loads it from the user's folder."""
    folder = tmp_path / "checklists"
    folder.mkdir()

    def write(text, stage="shadow_mode"):
        (folder / f"{stage}.yaml").write_text(text, "utf-8")
        return load(stage, folder)

    return write


SHIPPED = (files("checklists") / "shadow_mode.yaml").read_text("utf-8")


def test_a_users_copy_has_the_hash_of_the_original(own):
    assert own(SHIPPED) == load("shadow")


def test_comments_spelling_and_order_do_not_change_the_hash_but_numbers_and_roles_do(own):
    shipped = load("shadow").hash
    assert own(SHIPPED + "\n# a comment\n").hash == shipped
    assert own(SHIPPED.replace("days: 14", "days: 14.0")).hash == shipped
    assert own(SHIPPED.replace("    days: 14\n", "")).hash == shipped
    head, *items = SHIPPED.split("  - item: ")
    assert own(head + "".join(f"  - item: {i.rstrip()}\n" for i in reversed(items))).hash == shipped
    assert own(SHIPPED.replace("days: 14", "days: 15")).hash != shipped
    assert own(SHIPPED.replace("role: guardrail", "role: signal", 1)).hash != shipped
    assert own(SHIPPED.replace("    no_waiver: true\n", "")).hash != shipped
    two = SHIPPED.replace("    check: review\n", "    check: review\n    two_person: true\n")
    assert own(two).hash != shipped


# mistakes


def errors(own, text):
    with pytest.raises(ConfigError) as caught:
        own(text)
    return caught.value.errors


def test_an_unknown_check_is_refused_with_its_line_and_a_suggestion(own):
    line = SHIPPED.splitlines().index("    check: disagreement") + 1
    assert errors(own, SHIPPED.replace("check: disagreement", "check: disagrement")) == [
        f"checklists/shadow_mode.yaml:{line}: check 'disagrement' is not known; did you mean 'disagreement'?"
    ]


def test_an_unknown_number_is_refused_with_its_line_and_a_suggestion(own):
    line = SHIPPED.splitlines().index("    margin: 0.05") + 1
    assert errors(own, SHIPPED.replace("margin: 0.05", "margn: 0.05")) == [
        f"checklists/shadow_mode.yaml:{line}: 'margn' is not a number of check 'disagreement'; "
        "did you mean 'margin'?"
    ]


@pytest.mark.parametrize(
    "value", ["1.5", "-0.1", ".nan", ".inf", "true", "'0.9'", "[0.9]", "null", "0.9 or more"]
)
def test_a_number_out_of_its_range_or_of_another_kind_is_refused(own, value):
    [error] = errors(own, SHIPPED.replace("share: 0.999", f"share: {value}"))
    assert "'share' of check 'recommendations_logged' must be a number from 0 to 1" in error


def test_a_whole_number_and_a_rising_list_are_asked_for(own):
    [error] = errors(own, SHIPPED.replace("labelled: 50", "labelled: 50.5"))
    assert "must be a whole number from 1 to 100000, not 50.5" in error
    limited = (files("checklists") / "limited_deployment.yaml").read_text("utf-8")
    for ramp in ("[0.5, 0.1]", "[]", "0.5", "[0.1, 2]"):
        with pytest.raises(ConfigError, match="'ramp' of check 'blast_radius' must be a rising list"):
            own(limited.replace("[0.01, 0.05, 0.2, 0.5]", ramp), "limited_deployment")


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(own):
    text = SHIPPED.replace("role: guardrail", "role: guard", 1).replace("margin:", "margins:")
    text = text.replace("check: review", "check: reviews")
    found = errors(own, text)
    assert len(found) == 3
    assert [int(e.split(":")[1]) for e in found] == sorted(int(e.split(":")[1]) for e in found)


HEAD = "stage: shadow_mode\nitems:\n"
ITEM = "  - item: disagreement\n    check: disagreement\n    role: guardrail\n"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", ":1: a checklist has the keys `stage` and `items`"),
        ("- a\n", ":1: a checklist has the keys `stage` and `items`"),
        (HEAD + ITEM + ITEM, ":6: item 'disagreement' is listed twice"),
        (HEAD + ITEM.replace("guardrail", "signal"), ":2: no item is a guardrail or a sign_off"),
        (HEAD + ITEM.replace("role: guardrail", "role: off"), ":5: an item that is off says why"),
        (HEAD + ITEM + "    because: it is late\n", ":6: 'because' belongs to `role: off`"),
        (HEAD + ITEM.replace("guardrail", "sign_off"), ":5: check 'disagreement' enforces as guardrail"),
        (HEAD + ITEM.replace("    role: guardrail\n", ""), ":3: 'role' is missing"),
        (HEAD + ITEM.replace("guardrail", "guardrial"), ":5: role 'guardrial' is not known; did you mean"),
        (HEAD + ITEM + "    two_person: true\n", ":6: 'two_person' belongs to a sign-off"),
        (HEAD + ITEM + "    no_waiver: 1\n", ":6: 'no_waiver' must be true or false, not 1"),
        (HEAD + ITEM + "    no_waver: true\n", ":6: 'no_waver' is not a number of check 'disagreement'; did"),
        (HEAD + "  - disagreement\n", ":3: an item has the keys"),
        (HEAD.replace("shadow_mode", "full_deployment") + ITEM, ":1: 'stage' must be shadow_mode"),
        ("colour: red\n" + HEAD + ITEM, ":1: key 'colour' is not known"),
        ("stage: shadow_mode\n", ":1: 'items' must be a list of items"),
        (HEAD + "  - {", ":"),
        ("stage: shadow_mode\nstage: shadow_mode\n", ":2: "),
    ],
)
def test_a_checklist_with_a_mistake_is_refused_with_its_line(own, text, error):
    found = errors(own, text)
    assert any(e.startswith(f"checklists/shadow_mode.yaml{error}") for e in found), found


def test_a_check_that_would_judge_nothing_is_not_loaded_from_an_empty_folder(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load("shadow", tmp_path)


def test_an_item_is_switched_off_with_a_reason(own):
    text = HEAD + ITEM + "  - item: review\n    check: review\n    role: off\n    because: rules only\n"
    assert [(i.role, i.because) for i in own(text).items] == [("guardrail", ""), ("off", "rules only")]


# triggers


def test_the_triggers_that_ship_have_the_numbers_of_the_rules():
    assert rules.load() == {
        "reward_drop": rules.Rule({"mode": "seasonal", "sigmas": 2.0}, (3, 4), (3, 3)),
        "constraint": rules.Rule({"tail": 0.01}, (1, 1), (1, 1)),
        "state_shift": rules.Rule({"limit": 0.1, "p": 0.001}, (2, 3), (2, 3)),
        "irreversible": rules.Rule({}, (1, 1), (1, 1)),
        "reward_deviation": rules.Rule({"sigmas": 3.0}, (2, 3), (2, 3)),
        "e_detector": rules.Rule({"run_length": 2160.0}, (1, 1), (1, 1)),
        "e_detector_cost": rules.Rule({"run_length": 2160.0}, (1, 1), (1, 1)),
        "constraint_trend": rules.Rule({"p": 0.001}, (1, 1), (1, 1)),
        "disagreement": rules.Rule({"p": 0.001}, (1, 1), (1, 1)),
        "bimodal_reward": rules.Rule({"p": 0.01, "dip": 0.005}, (2, 3), (2, 3)),
        "goodhart_gap": rules.Rule({"p": 0.001, "sigmas": 3.0, "least": 0.5}, (1, 1), (1, 1)),
        "overdispersion": rules.Rule({"ratio": 2.0, "least": 0.05}, (1, 1), (1, 1)),
        "recommendation_collapse": rules.Rule({"top": 0.95}, (2, 3), (2, 3)),
        "missing_propensity": rules.Rule({"missing": 0.01}, (2, 3), (2, 3)),
        "model_gap": rules.Rule({"sigmas": 3.0}, (2, 3), (2, 3)),
        "critic_gap": rules.Rule({"sigmas": 3.0}, (2, 3), (2, 3)),
        "overrides": rules.Rule({"ratio": 3.0}, (2, 3), (2, 3)),
        "entropy_collapse": rules.Rule({"ratio": 0.5, "top": 0.95}, (2, 3), (2, 3)),
        "support": rules.Rule({"missing": 0.01, "ess": 100.0, "decisions": 1000.0}, (2, 3), (2, 3)),
        "stale": rules.Rule({"windows": 2.0}, (2, 3), (2, 3)),
        "rejects": rules.Rule({"tail": 0.01}, (2, 3), (2, 3)),
    }


def test_the_numbers_that_ship_are_the_defaults_of_the_triggers():
    for name, row in TRIGGERS.items():
        rule = rules.load()[name]
        assert row.params(**rule.numbers) == row.params()
        assert (rule.confirm, rule.confirm_letter) == (row.confirm, row.letter_confirm or row.confirm)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("reward_dorp: {}\n", ":1: trigger 'reward_dorp' is not known; did you mean 'reward_drop'?"),
        (
            "irreversible:\n  confirm: 2 of 1\n",
            ":2: 'confirm' of trigger 'irreversible' must be such as 3 of 4",
        ),
        (
            "irreversible:\n  confrm: 1 of 1\n",
            ":2: 'confrm' is not a number of trigger 'irreversible'; did you",
        ),
        ("irreversible: {}\n", ":1: trigger 'irreversible' lacks its number 'confirm'"),
        (
            "constraint:\n  tail: .nan\n  confirm: 1 of 1\n",
            ":2: 'tail' of trigger 'constraint' must be a number",
        ),
        ("irreversible: yes\n", ":1: trigger 'irreversible' lists its numbers"),
        ("", ":1: the file lists triggers"),
    ],
)
def test_a_mistake_in_the_triggers_is_refused_with_its_line(tmp_path, text, error):
    (tmp_path / "triggers.yaml").write_text(text, "utf-8")
    with pytest.raises(ConfigError) as caught:
        rules.load(tmp_path)
    assert any(e.startswith(f"{tmp_path.name}/triggers.yaml{error}") for e in caught.value.errors)


def test_a_trigger_that_is_not_listed_is_off(tmp_path):
    (tmp_path / "triggers.yaml").write_text("irreversible:\n  confirm: 1 of 1\n", "utf-8")
    assert list(rules.load(tmp_path)) == ["irreversible"]
