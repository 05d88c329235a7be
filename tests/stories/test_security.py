"""Nobody let in, nothing leaked: a full failing run with every secret set, then a look at all it wrote."""

from __future__ import annotations

import json
import logging
import os
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from alerts.rollback import RollbackError
from alerts.rollback.file import PointerFile
from alerts.secrets import NAMES, Redacting, known, redact
from monitor import config as configuration
from monitor.store import Store
from tests.stories.building import CONFIG, Plant, after, logged, rows

SECRETS = {
    "SLACK_BOT_TOKEN": "xoxb-111122223333-AbCdEfGhIjKlMnOp",
    "SLACK_WEBHOOK_URL": "https://127.0.0.1:9/services/T0AAAAAA/B0BBBBBB/ZyXwVuTsRqPoNmLk",
    "PAGERDUTY_ROUTING_KEY": "R0d1e2f3a4b5c6d7e8f9a0b1c2d3e4f5",
    "ALERT_WEBHOOK_SECRET": "alert-signing-secret-8d7f6a5b",
    "ROLLBACK_WEBHOOK_SECRET": "rollback-signing-secret-1a2b3c",
    "APPRISE_URLS": "json://user:apprisepassword77@127.0.0.1:9/",
    "MONITOR_VIEW_TOKEN": "view-token-4f5e6d7c8b9a",
    "MONITOR_OPERATE_TOKEN": "operate-token-1b2c3d4e5f6a",
}
PARTS = [*SECRETS.values(), "ZyXwVuTsRqPoNmLk", "apprisepassword77"]


class Rude:
    """Answers every request with a failure that repeats what was sent."""

    def __init__(self) -> None:
        self.seen = 0
        rude = self

        class Answers(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                rude.seen += 1
                sent = self.rfile.read(int(self.headers["Content-Length"] or 0))
                if rude.seen % 5 == 0:
                    self.connection.close()
                    return
                self.send_response((500, 400, 403, 200)[rude.seen % 4])
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                echo = f"{self.headers['Authorization']} {self.path} {sent.decode('utf-8', 'replace')}"
                self.wfile.write(json.dumps({"ok": False, "error": echo}).encode())

            do_GET = do_POST

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def rude() -> Iterator[Rude]:
    rude = Rude()
    yield rude
    rude.server.shutdown()
    rude.server.server_close()


def test_no_secret_is_in_anything_that_a_failing_run_prints_or_writes(tmp_path: Path, rude: Rude) -> None:
    channels: list[dict[str, Any]] = [
        {"kind": "slack", "channel": "#x", "base_url": f"{rude.url}/api/"},
        {"kind": "slack_webhook"}, {"kind": "pagerduty", "base_url": rude.url},
        {"kind": "webhook", "url": f"{rude.url}/hook"}, {"kind": "apprise"}, {"kind": "console"},
    ]  # fmt: skip
    switch = {"url": f"{rude.url}/switch", "read_url": f"{rude.url}/policy", "time_limit": "1s"}
    plant = Plant(tmp_path, alerts={"channels": channels}, rollback={"kind": "webhook", **switch})
    plant.write(rows(range(10), "new"))
    plant.monitor("run", "--as-of", after(10, 11).isoformat(), "--act")
    plant.write(rows([10], "new", per_hour=1, cost_crash=1.0, ts=after(10, 15).isoformat()))
    secrets = SECRETS | {"MONITOR_DEBUG": "1", "TMPDIR": str(tmp_path)}
    act = ("--as-of", after(10, 20).isoformat(), "--act")
    printed = ""
    for arguments in (
        ("run", *act), ("run", *act), ("gate", "--stage", "full"), ("status",),
        ("override", "--by", "a", "--reason", "b"), ("rollback", "--drill", "--by", "a", "--reason", "b"),
        ("test-page", "--by", "a", "--reason", "b"), ("doctor",), ("promote", "--to", "nowhere", "--by", "a",
        "--reason", "b"), ("run", "--as-of", "nonsense"),
    ):  # fmt: skip
        done = plant.monitor(*arguments, **secrets)
        printed += done.stdout + done.stderr
    schedule = subprocess.Popen(
        plant.command("schedule", "--every", "1s", "--fast", "1s"), cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, **secrets},
    )  # fmt: skip
    time.sleep(4)
    schedule.send_signal(signal.SIGTERM)
    printed += schedule.communicate(timeout=60)[0]
    assert rude.seen > 5 and "Rollback of new failed" in printed
    assert "alert not delivered to slack:#x" in printed and "NOT in control" in printed
    assert [part for part in PARTS if part in printed] == []
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert len(files) > 5
    held = [(p.name, part) for p in files for part in PARTS if part.encode() in p.read_bytes()]
    assert held == []


