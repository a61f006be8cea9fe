"""From an LM's reply to the cells in it.

Any fence of a Python kind counts, tagged or not; a fence inside a string literal of the code does
not end the cell. Nothing here raises for any text.
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass

TAGS = frozenset({"", "repl", "python", "python3", "py", "ipython", "ipython3"})
MAX_CELLS = 16
"""Blocks of one reply that are run; a reply with more is answered with that number."""
_FENCE = re.compile(r"^[ ]{0,3}(`{3,}|~{3,})[ \t]*([\w+.-]*)[^\n`]*$", re.MULTILINE)
_BARE_FINAL = re.compile(r"^\s*(FINAL_VAR\(.*\))\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One code block: its source, and where it stands in the reply, fences included."""

    source: str
    start: int
    end: int
    closed: bool


def _parses(source: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def blocks(reply: str) -> list[Block]:
    """The Python blocks of a reply, in order. An unclosed last fence runs to the end."""
    found: list[Block] = []
    position = 0
    while (opening := _FENCE.search(reply, position)) is not None:
        block, tag = _block(reply, opening), opening.group(2).lower()
        if tag in TAGS and block.source.strip():
            found.append(block)
        position = block.end
    return found


def _block(reply: str, opening: re.Match[str]) -> Block:
    """The block that ``opening`` begins.

    It ends at the first closing fence up to which the source parses, so that a fence inside a
    string does not end it; where none parses, at the first closing fence.
    """
    mark = opening.group(1)
    start = min(opening.end() + 1, len(reply))
    closing = re.compile(rf"^[ ]{{0,3}}{re.escape(mark[0])}{{{len(mark)},}}[ \t]*$", re.MULTILINE)
    first: Block | None = None
    for n, end in enumerate(closing.finditer(reply, start)):
        source = reply[start : end.start()].rstrip("\n")
        block = Block(source, opening.start(), end.end(), True)
        first = first or block
        if _parses(source):
            return block
        if n >= 8:  # a reply of many broken blocks must not cost a parse for each pair
            break
    return first or Block(reply[start:].rstrip("\n"), opening.start(), len(reply), False)


def sources(reply: str) -> list[str]:
    """The cells of a reply, in order.

    A line ``FINAL_VAR(...)`` outside of any block counts as a last cell: models write it so.
    """
    found = blocks(reply)
    cells = [block.source for block in found]
    outside = _BARE_FINAL.findall(prose(reply))
    if outside and not any("FINAL_VAR" in cell for cell in cells) and _parses(outside[-1]):
        cells.append(outside[-1])
    return cells


def prose(reply: str) -> str:
    """The reply without its Python blocks."""
    parts, position = [], 0
    for block in blocks(reply):
        parts.append(reply[position : block.start])
        position = block.end
    parts.append(reply[position:])
    return "\n\n".join(part.strip() for part in parts if part.strip())


def end_of_first_block(text: str) -> int | None:
    """Where to stop reading a reply that goes on after its first block; None while it is open."""
    for block in blocks(text):
        if block.closed and block.end < len(text):
            return block.end
    return None


def mentions(source: str, name: str) -> bool:
    """Whether the name stands in the source as a word."""
    return re.search(rf"\b{re.escape(name)}\b", source) is not None
