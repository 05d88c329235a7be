"""Columns of behaviour on their way from a log file into decisions."""

import json
from datetime import UTC, datetime

import pytest

from monitor.log.ingest import ingest
from monitor.store import Store, opened

AS_OF = datetime(2026, 1, 3, tzinfo=UTC)


def test_distributions_overrides_and_proposals_arrive_with_what_is_worked_out_of_them(loaded) -> None:
    row = {
        "ts": "2026-01-02T10:00:00Z", "policy_id": "old", "unit_id": "u", "state_load": 1.0,
        "state_season": "low", "cost_slow": 0, "cost_crash": 0, "action_probs": [0.5, 0.5, 0.0],
        "candidate_probs": [0.5, 0.25, 0.25], "propensity": 0.5, "overridden": True, "proposed_action": "b",
        "action": "a", "q_value": 1.5, "proxy_reward": 0.25, "outcome": 0.75,
    }  # fmt: skip
    (loaded.folder / "logs").mkdir()
    lines = [{**row, "decision_id": "1"}, {**row, "decision_id": "2", "action_probs": None}]
    (loaded.folder / "logs/a.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines), "utf-8")
    store = Store(loaded.folder / "var")
    store.create()
    with opened(store.decisions) as connection:
        ingest(connection, loaded, as_of=AS_OF, now=AS_OF)
        found = connection.sql("SELECT * FROM decisions ORDER BY decision_id").to_arrow_table().to_pylist()
    first, second = found
    assert (first["greedy"], first["unsupported_mass"], first["n_actions"]) == (True, 0.25, 3)
    assert first["candidate_kl"] == pytest.approx(0.25 * -0.6931471805599453)
    assert (first["overridden"], first["proposed_action"], first["q_value"]) == (True, "b", 1.5)
    assert (second["greedy"], second["candidate_kl"]) == (None, None)
