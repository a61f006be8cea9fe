"""Columns whose values are those of another one, by which rows of tables belong together."""

from __future__ import annotations

from collections.abc import Sequence

from .sql_tables import Table

_LEAST = 5
_MOST_ROWS = 100_000


def references(tables: Sequence[Table]) -> dict[str, dict[str, str]]:
    """Return by table and column where each of its values stands, as ``id`` or ``people.id``: a
    column of texts in which no value stands twice."""
    values = {
        (table.name, column): {row[at] for row in table.rows if row[at] is not None}
        for table in tables
        if len(table.rows) <= _MOST_ROWS
        for at, column in enumerate(table.columns)
        if column not in table.numbers
    }
    rows = {table.name: len(table.rows) for table in tables}
    unique = [key for key, held in values.items() if len(held) == rows[key[0]] >= _LEAST]
    found: dict[str, dict[str, str]] = {}
    for (table, column), held in values.items():
        if len(held) < _LEAST:
            continue
        for other, name in unique:
            if (other, name) != (table, column) and held <= values[other, name]:
                where = name if other == table else f"{other}.{name}"
                found.setdefault(table, {})[column] = where
                break
    return found
