"""A verdict as JSON: `gates/verdict.schema.json`."""

from __future__ import annotations

import json

from gates.evaluate import Verdict, to_json


def as_json(verdict: Verdict, **_: object) -> str:
    """The verdict with every finding and firing; numbers that are not finite are null."""
    return json.dumps(to_json(verdict), indent=2, allow_nan=False) + "\n"
