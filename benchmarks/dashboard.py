"""The dashboard over a year of hourly windows x 20 features x 3 policies: how fast it answers, what it keeps.

    python benchmarks/dashboard.py [--requests 10000] [--days 365]

A log of a year is read and measured by one real pass (many minutes); the verdicts and firings of many passes
are written into the journal beside it. Times are of the first byte over HTTP, of a page drawn anew (cold) and
of one kept (warm); with Chromium also until the page is drawn there. Memory: the resident set of the server.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import duckdb  # noqa: E402

from gates.checklist import load as load_checklist  # noqa: E402
from monitor import config as configuration  # noqa: E402
from monitor import jobs  # noqa: E402
from monitor.journal import Journal  # noqa: E402
from monitor.verdicts import store_of  # noqa: E402

FEATURES = [f"f{i:02d}" for i in range(20)]
POLICIES = ("new", "old", "older")
PAGES = (
    *("/", "/policy", "/constraint/slow", "/incident/{incident}", "/gates", "/override", "/metrics"),
    "/healthz",
)
BASELINE = timedelta(days=14)
MOST_SECONDS, MOST_MIB, MOST_GROWTH = 1.0, 300, 0.10


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--requests", type=int, default=10_000)
    asked.add_argument("--days", type=int, default=365)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        rows, incident = _installed(folder, given.days)
        print(f"{rows:,} readings, {len(FEATURES)} features, {len(POLICIES)} policies, {given.days} days")
        return _measured(folder, incident, given.requests)


def _measured(folder: Path, incident: str, requests: int) -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from monitor.cli import main; main()", "serve", "--port", str(port),
               "-c", str(folder / "monitor.yaml")]  # fmt: skip
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                _get(port, "/healthz")
                break
            except OSError:
                time.sleep(0.1)
        missed = 0
        pages = [page.format(incident=incident) for page in PAGES]
        for page in pages:
            cold, status, size = _get(port, page)
            warm = sorted(_get(port, page)[0] for _ in range(5))[2]
            late = status != 200 or max(cold, warm) > MOST_SECONDS
            missed += late
            print(f"{page:32} {status}  cold {cold:6.3f} s   warm {warm:6.3f} s   {size / 1024:7.0f} KiB"
                  f"{'   MISSED' if late else ''}")  # fmt: skip
        drawn = _drawn(port)
        if drawn:
            print("drawn in Chromium: " + ", ".join(f"{page} {seconds:.2f} s" for page, seconds in drawn))
            missed += sum(seconds > MOST_SECONDS for _, seconds in drawn)
        for i in range(200):
            _get(port, pages[i % len(pages)])
        before = _memory(process.pid)
        begin = time.monotonic()
        for i in range(requests):
            _get(port, pages[i % len(pages)])
        took, after = time.monotonic() - begin, _memory(process.pid)
        growth = after / before - 1
        print(f"{requests:,} requests in {took:.0f} s, {requests / took:.0f} a second")
        print(f"memory {before:.0f} MiB before, {after:.0f} MiB after: {growth:+.1%}")
        missed += after > MOST_MIB or growth > MOST_GROWTH
        return 1 if missed else 0
    finally:
        process.terminate()
        process.wait(20)


def _get(port: int, page: str) -> tuple[float, int, int]:
    """Seconds to the first byte, status, size."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    begin = time.perf_counter()
    connection.request("GET", page)
    response = connection.getresponse()
    first = time.perf_counter() - begin
    size = len(response.read())
    connection.close()
    return first, response.status, size


def _drawn(port: int) -> list[tuple[str, float]]:
    """Seconds until a page is drawn, in the Chromium of this machine."""
    chromium = shutil.which("chromium")
    if chromium is None:
        return []
    from playwright.sync_api import sync_playwright

    found = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        opened = browser.new_page()
        for page in ("/", "/policy", "/constraint/slow"):
            opened.goto(f"http://127.0.0.1:{port}{page}", wait_until="load")
            paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
            load = "performance.getEntriesByType('navigation')[0].loadEventEnd"
            found.append((page, float(opened.evaluate(f"Math.max({paint} ?? 0, {load})")) / 1000))
        browser.close()
    return found


