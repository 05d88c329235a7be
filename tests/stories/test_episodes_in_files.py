"""An episode comes in several files, in any order, twice: it is counted once, whole, where it ended."""

import json
from datetime import UTC, datetime, timedelta

import duckdb

from monitor import config as configuration
from monitor.log.ingest import ingest
from monitor.store import Store, opened
from monitor.sums.build import build

START = datetime(2026, 3, 1, tzinfo=UTC)
AS_OF = START + timedelta(hours=20)
HOUR = int(START.timestamp() // 3600)
CONFIG = """\
policies: {candidate: new, incumbent: old, safe: old}
log: {sources: [{paths: ["*.jsonl"], format: jsonl}, {paths: ["rewards/*.csv"], format: csv, kind: rewards}]}
reward: {range: [0, 1], discount: 0.5, missing_after_maturity: exclude}
episode_timeout: 3h
"""


def lines(*steps, episode="e", **other) -> str:
    """One decision a step (hours since the start, reward or None), the last of the episode where told."""
    rows = [
        {"decision_id": f"{episode}{hour}", "ts": (START + timedelta(hours=hour)).isoformat(),
         "policy_id": "old", "action": "x", "episode_id": episode, "reward": reward, **other}
        for hour, reward in steps
    ]
    return "".join(json.dumps({k: v for k, v in row.items() if v is not None}) + "\n" for row in rows)


def test_an_episode_over_hours_and_files_is_counted_once_whole_where_it_ended(tmp_path) -> None:
    (tmp_path / "monitor.yaml").write_text(CONFIG, "utf-8")
    (tmp_path / "rewards").mkdir()
    loaded = configuration.load(tmp_path / "monitor.yaml")
    store = Store(tmp_path / "var/monitor")
    store.create()

    def returns() -> dict[int, tuple[int, int, float]]:
        """Episodes, those with a known return, and the sum of returns, by hour."""
        with opened(store.decisions) as connection:
            ingest(connection, loaded, as_of=AS_OF, now=AS_OF)
        build(store, loaded.config, None)
        with duckdb.connect(str(store.sums), read_only=True) as connection:
            found = connection.execute(
                "SELECT hour, SUM(n), SUM(n_reward), SUM(r1 + 0.5 * k1) FROM sums_episode GROUP BY 1 HAVING "
                "SUM(n) > 0 ORDER BY 1"
            ).fetchall()
        return {hour - HOUR: (int(n), int(known), float(g)) for hour, n, known, g in found}

    (tmp_path / "a.jsonl").write_text(lines((0, 1.0), (1.5, 1.0)))
    assert returns() == {4: (1, 1, 1.5)}
    (tmp_path / "b.jsonl").write_text(lines((1.5, 1.0), (4, None)) + lines((5, 1.0), terminal=True))
    assert returns() == {5: (1, 0, 0.0)}
    (tmp_path / "c.jsonl").write_text(lines((0, 1.0), (4, None)) + lines((9, 0.5), episode="other"))
    assert returns() == {5: (1, 0, 0.0), 12: (1, 1, 0.5)}
    (tmp_path / "rewards/late.csv").write_text("decision_id,reward\ne4,1.0\n")
    assert returns() == {5: (1, 1, 1.875), 12: (1, 1, 0.5)}
    (tmp_path / "d.jsonl").write_text(lines((0.5, 0.0)))
    assert returns() == {5: (1, 1, 1.4375), 12: (1, 1, 0.5)}
    assert returns() == {5: (1, 1, 1.4375), 12: (1, 1, 0.5)}
