"""Every kind of rollback, really executed: a file, a command, an address; slow, failing, lying, killed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from alerts.http import signed
from alerts.rollback import RollbackError, build, pause_training, roll_back
from monitor.config import Rollback
from monitor.config.reacting import PauseTraining
from monitor.incidents import incidents
from monitor.journal import Journal

AT = datetime(2026, 1, 21, 16, tzinfo=UTC)
ID = "cooling-v7-reward_drop-20260121T14"
SAID = {"policy": "cooling-v7", "safe": "pid-loop", "stage": "limited_deployment"}
SECRET = "a-signing-secret-0123456789"
ENVIRON = {**os.environ, "ROLLBACK_WEBHOOK_SECRET": SECRET}
# A flag store with a history: `flag set POLICY INCIDENT` and `flag get`.
FLAG = """#!{python}
import os, sys
where = os.path.join(os.path.dirname(os.path.abspath(__file__)), "flag")
if sys.argv[1] == "set":
    if "pointer" in sys.argv:
        assert '"policy": "' + sys.argv[2] + '"' in sys.stdin.read()
    with open(where, "a") as file:
        file.write(sys.argv[2] + "\\n")
else:
    print(open(where).read().split()[-1] if os.path.exists(where) else "")
"""


class Service:
    """A service that takes pointers; `script` holds the next answers (a status, `cut`, `slow`)."""

    def __init__(self):
        self.script, self.taken, self.seen, self.standing = [], [], [], {"policy": "cooling-v7"}
        service = self

        class Answers(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                service.seen.append((dict(self.headers), body))
                step = service.script.pop(0) if service.script else 200
                if step == "cut":
                    self.connection.close()
                    return
                if step == "slow":
                    time.sleep(3)
                if step in (200, "take and cut"):
                    service.standing = json.loads(body)
                    service.taken.append(service.standing["policy"])
                if step == "take and cut":
                    self.connection.close()
                    return
                self._say(step if isinstance(step, int) else 200, b"")

            def do_GET(self):
                self._say(200, json.dumps(service.standing).encode() if service.standing else b"")

            def _say(self, status, body):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/policy"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def service():
    service = Service()
    yield service
    service.server.shutdown()
    service.server.server_close()


@pytest.fixture
def flag(tmp_path):
    script = tmp_path / "flag.py"
    script.write_text(FLAG.format(python=sys.executable))
    script.chmod(0o755)
    return script


@pytest.fixture
def settings(request, service, flag):
    return {
        "file": lambda: Rollback(kind="file"),
        "command": lambda: Rollback(
            kind="command", command=[str(flag), "set", "{policy}", "pointer"], read=[str(flag), "get"]
        ),
        "webhook": lambda: Rollback(kind="webhook", url=service.url, read_url=service.url),
    }[request.param]()


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "journal.db") as opened:
        yield opened


def moves(tmp_path, service):
    """How often the policy was really put in control, by a command or an address."""
    history = tmp_path / "flag"
    return (history.read_text().split() if history.exists() else []) + service.taken


KINDS = pytest.mark.parametrize("settings", ["file", "command", "webhook"], indirect=True)


@KINDS
def test_each_kind_puts_the_safe_policy_in_control_once_and_reads_it_back(
    settings, journal, tmp_path, service
):
    target = build(settings, tmp_path, ENVIRON)
    assert roll_back(journal, target, ID, at=AT, **SAID).status == "done"
    assert target.read()["policy"] == "pid-loop"
    assert roll_back(journal, target, ID, at=AT, **SAID).status == "already_done"
    assert [e.body["status"] for e in journal.events("rollback")] == ["intent", "done"]
    assert moves(tmp_path, service) in ([], ["pid-loop"])


CRASH = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from alerts.rollback import build, roll_back
from monitor.config import Rollback
from monitor.journal import Journal

folder, when = Path(sys.argv[1]), sys.argv[2]
target = build(Rollback.model_validate_json(sys.argv[3]), folder, dict(os.environ))
write = type(target).write
def dying(self, pointer):
    if when == "after":
        write(self, pointer)
    os.kill(os.getpid(), signal.SIGKILL)
type(target).write = dying
roll_back(Journal(folder / "journal.db"), target, "{id}", policy="cooling-v7", safe="pid-loop",
          stage="limited_deployment", at=datetime(2026, 1, 21, 16, tzinfo=UTC))
""".replace("{id}", ID)