def test_every_log_record_is_redacted_with_its_arguments_and_its_exception(caplog: Any) -> None:
    shown = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            shown.append(self.format(record))

    handler = Keep()
    handler.addFilter(Redacting(SECRETS))
    logger = logging.getLogger("some.library")
    logger.addHandler(handler)
    try:
        logger.warning("posting to %s", SECRETS["SLACK_WEBHOOK_URL"])
        try:
            raise ValueError(SECRETS["SLACK_BOT_TOKEN"])
        except ValueError:
            logger.exception("broke with %r", SECRETS["PAGERDUTY_ROUTING_KEY"])
    finally:
        logger.removeHandler(handler)
    text = "\n".join(shown)
    assert text.count("[secret]") >= 3 and [part for part in PARTS if part in text] == []


def test_secrets_come_from_files_too_and_short_ones_hide_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{SECRETS['SLACK_BOT_TOKEN']}\n")
    found = known({"SLACK_BOT_TOKEN_FILE": str(tmp_path / "token"), "ALERT_WEBHOOK_SECRET": "abc"})
    assert found == [SECRETS["SLACK_BOT_TOKEN"]]
    assert redact(f"token {found[0]}.", found) == "token [secret]."
    assert set(SECRETS) == set(NAMES)


@pytest.mark.parametrize(
    "value", ["xoxb-123456789-abc", "https://hooks.slack.com/services/T/B/xyz", "https://a:bcd@x.org", "https://x.org/?token=abcdef"]
)
@pytest.mark.parametrize("place", ["channel", "url", "unknown", "candidate"])
def test_a_secret_in_monitor_yaml_is_refused_and_not_repeated(tmp_path: Path, value: str, place: str) -> None:
    body = CONFIG | {"log": logged(CONFIG)}
    if place == "candidate":
        body["policies"] = {**body["policies"], "candidate": value}
    else:
        body["alerts"] = {"channels": [{"kind": "webhook", place: value}]}
    path = tmp_path / "monitor.yaml"
    path.write_text(json.dumps(body))
    with pytest.raises(configuration.ConfigError) as refused:
        configuration.load(path)
    assert "holds what looks like a secret" in str(refused.value) and value not in str(refused.value)


