"""A message in Slack's Block Kit, within its limits: header 150 characters, section 3000, 50 blocks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from alerts.message import SECTIONS, context, plain_text

HEADER, SECTION, BLOCKS = 150, 3000, 50
STATES = {"acknowledged": "[acknowledged]", "resolved": "[resolved]"}
SIGNS = {"page": ":rotating_light:", "warning": ":warning:", "info": ":information_source:"}


def blocks(message: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """Header, a section for each part of the message, the commands, and a context line with the
    incident and the alert's key."""
    title = f"{SIGNS.get(message['severity'], '')} {message['title']}".replace("\n", " ")
    steps = [f"{n}. {step}" for n, step in enumerate(message["what_to_do"], 1)]
    sections = [
        *(_section(name, [message[field]]) for name, field in SECTIONS if message[field]),
        *([_section("What to do next", steps)] if steps else []),
        *([_code(message["commands"])] if message["commands"] else []),
        *([_section("See", list(message["links"]))] if message["links"] else []),
    ]
    about = ", ".join(part for part in (context(message), f"alert {key}") if part)
    called = mentioned(message)
    return [
        {"type": "header", "text": {"type": "plain_text", "emoji": True, "text": clamp(title, HEADER)}},
        *([_mrkdwn(called.strip())] if called else []),
        *sections[: BLOCKS - 3],
        {"type": "context", "elements": [{"type": "mrkdwn", "text": clamp(about, SECTION)}]},
    ]


def mentioned(message: Mapping[str, Any]) -> str:
    """The people who are called by name, as Slack wakes them; ids of users (U…) and of groups (S…) only."""
    ids = [one for one in message.get("mention") or () if re.fullmatch(r"[USW][A-Z0-9]{2,20}", one)]
    return "".join(f"<!subteam^{one}> " if one.startswith("S") else f"<@{one}> " for one in ids)


def updated(first: Mapping[str, Any], now: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """The first message of an incident as it stands after a later one: its title says the state."""
    sign = STATES.get(now.get("state") or "", "")
    title = f"{sign} {first['title']}" if sign else first["title"]
    head, *rest = blocks({**first, "title": title}, key)
    return [head, _section("Now", [now["title"]]), *rest][:BLOCKS]


def fallback(message: Mapping[str, Any]) -> str:
    """The whole message as text: what a notification shows, and all there is without blocks."""
    return clamp(plain_text(message), SECTION)


def clamp(text: str, length: int) -> str:
    """`text` escaped for Slack (& < >) and at most `length` characters long, never cut inside an escape."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if len(escaped) <= length:
        return escaped
    return re.sub(r"&[a-z]{0,3}$", "", escaped[: length - 1]) + "…"


def _section(name: str, lines: list[str]) -> dict[str, Any]:
    heading = f"*{name}*\n"
    return _mrkdwn(heading + clamp("\n".join(lines), SECTION - len(heading)))


def _code(commands: list[str]) -> dict[str, Any]:
    return _mrkdwn("```" + clamp("\n".join(commands).replace("```", ""), SECTION - 6) + "```")


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}
