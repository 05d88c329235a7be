"""Threads and pictures in Slack, and every other channel, each against a real server on this machine."""

import contextlib
import json
import sys
import threading
import types
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest

from alerts.channels import DeliveryError, build
from alerts.delivery import deliver
from alerts.http import signed
from alerts.message import Message
from alerts.pipeline import enqueue
from monitor.config import Channel
from monitor.journal import Journal

AT = datetime(2026, 1, 21, 14, tzinfo=UTC)
ID = "cooling-v7-reward_drop-20260121T14"
SECRETS = {
    "SLACK_BOT_TOKEN": "xoxb-000000000000-not-a-real-token",
    "PAGERDUTY_ROUTING_KEY": "R0123456789abcdef0123456789abcdef",
    "ALERT_WEBHOOK_SECRET": "a-signing-secret-0123456789",
}
FIRST = Message(
    "reward_drop fired on cooling-v7", "page", "It fell.", "0.41 is below 0.45.", "Nothing.", ("Look.",), ID,
    "cooling-v7", "limited", state="firing", mention=("U012345", "<!channel>"),
    plot={"title": "reward", "points": [], "limit": 0.45},
)  # fmt: skip
ACKNOWLEDGED = Message("Ann has it", "info", "She said so.", "", "", (), ID, state="acknowledged")
RESOLVED = Message("It is over", "info", "Three good windows.", "", "", (), ID, state="resolved")


class Server:
    """Keeps (path, headers, body) of each request; `answers` maps a path to (status, headers, body)."""

    def __init__(self):
        self.requests, self.answers = [], {}
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                raw = self.rfile.read(int(self.headers["Content-Length"] or 0))
                kind = self.headers["Content-Type"] or ""
                body = raw
                if "json" in kind:
                    body = json.loads(raw)
                elif "form-urlencoded" in kind and self.path != "/upload":
                    body = {name: values[0] for name, values in parse_qs(raw.decode()).items()}
                server.requests.append((self.path, dict(self.headers), body))
                answer = server.answers.get(self.path, (200, {}, {"ok": True, "channel": "C1", "ts": "1.2"}))
                status, headers, said = answer.pop(0) if isinstance(answer, list) else answer
                content = said if isinstance(said, bytes) else json.dumps(said).encode()
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    self.send_response(status)
                    for name, value in {"Content-Type": "application/json", **headers}.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def of(self, path):
        return [body for p, _, body in self.requests if p == path]


@pytest.fixture
def server():
    server = Server()
    yield server
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "journal.db") as opened:
        yield opened


def sent(journal, setting, *messages, draw=None, environ=SECRETS):
    """Each message in the outbox and out, one after the other; the last report."""
    channels = build([setting], environ, draw)
    report = None
    for n, message in enumerate(messages):
        enqueue(journal, [setting], message, f"{ID}:{n}", AT)
        report = deliver(journal, channels, AT + timedelta(minutes=n))
    return report


def slack(server, **more):
    return Channel(kind="slack", channel="#rl-oncall", base_url=f"{server.url}/api/", **more)


def test_an_incident_is_one_message_that_is_changed_with_a_thread_below_it(journal, server):
    sent(journal, slack(server), FIRST, ACKNOWLEDGED, RESOLVED)
    first, *later = server.of("/api/chat.postMessage")
    assert "thread_ts" not in first and [m["thread_ts"] for m in later] == ["1.2", "1.2"]
    changes = server.of("/api/chat.update")
    titles = [change["blocks"][0]["text"]["text"] for change in changes]
    assert [t.split()[1] for t in titles] == ["[acknowledged]", "[resolved]"]
    assert all(change["ts"] == "1.2" and change["channel"] == "C1" for change in changes)
    assert "reward_drop fired on cooling-v7" in titles[0] and "Ann has it" in json.dumps(changes[0])


def test_people_are_called_by_their_ids_and_nobody_else(journal, server):
    sent(journal, slack(server), FIRST)
    [first] = server.of("/api/chat.postMessage")
    assert first["text"].startswith("<@U012345> ") and "<!channel>" not in json.dumps(first)


