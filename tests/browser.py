"""A real browser: the Chromium of this machine, or a reason why there is none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
]
needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine: `apt-get install chromium` brings these tests in"
)


@contextmanager
def page(url: str, **look: Any) -> Iterator[tuple[Any, list[str]]]:
    """A page with `url` open, and every address that it asked for. `look`: as of Playwright's new_context."""
    from playwright.sync_api import sync_playwright

    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        opened = browser.new_context(**look).new_page()
        opened.on("request", lambda request: asked.append(request.url))
        opened.goto(url)
        yield opened, asked
        browser.close()


def faults(opened: Any) -> list[str]:
    """What axe-core finds wrong, of serious or critical impact."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(opened).response["violations"]
    return [f"{v['id']}: {n['html'][:160]}" for v in found if v["impact"] in ("serious", "critical")
            for n in v["nodes"]]  # fmt: skip
