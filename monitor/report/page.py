"""A report as one HTML file that works without a network: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from pathlib import Path

from monitor.report import charts
from monitor.report.collect import Report

TEMPLATE = "report.html.j2"


def html(found: Report) -> str:
    """The page. Everything read from a log or a journal is escaped."""
    import jinja2
    from markupsafe import Markup

    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals.update(
        drawn=lambda figure: Markup(charts.svg(figure.chart, figure.id)),
        spark=lambda row: Markup(charts.sparkline(row.history, row.finding.limit)),
    )
    return environment.get_template(TEMPLATE).render(report=found, verdict=found.verdict)
