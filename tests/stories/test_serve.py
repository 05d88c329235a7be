"""`monitor serve`: a real server, a real browser, and people who should not be let in."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import duckdb
import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitor.serve import answering
from monitor.serve.access import Access
from monitor.serve.app import build
from monitor.store import one_at_a_time
from tests.browser import faults, needs_browser, page
from tests.stories.building import Plant, after, rows

VIEW, OPERATE = "view-token-of-the-tests", "operate-token-of-the-tests"
TOKENS = {"MONITOR_VIEW_TOKEN": VIEW, "MONITOR_OPERATE_TOKEN": OPERATE}
HTML = {"Accept": "text/html"}


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str


@dataclass
class Served:
    """A dashboard that runs, over `plant`."""

    plant: Plant
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, None, **headers)

    def post(self, path: str, form: Mapping[str, str], **headers: str) -> Answer:
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.ask("POST", path, urlencode(form), **kind, **headers)

    def ask(self, method: str, path: str, body: str | None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        response = connection.getresponse()
        answer = Answer(response.status, dict(response.getheaders()), response.read().decode())
        connection.close()
        return answer

    def signed_in(self, token: str) -> str:
        """The cookie of somebody who has this token."""
        answer = self.post("/login", {"token": token})
        assert answer.status == 303, answer.text
        return cookie(answer)


def cookie(answer: Answer) -> str:
    found = {k.lower(): v for k, v in answer.headers.items()}
    return found["set-cookie"].split(";")[0]


def form_of(answer: Answer) -> str:
    found = re.search(r'name="form" value="([0-9a-f]+)"', answer.text)
    assert found is not None, answer.text
    return found[1]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def serving(plant: Plant, **environ: str) -> Iterator[Served]:
    port = free_port()
    log = (plant.folder / "serve.log").open("w")
    process = subprocess.Popen(
        plant.command("serve", "--port", str(port)), cwd=plant.folder, stdout=log, stderr=log,
        env={**os.environ, **environ},
    )  # fmt: skip
    served, deadline = Served(plant, port), time.monotonic() + 30
    while True:
        try:
            served.get("/healthz")
            break
        except OSError:
            assert time.monotonic() < deadline and process.poll() is None, Path(log.name).read_text()
            time.sleep(0.1)
    try:
        yield served
    finally:
        process.terminate()
        process.wait(20)
        log.close()


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    plant = Plant(tmp_path)
    plant.write(rows(range(10), "new"))
    plant.monitor("run", "--as-of", after(10, 11).isoformat(), "--act")
    return plant


def crash(plant: Plant) -> str:
    """A hard constraint is broken and the next pass sees it; the incident."""
    plant.write(rows([10], "new", per_hour=1, cost_crash=1.0, ts=after(10, 15).isoformat()))
    plant.monitor("run", "--as-of", after(10, 20).isoformat(), "--act")
    return plant.events("incident")[-1].subject


@needs_browser
def test_a_person_sees_it_happen_answers_and_takes_control_away(plant: Plant) -> None:
    with serving(plant, **TOKENS) as served, page(served.url + "/login") as (opened, asked):
        opened.fill("#token", OPERATE)
        opened.click("main button")
        opened.wait_for_selector("text=No incident is open")
        incident = crash(plant)
        opened.wait_for_selector("text=1 open incident", timeout=20_000)  # the page was not loaded again
        assert faults(opened) == []
        opened.click(f"a[href='/incident/{incident}']")
        opened.fill("#by", "Ann")
        opened.fill("#reason", "the valve was stuck")
        opened.click("main form button")
        opened.wait_for_selector("text=acknowledged by Ann: the valve was stuck")
        assert faults(opened) == []
        opened.click("text=Override…")
        opened.fill("#by", "Ann")
        opened.fill("#reason", "I do not trust it")
        opened.fill("#policy", "nwe")
        opened.click("main form button")
        opened.wait_for_selector("text=Nothing was done: type the policy's name, new.")
        assert plant.events("override") == []
        opened.goto(served.url + "/override")
        opened.fill("#by", "Ann")
        opened.fill("#reason", "I do not trust it")
        opened.fill("#policy", "new")
        opened.click("main form button")
        opened.wait_for_selector("text=old is in control in place of new")
        assert faults(opened) == []
        assert all(url.startswith((served.url, "data:")) for url in asked), asked
    pointer = plant.pointer()
    assert pointer is not None and pointer["incident"].startswith("override-")
    done = plant.events("override")[-1].body
    assert (done["status"], done["by"], done["reason"]) == ("done", "Ann", "I do not trust it")
    said = [e.body for e in plant.events("incident") if e.body.get("by")]
    assert [(b["status"], b["by"]) for b in said] == [("acknowledged", "Ann")]


@needs_browser
@pytest.mark.parametrize("look", [{}, {"viewport": {"width": 390, "height": 844}}, {"color_scheme": "dark"}])
def test_every_page_is_accessible_fits_and_asks_nobody_else(plant: Plant, look: dict[str, object]) -> None:
    incident = crash(plant)
    plant.gate(after(10, 25), "shadow")
    plant.gate(after(10, 26), "shadow")
    last = plant.events("verdict")[-1].seq
    paths = ("/", "/policy", "/constraint/slow", f"/incident/{incident}", "/override", "/gates",
             f"/gates/{last}", "/login", "/incident/nobody")  # fmt: skip
    with serving(plant) as served, page(served.url, **look) as (opened, asked):
        for path in paths:
            opened.goto(served.url + path)
            assert faults(opened) == [], path
            assert opened.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0, path
        assert all(url.startswith((served.url, "data:")) for url in asked), asked


def test_who_may_look_may_not_act_and_forms_of_others_do_nothing(plant: Plant) -> None:
    incident = crash(plant)
    before = plant.pointer(), len(plant.events())
    with serving(plant, **TOKENS) as served:
        press = {"by": "Eve", "reason": "x", "policy": "new"}
        assert served.get("/").status == 401
        assert served.get("/", **HTML).headers["location"] == "/login"
        assert served.post("/override", press).status == 401
        viewer = served.signed_in(VIEW)
        seen = served.get("/override", Cookie=viewer)
        assert seen.status == 200 and "may look, not act" in seen.text and "<label" not in seen.text
        own = form_of(served.get("/", Cookie=viewer))
        assert served.post("/override", {**press, "form": own}, Cookie=viewer).status == 403
        assert served.post(f"/incident/{incident}/ack", {**press, "form": own}, Cookie=viewer).status == 403
        operator = served.signed_in(OPERATE)
        form = form_of(served.get("/override", Cookie=operator))
        for forged in ({}, {"form": ""}, {"form": own}, {"form": "0" * 64}):
            assert served.post("/override", {**press, **forged}, Cookie=operator).status == 403
        other = served.post("/override", {**press, "form": form}, Cookie=operator, Origin="http://evil.example")
        assert other.status == 403 and "another site" in other.text
        bearer = served.post("/override", {**press, "form": form}, Authorization=f"Bearer {OPERATE}")
        assert bearer.status == 403
        huge = served.post("/override", {**press, "form": form, "reason": "x" * 20_000}, Cookie=operator)
        assert huge.status == 413
        nobody = served.post("/override", {**press, "form": form, "by": " "}, Cookie=operator)
        assert nobody.status == 400 and "is empty; say who and why" in nobody.text
        assert (plant.pointer(), len(plant.events())) == before
        assert served.post("/override", {**press, "form": form}, Cookie=operator).status == 200
        assert served.post("/logout", {"form": form}, Cookie=operator).status == 303
        assert served.get("/", Cookie=operator).status == 401
    assert plant.events("override")[-1].body["by"] == "Eve"


def test_the_button_waits_for_no_duckdb_no_run_and_nobody_who_looks(plant: Plant) -> None:
    store = plant.folder / "var/monitor"
    with serving(plant) as served, ThreadPoolExecutor(60) as crowd:
        first = served.get("/override", **HTML)
        held = [duckdb.connect(str(store / f"{name}.duckdb")) for name in ("decisions", "sums")]
        with one_at_a_time(store):
            for _ in range(60):
                crowd.submit(served.get, "/policy")
            time.sleep(0.5)
            begin = time.monotonic()
            press = {"by": "Ann", "reason": "r", "policy": "new", "form": form_of(first)}
            done = served.post("/override", press, Cookie=cookie(first))
            took = time.monotonic() - begin
        for connection in held:
            connection.close()
        board = served.get("/", **HTML)
    assert done.status == 200 and took < 5
    assert board.status == 200 and "overrid" in board.text
    assert (plant.pointer() or {})["policy"] == "old"


def test_wrong_tokens_are_throttled_and_no_token_is_ever_shown(plant: Plant) -> None:
    with serving(plant, **TOKENS) as served:
        answers = [served.post("/login", {"token": f"wrong-{i}"}) for i in range(7)]
        assert [a.status for a in answers] == [403] * 5 + [429] * 2
        assert served.post("/login", {"token": VIEW}).status == 429
        bearer = served.get("/metrics", Authorization=f"Bearer {VIEW}")
        assert bearer.status == 200
        shown = "".join(a.text for a in answers) + bearer.text + (plant.folder / "serve.log").read_text()
        assert VIEW not in shown and OPERATE not in shown


@pytest.mark.parametrize(
    ("more", "environ", "says"),
    [
        (("--host", "0.0.0.0"), {}, "MONITOR_VIEW_TOKEN must be set"),
        (("--host", "0.0.0.0"), {"MONITOR_VIEW_TOKEN": "short"}, "shorter than 16"),
        ((), {"MONITOR_VIEW_TOKEN": VIEW, "MONITOR_OPERATE_TOKEN": VIEW}, "are the same"),
    ],
)
def test_an_address_that_lets_anybody_in_is_refused(
    plant: Plant, more: tuple[str, ...], environ: dict[str, str], says: str
) -> None:
    done = plant.monitor("serve", *more, **environ)
    assert done.returncode == 2 and says in done.stderr and VIEW not in done.stderr


def test_a_name_of_somebody_else_that_leads_here_gets_nothing(plant: Plant) -> None:
    with serving(plant) as served:
        assert served.get("/policy?stage=limitd", **HTML).status == 404
        answer = served.get("/", Host="evil.example", **HTML)
        assert answer.status == 421 and "new" not in answer.text.split("<main")[1]


def test_every_answer_has_its_policy(plant: Plant) -> None:
    with serving(plant) as served:
        for path in ("/", "/nowhere", "/login", "/healthz", "/static/style.css", "/static/..%2fapp.py"):
            headers = {k.lower(): v for k, v in served.get(path, **HTML).headers.items()}
            assert headers["content-security-policy"].startswith("default-src 'none'"), path
            assert "unsafe" not in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        assert served.get("/static/..%2fapp.py").status == 404
        one = cookie(served.get("/", **HTML))
        whole = {k.lower(): v for k, v in served.get("/", **HTML).headers.items()}["set-cookie"]
        assert "HttpOnly" in whole and "SameSite=strict" in whole and one


def test_metrics_parse_and_hold_readings_limits_and_outcomes(plant: Plant) -> None:
    crash(plant)
    plant.gate(after(10, 25), "shadow")
    with serving(plant) as served:
        text = served.get("/metrics").text
        health = served.get("/healthz")
    found = {f.name: f for f in text_string_to_metric_families(text)}
    samples = {(s.name, *sorted(s.labels.items())): s.value for f in found.values() for s in f.samples}
    limits = {s.labels["which"]: s.value for s in found["policy_monitor_constraint_limit"].samples
              if s.labels["constraint"] == "slow"}  # fmt: skip
    assert limits == {"limit": 0.1, "rollback": pytest.approx(0.15)}
    assert samples[("policy_monitor_firings_total", ("policy", "new"), ("trigger", "constraint"))] == 1
    reading = [s for s in found["policy_monitor_reading"].samples if s.labels["metric"] == "violation_rate"]
    assert {s.labels["key"] for s in reading} >= {"slow", "crash"}
    assert found["policy_monitor_last_run_age_seconds"].samples[0].value > 0
    assert "shadow_mode" in {s.labels["stage"] for s in found["policy_monitor_outcome"].samples}
    assert health.status == 503 and json.loads(health.text)["status"] == "failed"  # the pass was in January


def test_history_shows_what_changed_between_two_verdicts(plant: Plant) -> None:
    plant.gate(after(10, 12), "shadow")
    plant.monitor("attest", "--item", "review", "--by", "Ann", "--reason", "<b>read</b>", "--evidence",
                  "https://example.org/x")  # fmt: skip
    plant.gate(after(10_000), "shadow")
    last = plant.events("verdict")[-1].seq
    with serving(plant) as served:
        text = served.get(f"/gates/{last}", **HTML).text
        board = served.get("/", **HTML).text
    assert "review" in text and "(changed)" in text
    assert "&lt;b&gt;read&lt;/b&gt;" in board and "<b>read" not in board


def test_a_configuration_that_turns_wrong_is_told_and_the_button_still_works(plant: Plant) -> None:
    with serving(plant) as served:
        path = plant.folder / "monitor.yaml"
        body = json.loads(path.read_text("utf-8"))
        path.write_text(json.dumps({**body, "nonsense": 1}), "utf-8")
        assert served.get("/", **HTML).status == 503
        first = served.get("/override", **HTML)
        press = {"by": "Ann", "reason": "r", "policy": "new", "form": form_of(first)}
        assert served.post("/override", press, Cookie=cookie(first)).status == 200
    assert (plant.pointer() or {})["policy"] == "old"


def test_a_pass_asks_whether_the_dashboard_answers_for_the_item_that_reads_it(plant: Plant) -> None:
    with serving(plant) as served:
        plant.configure(dashboard=served.url)
        now = datetime.now(UTC)
        plant.run(now)
        plant.run(now + timedelta(minutes=1))
        (seen,) = plant.events("dashboard")  # asked four times a window at most
        assert (seen.body["status"], seen.body["url"]) == ("ok", served.url)
        verdict = plant.gate(now + timedelta(minutes=2), "limited")
        assert any(f.item == "dashboard_fresh" and "answered" in f.message for f in verdict.findings)
    done = plant.run(now + timedelta(minutes=20)).done
    assert any("the dashboard did not answer" in line for line in done)
    assert plant.events("dashboard")[-1].body["status"] == "failed"


def test_what_docs_say_of_metrics_is_what_is_served_and_rules_name_only_those(plant: Plant) -> None:
    crash(plant)
    with serving(plant) as served:
        text = served.get("/metrics").text
    known = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    docs = Path(__file__).parents[2] / "docs"
    written = set(re.findall(r"policy_monitor_\w+", (docs / "dashboard.md").read_text("utf-8")))
    assert written | {"policy_monitor_reading_low", "policy_monitor_reading_high"} == known
    for name in ("prometheus-rules.yaml", "grafana-dashboard.json"):
        assert set(re.findall(r"policy_monitor_\w+", (docs / name).read_text("utf-8"))) <= known
    json.loads((docs / "grafana-dashboard.json").read_text("utf-8"))


@needs_browser
def test_a_constraint_is_seen_to_cross_its_limit_without_loading_the_page_again(plant: Plant) -> None:
    now = [after(10, 12)]
    app = build(plant.folder / "monitor.yaml", Access.of({}, loopback=True), {}, lambda: now[0])
    with answering(app, free_port()) as url, page(url + "/constraint/slow") as (opened, _):
        newest = "figcaption p"
        before = opened.inner_text(newest)
        for hour in range(10, 15):
            plant.write(rows([hour], "new", cost_slow=1.0))
            now[0] = after(hour + 1) + timedelta(minutes=11)
            plant.monitor("run", "--as-of", now[0].isoformat(), "--act")
        seen = "text=/14:00 UTC: 1 \\[.*rollback over d \\+ δ 0.15/"
        opened.wait_for_selector(seen, timeout=20_000)
        assert ": 0 [" in before, before
        opened.click("text=Board")
        opened.wait_for_selector("text=1 open incident")
        assert "Constraint slow" in opened.inner_text("main")
    assert (plant.pointer() or {})["policy"] == "old"