@KINDS
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_between_intent_and_outcome_moves_once_in_all(settings, when, tmp_path, service):
    asked = settings.model_dump_json(exclude_unset=True)
    died = subprocess.run([sys.executable, "-c", CRASH, str(tmp_path), when, asked], env=ENVIRON)
    assert died.returncode == -signal.SIGKILL
    target = build(settings, tmp_path, ENVIRON)
    with Journal(tmp_path / "journal.db") as journal:
        # By now another policy may be the last good one: the rollback that was begun is finished as begun.
        outcome = roll_back(journal, target, ID, at=AT + timedelta(hours=1), **{**SAID, "safe": "other"})
        assert (outcome.status, outcome.safe, outcome.resumed) == ("done", "pid-loop", True)
        assert target.read()["policy"] == "pid-loop"
        assert [e.body["status"] for e in journal.events("rollback")] == ["intent", "done"]
    assert moves(tmp_path, service) in ([], ["pid-loop"])


def command(tmp_path, code, **more):
    return build(
        Rollback(kind="command", command=[sys.executable, "-c", code, "{policy}"], read=["true"], **more),
        tmp_path, ENVIRON,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys; sys.exit('no such flag')", "ended with exit code 1: no such flag"),
        ("import time; time.sleep(60)", "did not end within 1 s and was stopped"),
        ("import os; os.kill(os.getpid(), 9)", "ended with exit code -9"),
    ],
)
def test_a_command_that_fails_or_hangs_is_a_failed_rollback_that_says_why(journal, tmp_path, code, said):
    outcome = roll_back(journal, command(tmp_path, code, time_limit="1s"), ID, at=AT, **SAID)
    assert outcome.status == "failed" and said in outcome.error


def test_a_command_that_hangs_is_stopped_with_all_that_it_started(journal, tmp_path):
    code = """
from subprocess import Popen
sleeper = Popen(["sleep", "60"])
open("pid", "w").write(str(sleeper.pid))
sleeper.wait()
"""
    roll_back(journal, command(tmp_path, code, time_limit="1s"), ID, at=AT, **SAID)
    state = Path(f"/proc/{(tmp_path / 'pid').read_text()}/stat")
    deadline = time.monotonic() + 5
    while state.exists() and state.read_text().split()[2] != "Z" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not state.exists() or state.read_text().split()[2] == "Z"


def test_a_command_that_is_not_there_says_so(journal, tmp_path):
    settings = Rollback(kind="command", command=["no-such-tool", "{policy}"], read=["true"])
    outcome = roll_back(journal, build(settings, tmp_path, {}), ID, at=AT, **SAID)
    assert "no-such-tool cannot be started: No such file" in outcome.error


def test_a_command_sees_only_what_it_is_given_and_no_shell_reads_its_arguments(tmp_path):
    code = "import json, os, sys; json.dump([sys.argv[1:], sorted(os.environ)], open('seen', 'w'))"
    environ = {**ENVIRON, "KUBECONFIG": "k", "SLACK_BOT_TOKEN": "xoxb-1"}
    settings = Rollback(
        kind="command", command=[sys.executable, "-c", code, "{policy}; touch x", "$(id)"], read=["true"],
        env=["KUBECONFIG"],
    )  # fmt: skip
    build(settings, tmp_path, environ).write({"policy": "a b", "incident": ID})
    arguments, names = json.loads((tmp_path / "seen").read_text())
    assert arguments == ["a b; touch x", "$(id)"]
    assert "KUBECONFIG" in names and not {"SLACK_BOT_TOKEN", "ROLLBACK_WEBHOOK_SECRET"} & set(names)


