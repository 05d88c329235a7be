"""The chart of an incident: what stands in it, and that it can be drawn without a network."""

import struct

from monitor.report.charts import incident, png

PLOT = {
    "title": "reward_mean of <script>", "limit": 0.42, "baseline": 0.5,
    "points": [
        ["2026-01-02T03:00:00+00:00", 0.5, 0.45, 0.55], ["2026-01-02T04:00:00+00:00", 0.4, None, None],
    ],
    "fired": ["2026-01-02T04:00:00+00:00", "2026-01-02T05:00:00+00:00"],
}  # fmt: skip


def test_limit_and_baseline_are_marked_by_name_and_value_where_they_are_known():
    def names(plot):
        told = (layer.get("data", {}).get("values", [{}])[0].get("name") for layer in incident(plot)["layer"])
        return {name for name in told if name}

    assert names(PLOT) == {"fired", "limit 0.42", "baseline 0.5"}
    assert names({**PLOT, "limit": None, "baseline": None}) == {"fired"}


def test_it_is_drawn_as_a_picture_that_a_phone_can_show():
    picture = png(PLOT)
    assert picture.startswith(b"\x89PNG") and len(picture) < 1_000_000
    width, height = struct.unpack(">II", picture[16:24])
    assert 1200 < width < 1800 and 500 < height < 900
