"""The pictures of the README: report and dashboard of a sample log, taken in the Chromium of this machine.

    monitor demo --keep DIR cooling_live_heat_wave && python -m sample_logs.pictures DIR
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from monitor import config as configuration
from monitor.journal import Journal
from monitor.report import written
from monitor.serve import answering
from monitor.serve.access import Access
from monitor.serve.app import build
from monitor.verdicts import store_of

LOG = "cooling_live_heat_wave"
PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
PORT = 8399
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


def main(folder: Path) -> int:
    """Take the pictures of the sample log in `folder`; 0 when they are taken."""
    from playwright.sync_api import sync_playwright

    path, chromium = folder / LOG / "monitor.yaml", shutil.which("chromium")
    if chromium is None or not path.exists():
        print(f"it takes Chromium, and {path}: see the first lines of this file", file=sys.stderr)
        return 2
    loaded = configuration.load(path)
    with Journal(store_of(loaded).journal) as journal:
        last = journal.newest("verdict")
    assert last is not None
    page = folder / "report.html"
    written(loaded, page, stage=None, policy=None, as_of=last.at, environ={})
    app = build(path, Access.of({}, loopback=True), {}, lambda: last.at)
    PICTURES.mkdir(exist_ok=True)
    with answering(app, PORT) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        for name, url in (("report", page.as_uri() + "#reward_mean"), ("dashboard", f"{address}/")):
            opened = browser.new_page(viewport={"width": 1100, "height": 700})
            opened.goto(url)
            opened.screenshot(path=PICTURES / f"{name}.png")
            print(PICTURES.name, f"{name}.png")
        browser.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