def test_a_secret_that_a_command_prints_is_not_repeated(journal, tmp_path):
    code = f"import sys; sys.exit('bad token {SECRET}')"
    outcome = roll_back(journal, command(tmp_path, code), ID, at=AT, **SAID)
    assert "bad token [secret]" in outcome.error


def test_a_target_that_lies_has_failed(journal, tmp_path, service):
    settings = Rollback(kind="command", command=["true"], read=["echo", "cooling-v7"])
    outcome = roll_back(journal, build(settings, tmp_path, ENVIRON), ID, at=AT, **SAID)
    assert "reads back as policy cooling-v7, not as policy pid-loop" in outcome.error
    service.script = [204]  # says yes and forgets it
    settings = Rollback(kind="webhook", url=service.url, read_url=service.url)
    outcome = roll_back(journal, build(settings, tmp_path, ENVIRON), f"{ID}-2", at=AT, **SAID)
    assert "reads back as policy cooling-v7" in outcome.error


def webhook(service, **more):
    return Rollback(kind="webhook", url=service.url, read_url=service.url, **more)


def test_a_webhook_is_signed_and_names_the_incident(journal, tmp_path, service):
    roll_back(journal, build(webhook(service), tmp_path, ENVIRON), ID, at=AT, **SAID)
    headers, body = service.seen[0]
    assert json.loads(body)["policy"] == "pid-loop" and headers["Idempotency-Key"] == ID
    assert headers["X-Monitor-Signature"] == signed(SECRET, body)["X-Monitor-Signature"]
    assert SECRET not in str(headers) and SECRET.encode() not in body


def test_a_webhook_is_tried_until_it_is_taken(journal, tmp_path, service):
    service.script = [503, "cut", 429, "take and cut"]
    outcome = roll_back(journal, build(webhook(service), tmp_path, ENVIRON), ID, at=AT, **SAID)
    assert outcome.status == "done"
    assert len({headers["Idempotency-Key"] for headers, _ in service.seen}) == 1
    assert len(service.seen) == 5 and set(service.taken) == {"pid-loop"}


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ([400], "answered HTTP 400"), ([302], "answered HTTP 302"), (["slow"] * 9, "took too long"),
        ([500] * 99, "HTTP 500"),
    ],
)
def test_a_webhook_that_refuses_or_hangs_fails_in_bounded_time(journal, tmp_path, service, script, said):
    service.script = list(script)
    target = build(webhook(service, time_limit="1s"), tmp_path, ENVIRON)
    begin = time.monotonic()
    outcome = roll_back(journal, target, ID, at=AT, **SAID)
    assert outcome.status == "failed" and said in outcome.error and time.monotonic() - begin < 5


def test_a_webhook_without_its_secret_is_not_sent(journal, tmp_path, service):
    outcome = roll_back(journal, build(webhook(service), tmp_path, {}), ID, at=AT, **SAID)
    assert "set ROLLBACK_WEBHOOK_SECRET" in outcome.error and "unsigned: true" in outcome.error
    assert service.seen == []
    open_one = build(webhook(service, unsigned=True), tmp_path, {})
    assert roll_back(journal, open_one, ID, at=AT, **SAID).status == "done"
    assert "X-Monitor-Signature" not in service.seen[0][0]


@pytest.mark.parametrize("kind", ["file", "command", "webhook"])
def test_training_is_paused_once_and_is_no_rollback(journal, tmp_path, service, flag, kind):
    settings = {
        "file": PauseTraining(),
        "command": PauseTraining(kind="command", command=[str(flag), "set", "{policy}"]),
        "webhook": PauseTraining(kind="webhook", url=service.url),
    }[kind]
    target = build(settings, tmp_path, ENVIRON)
    said = {"policy": "cooling-v7", "at": AT}
    assert pause_training(journal, target, ID, **said) == ("paused", "")
    assert pause_training(journal, target, ID, **said) == ("already", "")
    assert [e.body["status"] for e in journal.events("rollback")] == ["pausing", "paused"]
    opened = {"status": "open", "policy": "cooling-v7", "trigger": "constraint", "key": ""}
    journal.append("incident", ID, opened, at=AT)
    assert incidents(journal.events())[ID].rolled_back_at is None
    if kind == "file":
        paused = json.loads((tmp_path / "var/training_paused.json").read_text())
        assert (paused["paused"], paused["policy"], paused["incident"]) == (True, "cooling-v7", ID)
    else:
        assert moves(tmp_path, service) == ["cooling-v7"]


