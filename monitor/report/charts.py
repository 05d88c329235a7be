"""Charts described as Vega-Lite and drawn by vl-convert."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

INK, MUTED, FIRED, LIMIT = "#1b1b1b", "#6b6b6b", "#f2b134", "#b3261e"
LINE = "#0b5fa5"
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
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": {"text": str(plot["title"]), "anchor": "start", "color": INK, "fontSize": 16},
        "width": 640, "height": 260, "background": "white", "padding": 12,
        "data": {"values": points}, "layer": layers,
        "config": {
            "axis": {"labelFontSize": 12, "titleFontSize": 12, "gridColor": "#e6e6e6", "labelColor": INK}
        },
    }  # fmt: skip


def png(plot: Mapping[str, Any]) -> bytes:
    """`incident` as a PNG, twice as dense as a screen needs so that it can be read on a phone. Fetches
    nothing. Raises ValueError where it cannot be drawn."""
    import vl_convert

    return bytes(vl_convert.vegalite_to_png(incident(plot), scale=SCALE, allowed_base_urls=[]))


def _x() -> dict[str, Any]:
    axis = {"title": "time, UTC", "format": "%d %b %H:%M", "tickCount": 6, "labelOverlap": True}
    return {"field": "at", "type": "temporal", "scale": {"type": "utc"}, "axis": axis}


def _line() -> dict[str, Any]:
    y = {"field": "value", "type": "quantitative", "scale": {"zero": False}, "axis": {"title": None}}
    return {
        "mark": {"type": "line", "color": LINE, "strokeWidth": 2, "point": {"color": LINE, "size": 30}},
        "encoding": {"x": _x(), "y": y},
    }  # fmt: skip


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


def _rule(value: float, name: str, colour: str) -> list[dict[str, Any]]:
    data = {"values": [{"value": value, "name": f"{name} {value:.4g}"}]}
    y = {"field": "value", "type": "quantitative"}
    return [
        {"data": data, "mark": {"type": "rule", "color": colour, "strokeDash": [6, 3], "strokeWidth": 1.5},
         "encoding": {"y": y}},
        {"data": data,
         "mark": {"type": "text", "color": colour, "align": "left", "x": 4, "dy": -7, "fontSize": 12},
         "encoding": {"y": y, "text": {"field": "name"}}},
    ]  # fmt: skip
