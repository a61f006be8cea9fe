"""The words between the cells: an LM's without its code, ours to it without the output.

Code and output are in cells of their own.
"""

from __future__ import annotations

import re
from typing import Any

from ...events import CellRan, Output
from ..markdown import details, fenced, shorten
from ..outputs import ANSI

THOUGHT_CHARS = 20_000
MADE, LEFT = "Made: ", "Left: "
"""The beginnings of what an LM is told of its cells after each of them: a reader of the notebook
sees it there."""
_OUTPUT = re.compile(r"Output(?: \([^()\n]*\))?:")
_LIST = r"(?:(?:^|(?<=\n))[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?)?"
_OPENING = _LIST + r"(?:(?:`{3,}|~{3,})[^\n`]*\n|<\w+>)\s*"
_TOKENS = r"(?:\s*(?:<\|[\w-]{1,40}\|>|</?s>|<e(?:os|nd_\w{1,20})>|</\w{4,20}>))*"
_FENCE = r"\s*(?:`{3,}|~{3,})(?!\w)[ \t\r]*"
_CLOSING = rf"[ \t\r]*(?:{_TOKENS}(?:{_FENCE})?{_TOKENS}(?=\s|\Z)|{_FENCE})"
_LINE = r"\r?\n[ \t]*"
_GAP = re.compile(r"\n{3,}")


def without_blocks(reply: str, sources: list[str]) -> str:
    """Return ``reply`` with each source and the fence around it taken out, in their order.

    A source that does not stand there as it was run, in a fence or as the whole reply, is left.
    """
    kept: list[str] = []
    rest = reply
    for source in filter(None, map(str.strip, sources)):
        if rest.strip() == source:
            rest = ""
            break
        block = re.search(_OPENING + _as_written(source, rest) + _CLOSING, rest)
        if block:
            kept.append(rest[: block.start()])
            rest = rest[block.end() :]
    return _GAP.sub("\n\n", "".join([*kept, rest])).strip()


def _as_written(source: str, reply: str) -> str:
    """Return a pattern of the source, where it does not stand in the reply as it is one with any
    indentation and any ends of its lines."""
    if source in reply:
        return re.escape(source)
    return _LINE.join(map(re.escape, source.split("\n")))


def thoughts(text: str) -> str:
    """Return a reply's thoughts as a block that opens on a click; empty where there are none."""
    if not text:
        return ""
    return details(f"Thoughts · {len(text):,} characters", fenced(shorten(text, THOUGHT_CHARS)))


def reminders(messages: list[dict[str, Any]], ran: list[CellRan]) -> list[str]:
    """Return the paragraphs of ``messages`` that stand after the outputs of the cells in ``ran``.

    What is a notice of a cell is left out too: it is shown below its cell. So is what cells made,
    and what is left to use.
    """
    printed = "\n".join(_printed(output) for cell in ran for output in cell.outputs)
    notices = [notice for cell in ran for notice in cell.notices]
    found: list[str] = []
    for message in messages:
        text = content(message).strip()
        found += _after_output(text, printed) if ran else [text]
    found = [text for text in found if text and not text.startswith((MADE, LEFT))]
    return [text for text in found if not any(text in notice for notice in notices)]


def _after_output(text: str, printed: str) -> list[str]:
    """Return where, from the end of ``text`` back, the first paragraph that was printed ends."""
    paragraphs = [part.strip() for part in text.split("\n\n")]
    kept: list[str] = []
    for part in reversed(paragraphs):
        if _OUTPUT.match(part) or (part and part in printed):
            break
        kept.insert(0, part)
    return kept


def content(message: dict[str, Any]) -> str:
    """Return the text of a message, also of one that has images between its texts."""
    parts = message.get("content")
    if isinstance(parts, list):
        return "\n".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))
    return str(parts or "")


def _printed(output: Output) -> str:
    shown = [str(output.get("text", "")), str((output.get("data") or {}).get("text/plain", ""))]
    shown += map(str, output.get("traceback") or [])
    return ANSI.sub("", "\n".join(shown))