def _memory(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def _installed(folder: Path, days: int) -> tuple[int, str]:
    """A folder with a year of log, read and measured; how many readings, and an incident."""
    then = datetime.now(UTC) - timedelta(days=days - 1)
    body: dict[str, Any] = {
        "store": "var/monitor", "policies": {"candidate": "new", "incumbent": "old", "safe": "old"},
        "log": {"paths": ["logs/*.parquet"], "format": "parquet"}, "unit": "decision",
        "reward": {"range": [0, 1], "missing_after_maturity": "exclude"},
        "constraints": {"slow": {"limit": 0.1, "margin": 0.05}, "crash": {"limit": 0.0, "hard": True}},
        "state": {"numeric": FEATURES},
        "baseline": {"policy": "old", "from": f"{then:%Y-%m-%d}", "to": f"{then + BASELINE:%Y-%m-%d}"},
        "rollback": {"kind": "file", "path": "var/active_policy.json"},
        "expectations": {"off": "a benchmark"},
    }  # fmt: skip
    (folder / "monitor.yaml").write_text(json.dumps(body), "utf-8")
    loaded = configuration.load(folder / "monitor.yaml")
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    begin = now - timedelta(days=days)
    (folder / "logs").mkdir()
    states = ", ".join(f"random() AS state_{feature}" for feature in FEATURES)
    duckdb.execute(
        f"""COPY (SELECT hour || '-' || row AS decision_id, ?::TIMESTAMPTZ + hour * INTERVAL 1 HOUR AS ts,
            (['new', 'old', 'older'])[1 + row % 3] AS policy_id, (random() * 5)::INT::VARCHAR AS action,
            .2e0 AS propensity, random() AS reward, (random() < .05)::INT::DOUBLE AS cost_slow,
            0e0 AS cost_crash, {states}
            FROM range(?) AS hours(hour), range(30) AS rows(row)) TO '{folder / "logs" / "year.parquet"}'""",
        [begin, days * 24],
    )
    took = time.monotonic()
    jobs.run(loaded, now=now, as_of=now, dry=False, environ={})
    print(f"one pass over {days * 24 * 30:,} decisions took {time.monotonic() - took:.0f} s")
    with duckdb.connect(str(store_of(loaded).sums), read_only=True) as sums:
        counted = sums.execute("SELECT COUNT(*) FROM readings").fetchone()
    return int(counted[0]) if counted else 0, _told(store_of(loaded).journal, now, days)


def _told(place: Path, now: datetime, days: int) -> str:
    """A verdict an hour for the last 30 days, a firing a day."""
    checklist = load_checklist("full_deployment")
    findings = [
        {"item": i.item, "check": i.check, "role": "guardrail", "outcome": "PASS", "message": "it is so.",
         "metric": "", "key": "", "value": 0.1, "low": 0.05, "high": 0.2, "limit": 0.3, "waived": None}
        for i in checklist.items
    ]  # fmt: skip
    incident = "new-constraint-slow"
    with Journal(place) as journal, journal.transaction():
        journal.append("adopt", "new", {"stage": "full_deployment", "by": "b", "reason": "r"},
                       at=now - timedelta(days=days))  # fmt: skip
        for hour in range(30 * 24, 0, -1):
            at = now - timedelta(hours=hour)
            body = {"stage": "full_deployment", "policy": "new", "as_of": at, "scope": "store", "dry": False,
                    "outcome": "PASS", "exit_code": 0, "checklist_hash": "c", "config_hash": "d",
                    "findings": findings, "firings": []}  # fmt: skip
            journal.append("verdict", "new", body, at=at)
        for day in range(days, 0, -1):
            at = now - timedelta(days=day)
            fired = {"trigger": "constraint", "key": "slow", "policy": "new", "window_start": at,
                     "window_end": at + timedelta(hours=1), "value": 0.2, "limit": 0.15, "confirmed": True,
                     "message": "slow was violated.", "action": "escalate", "did": "escalated",
                     "historical": False, "incident": incident, "state": {}}  # fmt: skip
            journal.append("firing", "new", fired, at=at)
            if day == days:
                journal.append("incident", incident, {**fired, "status": "open", "trigger_state": {
                    "readings": [{"value": 0.1}] * 50}}, at=at)  # fmt: skip
    return incident


if __name__ == "__main__":
    raise SystemExit(main())
