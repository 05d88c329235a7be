"""Every channel takes a message or says why not; no alert is lost, none is sent twice, no secret shows."""

import contextlib
import io
import json
import logging
import socket
import stat
import subprocess
import sys
import threading
import time
import traceback
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import get_args

import pytest

from alerts.channels import CHANNELS, DeliveryError, build, name_of
from alerts.channels.console import ConsoleChannel
from alerts.channels.slack import SlackChannel, bot_token
from alerts.delivery import deliver
from alerts.message import Message
from alerts.pipeline import enqueue
from monitor.config import Channel as ChannelConfig
from monitor.journal import Journal

AT = datetime(2026, 1, 21, 14, tzinfo=UTC)
TOKEN = "xoxb-000000000000-not-a-real-token"
MESSAGE = Message(
    "cooling-v7 was rolled back to pid-loop", "page", "It fell.", "0.41 is below 0.45.", "Rolled back.",
    ("Look <here> & there.", "Acknowledge."), "cooling-v7-reward_drop-20260121T14", "cooling-v7", "limited",
    ("monitor ack cooling-v7-reward_drop-20260121T14",),
)


class FakeSlack:
    """Answers each request with the next of `script`, the last one again and again; keeps the requests."""

    def __init__(self):
        self.script, self.requests = ["ok"], []
        fake = self

        class Answers(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                fake.requests.append((self.path, dict(self.headers), json.loads(body)))
                step = fake.script.pop(0) if len(fake.script) > 1 else fake.script[0]
                fake.answer(self, step)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/api/"
        serve = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        serve.start()

    @staticmethod
    def answer(request, step):
        if step == "cut":
            request.connection.shutdown(socket.SHUT_RDWR)
            return
        if step == "slow":
            time.sleep(1.5)
            step = "ok"
        status, headers, body = ANSWERS[step]
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            request.send_response(status)
            for name, value in headers.items():
                request.send_header(name, value)
            request.end_headers()
            request.wfile.write(body.replace(b"ECHO", request.headers["Authorization"].encode()))


JSON = {"Content-Type": "application/json; charset=utf-8"}
ANSWERS = {
    "ok": (200, JSON, b'{"ok": true, "channel": "C1", "ts": "1.2"}'),
    "invalid_auth": (200, JSON, b'{"ok": false, "error": "invalid_auth"}'),
    "invalid_blocks": (200, JSON, b'{"ok": false, "error": "invalid_blocks"}'),
    "400": (400, JSON, b'{"ok": false, "error": "invalid_arguments"}'),
    "429": (429, {**JSON, "Retry-After": "30"}, b'{"ok": false, "error": "ratelimited"}'),
    "500": (500, {"Content-Type": "text/html"}, b"<html>Server error ECHO</html>"),
    "not json": (200, JSON, b"welcome to the hotel network ECHO"),
    "empty": (200, JSON, b""),
    "a list": (200, JSON, b"[1]"),
    "no ok": (200, JSON, b'{"channel": "C1"}'),
    "ok is text": (200, JSON, b'{"ok": "true"}'),
    "echo": (200, JSON, b'{"ok": false, "error": "ECHO"}'),
    "binary": (200, {"Content-Type": "application/gzip"}, b'{"ok": true}'),
}
FAILING = {
    "invalid_auth": "invalid_auth; check the bot token",
    "429": r"rate limited \(HTTP 429\), try again in 30 s",
    "500": "HTTP 500", "not json": "does not say ok: true", "empty": "does not say ok: true", "a list": "",
    "no ok": "does not say ok: true", "ok is text": "does not say ok: true", "echo": "does not say ok: true",
    "binary": "does not say ok: true", "slow": "timed out", "cut": "",
}


@pytest.fixture
def slack():
    fake = FakeSlack()
    yield fake
    fake.server.shutdown()
    fake.server.server_close()


@pytest.fixture
def channel(slack, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    return SlackChannel("#rl-oncall", {"SLACK_BOT_TOKEN": TOKEN}, base_url=slack.url, timeout=1)


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "journal.db") as opened:
        yield opened


def test_slack_gets_the_channel_the_blocks_the_text_and_the_token_in_its_header(slack, channel):
    channel.deliver(MESSAGE.as_dict(), "incident:1")
    [(path, headers, body)] = slack.requests
    assert path == "/api/chat.postMessage"
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert body["channel"] == "#rl-oncall"
    assert [b["type"] for b in body["blocks"]] == ["header", *["section"] * 5, "context"]
    assert body["blocks"][0]["text"]["text"] == ":rotating_light: cooling-v7 was rolled back to pid-loop"
    assert body["blocks"][4]["text"]["text"] == (
        "*What to do next*\n1. Look &lt;here&gt; &amp; there.\n2. Acknowledge."
    )
    assert body["blocks"][-1]["elements"][0]["text"].endswith("alert incident:1")
    assert "0.41 is below 0.45." in body["text"]
    assert TOKEN not in json.dumps(body)


@pytest.mark.parametrize("refused", ["400", "invalid_blocks"])
def test_a_layout_that_slack_refuses_is_sent_once_more_as_plain_text(slack, channel, refused):
    slack.script = [refused, "ok"]
    channel.deliver(MESSAGE.as_dict(), "k")
    assert ["blocks" in body for _, _, body in slack.requests] == [True, False]
    assert slack.requests[1][2]["text"] == slack.requests[0][2]["text"] + "\nalert k"


def test_plain_text_that_is_refused_too_is_a_failure_after_two_tries(slack, channel):
    slack.script = ["400"]
    with pytest.raises(DeliveryError, match="HTTP 400, invalid_arguments"):
        channel.deliver(MESSAGE.as_dict(), "k")
    assert len(slack.requests) == 2


@pytest.mark.parametrize("step", FAILING)
def test_all_but_ok_true_is_a_failure_without_a_second_try_and_without_the_token(
    slack, channel, step, caplog, capfd
):
    caplog.set_level(logging.DEBUG)
    slack.script = [step]
    start = "Slack did not take the message for #rl-oncall: "
    with pytest.raises(DeliveryError, match=f"{start}.*{FAILING[step]}") as error:
        channel.deliver(MESSAGE.as_dict(), "k")
    assert len(slack.requests) == 1
    shown = capfd.readouterr()
    printed = "".join(traceback.format_exception(error.value))
    assert start in printed
    assert not any(TOKEN in text for text in (printed, repr(error.value), caplog.text, shown.out, shown.err))


def test_nothing_is_listening_is_a_failure(channel, slack):
    slack.server.shutdown()
    slack.server.server_close()
    with pytest.raises(DeliveryError, match="refused"):
        channel.deliver(MESSAGE.as_dict(), "k")


def test_the_token_may_come_from_a_file_and_is_read_anew_each_time(tmp_path, slack):
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    channel = SlackChannel("#a", {"SLACK_BOT_TOKEN_FILE": str(path)}, base_url=slack.url, timeout=1)
    channel.deliver(MESSAGE.as_dict(), "k")
    path.write_text("xoxb-another")
    channel.deliver(MESSAGE.as_dict(), "k")
    assert [h["Authorization"] for _, h, _ in slack.requests] == [f"Bearer {TOKEN}", "Bearer xoxb-another"]


def test_a_token_that_is_missing_or_cannot_be_sent_is_a_failure_that_does_not_show_it(tmp_path):
    secret = tmp_path / "s3cret-name"
    for environ, reason in (
        ({}, "set SLACK_BOT_TOKEN or SLACK_BOT_TOKEN_FILE"),
        ({"SLACK_BOT_TOKEN": "  "}, "there is no Slack token"),
        ({"SLACK_BOT_TOKEN_FILE": str(secret)}, "SLACK_BOT_TOKEN_FILE cannot be read: No such file"),
        ({"SLACK_BOT_TOKEN": "xoxb-s3cret\nX: y"}, "SLACK_BOT_TOKEN holds spaces"),
        ({"SLACK_BOT_TOKEN": "xoxb-s3cret ü"}, "SLACK_BOT_TOKEN holds spaces"),
    ):
        with pytest.raises(DeliveryError, match=reason) as error:
            SlackChannel("#a", environ).deliver(MESSAGE.as_dict(), "k")
        assert "s3cret" not in str(error.value)
    secret.write_bytes(b"\xff\xfe")
    with pytest.raises(DeliveryError, match="is not text"):
        bot_token({"SLACK_BOT_TOKEN_FILE": str(secret)})


@pytest.mark.parametrize("address", ["http://slack.example/api/", "file:///etc/passwd", "slack.com"])
def test_the_token_is_not_sent_openly(address):
    with pytest.raises(DeliveryError, match="must be https"):
        SlackChannel("#a", {"SLACK_BOT_TOKEN": TOKEN}, base_url=address).deliver(MESSAGE.as_dict(), "k")


def test_a_proxy_in_the_environment_is_not_asked_for_a_local_address(slack, channel, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    channel.deliver(MESSAGE.as_dict(), "k")
    assert len(slack.requests) == 1


class Stream(io.StringIO):
    encoding = "utf-8"

    def __init__(self, terminal=False):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal


def test_the_console_writes_plain_text_to_standard_error_when_it_is_a_pipe(capsys):
    ConsoleChannel().deliver(MESSAGE.as_dict(), "k")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("[page] cooling-v7 was rolled back to pid-loop\nWhat happened: It fell.\n")
    assert "\x1b" not in shown.err


def test_the_console_has_colour_on_a_terminal_and_takes_no_markup_from_the_message(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Stream(terminal=True)
    ConsoleChannel(stream).deliver({**MESSAGE.as_dict(), "what_happened": "[bold]It[/] fell"}, "k")
    assert "\x1b[1;31m" in stream.getvalue()
    assert "[bold]It[/] fell" in stream.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_a_name_from_a_log_cannot_drive_the_terminal(terminal):
    stream = Stream(terminal)
    ConsoleChannel(stream).deliver({**MESSAGE.as_dict(), "title": "a\x1b]0;owned\x07\rb"}, "k")
    assert "\x1b]0" not in stream.getvalue()
    assert "\r" not in stream.getvalue()
    assert "a\\x1b]0;owned\\x07\\rb" in stream.getvalue()


def test_a_console_that_cannot_show_a_character_shows_its_code():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    ConsoleChannel(stream).deliver({**MESSAGE.as_dict(), "title": "größer"}, "k")
    assert b"gr\\xf6\\xdfer" in stream.buffer.getvalue()


def test_a_closed_console_is_a_failure_to_deliver():
    stream = Stream()
    stream.close()
    with pytest.raises(DeliveryError, match="standard error cannot be written"):
        ConsoleChannel(stream).deliver(MESSAGE.as_dict(), "k")


def test_every_channel_of_the_registry_is_built_from_the_configuration_without_secrets():
    settings = [ChannelConfig(kind="slack", channel="#a"), ChannelConfig(kind="console")]
    channels = build(settings, {})
    assert list(channels) == ["slack:#a", "console"] == [name_of(s) for s in settings]
    assert set(get_args(ChannelConfig.model_fields["kind"].annotation)) == set(CHANNELS)


def test_slack_is_loaded_only_when_a_message_is_sent():
    code = "import sys, alerts.pipeline, alerts.message, alerts.rollback; print('slack_sdk' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.fixture
def outbox(journal, slack, channel):
    settings = [
        ChannelConfig(kind="slack", channel="#rl-oncall", base_url=slack.url),
        ChannelConfig(kind="console"),
    ]
    console = Stream()
    return journal, settings, {"slack:#rl-oncall": channel, "console": ConsoleChannel(console)}, console


def test_an_alert_reaches_every_channel_once_however_often_it_is_enqueued_and_delivered(outbox, slack):
    journal, settings, channels, console = outbox
    assert enqueue(journal, settings, MESSAGE, "incident:1", AT) == 2
    assert enqueue(journal, settings, MESSAGE, "incident:1", AT) == 0
    report = deliver(journal, channels, AT)
    assert report.delivered == [("incident:1", "slack:#rl-oncall"), ("incident:1", "console")]
    assert deliver(journal, channels, AT).delivered == []
    assert enqueue(journal, settings, MESSAGE, "incident:1", AT) == 0
    assert deliver(journal, channels, AT).delivered == []
    assert len(slack.requests) == 1
    assert console.getvalue().count("What happened") == 1


def test_a_failing_channel_raises_nothing_holds_back_no_other_and_is_tried_again(outbox, slack):
    journal, settings, channels, console = outbox
    slack.script = ["429", "500", "cut", "ok"]
    enqueue(journal, settings, MESSAGE, "incident:1", AT)
    at = AT
    for attempt, error in ((1, "rate limited"), (2, "HTTP 500"), (3, "")):
        report = deliver(journal, channels, at)
        assert deliver(journal, channels, at).failed == []  # not before its time
        at += timedelta(minutes=3)
        assert [(f.key, f.channel, f.attempts) for f in report.failed] == [
            ("incident:1", "slack:#rl-oncall", attempt)
        ]
        [row] = journal.undelivered()
        assert row.attempts == attempt
        assert error in row.last_error
    assert console.getvalue().count("What happened") == 2  # and that pages do not reach Slack
    assert "Pages do not reach slack:#rl-oncall" in console.getvalue()
    assert deliver(journal, channels, at).delivered == [("incident:1", "slack:#rl-oncall")]
    assert journal.undelivered() == []


def test_a_channel_that_keeps_failing_is_left_alone_until_the_next_pass_and_the_rest_are_tried_first(
    outbox, slack
):
    journal, settings, channels, _ = outbox
    slack.script = ["500", "500", "500", "ok"]
    for n in range(5):
        enqueue(journal, settings, MESSAGE, f"incident:{n}", AT)
    report = deliver(journal, channels, AT)
    assert (len(report.failed), report.left, len(report.delivered)) == (3, 2, 5)
    assert [key for key, _ in deliver(journal, channels, AT + timedelta(minutes=1)).delivered] == [
        "incident:3", "incident:4", "incident:0", "incident:1", "incident:2",
    ]


def test_a_channel_that_breaks_in_an_unknown_way_is_a_failure_and_its_text_is_not_kept(outbox):
    journal, settings, channels, _ = outbox

    class Broken:
        def deliver(self, message, key, thread=None):
            raise RuntimeError(f"token {TOKEN}")

    enqueue(journal, settings, MESSAGE, "incident:1", AT)
    report = deliver(journal, {**channels, "slack:#rl-oncall": Broken()}, AT)
    assert report.failed[0].error == "channel slack:#rl-oncall broke with RuntimeError"


def test_an_alert_for_a_channel_that_left_the_configuration_stays_visible(outbox):
    journal, settings, channels, _ = outbox
    enqueue(journal, settings, MESSAGE, "incident:1", AT)
    report = deliver(journal, {"console": channels["console"]}, AT)
    assert report.failed[0].error == "channel slack:#rl-oncall is no longer in the configuration"
    assert len(journal.undelivered()) == 1


def test_no_failure_writes_the_token_into_any_file(outbox, slack, tmp_path):
    journal, settings, channels, console = outbox
    slack.script = ["echo", "500", "not json", "400", "400", "cut"]
    enqueue(journal, settings, MESSAGE, "incident:1", AT)
    for n in range(5):
        assert len(deliver(journal, channels, AT + timedelta(hours=n)).failed) == 1
    assert TOKEN not in console.getvalue()
    files = list(tmp_path.iterdir())
    assert any(b"rolled back" in f.read_bytes() for f in files)
    assert not any(TOKEN.encode() in f.read_bytes() for f in files)
    assert all(stat.S_IMODE(f.stat().st_mode) == 0o600 for f in files)
