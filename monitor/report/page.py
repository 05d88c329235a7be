"""A report as one HTML file that works without a network: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from monitor.report import charts
from monitor.report.collect import Report

TEMPLATE = "report.html.j2"


def templates(*folders: Path) -> Environment:
    """The templates of these folders, which escape what they are given. They may call `drawn(figure)`, a
    chart, and `spark(row)`, the history of a finding."""
    found = Environment(
        loader=FileSystemLoader(folders), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    found.globals["drawn"] = lambda figure: Markup(charts.svg(figure.chart, figure.id))
    found.globals["spark"] = lambda row: Markup(charts.sparkline(row.history, row.finding.limit))
    return found


def html(found: Report, *, served: bool = False) -> str:
    """The page. Everything read from a log or a journal is escaped. `served`: its style comes from the
    dashboard, not from the page itself."""
    template = templates(Path(__file__).parent).get_template(TEMPLATE)
    return template.render(report=found, verdict=found.verdict, served=served)
