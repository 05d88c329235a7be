"""Does the dashboard answer? Asked by a pass, where `dashboard` of monitor.yaml names its address."""

from __future__ import annotations

from datetime import datetime

from alerts import http
from monitor.config import Config
from monitor.journal import Journal

SECONDS = 5.0
TIMES_A_WINDOW = 4


def look(journal: Journal, config: Config, now: datetime) -> str | None:
    """Ask `/healthz` of the dashboard, four times a window at most, and write down what it said; a line to
    tell where it did not answer."""
    if config.dashboard is None:
        return None
    last = journal.newest("dashboard")
    if last is not None and now - last.at < config.window / TIMES_A_WINDOW:
        return None
    try:
        answer = http.request(config.dashboard.rstrip("/") + "/healthz", timeout=SECONDS)
        detail = "" if answer.status == 200 else f"HTTP {answer.status}"
    except http.HttpError as error:
        detail = str(error)
    body = {"status": "failed" if detail else "ok", "url": config.dashboard, "detail": detail}
    journal.append("dashboard", "dashboard", body, at=now)
    return f"the dashboard did not answer: {detail}" if detail else None
