"""``look``: what a question can be answered from, told in few lines.

Of tables the columns with their kinds and values, of a text the passages that the question's words
lead to.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, Optional

from ..pieces import counted
from .folder import Folder
from .naming import dates_in, named_in, shown
from .passages import passages
from .references import references
from .sql import quoted
from .sql_tables import Table, lines_of, tables_of, texts_of

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_LISTED = 12
"""A column with so few values is shown with all of them."""
_VALUE_CHARS = 60
_COLUMN_CHARS = 300
_MOST_COLUMNS = 40
_PASSAGE_CHARS = 400
_TABLES_CHARS = 3400
_LOOK_CHARS = 4200


PASSAGES = "Passages with words of the question:"


class Look(str):
    """Text that a notebook shows as it is."""

    def __repr__(self) -> str:
        return str(self)


def look_at(value: Any, question: str) -> Look:
    """Return the tables of a value, with the values that a question names, or the passages of a
    text for it, in few lines; of a folder whose files are rows both. Raises ``TypeError`` for a
    value that is neither."""
    tables = tables_of(value)
    # Beside rows only where people wrote their texts: what a program logged is to be queried.
    written = tables and "text" in tables[0].columns and "level" not in tables[0].columns
    told = not tables or (isinstance(value, (str, Folder)) and written)
    texts = texts_of(value) if told else None
    if not tables and texts is None:
        raise TypeError("look takes a table or texts, not %s" % type(value).__name__)
    parts = [_tables(tables, question)] if tables else [_lines(texts or {})]
    if texts is not None:
        parts += _passages(texts, question, alone=not tables)
    return Look("\n".join(parts)[:_LOOK_CHARS])


def _tables(tables: list[Table], question: str) -> str:
    said = [*shown(named_in(question, tables)), *dates_in(question, tables)]
    linked = references(tables)
    shown_tables = [_table(table, linked.get(table.name, {})) for table in tables]
    parts = ["\n\n".join(shown_tables)[:_TABLES_CHARS]]
    return "\n".join([*parts, f"In the question: {'; '.join(said)}"] if said else parts)


def _table(table: Table, linked: dict[str, str]) -> str:
    lines = [f"Table {quoted(table.name)}, {counted(len(table.rows), 'row')}, has the columns"]
    told = [
        (column, cells)
        for at, column in enumerate(table.columns)
        if (cells := [row[at] for row in table.rows if row[at] is not None])
    ]
    for column, cells in told[:_MOST_COLUMNS]:
        said = _column(cells, table.numbers.get(column))[:_COLUMN_CHARS]
        empty = len(table.rows) - len(cells)
        more = f"; each stands in {linked[column]}" if column in linked else ""
        more += f"; NULL in {empty:,} rows" if empty else ""
        lines.append(f"- {quoted(column)}: {said}{more}")
    if len(told) > _MOST_COLUMNS:
        lines.append(f"and {counted(len(told) - _MOST_COLUMNS, 'column')} more")
    return "\n".join(lines)


def _column(cells: list[Any], unit: Optional[str]) -> str:
    counts = Counter(cells)
    kind = "number" if not unit else f"number in {unit}"
    if unit is not None and len(counts) > 2:
        return f"{kind}, {min(counts):.12g} to {max(counts):.12g}"
    few = len(counts) <= _LISTED
    if not few and all(map(_DATE.match, map(str, counts))):
        first, last = min(map(str, counts)), max(map(str, counts))
        return f"text, {len(counts):,} different dates, {first!r} to {last!r}"
    texts = [str(cell) for cell, _ in counts.most_common(_LISTED)]
    few = few and sum(map(len, texts)) <= _COLUMN_CHARS
    listed = ", ".join(repr(text[:_VALUE_CHARS]) for text in texts[: _LISTED if few else 2])
    if unit is not None:
        return f"{kind}, {' or '.join(texts)}"
    return f"text, {'one of' if few else f'{len(counts):,} different, such as'} {listed}"


def _lines(texts: dict[str, str]) -> str:
    lines = lines_of(texts)
    said = f"Table t, {counted(len(lines.rows), 'row')}, has the lines of the text: "
    words = "Table words has each different word, in small letters: word, count"
    return f"{said}{', '.join(lines.columns)}\n{words}"


def _passages(texts: dict[str, str], question: str, *, alone: bool) -> list[str]:
    """Return the passages for a question."""
    found, missing = passages(texts, question)
    if not found:
        return ["No word of the question is in it."] if alone else []
    parts = [PASSAGES]
    for one in found:
        where = f"{one.where} {one.line}" if one.where else str(one.line)
        parts.append(f"[{where}] {one.text[:_PASSAGE_CHARS]}")
    return [*parts, f"Nowhere in it: {', '.join(missing)}"] if missing else parts