def test_a_change_that_slack_does_not_take_does_not_send_the_message_again(journal, server):
    server.answers["/api/chat.update"] = (200, {}, {"ok": False, "error": "message_not_found"})
    assert sent(journal, slack(server), FIRST, ACKNOWLEDGED).failed == []
    assert len(server.of("/api/chat.postMessage")) == 2 and journal.undelivered() == []


def test_the_plot_goes_into_the_thread(journal, server):
    upload = {"ok": True, "upload_url": f"{server.url}/upload", "file_id": "F1"}
    server.answers["/api/files.getUploadURLExternal"] = (200, {}, upload)
    done = {"ok": True, "files": [{"id": "F1"}]}
    server.answers["/api/files.completeUploadExternal"] = (200, {}, done)
    sent(journal, slack(server), FIRST, draw=lambda plot: b"\x89PNG " + plot["title"].encode())
    [picture] = server.of("/upload")
    assert b"\x89PNG reward" in picture
    [complete] = server.of("/api/files.completeUploadExternal")
    assert complete["thread_ts"] == "1.2" and complete["channel_id"] == "C1"


def test_a_plot_that_cannot_be_drawn_or_sent_does_not_hold_up_the_alert(journal, server):
    def broken(plot):
        raise ValueError("no font")

    assert sent(journal, slack(server), FIRST, draw=broken).delivered
    server.answers["/api/files.getUploadURLExternal"] = (200, {}, {"ok": False, "error": "missing_scope"})
    again = Message(**{**{f: getattr(FIRST, f) for f in FIRST.__slots__}, "incident": "other"})
    assert sent(journal, slack(server), RESOLVED, again, draw=lambda _: b"png").failed == []


def test_retry_after_is_kept_to(journal, server):
    path = "/api/chat.postMessage"
    ok = (200, {}, {"ok": True, "channel": "C1", "ts": "1.2"})
    server.answers[path] = [(429, {"Retry-After": "900"}, {"ok": False, "error": "ratelimited"}), ok]
    sent(journal, slack(server), FIRST)
    channels = build([slack(server)], SECRETS)
    assert deliver(journal, channels, AT + timedelta(seconds=899)).delivered == []
    assert deliver(journal, channels, AT + timedelta(seconds=900)).delivered != []


def test_what_no_channel_took_for_three_days_is_given_up_and_can_be_tried_again(journal, server):
    server.answers["/api/chat.postMessage"] = (500, {}, {})
    channels = build([slack(server)], SECRETS)
    enqueue(journal, [slack(server)], FIRST, ID, AT)
    for day in (0, 1, 2, 3, 4):
        deliver(journal, channels, AT + timedelta(days=day))
    [row] = journal.undelivered()
    assert row.dead_at == AT + timedelta(days=3) and row.attempts == 4
    server.answers.clear()
    journal.revive()
    assert deliver(journal, channels, AT + timedelta(days=5)).delivered == [(ID, "slack:#rl-oncall")]


def test_a_pass_begins_no_try_after_its_time(journal, server):
    enqueue(journal, [slack(server)], FIRST, ID, AT)
    report = deliver(journal, build([slack(server)], SECRETS), AT, seconds=0)
    assert (report.delivered, report.failed, report.left) == ([], [], 1)


def test_two_that_deliver_at_once_send_each_message_once(tmp_path, journal, server):
    setting = slack(server)
    for n in range(12):
        enqueue(journal, [setting], FIRST, f"{ID}:{n}", AT)

    def work():
        with Journal(tmp_path / "journal.db") as mine:
            deliver(mine, build([setting], SECRETS), AT)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.of("/api/chat.postMessage")) == 12 and journal.undelivered() == []


def test_a_channel_takes_the_severities_that_it_is_given_and_what_became_of_an_incident(journal, server):
    pages = slack(server, severities=["page"])
    warning = Message("a warning", "warning", "x", "", "", ())
    sent(journal, pages, warning, FIRST, RESOLVED)
    assert [m["text"].split("] ")[1].split("\n")[0] for m in server.of("/api/chat.postMessage")] == [
        FIRST.title, RESOLVED.title,
    ]  # fmt: skip


