"""Answers as a trajectory shows them: tables as tables, pictures as pictures."""

from __future__ import annotations

from ...answers import Answer
from ..markdown import fenced, inert, literal, one_line, shorten, table
from ..summary import Node

MAX_ROWS, MAX_COLUMNS = 50, 20
TABLES = ("DataFrame", "Series")


def shown(answer: Answer) -> str:
    """Return an answer as Markdown that can do nothing: a table as one, data in a fence."""
    if (rows := table_of(answer)) is not None:
        return rows
    text = shorten(answer.text, 20_000)
    data = text.lstrip().startswith(("{", "[")) and "\n" in text
    return fenced(text, "json") if data else inert(text)


def table_of(answer: Answer) -> str | None:
    """Return a table as one of Markdown, its first rows and columns; None for what is none."""
    value = answer.json if answer.type in TABLES else None
    if not isinstance(value, dict) or not {"columns", "rows"} <= value.keys():
        return None
    columns, rows, index = value["columns"], value["rows"], value.get("index")
    if not isinstance(columns, list) or not isinstance(rows, list):
        return None
    shown = [row[:MAX_COLUMNS] for row in rows[:MAX_ROWS] if isinstance(row, list)]
    if isinstance(index, list):
        columns = ["", *columns]
        shown = [[name, *row] for name, row in zip(index, shown, strict=False)]
    head = [literal(one_line(str(name))) for name in columns[: MAX_COLUMNS + 1]]
    cells = [[literal(shorten(one_line(str(each)), 200)) for each in row] for row in shown]
    count = value.get("row_count", len(rows))
    more = f"\n\n*{len(shown):,} of {count} rows*" if count != len(shown) else ""
    return table(head, cells) + more if head else None


def linked(node: Node, file: str | None) -> str:
    """Return the picture of an answer, or a link to its file."""
    if file is None:
        return ""
    path = file if node.parent is None else f"../{file}"
    return f"[{literal(file)}]({path})" if file.endswith(".csv") else f"![{literal(file)}]({path})"
