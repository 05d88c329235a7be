"""Slack has bad days: every alert arrives all the same, once on a good one, and no verdict is another."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from alerts.channels.slack import SlackChannel
from monitor import acts, jobs
from monitor.incidents import incidents
from tests.stories.building import LAG, Plant, after, rows

TOKEN = "xoxb-222233334444-AbCdEfGhIjKlMnOpQr"
BAD = ("429", "500", "400", "not ok", "slow", "cut")


class Slack:
    """Answers with what `script` says next, then well; counts by the alert's key what it took."""

    def __init__(self) -> None:
        self.script: list[str] = []
        self.took: Counter[str] = Counter()
        slack = self

        class Answers(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode("utf-8", "replace")
                step = slack.script.pop(0) if slack.script else "ok"
                if step == "cut":
                    self.connection.close()
                    return
                if step == "slow":
                    time.sleep(1.6)
                key = re.search(r"alert ([^\"\\]+)", body)
                if step == "ok" and self.path.endswith("chat.postMessage") and key:
                    slack.took[key[1]] += 1
                status = int(step) if step.isdigit() else 200
                said = {"ok": step == "ok", "channel": "C1", "ts": "1.1", "error": f"no {TOKEN}"}
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    if step == "429":
                        self.send_header("Retry-After", "120")
                    self.end_headers()
                    self.wfile.write(json.dumps(said).encode())

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/api/"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Slack]]:
    monkeypatch.setitem(SlackChannel.__init__.__kwdefaults__, "timeout", 1)
    made = [Slack(), Slack()]
    yield made
    for slack in made:
        slack.server.shutdown()
        slack.server.server_close()


def lived(folder: Path, slack: Slack, script: list[str]) -> tuple[Plant, list[dict[str, Any]]]:
    """A day with a rollback, an acknowledgement and what follows; the verdicts of its passes."""
    channel = {"kind": "slack", "channel": "#rl-oncall", "base_url": slack.url}
    plant = Plant(folder, alerts={"channels": [channel]})
    plant.environ = {"SLACK_BOT_TOKEN": TOKEN}
    plant.write(rows(range(10), "new"))
    plant.run(after(10) + LAG)
    plant.write(rows([10], "new", per_hour=1, cost_crash=1.0, ts=after(10, 15).isoformat()))
    slack.script = list(script)
    jobs.fast(plant.loaded, now=after(10, 16), environ=plant.environ)
    with plant.journal() as journal:
        (incident,) = incidents(journal.events())
    acts.acknowledge(
        plant.loaded, incident, by="Ann", reason="valve", real=True, accept=False, at=after(10, 20)
    )
    for hour in range(11, 24):
        plant.write(rows([hour], "old"))
        plant.run(after(hour + 1) + LAG)
    bodies = [e.body for e in plant.events("verdict")]
    return plant, bodies


def test_every_alert_arrives_once_slack_is_back_and_no_verdict_is_another(
    tmp_path: Path, servers: list[Slack], capfd: pytest.CaptureFixture[str]
) -> None:
    quiet, bad = servers
    good_day, verdicts = lived(tmp_path / "quiet", quiet, [])
    bad_day, others = lived(tmp_path / "bad", bad, [*BAD, *BAD])
    keys = [row.key for row in good_day.outbox()]
    assert any("rolled_back" in k for k in keys) and any("resolved" in k for k in keys)
    assert quiet.took == Counter(keys)  # once each
    assert [row.key for row in bad_day.outbox()] == keys
    assert bad.script == [] and set(bad.took) == set(keys)
    assert all(row.delivered_at is not None for row in bad_day.outbox())
    assert others == verdicts
    tried = {row.key: row.attempts for row in bad_day.outbox()}
    assert max(tried.values()) > 3
    printed = capfd.readouterr()
    assert TOKEN not in printed.out + printed.err
    files = [p for p in (tmp_path / "bad").rglob("*") if p.is_file()]
    assert len(files) > 4 and not [p.name for p in files if TOKEN.encode() in p.read_bytes()]
