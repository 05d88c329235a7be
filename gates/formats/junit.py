"""A verdict as JUnit XML, for whatever shows test results: one case an item.

A report holds a failure or an error exactly where the exit code of the gate is not 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import count
from xml.etree import ElementTree as xml

from gates.evaluate import Verdict
from gates.formats.told import called, calling_for_rollback, headline, names, sentence
from gates.outcome import EXIT_PASS, Finding, Outcome
from gates.table import fired, next_step

# What XML 1.0 has no form for, be it escaped.
NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
ABOUT = ("exit_code", "stage", "policy", "scope", "checklist_hash", "config_hash")


def junit(verdict: Verdict, **_: object) -> str:
    """FAIL, INCONCLUSIVE and NO_DATA are failures with their reason as type, ERROR an error, items that are
    off skipped. Signals and waived items pass; what they say is their output."""
    suite = xml.Element("testsuite", name=_clean(f"monitor gate {verdict.stage}"))
    suite.set("timestamp", verdict.as_of.strftime("%Y-%m-%dT%H:%M:%S"))
    suite.set("time", "0")
    about = xml.SubElement(suite, "properties")
    said = {"outcome": verdict.outcome.name} | {name: getattr(verdict, name) for name in ABOUT}
    for name, value in (said | ({"dry": "true"} if verdict.dry else {})).items():
        xml.SubElement(about, "property", name=name, value=_clean(str(value)))
    firings = calling_for_rollback(verdict)
    cases = iter(_distinct([*names(verdict), *map(called, firings)]))
    for found in verdict.findings:
        _told(_case(suite, verdict, next(cases)), found)
    for firing in firings:
        _child(_case(suite, verdict, next(cases)), "failure", "rollback", firing.message, fired(firing))
    if verdict.exit_code != EXIT_PASS and not _broken(suite):
        case = _case(suite, verdict, "verdict")
        _child(case, "failure", verdict.outcome.name.lower(), headline(verdict), next_step(verdict))
    whole = xml.Element("testsuites", name="monitor gate")
    for element in (suite, whole):
        element.set("tests", str(len(suite.findall("testcase"))))
        for kind in ("failure", "error"):
            element.set(f"{kind}s", str(len(suite.findall(f"testcase/{kind}"))))
        element.set("skipped", str(len(suite.findall("testcase/skipped"))))
    whole.append(suite)
    xml.indent(whole)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{xml.tostring(whole, encoding="unicode")}\n'


def _told(case: xml.Element, found: Finding) -> None:
    if found.role == "off":
        xml.SubElement(case, "skipped", message=_clean(found.message))
    elif found.outcome is Outcome.PASS or not found.decides:
        note = "" if found.outcome is Outcome.PASS else f"{found.outcome.name} ({found.role}): "
        xml.SubElement(case, "system-out").text = _clean(note + sentence(found))
    else:
        tag = "error" if found.outcome is Outcome.ERROR else "failure"
        text = f"{found.outcome.name}: {sentence(found)}"
        _child(case, tag, str(found.reason), found.message, text)


def _case(suite: xml.Element, verdict: Verdict, name: str) -> xml.Element:
    return xml.SubElement(suite, "testcase", name=_clean(name), classname=f"gate.{verdict.stage}", time="0")


def _child(case: xml.Element, tag: str, kind: str, message: str, text: str) -> None:
    xml.SubElement(case, tag, type=_clean(kind), message=_clean(message)).text = _clean(text)


def _broken(suite: xml.Element) -> bool:
    return any(suite.findall(f"testcase/{kind}") for kind in ("failure", "error"))


def _distinct(given: Iterable[str]) -> list[str]:
    """The names, a second one of the same with a number: a reader keeps one result for a name."""
    seen: dict[str, None] = {}
    for name in map(_clean, given):
        numbered = (f"{name} ({n})" for n in count(2))
        seen[name if name not in seen else next(n for n in numbered if n not in seen)] = None
    return list(seen)


def _clean(text: str) -> str:
    return NOT_XML.sub("?", text)
