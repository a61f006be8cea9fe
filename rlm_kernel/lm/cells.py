"""From an LM's reply to the cells in it. Nothing here raises for any text."""

from __future__ import annotations

import ast
import re
import textwrap

from . import fences
from .fences import Block

MAX_CELLS = 16
"""Blocks of one reply that are run; a reply with more is answered with that number."""
# Four spaces make it code that is shown, not written.
_BARE_FINAL = re.compile(r"^ {0,3}(FINAL_VAR\(.*\))[ \t\r]*$", re.MULTILINE)
_FIRST_TOKENS = re.compile(rf"\A\s*(?:{fences.TOKEN})+", re.IGNORECASE)
_ABOVE_CHARS, _ABOVE_LINES = 8_000, 60  # above such a line, looked at for its code


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

    A line ``FINAL_VAR(...)`` outside of any block, of whatever language, counts as a last cell,
    with the code right above it: models write it so. Of a reply that was ``cut_short`` what stands
    at its very end is no cell: a block that is still open, or such a line.
    """
    found = [block for block in blocks(reply) if block.closed or not cut_short]
    cells = [block.source for block in found]
    said = reply[: reply.rfind("\n") + 1] if cut_short else fences.untokened(reply)
    if not any("FINAL_VAR" in cell for cell in cells):
        cells += _outside(prose(said))
    return cells


def _outside(words: str) -> list[str]:
    """Return the last line ``FINAL_VAR(...)`` of a text without blocks as a cell, with the code
    right above it."""
    found = list(_BARE_FINAL.finditer(words))
    if not found or not fences.parses(found[-1][1]):
        return []
    call = found[-1][1]
    above = _FIRST_TOKENS.sub("", words[: found[-1].start()])
    lines = above[-_ABOVE_CHARS:].splitlines()[-_ABOVE_LINES:]
    sources = (textwrap.dedent("\n".join(lines[at:])).strip("\n") for at in range(len(lines)))
    source = next(filter(_acts, sources), None)
    return [call if source is None else f"{source}\n{call}"]


def _acts(source: str) -> bool:
    """Return whether a text is code that does something: words may parse, too."""
    tree = fences.parsed(source)
    return not isinstance(tree, str) and bool(tree.body) and all(map(_is_act, tree.body))


def _is_act(statement: ast.stmt) -> bool:
    match statement:
        case ast.Expr(value=ast.Call() | ast.Await()):
            return True
        case ast.AnnAssign(value=value):
            return value is not None
    return not isinstance(statement, ast.Expr | ast.Return | ast.Pass | ast.Break | ast.Continue)


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
    """Return where to stop reading a reply that goes on after its first block, of whatever
    language; None while that is open."""
    for block in fences.every(text):
        if block.closed and block.end < len(text):
            return block.end
    return None


def mentions(source: str, name: str) -> bool:
    """Return whether the name stands in the source as a word."""
    return re.search(rf"\b{re.escape(name)}\b", source) is not None