def test_what_is_written_is_private_and_the_pointer_can_be_read_by_the_service(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    plant.write(rows(range(10), "new"))
    plant.monitor("run", "--as-of", after(10, 11).isoformat(), "--act")
    plant.write(rows([10], "new", per_hour=1, cost_crash=1.0, ts=after(10, 15).isoformat()))
    done = plant.monitor("run", "--as-of", after(10, 20).isoformat(), "--act")
    assert done.returncode == 0, done.stderr

    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    store = tmp_path / "var/monitor"
    assert {mode(p) for p in [store, *(p for p in store.rglob("*") if p.is_dir())]} == {0o700}
    assert {mode(p) for p in store.rglob("*") if p.is_file()} == {0o600}
    assert mode(tmp_path / "var") == 0o755 and mode(tmp_path / "var/active_policy.json") == 0o644


@pytest.mark.parametrize("key", ["store", "reports"])
@pytest.mark.parametrize("place", ["/tmp/elsewhere", "../elsewhere", "a/../../elsewhere"])
def test_nothing_is_written_outside_the_folder_of_monitor_yaml(tmp_path: Path, key: str, place: str) -> None:
    path = tmp_path / "monitor.yaml"
    path.write_text(json.dumps(CONFIG | {"log": logged(CONFIG), key: place}))
    with pytest.raises(configuration.ConfigError, match="must lie inside the folder"):
        configuration.load(path)


@pytest.mark.parametrize("key", ["store", "reports"])
def test_a_link_does_not_lead_writing_out_of_the_folder_either(tmp_path: Path, key: str) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here/link").symlink_to(tmp_path)
    path = tmp_path / "here/monitor.yaml"
    path.write_text(json.dumps(CONFIG | {"log": logged(CONFIG), key: "link/x"}))
    with pytest.raises(configuration.ConfigError, match=f"'{key}' leads out of the folder"):
        configuration.load(path)


def test_a_store_of_before_is_closed_to_others(tmp_path: Path) -> None:
    store = Store(tmp_path / "var/monitor")
    store.create()
    store.folder.chmod(0o755)
    store.create()
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700


def test_a_pointer_nested_beyond_reason_is_refused_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text("[" * 100_000)
    with pytest.raises(RollbackError, match="is not JSON"):
        PointerFile(Path("p.json"), tmp_path).read()


def test_a_short_password_of_an_address_is_hidden_too() -> None:
    found = known({"APPRISE_URLS": "mailto://me:short1@mail.org,json://x@y.org/abc"})
    assert redact("login with short1 failed", found) == "login with [secret] failed"


BOMBS = {
    "aliases": "a: &a [x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(8)),
    "depth": "a: " + "[" * 5000 + "]" * 5000,
    "size": "a: " + "x" * (1 << 20),
    "tag": "a: !!python/object/apply:os.system ['touch owned']",
    "keys": "a: 1\na: 2",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_hostile_monitor_yaml_is_one_sentence_in_bounded_time(tmp_path: Path, bomb: str) -> None:
    path = tmp_path / "monitor.yaml"
    path.write_text(BOMBS[bomb])
    begin = time.monotonic()
    with pytest.raises(configuration.ConfigError) as refused:
        configuration.load(path)
    assert time.monotonic() - begin < 10 and "Traceback" not in str(refused.value)
    assert not (tmp_path / "owned").exists()


def test_a_log_file_that_is_larger_than_allowed_is_reported_and_not_read(tmp_path: Path) -> None:
    plant = Plant(tmp_path, max_file_bytes=2000)
    plant.write(rows(range(2), "new"))
    report = plant.run(after(3))
    assert "more than max_file_bytes allows" in report.account.problems[0] and report.account.loaded == 0


HOSTILE = [
    '"; DROP TABLE decisions; --', "a'b\"c", "<script>alert(1)</script>", "<!channel>", "\x1b]0;owned\x07",
    "=1+1",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_of_policies_actions_and_segments_are_only_names(tmp_path: Path, name: str) -> None:
    plant = Plant(tmp_path, policies={"candidate": name, "incumbent": "old", "safe": "old"})
    plant.write(rows(range(4), name, action=name, segment=name))
    plant.run(after(4, 11))
    plant.write(rows([4], name, per_hour=1, cost_crash=1.0, ts=after(4, 15).isoformat()))
    plant.run(after(4, 20))
    assert plant.query("SELECT COUNT(*) FROM decisions") == [(81,)]
    assert (plant.pointer() or {})["previous"] == name
    for form in ("table", "json", "junit", "markdown", "github"):
        at = after(4, 30).isoformat()
        done = plant.monitor("gate", "--stage", "full", "--format", form, "--as-of", at)
        assert done.returncode in (1, 3, 5), done.stderr
        assert "\x1b]0" not in done.stdout and "\n::set-output" not in done.stdout
        if form == "junit":
            assert "<script>" not in done.stdout
    assert plant.monitor("status").returncode == 0
