"""Alerts to Slack, to a local server that stands in for it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from tests.stories.building import LAG, Plant, after, rows

TOKEN = "xoxb-not-a-real-token-0123456789"


class Slack:
    """What was posted, and the statuses that the next answers have (200 when none is left)."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        self.statuses: list[int] = []
        self.ids = False  # whether answers say where the message is, as Slack's do
        slack = self

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers["Content-Length"])).decode()
                if "json" in self.headers["Content-Type"]:
                    body = json.loads(text)
                else:
                    body = {name: values[0] for name, values in parse_qs(text).items()}
                if isinstance(body.get("blocks"), str):
                    body["blocks"] = json.loads(body["blocks"])
                slack.posted.append({"path": self.path, "token": self.headers["Authorization"], **body})
                status = slack.statuses.pop(0) if slack.statuses else 200
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                said = {"ok": True} if status == 200 else {"ok": False, "error": "internal_error"}
                if slack.ids and status == 200:
                    said |= {"channel": "C0", "ts": f"{len(slack.posted)}.0"}
                self.wfile.write(json.dumps(said).encode())

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.address = f"http://127.0.0.1:{self.server.server_port}/api/"


@pytest.fixture
def slack() -> Iterator[Slack]:
    slack = Slack()
    thread = threading.Thread(target=slack.server.serve_forever, daemon=True)
    thread.start()
    yield slack
    slack.server.shutdown()
    slack.server.server_close()
    thread.join()


@pytest.fixture
def live(tmp_path: Path, slack: Slack) -> Plant:
    """A live candidate whose monitor tells a Slack channel; its token is in the environment."""
    channel = {"kind": "slack", "channel": "#rl-oncall", "base_url": slack.address}
    plant = Plant(tmp_path, alerts={"channels": [channel]})
    plant.environ = {"SLACK_BOT_TOKEN": TOKEN}
    plant.write(rows(range(10), "new"))
    plant.run(after(10) + LAG)
    assert slack.posted == []
    plant.write(rows([10], "new", per_hour=1, cost_crash=1.0, ts=after(10, 15).isoformat()))
    return plant


def run(plant: Plant, minutes: int, **environ: str) -> str:
    """The real command; everything it printed."""
    at = after(10, minutes).isoformat()
    done = plant.monitor("run", "--as-of", at, "--act", **{"SLACK_BOT_TOKEN": TOKEN} | environ)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def no_token_in(plant: Plant, *printed: str) -> None:
    for text in printed:
        assert TOKEN not in text
    files = [p for p in plant.folder.rglob("*") if p.is_file()]
    assert len(files) > 4
    for path in files:
        assert TOKEN.encode() not in path.read_bytes(), path.name


def test_a_rollback_is_told_in_the_channel(live: Plant, slack: Slack) -> None:
    printed = run(live, 20)
    told = [m for m in slack.posted if "rolled back" in m["text"]]
    (message,) = told
    assert message["path"] == "/api/chat.postMessage" and message["token"] == f"Bearer {TOKEN}"
    assert message["channel"] == "#rl-oncall"
    header, *sections, context = message["blocks"]
    assert header["type"] == "header" and "new was rolled back to old" in header["text"]["text"]
    shown = "\n".join(s["text"]["text"] for s in sections)
    for part in ("What happened", "How bad", "What was done", "What to do next", "monitor ack"):
        assert part in shown and part in message["text"]
    (incident,) = live.events("incident")
    assert f"{incident.subject}:rolled_back" in context["elements"][0]["text"]
    no_token_in(live, printed)
    before = len(slack.posted)
    run(live, 30)
    assert [m["text"] for m in slack.posted[before:] if "rolled back" in m["text"]] == []


def test_what_slack_did_not_take_arrives_with_the_next_run(live: Plant, slack: Slack) -> None:
    slack.statuses = [500] * 10
    printed = run(live, 20)
    assert "alert not delivered to slack:#rl-oncall" in printed and "HTTP 500" in printed
    assert live.pointer() is not None
    verdict = live.gate(after(10, 21), "full")
    tried = len(slack.posted)
    assert tried >= 1
    slack.statuses = []
    again = run(live, 30)
    arrived = slack.posted[tried:]
    assert len([m for m in arrived if "rolled back" in m["text"]]) == 1
    with live.journal() as journal:
        assert journal.undelivered() == [] and journal.verify() == []
    assert live.gate(after(10, 31), "full").outcome == verdict.outcome
    assert live.gate(after(10, 31), "full").exit_code == verdict.exit_code == 5
    no_token_in(live, printed, again)


@pytest.mark.parametrize("environ", [{"SLACK_BOT_TOKEN": ""}, {"SLACK_BOT_TOKEN": "two words"}])
def test_without_a_token_the_rollback_happens_and_the_message_waits(
    live: Plant, slack: Slack, environ: dict[str, str]
) -> None:
    printed = run(live, 20, **environ)
    assert "SLACK_BOT_TOKEN" in printed and slack.posted == []
    assert live.pointer() is not None
    run(live, 30)
    assert len([m for m in slack.posted if "rolled back" in m["text"]]) == 1


def test_a_token_out_of_a_file_is_used(
    live: Plant, slack: Slack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    secret = tmp_path_factory.mktemp("secret") / "token"
    secret.write_text(TOKEN + "\n", "utf-8")
    printed = run(live, 20, SLACK_BOT_TOKEN="", SLACK_BOT_TOKEN_FILE=str(secret))
    assert slack.posted[0]["token"] == f"Bearer {TOKEN}"
    no_token_in(live, printed)


def test_a_server_that_hangs_up_changes_no_verdict(live: Plant, slack: Slack) -> None:
    slack.server.shutdown()
    slack.server.server_close()
    printed = run(live, 20)
    assert "alert not delivered" in printed and live.pointer() is not None
    assert live.gate(after(10, 21), "full").exit_code == 5
    no_token_in(live, printed)
