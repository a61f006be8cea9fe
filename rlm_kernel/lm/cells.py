"""From an LM's reply to the cells in it.

Any fence of a Python kind counts, tagged or not; a fence inside a string literal of the code does
not end the cell. Nothing here raises for any text.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

TAGS = frozenset({"", "repl", "python", "python3", "py", "ipython", "ipython3"})
MAX_CELLS = 16
"""Blocks of one reply that are run; a reply with more is answered with that number."""
_FENCE = re.compile(r"^[ ]{0,3}(`{3,}|~{3,})[ \t]*([\w+.-]*)[^\n`]*$", re.MULTILINE)
# Four spaces make it code that is shown, not written.
_BARE_FINAL = re.compile(r"^ {0,3}(FINAL_VAR\(.*\))[ \t\r]*$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block: its source, and where it stands in the reply, fences included."""

    source: str
    start: int
    end: int
    closed: bool
    tag: str

    @property
    def is_python(self) -> bool:
        return self.tag in TAGS

    @property
    def parses(self) -> bool:
        return _parses(self.source)


def _parses(source: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def blocks(reply: str) -> list[Block]:
    """Return the Python blocks of a reply, in order. An unclosed last fence runs to the end."""
    return [block for block in _all(reply) if block.is_python and block.source.strip()]


def _all(reply: str) -> Iterator[Block]:
    position = 0
    while (block := fenced(reply, position)) is not None:
        yield block
        position = block.end


def fenced(reply: str, position: int) -> Block | None:
    """Return the next fenced block of any language that begins at ``position`` or after it."""
    opening = _FENCE.search(reply, position)
    return None if opening is None else _block(reply, opening)


def _block(reply: str, opening: re.Match[str]) -> Block:
    """The block that ``opening`` begins.

    One of Python ends at the first closing fence up to which the source parses, so that a fence
    inside a string does not end it; where none parses, and in another language, at the first
    closing fence.
    """
    mark, tag = opening.group(1), opening.group(2).lower()
    start = min(opening.end() + 1, len(reply))
    closing = re.compile(rf"^[ ]{{0,3}}{re.escape(mark[0])}{{{len(mark)},}}[ \t]*$", re.MULTILINE)
    first: Block | None = None
    for n, end in enumerate(closing.finditer(reply, start)):
        source = reply[start : end.start()].rstrip("\n")
        block = Block(source=source, start=opening.start(), end=end.end(), closed=True, tag=tag)
        first = first or block
        if not block.is_python or block.parses:
            return block
        if n >= 8:  # a reply of many broken blocks must not cost a parse for each pair
            break
    rest = reply[start:].rstrip("\n")
    return first or Block(source=rest, start=opening.start(), end=len(reply), closed=False, tag=tag)


def sources(reply: str, *, cut_short: bool = False) -> list[str]:
    """Return the cells of a reply, in order.

    A line ``FINAL_VAR(...)`` outside of any block, of whatever language, counts as a last cell:
    models write it so. Of a reply that was ``cut_short`` what stands at its very end is no cell:
    a block that is still open, or such a line.
    """
    found = [block for block in blocks(reply) if block.closed or not cut_short]
    cells = [block.source for block in found]
    outside = _BARE_FINAL.findall(prose(reply[: reply.rfind("\n") + 1] if cut_short else reply))
    if outside and not any("FINAL_VAR" in cell for cell in cells) and _parses(outside[-1]):
        cells.append(outside[-1])
    return cells


def prose(reply: str) -> str:
    """Return the reply without its fenced blocks, of whatever language."""
    parts, position = [], 0
    for block in _all(reply):
        parts.append(reply[position : block.start])
        position = block.end
    parts.append(reply[position:])
    # Line feeds only: the indentation of a part's first line tells whether it is code.
    return "\n\n".join(part.strip("\n").rstrip() for part in parts if part.strip())


def end_of_first_block(text: str) -> int | None:
    """Return where to stop reading a reply that goes on after its first block; None while it is
    open."""
    for block in blocks(text):
        if block.closed and block.end < len(text):
            return block.end
    return None


def mentions(source: str, name: str) -> bool:
    """Return whether the name stands in the source as a word."""
    return re.search(rf"\b{re.escape(name)}\b", source) is not None
