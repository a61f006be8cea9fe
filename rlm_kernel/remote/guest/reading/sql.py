"""``sql``: a question in SQLite's words to the tables that a value is.

The tables are made in memory for each query, and only those that it names. What could reach a file
is refused. ``judge`` in a query lets a reader LM look at a text: all that the query judges is
collected first and asked together.
"""

from __future__ import annotations

import contextlib
import difflib
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Optional

from ..pieces import counted, some
from . import sql_functions
from .naming import COMPARED, dates_in, decimals_in, doubt_of
from .sql_tables import Table, lines_of, tables_of, texts_of, words_of

MOST_ROWS = 100_000
MOST_ANSWERS = 50
ANSWER_CHARS = 200
_STEPS = 100_000
"""After so many steps of a query an interrupt is looked for."""
_SHOWN_ROWS = 20
_CELL_CHARS = 400
_NEAR_FROM = 2000
_LOOKED_AT, _EXAMPLE_CHARS = 20, 30
_LITERAL = re.compile(r"'(?:[^']|'')*'")
_SUMMED = re.compile(
    r"\b(SUM|AVG|TOTAL)\s*\(\s*(?:DISTINCT\s+)?(?:\w+\.)?(\"[^\"]+\"|[A-Za-z_]\w*)", re.IGNORECASE
)
_ALLOWED = (
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    getattr(sqlite3, "SQLITE_RECURSIVE", 33),
)
Judged = tuple[str, str, tuple[str, ...]]
"""A text, what is asked about it, and the labels."""
Judge = Callable[[list[Judged]], list[str]]
"""Returns the label for each."""


class Found(list):
    """The rows that a query gave, as tuples. ``columns`` are their names, ``hints`` say what it
    compares with and no row has, ``doubt`` what of the question it leaves out or adds, or None."""

    def __init__(self, rows: Iterable[tuple[Any, ...]] = (), columns: Sequence[str] = ()) -> None:
        super().__init__(rows)
        self.columns = list(columns)
        self.hints: list[str] = []
        self.doubt: Optional[str] = None
        self.decimals: Optional[int] = None

    @property
    def answer(self) -> Any:
        """Return the value, or the values of a single column as a list; beside figures, by which
        rows are ranked, those of the first. None where a query gave nothing, several columns of
        texts, or texts too long for an answer. Figures have the decimals that were asked for."""
        figures = all(isinstance(cell, (int, float)) for row in self for cell in row[1:])
        if not self or len(self) > MOST_ANSWERS or (len(self) > 1 and not figures):
            return None
        values = [_rounded(row[0], self.decimals) for row in self]
        if any(isinstance(value, str) and _is_passage(value) for value in values):
            return None
        return values if len(values) > 1 else values[0]

    def __repr__(self) -> str:
        lines = [" | ".join(self.columns)] if len(self.columns) > 1 else []
        lines += [" | ".join(map(_shown, row)) for row in self[:_SHOWN_ROWS]]
        if len(self) > _SHOWN_ROWS:
            lines.append(f"… {counted(len(self), 'row')} in all")
        return "\n".join(
            [*(lines or ["No rows."]), *self.hints, *([self.doubt] if self.doubt else [])]
        )

    __str__ = __repr__


def _is_passage(value: str) -> bool:
    return len(value) > ANSWER_CHARS or "\n" in value.strip()


def _rounded(value: Any, decimals: Optional[int]) -> Any:
    """Return a float without the noise in the last digits of a sum, or with so many decimals."""
    if not isinstance(value, float):
        return value
    if decimals is None:
        return float(f"{value:.12g}")
    return round(value, decimals) if decimals else round(value)


def _shown(cell: Any) -> str:
    text = "none" if cell is None else str(cell)
    return text if len(text) <= _CELL_CHARS else f"{text[:_CELL_CHARS]}…"


