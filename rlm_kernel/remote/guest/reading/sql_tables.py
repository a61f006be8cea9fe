"""The tables that a value is in SQL: its rows, typed column by column, and its words.

A table, a log or records are one table ``t``, and so are the files of a folder that are alike. A
folder of other tables, or a dict of several lists of dicts, is a table for each. Any other text is
a table of its lines, of which long ones are cut at the ends of sentences, and one of its words.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Optional

from .cell_kinds import typed
from .file_rows import rows_of_files
from .folder import Folder
from .rows import rows_of

MOST_TABLES = 10
LINE_CHARS = 400
"""Longer lines of a text are cut."""
WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_PLAIN = ("No table was found", "A row for each text", "A row for each item", "A row for each file")
_DEPTH = 3
"""Dicts in dicts are told apart so far."""
_SENTENCE = re.compile(r"[.!?]['\")\]]*\s+")


class Table(NamedTuple):
    """A table: its name, its columns, of which some are ``numbers``, each with the unit that all
    its cells were brought to or ``""``, its rows, and by column how ``dates`` were written that are
    as 2024-03-05 now."""

    name: str
    columns: list[str]
    numbers: dict[str, str]
    rows: list[tuple[Any, ...]]
    dates: dict[str, dict[str, str]] = {}  # noqa: RUF012 (which nobody changes)


def tables_of(value: Any) -> list[Table]:
    """Return the tables of a value, the rows of which have fields. A value without any has none.
    Raises ``TypeError`` for what cannot be read as rows."""
    if isinstance(value, Folder) and (found := rows_of_files(value)):
        return [_table("t", found)]
    parts = _parts(value)
    if parts:
        return [_table(name, part) for name, part in parts.items()]
    rows = rows_of(value)
    plain = rows.guess.startswith(_PLAIN) or " No table was found" in rows.guess
    return [] if not rows or (plain and texts_of(value) is not None) else [_table("t", rows)]


def _parts(value: Any) -> dict[str, list[Mapping[str, Any]]]:
    """Return the rows of each table, where a value is several; else nothing."""
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        value = _json(value)
    if isinstance(value, Folder):
        return _files(value)
    if not isinstance(value, Mapping):
        return {}
    parts = {k: v for k, v in value.items() if isinstance(v, list) and v and _are_dicts(v)}
    return _named(parts) if 2 <= len(parts) <= MOST_TABLES else {}


def _files(folder: Folder) -> dict[str, list[Mapping[str, Any]]]:
    if not 1 <= len(folder) <= MOST_TABLES:
        return {}
    read = {name: rows_of(text) for name, text in folder.items()}
    fit = all(rows and not rows.guess.startswith(_PLAIN) for rows in read.values())
    return (
        _named({n.rpartition("/")[2].partition(".")[0]: r for n, r in read.items()}) if fit else {}
    )


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _are_dicts(items: Iterable[Any]) -> bool:
    return all(isinstance(item, Mapping) for item in items)


def _named(parts: Mapping[Any, Any]) -> dict[str, Any]:
    return {re.sub(r"\W", "_", str(name)) or "t": rows for name, rows in parts.items()}


def _table(name: str, rows: list[Any]) -> Table:
    rows = [_flat(row) for row in rows]
    columns = list(dict.fromkeys(str(key) for row in rows for key in row))
    kinds = {column: typed([_cell(row.get(column)) for row in rows]) for column in columns}
    units = {column: kind.unit for column, kind in kinds.items() if kind.unit is not None}
    dates = {column: kind.dates for column, kind in kinds.items() if kind.dates}
    cells = zip(*(kind.cells for kind in kinds.values()))
    return Table(name, columns, units, list(cells), dates)


def _flat(row: Mapping[Any, Any], depth: int = _DEPTH) -> dict[str, Any]:
    """Return a row whose values are no dicts: their fields have names such as ``user_city``."""
    made: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, Mapping) and value and depth:
            inner = _flat(value, depth - 1)
            made.update((f"{key}_{name}", each) for name, each in inner.items())
        else:
            made[str(key)] = value
    return made


def _cell(value: Any) -> Any:
    """Return a value as SQL has it: a number, a text or None; of others JSON."""
    if value is None or isinstance(value, (str, float)):
        return value
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value if abs(value) < 2**63 else str(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "item"):
        return _cell(value.item())
    return json.dumps(value, ensure_ascii=False, default=str)


# texts
def texts_of(value: Any) -> Optional[dict[str, str]]:
    """Return the texts of a value by name: a text has none, a folder its files', a list of texts
    their numbers. None for a value that is no text."""
    if isinstance(value, (bytes, bytearray)):
        value = bytes(value).decode("utf-8", "backslashreplace")
    if isinstance(value, str):
        return {"": value}
    if isinstance(value, Folder):
        return dict(value.items())
    if isinstance(value, Mapping) and value and all(isinstance(v, str) for v in value.values()):
        return {str(name): text for name, text in value.items()}
    if isinstance(value, (list, tuple)) and value and all(isinstance(v, str) for v in value):
        return {str(number): text for number, text in enumerate(value)}
    return None


def lines_of(texts: Mapping[str, str]) -> Table:
    """Return the lines of texts as table ``t``, with the name of each text where they have any."""
    rows: list[tuple[Any, ...]] = []
    named = list(texts) != [""]
    for name, text in texts.items():
        for number, line in enumerate(text.split("\n"), 1):
            for start, end in spans(line):
                part = line[start:end].rstrip("\r")
                rows.append((name, number, part) if named else (number, part))
    columns = ["file", "line", "text"] if named else ["line", "text"]
    return Table("t", columns, {"line": ""}, rows)


def words_of(texts: Mapping[str, str]) -> Table:
    """Return the words of texts, in small letters, and how often each stands there."""
    counts: Counter[str] = Counter()
    for text in texts.values():
        counts.update(match.lower() for match in WORD.findall(text))
    return Table("words", ["word", "count"], {"count": ""}, counts.most_common())


def spans(line: str) -> Iterable[tuple[int, int]]:
    """Return the parts of a line: all of it, or where it is long its sentences, some together."""
    if len(line) <= LINE_CHARS:
        return [(0, len(line))] if line.strip() else []
    ends = [found.end() for found in _SENTENCE.finditer(line)]
    made, start = [], 0
    for end in [*ends, len(line)]:
        while end - start > LINE_CHARS:  # a sentence that is too long is cut between words
            space = line.rfind(" ", start + 1, start + LINE_CHARS)
            cut = space + 1 if space > start else start + LINE_CHARS
            made.append((start, cut))
            start = cut
        made.append((start, end))
        start = end
    return [(start, end) for start, end in made if line[start:end].strip()]