def test_pagerduty_is_triggered_acknowledged_and_resolved_under_the_incidents_id(journal, server):
    server.answers["/v2/enqueue"] = (202, {}, {"status": "success"})
    setting = Channel(kind="pagerduty", base_url=server.url)
    warning = Message("a warning", "warning", "x", "", "", ())
    sent(journal, setting, warning, FIRST, ACKNOWLEDGED, RESOLVED)
    events = server.of("/v2/enqueue")
    assert [(e["event_action"], e["dedup_key"]) for e in events] == [
        ("trigger", ID), ("acknowledge", ID), ("resolve", ID),
    ]  # fmt: skip
    assert events[0]["payload"]["severity"] == "critical" and events[0]["payload"]["source"] == "cooling-v7"
    assert events[0]["payload"]["custom_details"]["what_to_do"] == ["Look."]


def test_what_was_never_triggered_in_pagerduty_is_not_resolved_there(journal, server):
    sent(journal, Channel(kind="pagerduty", base_url=server.url), RESOLVED)
    assert server.requests == [] and journal.undelivered() == []


def test_a_webhook_gets_a_signed_cloud_event(journal, server):
    setting = Channel(kind="webhook", url=f"{server.url}/alerts")
    sent(journal, setting, FIRST)
    [(_, headers, event)] = server.requests
    assert (event["specversion"], event["id"], event["subject"]) == ("1.0", f"{ID}:0", ID)
    assert event["type"] == "monitor.alert.page" and event["data"]["title"] == FIRST.title
    body = json.dumps(event, sort_keys=True).encode()
    wanted = signed(SECRETS["ALERT_WEBHOOK_SECRET"], body)["X-Monitor-Signature"]
    assert headers["X-Monitor-Signature"] == wanted
    assert headers["Content-Type"] == "application/cloudevents+json"


def test_a_webhook_without_its_secret_is_not_sent_and_says_so(journal, server):
    report = sent(journal, Channel(kind="webhook", url=f"{server.url}/a"), FIRST, environ={})
    assert "set ALERT_WEBHOOK_SECRET" in report.failed[0].error and server.requests == []


def test_the_slack_webhook_takes_only_ok_for_an_answer(journal, server):
    setting = Channel(kind="slack_webhook", base_url=f"{server.url}/hook")
    ok, hotel, refused = (200, {}, b"ok"), (200, {}, b"welcome to the hotel network"), (400, {}, b"no_text")
    server.answers["/hook"] = [ok, hotel, refused, ok]
    assert sent(journal, setting, FIRST).delivered
    channel = build([setting], SECRETS)["slack_webhook"]
    with pytest.raises(DeliveryError, match="its answer is not `ok`"):
        channel.deliver(FIRST.as_dict(), "k")
    channel.deliver(FIRST.as_dict(), "k")
    assert ["blocks" in body for body in server.of("/hook")] == [True, True, True, False]


def test_an_answer_that_leads_elsewhere_is_not_followed(journal, server):
    server.answers["/alerts"] = (307, {"Location": f"{server.url}/elsewhere"}, {})
    report = sent(journal, Channel(kind="webhook", url=f"{server.url}/alerts"), FIRST)
    assert "HTTP 307" in report.failed[0].error and len(server.requests) == 1


TOLD = []


class Apprise:
    def add(self, url):
        return "://" in url

    def notify(self, **said):
        TOLD.append(said)
        return "down" not in said["title"]


def test_apprise_tells_every_service_and_says_when_it_could_not(monkeypatch):
    channel = build([Channel(kind="apprise")], {"APPRISE_URLS": "mailto://secret@x,nonsense"})["apprise"]
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(DeliveryError, match="install the extra"):
        channel.deliver(FIRST.as_dict(), "k")
    monkeypatch.setitem(sys.modules, "apprise", types.SimpleNamespace(Apprise=Apprise))
    with pytest.raises(DeliveryError, match="1 of the 2 addresses") as error:
        channel.deliver(FIRST.as_dict(), "k")
    assert "secret" not in str(error.value)
    channel = build([Channel(kind="apprise")], {"APPRISE_URLS": "mailto://secret@x"})["apprise"]
    channel.deliver(FIRST.as_dict(), "k")
    assert TOLD[-1]["notify_type"] == "failure" and "0.41" in TOLD[-1]["body"]
    with pytest.raises(DeliveryError, match="did not take"):
        channel.deliver({**FIRST.as_dict(), "title": "down"}, "k")
