"""A page of the guide as text: drawn at a terminal, as Markdown of lines elsewhere."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import ClassVar

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import Markdown, MarkdownElement, TableElement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

LEAST_WRAPPED = 24
"""Columns below which a cell of running text is not squeezed."""
_GAP = 2
_FENCE = re.compile(r"\s*(```+)")
_MARK = re.compile(r"(?:[-*+]|\d+[.)]|>|#+) ")
_NO_BREAK = "\0"


class _Table(TableElement):
    """A table whose widest column alone is wrapped; where that is not enough, a list of its rows:
    no name is cut."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        heads = [] if self.header is None or self.header.row is None else self.header.row.cells
        names = [cell.content for cell in heads]
        body = [] if self.body is None else self.body.rows
        rows = [[cell.content for cell in row.cells] for row in body]
        widths = [max(map(_width, column)) for column in zip(names, *rows, strict=False)]
        widest = widths.index(max(widths))
        left = options.max_width - 2 - sum(widths) - _GAP * (len(widths) - 1) + widths[widest]
        if left < min(widths[widest], LEAST_WRAPPED):
            yield from _listed(names, rows)
            return
        widths[widest] = min(left, widths[widest])
        table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True)
        for name, width in zip(names, widths, strict=True):
            table.add_column(name, width=width, overflow="fold", header_style="bold")
        for row in rows:
            table.add_row(*row)
        yield table


def _width(cell: Text) -> int:
    return cell.cell_len


def _listed(names: list[Text], rows: list[list[Text]]) -> Iterator[Padding]:
    for first, *others in rows:
        told = Text("\n").join(
            Text.assemble((f"{name.plain}: ", "dim"), cell)
            for name, cell in zip(names[1:], others, strict=False)
            if cell.plain
        )
        yield Padding(first, (1, 0, 0, 1))
        yield Padding(told, (0, 0, 0, 5))


class Page(Markdown):
    """A page as it is drawn."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "table_open": _Table,
    }


def filled(markdown: str, width: int) -> str:
    """Return the same Markdown in lines of at most ``width`` characters, but for tables, blocks
    and long words."""
    fence = ""
    lines = []
    for line in markdown.splitlines():
        mark = _FENCE.match(line)
        if mark and fence in ("", mark[1]):
            fence = "" if fence else mark[1]
        kept = mark or fence or line.startswith(("|", "#", "    ", "<"))
        lines.append(line if kept else _wrapped(line, width))
    return "\n".join(lines)


def _wrapped(line: str, width: int) -> str:
    """Return a paragraph or an item in lines, none of which begins anything else."""
    begin = re.match(r"\s*(?:(?:[-*+]|\d+[.)]) +)?", line)
    indent = " " * (begin.end() if begin else 0)
    held = re.sub(rf" (?={_MARK.pattern})", _NO_BREAK, line[len(indent) :])
    wrapped = textwrap.fill(
        held,
        width,
        initial_indent=line[: len(indent)],
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return wrapped.replace(_NO_BREAK, " ") or line