def test_a_pause_that_fails_is_tried_again(journal, tmp_path):
    failing = build(PauseTraining(kind="command", command=["false"]), tmp_path, ENVIRON)
    for _ in range(2):
        status, error = pause_training(journal, failing, ID, policy="cooling-v7", at=AT)
        assert status == "failed" and "exit code 1" in error
    working = build(PauseTraining(), tmp_path, ENVIRON)
    assert pause_training(journal, working, ID, policy="cooling-v7", at=AT)[0] == "paused"


KUBECTL = """#!{python}
import json, sys
state = __file__ + ".json"
if "patch" in sys.argv:
    json.dump(json.loads(sys.argv[-1])["data"], open(state, "w"))
else:
    print(json.load(open(state))["policy"], end="")
"""
MLFLOW = '''
import json, pathlib
class MlflowClient:
    at = pathlib.Path(__file__).with_name("aliases.json")
    def set_registered_model_alias(self, name, alias, version):
        self.at.write_text(json.dumps({f"{name}@{alias}": version}))
    def get_model_version_by_alias(self, name, alias):
        return type("Version", (), {"version": json.loads(self.at.read_text())[f"{name}@{alias}"]})()
'''


def recipe(heading):
    """The block of yaml under a heading of docs/rollback.md, and the script beside it."""
    text = (Path(__file__).parents[2] / "docs/rollback.md").read_text("utf-8")
    return text.split(f"## {heading}\n")[1].split("\n## ")[0]


def test_the_recipe_for_kubectl_works_with_a_stand_in_for_kubectl(journal, tmp_path):
    from ruamel.yaml import YAML

    (tmp_path / "bin").mkdir()
    kubectl = tmp_path / "bin/kubectl"
    kubectl.write_text(KUBECTL.format(python=sys.executable))
    kubectl.chmod(0o755)
    yaml = recipe("kubectl").split("```yaml\n")[1].split("```")[0]
    settings = Rollback(**YAML(typ="safe").load(yaml)["rollback"])
    environ = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    assert roll_back(journal, build(settings, tmp_path, environ), ID, at=AT, **SAID).status == "done"


def test_the_recipe_for_mlflow_works_with_a_stand_in_for_its_client(journal, tmp_path):
    from ruamel.yaml import YAML

    (tmp_path / "mlflow.py").write_text(MLFLOW)
    text = recipe("MLflow")
    (tmp_path / "alias.py").write_text(text.split("```python\n")[1].split("```")[0])
    asked = YAML(typ="safe").load(text.split("```yaml\n")[1].split("```")[0])["rollback"]
    settings = Rollback(**asked)
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    assert roll_back(journal, build(settings, tmp_path, environ), ID, at=AT, **SAID).status == "done"
    assert build(settings, tmp_path, environ).read() == {"policy": "pid-loop"}


def test_an_address_that_cannot_be_used_is_refused_before_anything_runs():
    slack = "https://hooks.slack.com/services/T/B/x"
    for url in ("http://example.org/x", "https://u:p@example.org", slack, "x"):
        with pytest.raises(ValueError) as refused:
            Rollback(kind="webhook", url=url, read_url="https://example.org/policy")
        assert "address" in str(refused.value) or "https" in str(refused.value)
    for blind in ({"kind": "command", "command": ["x"]}, {"kind": "webhook", "url": "https://example.org"}):
        with pytest.raises(ValueError, match="that cannot be read back may not have happened"):
            Rollback(**blind)
    with pytest.raises(ValueError, match="does not take `command`"):
        Rollback(kind="file", command=["x"])
    with pytest.raises(RollbackError, match="not JSON"):
        build(Rollback(kind="command", command=["true"], read=["echo", "{"]), Path("."), os.environ).read()
