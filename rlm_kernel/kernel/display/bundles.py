"""The output of a ``%rlm`` line, as MIME bundles of text and Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from ...record import markdown
from ...record.markdown import literal

Shown = dict[str, str]
"""A MIME bundle."""
Linked = tuple[str, str]
"""A cell of a table that is a link: its text on a terminal, and its Markdown."""


def text(said: str) -> Shown:
    """Return a text as it is."""
    return {"text/plain": said}


def table(head: list[str], rows: Sequence[Sequence[str | Linked]]) -> Shown:
    """Return a table, with the head of each column."""
    plain = [[cell if isinstance(cell, str) else cell[0] for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [head, *plain]) for i in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [head, *plain]
    ]
    marked = [[literal(cell) if isinstance(cell, str) else cell[1] for cell in row] for row in rows]
    return {"text/plain": "\n".join(lines), "text/markdown": markdown.table(head, marked)}


def joined(parts: list[Shown]) -> Shown:
    """Return the parts below one another."""
    return {
        "text/plain": "\n\n".join(part["text/plain"] for part in parts),
        "text/markdown": "\n\n".join(
            part.get("text/markdown", literal(part["text/plain"])) for part in parts
        ),
    }
