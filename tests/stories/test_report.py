"""`monitor report`: one file that says what happened, why, and what to do, to everybody who opens it."""

from __future__ import annotations

import re
import stat
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.browser import faults, needs_browser, page
from tests.stories.building import LAG, STATE, Plant, after, rows

SAID = ("--by", "Ann", "--reason", "<img src=x onerror=alert(1)> & so on")


class Read(HTMLParser):
    """Ids, links and names of tags of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        known = dict(attrs)
        self.ids += [known["id"]] if known.get("id") else []  # type: ignore[list-item]
        for name in ("href", "src", "xlink:href", "action"):
            if known.get(name):
                self.links.append(str(known[name]))


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    """Four days of the old policy, then the new one is live, breaks a constraint and is taken out."""
    plant = Plant(tmp_path_factory.mktemp("report"), **STATE)
    plant.write(rows(range(100), "old"))
    plant.run(after(100) + LAG)
    plant.monitor("adopt", "--stage", "limited", "--since", after(100).isoformat(), *SAID)
    plant.write(rows(range(100, 120), "new"))
    plant.run(after(120) + LAG)
    plant.write(rows([120], "new", per_hour=1, cost_crash=1.0, ts=after(120, 15).isoformat()))
    plant.run(after(121) + LAG)
    return plant


def reported(plant: Plant, *more: str, code: int = 0) -> str:
    done = plant.monitor("report", "-o", "report.html", "--as-of", (after(121) + LAG).isoformat(), *more)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.fixture(scope="module")
def text(plant: Plant) -> str:
    said = reported(plant)
    assert "report.html: " in said and "open it in a browser" in said
    return (plant.folder / "report.html").read_text("utf-8")


def test_it_says_first_what_the_verdict_is_who_controls_and_what_to_do(plant: Plant, text: str) -> None:
    words = re.sub(r"<(style|svg).*?</\1>|<[^>]+>", " ", text, flags=re.DOTALL)
    head = " ".join(words.split())[:1500]
    assert "shadow mode of new" in head and "The pointer names old since" in head
    (incident,) = [e for e in plant.events("incident") if e.body.get("status") == "open"]
    assert incident.subject in head and f"monitor ack {incident.subject}" in head
    verdict = plant.gate(after(121) + LAG, "shadow")
    assert head.startswith(verdict.outcome.name)
    for found in verdict.findings:
        assert found.item in words


def test_it_draws_what_was_measured_with_the_numbers_beside_it(text: str) -> None:
    read = Read(text)
    drawn = {
        *("reward_mean", "reward_quantiles", "violation_rate-slow", "violation_rate-crash", "state_js"),
        *("state_shares", "action_entropy", "unusable_share", "timeline"),
    }
    assert drawn <= set(read.ids)
    assert text.count("<svg") > 8 and text.count("aria-label=") >= text.count("<figure")
    assert "The plots show decisions of new." in text
    assert "limit d 0.1" in text and "rollback over d + δ 0.15" in text


def test_it_is_one_file_that_asks_nobody_for_anything(text: str) -> None:
    read = Read(text)
    assert "script" not in read.tags and "link" not in read.tags and "iframe" not in read.tags
    assert all(link.startswith("#") for link in read.links), read.links
    assert not re.search(r"url\((?!#)|@import", text)
    assert "default-src 'none'" in text


def test_every_link_leads_somewhere_and_every_id_is_there_once(text: str) -> None:
    read = Read(text)
    assert len(read.ids) == len(set(read.ids))
    assert {link[1:] for link in read.links} <= set(read.ids)


def test_what_people_and_logs_say_is_text_and_never_markup(plant: Plant, text: str) -> None:
    assert "<img" not in text and "alert(1)" not in text  # an adopt event tells no reason
    plant.monitor("attest", "--item", "review", "--evidence", "https://example.org/x", *SAID)
    done = plant.monitor("report", "-o", "later.html", "--as-of", datetime.now().isoformat())
    assert done.returncode == 0, done.stderr
    later = (plant.folder / "later.html").read_text("utf-8")
    assert "&lt;img src=x onerror=alert(1)&gt; &amp; so on" in later and "<img" not in later


def test_it_is_private_written_whole_and_writes_nothing_down(plant: Plant, text: str) -> None:
    path = plant.folder / "report.html"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = len(plant.events())
    reported(plant)
    assert len(plant.events()) == before
    assert not list(plant.folder.glob(".report*"))
    said = plant.monitor("report", "-o", "nowhere/report.html")
    assert said.returncode == 2 and "nowhere/report.html: cannot be written" in said.stderr


def test_what_cannot_be_reported_is_one_sentence(plant: Plant, tmp_path: Path) -> None:
    assert "is not the candidate of monitor.yaml, new" in reported(plant, "--policy", "newer", code=2)
    assert "stage 'limitd' is not known" in reported(plant, "--stage", "limitd", code=2)
    fresh = Plant(tmp_path)
    done = fresh.monitor("report", "-o", "r.html")
    assert done.returncode == 2 and "run `monitor run` first" in done.stderr
    assert not (fresh.folder / "r.html").exists()


LOOKS: dict[str, dict[str, Any]] = {
    "desktop": {}, "phone": {"viewport": {"width": 390, "height": 844}}, "dark": {"color_scheme": "dark"},
}  # fmt: skip


@needs_browser
@pytest.mark.parametrize("look", LOOKS)
def test_in_a_browser_it_fits_is_accessible_and_asks_for_nothing_else(
    plant: Plant, text: str, look: str
) -> None:
    url = (plant.folder / "report.html").as_uri()
    with page(url, **LOOKS[look]) as (opened, asked):
        assert faults(opened) == []
        wide = opened.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0
        opened.click("nav a[href='#past']")
        assert opened.evaluate("location.hash") == "#past"
        assert asked == [url]
