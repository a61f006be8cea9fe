"""``look``: what a question can be answered from, told in few lines.

Of tables the columns with their kinds and values, of a text the passages that the question's words
lead to.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, Optional

from .passages import passages
from .pieces import counted
from .sql import quoted
from .sql_tables import Table, lines_of, tables_of, texts_of

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_LISTED = 12
"""A column with so few values is shown with all of them."""
_VALUE_CHARS = 60
_COLUMN_CHARS = 300
_MOST_COLUMNS = 40
_PASSAGE_CHARS = 400
_LOOK_CHARS = 4000


PASSAGES = "Passages with words of the question:"


class Look(str):
    """Text that a notebook shows as it is."""

    def __repr__(self) -> str:
        return str(self)


def look_at(value: Any, question: str) -> Look:
    """Return the tables of a value, or the passages of a text for a question, in few lines. Raises
    ``TypeError`` for a value that is neither."""
    tables = tables_of(value)
    if tables:
        return Look("\n\n".join(map(_table, tables))[:_LOOK_CHARS])
    texts = texts_of(value)
    if texts is None:
        raise TypeError("look takes a table or texts, not %s" % type(value).__name__)
    return Look(_text(texts, question))


def _table(table: Table) -> str:
    lines = [f"Table {quoted(table.name)}, {counted(len(table.rows), 'row')}, has the columns"]
    for at, column in list(enumerate(table.columns))[:_MOST_COLUMNS]:
        cells = [row[at] for row in table.rows if row[at] is not None]
        lines.append(
            f"- {quoted(column)}: {_column(cells, table.numbers.get(column))}"[:_COLUMN_CHARS]
        )
    if len(table.columns) > _MOST_COLUMNS:
        lines.append(f"and {counted(len(table.columns) - _MOST_COLUMNS, 'column')} more")
    return "\n".join(lines)


def _column(cells: list[Any], unit: Optional[str]) -> str:
    counts = Counter(cells)
    if not counts:
        return "empty"
    kind = "number" if not unit else f"number in {unit}"
    if unit is not None and len(counts) > 2:
        return f"{kind}, {min(counts):.12g} to {max(counts):.12g}"
    few = len(counts) <= _LISTED
    if not few and all(map(_DATE.match, map(str, counts))):
        first, last = min(map(str, counts)), max(map(str, counts))
        return f"text, {len(counts):,} different dates, {first!r} to {last!r}"
    shown = [str(cell) for cell, _ in counts.most_common(_LISTED if few else 2)]
    listed = ", ".join(repr(text[:_VALUE_CHARS]) for text in shown)
    if unit is not None:
        return f"{kind}, {' or '.join(shown)}"
    return f"text, {'one of' if few else f'{len(counts):,} different, such as'} {listed}"


def _text(texts: dict[str, str], question: str) -> str:
    lines = lines_of(texts)
    said = f"Table t, {counted(len(lines.rows), 'row')}, has the lines of the text: "
    parts = [said + ", ".join(lines.columns)]
    parts.append("Table words has each different word, in small letters: word, count")
    found, missing = passages(texts, question)
    parts.append(PASSAGES if found else "No word of the question is in it.")
    for one in found:
        where = f"{one.where} {one.line}" if one.where else str(one.line)
        parts.append(f"[{where}] {one.text[:_PASSAGE_CHARS]}")
    if found and missing:
        parts.append(f"Nowhere in it: {', '.join(missing)}")
    return "\n".join(parts)[: _LOOK_CHARS + 200]