def query(
    value: Any, text: str, judge: Optional[Judge] = None, question: Optional[str] = None
) -> Found:
    """Return what a query finds in the tables of a value, and held against a ``question`` what of
    it is in doubt. Raises ``ValueError`` for one that SQLite does not take, with the tables and
    columns that there are."""
    tables = named(value, text)
    text = _with_our_dates(text, tables)
    _refuse_sums_of_texts(text, tables)
    with contextlib.closing(_connected(tables)) as database:
        if judge is not None and re.search(r"\bjudge\s*\(", text, re.IGNORECASE):
            _judged(database, text, tables, judge)
        found = _run(database, text, tables)
    found.hints = list(_hints(found, text, tables))
    if question is not None and _is_nothing(found):
        found.hints += [f"{told}." for told in dates_in(question, tables)]
    if question is not None:
        found.decimals = decimals_in(question)
        several = isinstance(found.answer, list)
        found.doubt = doubt_of(text, question, tables, several=several)
    return found


def _with_our_dates(text: str, tables: list[Table]) -> str:
    """Return a query with the dates in its texts as the tables have them: as they are written in
    the input they could match nothing."""
    written = {raw: day for table in tables for dates in table.dates.values()
               for raw, day in dates.items() if raw != day}  # fmt: skip
    if not written:
        return text
    longest = sorted(written, key=len, reverse=True)

    def ours(found: re.Match[str]) -> str:
        literal = found.group()
        raw = next((raw for raw in longest if raw in literal), None)
        return literal if raw is None else literal.replace(raw, written[raw])

    return _LITERAL.sub(ours, text)


def _refuse_sums_of_texts(text: str, tables: list[Table]) -> None:
    """SQLite would add the digits that a text begins with, and nothing for others."""
    for function, name in _SUMMED.findall(text):
        for table in tables:
            known = {column.lower(): column for column in table.columns}
            column = known.get(name.strip('"').lower())
            if column is not None and column not in table.numbers:
                seen = next((str(c) for c in _cells(column, [table]) if c), "")
                raise ValueError(
                    f"{function}({name}): this column of {table.name} has texts, such as {seen!r}"
                )


def named(value: Any, text: str) -> list[Table]:
    """Return the tables of a value; those of a text are made only where a query names them."""
    tables = tables_of(value)
    texts = None if tables else texts_of(value)
    if texts is not None:
        tables = [lines_of(texts)]
        if re.search(r"\bwords\b", text, re.IGNORECASE):
            tables.append(words_of(texts))
    if not tables:
        raise ValueError("there is no table in a value of the type %s" % type(value).__name__)
    return tables


def quoted(name: str) -> str:
    """Return a name as a query writes it."""
    plain = re.fullmatch(r"[A-Za-z_]\w*", name) and name.lower() not in _WORDS.split()
    return name if plain else _name(name)


_WORDS = """
all and as between by case check create default distinct else end except exists from group
having in index intersect into is isnull join limit not notnull null on or order references
select set table then to transaction union unique update using values when where
"""
"""Those that SQLite takes as a name in quotes only."""


def _connected(tables: list[Table]) -> sqlite3.Connection:
    database = sqlite3.connect(":memory:", isolation_level=None)
    for table in tables:
        columns = ", ".join(
            f"{_name(c)} {'NUMERIC' if c in table.numbers else 'TEXT COLLATE NOCASE'}"
            for c in table.columns
        )
        places = ", ".join("?" * len(table.columns))
        database.execute(f"CREATE TABLE {_name(table.name)} ({columns})")
        database.executemany(f"INSERT INTO {_name(table.name)} VALUES ({places})", table.rows)
    sql_functions.add_to(database)
    database.set_authorizer(
        lambda action, *_: sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY
    )
    return database


def _name(name: str) -> str:
    return '"%s"' % name.replace('"', '""')


def _run(database: sqlite3.Connection, text: str, tables: list[Table]) -> Found:
    stopped: list[KeyboardInterrupt] = []

    def look_up() -> int:
        try:
            return 0  # a signal's handler runs here
        except KeyboardInterrupt as interrupt:
            stopped.append(interrupt)
            return 1

    database.set_progress_handler(look_up, _STEPS)
    try:
        cursor = database.execute(text.strip().rstrip(";"))
        rows = cursor.fetchmany(MOST_ROWS)
    except (sqlite3.Error, sqlite3.Warning) as error:
        if stopped:
            raise stopped[0] from None
        hints = "".join(f" {hint}" for hint in _misplaced(text, tables))
        raise ValueError(f"{error}.{hints} {_there(tables)}") from None
    finally:
        database.set_progress_handler(None, 0)
    return Found(rows, [column[0] for column in cursor.description or ()])


