"""Charts described as Vega-Lite and drawn by vl-convert: PNG for messages, SVG for pages."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

INK, MUTED, FIRED, LIMIT = "#1b1b1b", "#6b6b6b", "#f2b134", "#b3261e"
LINE, GRID = "#0b5fa5", "#e6e6e6"
SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
SCALE = 2.0


def incident(plot: Mapping[str, Any]) -> dict[str, Any]:
    """The metric of an incident over the windows before it, with its interval, the limit, and the window that
    fired. `plot` is that of `alerts.message.Message`."""
    points = [
        {"at": at, "value": value, "low": low, "high": high} for at, value, low, high in plot["points"]
    ]
    layers: list[dict[str, Any]] = [*_fired(plot), _band(), _line()]
    for name, colour in (("limit", LIMIT), ("baseline", MUTED)):
        if plot.get(name) is not None:
            layers += _rule(float(plot[name]), name, colour)
    return {
        "$schema": SCHEMA,
        "title": {"text": str(plot["title"]), "anchor": "start", "color": INK, "fontSize": 16},
        "width": 640, "height": 260, "background": "white", "padding": 12,
        "data": {"values": points}, "layer": layers,
        "config": {
            "axis": {"labelFontSize": 12, "titleFontSize": 12, "gridColor": GRID, "labelColor": INK}
        },
    }  # fmt: skip


def png(plot: Mapping[str, Any]) -> bytes:
    """`incident` as a PNG, twice as dense as a screen needs so that it can be read on a phone. Fetches
    nothing. Raises ValueError where it cannot be drawn."""
    import vl_convert

    return bytes(vl_convert.vegalite_to_png(incident(plot), scale=SCALE, allowed_base_urls=[]))


def _x(*, ticks: int = 6, form: str = "%d %b %H:%M") -> dict[str, Any]:
    axis = {"title": "time, UTC", "format": form, "tickCount": ticks, "labelOverlap": True}
    return {"field": "at", "type": "temporal", "scale": {"type": "utc"}, "axis": axis}


def _line(*, dots: bool = True) -> dict[str, Any]:
    point = {"color": LINE, "size": 30} if dots else False
    mark = {"type": "line", "color": LINE, "strokeWidth": 2 if dots else 1.5, "point": point}
    return {"mark": mark, "encoding": {"x": _x(), "y": _y("value", "")}}


def _band() -> dict[str, Any]:
    low = {"field": "low", "type": "quantitative", "scale": {"zero": False}}
    return {
        "transform": [{"filter": "isValid(datum.low) && isValid(datum.high)"}],
        "mark": {"type": "area", "color": LINE, "opacity": 0.2},
        "encoding": {"x": _x(), "y": low, "y2": {"field": "high"}},
    }


def _fired(plot: Mapping[str, Any]) -> list[dict[str, Any]]:
    start, end = plot["fired"]
    data = {"values": [{"at": start, "end": end, "name": "fired"}]}
    text = {"type": "text", "color": INK, "align": "right", "dx": -4, "y": 10, "fontSize": 12}
    return [
        {"data": data, "mark": {"type": "rect", "color": FIRED, "opacity": 0.5},
         "encoding": {"x": _x(), "x2": {"field": "end"}}},
        {"data": data, "mark": text, "encoding": {"x": _x(), "text": {"field": "name"}}},
    ]  # fmt: skip


def _rule(value: float, name: str, colour: str, *, under: bool = False) -> list[dict[str, Any]]:
    data = {"values": [{"value": value, "name": f"{name} {value:.4g}"}]}
    y = {"field": "value", "type": "quantitative"}
    return [
        {"data": data, "mark": {"type": "rule", "color": colour, "strokeDash": [6, 3], "strokeWidth": 1.5},
         "encoding": {"y": y}},
        {"data": data,
         "mark": {"type": "text", "color": colour, "align": "left", "x": 4, "dy": 9 if under else -7,
                  "fontSize": 12},
         "encoding": {"y": y, "text": {"field": "name"}}},
    ]  # fmt: skip


# The colours of Okabe and Ito, which colour-blind people tell apart, darkened for text on white.
COLOURS = ("#0b5fa5", "#b5500b", "#00795a", "#8a5a83", "#7a6a00", "#444444")
WIDTH, HEIGHT = 860, 220
SMALL_WIDTH, SMALL_HEIGHT = 250, 90
MOST_DOTS = 80
Points = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Line:
    """A level drawn across a chart: a limit, a baseline."""

    name: str
    value: float
    colour: str = LIMIT


def over_time(
    points: Points, unit: str, lines: Sequence[Line] = (), *, sigmas: int = 0, trend: bool = False
) -> dict[str, Any]:
    """A metric by window with its interval. `points` have at, value, low and high. `sigmas`: the mean of that
    many windows before each, with 2 and 3 standard deviations; `trend`: a least-squares line."""
    layers: list[dict[str, Any]] = []
    if sigmas:
        layers += _rolling(sigmas)
    layers += [_band(), _line(dots=len(points) <= MOST_DOTS)]
    if trend:
        layers.append(
            {"transform": [{"regression": "value", "on": "at"}],
             "mark": {"type": "line", "color": COLOURS[1], "strokeDash": [2, 2], "strokeWidth": 2},
             "encoding": {"x": _x(), "y": _y("value", unit)}}
        )  # fmt: skip
    for place, line in enumerate(sorted(lines, key=lambda line: -line.value)):
        layers += _rule(line.value, line.name, line.colour, under=place > 0)
    return _chart({"data": {"values": list(points)}, "layer": layers, "width": WIDTH, "height": HEIGHT})


def quantiles_over_time(points: Points, unit: str) -> dict[str, Any]:
    """A distribution by day: 5 % to 95 %, 25 % to 75 %, the median. `points` have at, q05 … q95."""
    layers = [
        {"mark": {"type": "area", "color": LINE, "opacity": opacity},
         "encoding": {"x": _x(), "y": _y(low, unit), "y2": {"field": high}}}
        for low, high, opacity in (("q05", "q95", 0.18), ("q25", "q75", 0.3))
    ]  # fmt: skip
    layers.append({"mark": {"type": "line", "color": LINE, "strokeWidth": 2, "point": {"size": 25}},
                   "encoding": {"x": _x(), "y": _y("q50", unit)}})  # fmt: skip
    return _chart({"data": {"values": list(points)}, "layer": layers, "width": WIDTH, "height": HEIGHT})


def multiples(points: Points, order: Sequence[str], unit: str, limit: float) -> dict[str, Any]:
    """One small chart for each key, in this order, on one scale. `points` have key, at, value."""
    layers: list[dict[str, Any]] = [
        {"mark": {"type": "line", "color": LINE, "strokeWidth": 1.5},
         "encoding": {"x": _x(ticks=3, form="%d %b"), "y": _y("value", unit, zero=True)}},
        {"mark": {"type": "rule", "color": LIMIT, "strokeDash": [6, 3]},
         "encoding": {"y": {"datum": limit}}},
    ]  # fmt: skip
    inner = {"layer": layers, "width": SMALL_WIDTH, "height": SMALL_HEIGHT}
    return _chart({"data": {"values": list(points)}, "facet": _facet(order), "columns": 3, "spec": inner})


def beside(points: Points, order: Sequence[str]) -> dict[str, Any]:
    """Shares by bin, bars for the baseline and a line for what is current, a small chart for each key.
    `points` have key, bin, place, baseline and current."""
    x = {"field": "bin", "type": "ordinal", "sort": {"field": "place"},
         "axis": {"title": None, "labelOverlap": True, "labelAngle": -40, "labelLimit": 60}}  # fmt: skip
    y = {"type": "quantitative", "axis": {"title": "share", "format": "%", "tickCount": 3}}
    colour = {"type": "nominal", "scale": {"domain": ["baseline", "current"], "range": [MUTED, LINE]},
              "legend": {"orient": "top", "title": None, "labelFontSize": 12}}  # fmt: skip
    inner = {
        "width": SMALL_WIDTH, "height": SMALL_HEIGHT,
        "layer": [
            {"mark": {"type": "bar", "opacity": 0.45},
             "encoding": {"x": x, "y": {"field": "baseline", **y}, "color": {"datum": "baseline", **colour}}},
            {"mark": {"type": "line", "interpolate": "step", "strokeWidth": 2},
             "encoding": {"x": x, "y": {"field": "current", **y}, "color": {"datum": "current", **colour}}},
        ],
    }  # fmt: skip
    body = {"data": {"values": list(points)}, "facet": _facet(order), "columns": 3, "spec": inner,
            "resolve": {"scale": {"x": "independent"}}}  # fmt: skip
    return _chart(body)


def forest(points: Points, unit: str) -> dict[str, Any]:
    """Estimates below one another with their intervals. `points` have name, value, low, high, believe."""
    rows = {"field": "name", "type": "nominal", "sort": None, "axis": {"title": None, "labelFontSize": 12}}
    colour = {"field": "believe", "type": "nominal", "legend": {"orient": "top", "title": "believe it"},
              "scale": {"domain": ["yes", "shown", "no"],
                        "range": [COLOURS[0], MUTED, COLOURS[1]]}}  # fmt: skip
    layers: list[dict[str, Any]] = [
        {"transform": [{"filter": "isValid(datum.low) && isValid(datum.high)"}],
         "mark": {"type": "rule", "strokeWidth": 2},
         "encoding": {"y": rows, "x": _y("low", unit), "x2": {"field": "high"}, "color": colour}},
        {"mark": {"type": "point", "filled": True, "size": 60},
         "encoding": {"y": rows, "x": _y("value", unit), "color": colour, "shape": {**colour, "scale": {
             "domain": ["yes", "shown", "no"], "range": ["circle", "square", "cross"]}}}},
    ]  # fmt: skip
    return _chart({"data": {"values": list(points)}, "layer": layers, "width": WIDTH - 120,
                   "height": {"step": 26}})  # fmt: skip


def timeline(points: Points, order: Sequence[str]) -> dict[str, Any]:
    """What happened, a row for each kind. `points` have at, kind, what."""
    return _chart(
        {"data": {"values": list(points)}, "width": WIDTH - 60, "height": {"step": 24},
         "mark": {"type": "point", "filled": True, "size": 70, "opacity": 0.9},
         "encoding": {
             "x": _x(),
             "y": {"field": "kind", "type": "nominal", "sort": list(order),
                   "axis": {"title": None, "labelFontSize": 12, "grid": True}},
             "color": {"field": "kind", "type": "nominal", "sort": list(order), "legend": None,
                       "scale": {"range": list(COLOURS)}},
             "shape": {"field": "kind", "type": "nominal", "sort": list(order), "legend": None},
         }},
    )  # fmt: skip


def svg(chart: Mapping[str, Any], name: str) -> str:
    """A chart as SVG for a page that describes it in words; its ids begin with `name`, so that those
    of another are others. Fetches nothing. Raises ValueError where it cannot be drawn."""
    import vl_convert

    drawn = str(vl_convert.vegalite_to_svg(dict(chart), allowed_base_urls=[]))
    drawn = re.sub(r' (?:role|aria-[a-z]+)="[^"]*"', "", drawn)
    drawn = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", drawn)
    return drawn.replace("<svg ", '<svg aria-hidden="true" ', 1)


def sparkline(values: Sequence[float | None], limit: float | None) -> str:
    """Values in the order of time as a small SVG, with the limit where there is one; empty for fewer than
    two."""
    known = [(i, v) for i, v in enumerate(values) if v is not None and math.isfinite(v)]
    if len(known) < 2:
        return ""
    levels = [v for _, v in known] + ([limit] if limit is not None and math.isfinite(limit) else [])
    low, high = min(levels), max(levels)
    span, last = high - low or 1.0, max(1, len(values) - 1)

    def y(value: float) -> float:
        return round(22 - 20 * (value - low) / span, 1)

    line = " ".join(f"{round(2 + 86 * i / last, 1)},{y(v)}" for i, v in known)
    rule = ""
    if limit is not None and math.isfinite(limit):
        at = y(limit)
        rule = f'<line x1="0" x2="90" y1="{at}" y2="{at}" stroke="{LIMIT}" stroke-dasharray="4 2"/>'
    return (
        '<svg class="spark" width="90" height="24" viewBox="0 0 90 24" aria-hidden="true">'
        f'{rule}<polyline points="{line}" fill="none" stroke="{LINE}" stroke-width="1.5"/></svg>'
    )


def _rolling(windows: int) -> list[dict[str, Any]]:
    """The mean of the windows before each one, with bands of 2 and 3 standard deviations."""
    frame: dict[str, Any] = {"frame": [-windows, -1], "window": [
        {"op": "mean", "field": "value", "as": "mean"}, {"op": "stdev", "field": "value", "as": "sd"},
        {"op": "valid", "field": "value", "as": "seen"},
    ]}  # fmt: skip
    bands = [
        {"calculate": f"datum.seen > 2 ? datum.mean {sign} {k} * datum.sd : null", "as": f"{name}{k}"}
        for k in (2, 3) for sign, name in (("-", "under"), ("+", "over"))
    ]  # fmt: skip
    layers: list[dict[str, Any]] = [
        {"transform": [frame, *bands], "mark": {"type": "area", "color": MUTED, "opacity": opacity},
         "encoding": {"x": _x(), "y": _y(f"under{k}", ""), "y2": {"field": f"over{k}"}}}
        for k, opacity in ((3, 0.14), (2, 0.18))
    ]  # fmt: skip
    mean = {"calculate": "datum.seen > 2 ? datum.mean : null", "as": "shown"}
    layers.append({"transform": [frame, mean],
                   "mark": {"type": "line", "color": MUTED, "strokeWidth": 1.5},
                   "encoding": {"x": _x(), "y": _y("shown", "")}})  # fmt: skip
    return layers


def _facet(order: Sequence[str]) -> dict[str, Any]:
    header = {"labelColor": INK, "labelFontSize": 12, "labelAnchor": "start"}
    return {"field": "key", "type": "nominal", "sort": list(order), "title": None, "header": header}


def _y(field: str, unit: str, *, zero: bool = False) -> dict[str, Any]:
    return {"field": field, "type": "quantitative", "scale": {"zero": zero}, "axis": {"title": unit or None}}


def _chart(body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "$schema": SCHEMA, "background": "transparent",
        "padding": 6, **body,
        "config": {
            "font": "system-ui, sans-serif", "view": {"stroke": None},
            "axis": {"labelFontSize": 12, "titleFontSize": 12, "gridColor": GRID, "labelColor": INK,
                     "titleColor": INK, "domainColor": MUTED, "tickColor": MUTED},
            "legend": {"labelColor": INK, "titleColor": INK},
        },
    }  # fmt: skip
