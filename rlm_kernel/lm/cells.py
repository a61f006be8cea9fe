"""From an LM's reply to the cells in it. Nothing here raises for any text."""

from __future__ import annotations

import re

from . import fences
from .fences import Block

MAX_CELLS = 16
"""Blocks of one reply that are run; a reply with more is answered with that number."""
# Four spaces make it code that is shown, not written.
_BARE_FINAL = re.compile(r"^ {0,3}(FINAL_VAR\(.*\))[ \t\r]*$", re.MULTILINE)


def blocks(reply: str) -> list[Block]:
    """Return the Python blocks of a reply, in order. An unclosed last one runs to the end.

    Blocks of the plainest form in it count: where one is tagged as Python, an untagged one is
    text, be it a plan, data or the output that is expected.
    """
    found = _python(reply)
    plainest = min((block.form for block in found), default=None)
    return [block for block in found if block.form is plainest]


def _python(reply: str) -> list[Block]:
    return [b for b in fences.every(reply) if b.is_python and b.source.strip()]


def sources(reply: str, *, cut_short: bool = False) -> list[str]:
    """Return the cells of a reply, in order.

    A line ``FINAL_VAR(...)`` outside of any block, of whatever language, counts as a last cell:
    models write it so. Of a reply that was ``cut_short`` what stands at its very end is no cell:
    a block that is still open, or such a line.
    """
    found = [block for block in blocks(reply) if block.closed or not cut_short]
    cells = [block.source for block in found]
    said = reply[: reply.rfind("\n") + 1] if cut_short else fences.untokened(reply)
    outside = _BARE_FINAL.findall(prose(said))
    if outside and not any("FINAL_VAR" in cell for cell in cells) and fences.parses(outside[-1]):
        cells.append(outside[-1])
    return cells


def answer_in_words(reply: str) -> str:
    """Return what a reply without cells says; of the form ``FINAL(...)`` what is in it."""
    words = fences.untokened(reply).strip()
    final = re.fullmatch(r"FINAL\((.*)\)", words, re.DOTALL)
    return final[1].strip() if final else words


def prose(reply: str) -> str:
    """Return the reply without its blocks, of whatever language."""
    parts, position = [], 0
    for block in fences.every(reply):
        parts.append(reply[position : block.start])
        position = block.end
    parts.append(reply[position:])
    # Line feeds only: the indentation of a part's first line tells whether it is code.
    return "\n\n".join(part.strip("\r\n").rstrip() for part in parts if part.strip())


def end_of_first_block(text: str) -> int | None:
    """Return where to stop reading a reply that goes on after its first block; None while it is
    open."""
    for block in _python(text):
        if block.closed and block.end < len(text):
            return block.end
    return None


def mentions(source: str, name: str) -> bool:
    """Return whether the name stands in the source as a word."""
    return re.search(rf"\b{re.escape(name)}\b", source) is not None
