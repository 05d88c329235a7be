"""What people of a plant do while a policy is live, as events of the journal: drills of the override and the
rollback, a test page, a look at the dashboard. Nobody did these: they are sample data.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from monitor.journal import Journal

BY = "demo"
BUTTON = timedelta(hours=2)
SECOND = timedelta(seconds=1)


def done(journal: Journal, policy: str, safe: str, at: datetime) -> None:
    """Both drills two hours before `at`, a page that was acknowledged, and a dashboard that answers."""
    pressed = at - BUTTON
    for drill in ("override", "rollback"):
        body = {
            "drill": drill, "by": BY, "policy": policy, "safe": safe, "button_at": pressed,
            "pointer_at": pressed + SECOND, "seconds": 1.0, "pointer_read_back": True,
            "first_safe_decision": pressed + 60 * SECOND,
        }  # fmt: skip
        journal.append("drill", policy, body, at=pressed + 60 * SECOND)
    page = f"page-{at:%Y%m%d}"
    for status, after in (("sent", 0), ("acknowledged", 180)):
        body = {"page": page, "status": status, "by": BY if after else ""}
        journal.append("test_page", page, body, at=pressed + after * SECOND)
    journal.append("dashboard", "dashboard", {"status": "ok", "url": None, "detail": ""}, at=at)
