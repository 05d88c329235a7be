"""What a reward is has a hash of its own, so that a sign-off on it ends when it becomes another."""

import copy

import pytest

from monitor.config import Config

BODY = {
    "policies": {"candidate": "new", "incumbent": "old", "safe": "old"},
    "log": {
        "sources": [
            {
                "paths": ["logs/*.jsonl"], "format": "jsonl",
                "columns": {"decision_id": "id", "ts": "at", "policy_id": "by", "reward": "click"},
            }
        ]
    },
    "reward": {"range": [0, 1], "missing_after_maturity": 0},
}


def reward_hash(change=lambda body: None):
    body = copy.deepcopy(BODY)
    change(body)
    return Config.model_validate(body).reward_hash


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b["reward"].update(range=[0, 2]),
        lambda b: b["reward"].update(missing_after_maturity="exclude"),
        lambda b: b["reward"].update(discount=0.9),
        lambda b: b["log"]["sources"][0]["columns"].update(reward="dwell"),
        lambda b: b["log"]["sources"][0]["columns"].update(proxy_reward="dwell"),
        lambda b: b["log"]["sources"][0].update(constants={"reward": 1.0}),
        lambda b: b["log"]["sources"].append(
            {"paths": ["r/*.csv"], "format": "csv", "kind": "rewards", "columns": {"reward": "value"}}
        ),
        lambda b: b["log"].update(combine="sum"),
        lambda b: b.update(outcome={"matures_after": "30d"}),
    ],
)
def test_another_reward_has_another_hash(change):
    assert reward_hash(change) != reward_hash()


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b["log"]["sources"][0].update(paths=["other/*.jsonl"]),
        lambda b: b["log"]["sources"][0]["columns"].update(unit_id="user"),
        lambda b: b["policies"].update(candidate="newer"),
        lambda b: b.update(window="24h"),
    ],
)
def test_what_is_no_part_of_the_reward_leaves_its_hash(change):
    assert reward_hash(change) == reward_hash()