def _misplaced(text: str, tables: list[Table]) -> Iterator[str]:
    """Return in which columns the values stand that a query looks for in one that there is not."""
    known = {column.lower() for table in tables for column in table.columns}
    for name, _, value in COMPARED.findall(text):
        bare = value.replace("''", "'").strip("%").lower()
        if name.strip('"').lower() in known or not bare:
            continue
        found = [
            quoted(column)
            for table in tables
            for column in table.columns
            if any(bare in cell.lower() for cell in _cells(column, [table]))
        ]
        if found:
            yield f"{bare!r} stands in {some(found)}."


def _there(tables: list[Table]) -> str:
    """Return the tables and their columns, of texts each with an example."""
    return "There are the tables " + "; ".join(
        f"{quoted(table.name)}({', '.join(_columns(table))})" for table in tables
    )


def _columns(table: Table) -> Iterator[str]:
    for at, column in enumerate(table.columns):
        texts = (row[at] for row in table.rows[:_LOOKED_AT] if isinstance(row[at], str))
        shown = next((text for text in texts if 0 < len(text) <= _EXAMPLE_CHARS), None)
        yield quoted(column) if shown is None else f"{quoted(column)} {shown!r}"


def _judged(database: sqlite3.Connection, text: str, tables: list[Table], judge: Judge) -> None:
    """Run a query once to see what it judges, ask, and leave it the function that knows."""
    wanted: dict[Judged, str] = {}

    def note(item: Any, *words: Any) -> str:
        asked = _asked(item, words)
        wanted[asked] = ""
        return asked[2][0]

    database.create_function("judge", -1, note, deterministic=True)
    _run(database, text, tables)
    asked = list(wanted)
    wanted.update(zip(asked, judge(asked)))
    known = lambda item, *words: wanted.get(_asked(item, words))  # noqa: E731
    database.create_function("judge", -1, known, deterministic=True)


def _asked(item: Any, words: Sequence[Any]) -> Judged:
    """Return what is asked of a text. A question of its own would say which label is expected, so
    that there is one only where a query has it, before the labels."""
    labels = [str(word) for word in words]
    question = labels.pop(0) if labels and labels[0].rstrip().endswith("?") else ""
    if len(labels) < 2:
        raise ValueError("judge(text, label, label, ...) takes two labels at least")
    *first, last = labels
    return str(item), question or f"Is this {', '.join(first)} or {last}?", tuple(labels)


def _hints(found: Found, text: str, tables: list[Table]) -> Iterator[str]:
    """Return which of the values that a query compares with stand in no row of their column."""
    if not _is_nothing(found):
        return
    for column, operator, value in COMPARED.findall(text):
        bare = value.replace("''", "'").strip("%")
        cells = _cells(column.strip('"'), tables)
        if not cells or not bare or any(_is_in(bare, cell, operator) for cell in cells):
            continue
        near = difflib.get_close_matches(bare, list(cells)[:_NEAR_FROM], 3, 0.6)
        said = near or list(cells)[:5]
        yield f"No {column} is {bare!r}; there are, for example, {some(said)}."


def _is_nothing(found: Found) -> bool:
    return all(cell in (None, 0) for row in found for cell in row)


def _cells(column: str, tables: list[Table]) -> dict[str, None]:
    for table in tables:
        names = [name.lower() for name in table.columns]
        if column.lower() in names:
            at = names.index(column.lower())
            return dict.fromkeys(str(row[at]) for row in table.rows)
    return {}


def _is_in(value: str, cell: str, operator: str) -> bool:
    if operator.upper() == "LIKE":
        return all(part in cell.lower() for part in value.lower().split("%"))
    return value.lower() == cell.lower()
