"""The forms a verdict can be told in. A new one is a function of a file here and one line.

A format is `f(verdict, colour=…, width=…) -> text`; colour and width are those of a terminal, and only the
table has a use for them.
"""

from __future__ import annotations

from collections.abc import Callable

from gates.formats.as_json import as_json
from gates.formats.github import github
from gates.formats.junit import junit
from gates.formats.markdown import markdown
from gates.table import table

FORMATS: dict[str, Callable[..., str]] = {
    "table": table,
    "json": as_json,
    "junit": junit,
    "markdown": markdown,
    "github": github,
}
# What the ending of a file says about the format to write there.
ENDINGS = {".json": "json", ".xml": "junit", ".md": "markdown"}
