"""Delimited tables (CSV and its kin): where the rows begin, what the columns are called, and a
value that loses nothing of what is written, with a note on all that is not as it seems."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Optional

from .columns import Column, converted, scan
from .headers import distinct, names_of, own_lines, shape_of, titles

_LOOK_CHARS = 65_536
_MARKS = ",\t;|"
_SMALL = 1 << 20
_NAMED = 8
"""The most columns that a note names."""


@dataclass
class Layout:
    """The form of a table: its delimiter, its columns' names, where its first row begins, and some
    of its rows."""

    mark: str
    names: list[str]
    body: int
    sample: list[list[str]]
    notes: list[str] = field(default_factory=list)


def read_table(text: str) -> tuple[Any, list[str]]:
    """Return the table in a text, and notes: a DataFrame, or a list of dicts where there is no
    pandas or rows have more fields than the header; the text itself where it cannot be read.

    A column becomes ``int``, ``float`` or ``bool`` only if all its cells are written as Python
    writes them. An empty cell is then a missing value (None, NaN or NA), in a text column ``""``;
    a field that a short row lacks is missing in both.
    """
    layout = layout_of(text)
    if not layout.names:
        return text, ["It has no rows, so it stands as text."]
    try:
        pandas = _imported("pandas")
        frame = None if pandas is None else _frame(pandas, text, layout)
        value, columns = frame or _from_rows(pandas, text, layout)
    except csv.Error as problem:
        return text, [f"It could not be read as a table ({problem}), so it stands as text."]
    return value, layout.notes + _texts(layout, columns)


def read_rows(text: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the rows of a table as dicts of the values that ``read_table`` gives, None for what is
    missing, and its notes; no rows where it cannot be read."""
    if len(text) > _SMALL or "pandas" in sys.modules:
        value, notes = read_table(text)
        if isinstance(value, str):
            return [], notes
        return (value if isinstance(value, list) else frame_rows(value)), notes
    layout = layout_of(text)  # pandas takes longer to import than a small text to read
    if not layout.names:
        return [], []
    try:
        value, columns = _from_rows(None, text, layout)
    except csv.Error as problem:
        return [], [f"It could not be read as a table ({problem})."]
    return value, layout.notes + _texts(layout, columns)


def frame_rows(frame: Any) -> list[dict[str, Any]]:
    """Return the rows of a DataFrame as dicts, None for what is missing."""
    names, _ = distinct([str(name) for name in frame.columns])
    columns = []
    for at in range(len(names)):
        column = frame.iloc[:, at]
        gaps = column.isna()
        values = column.tolist()
        if gaps.any():
            values = [None if gap else value for value, gap in zip(values, gaps.tolist())]
        columns.append(values)
    return [dict(zip(names, row)) for row in zip(*columns)]


def layout_of(text: str) -> Layout:
    """Return how a table is written, judged by its first 64 kB."""
    head = text[:_LOOK_CHARS]
    at, mark, notes = own_lines(head)
    mark = mark or _delimiter(head[at:])
    rows = _head_rows(head, mark, at, cut=len(text) > len(head))
    above = titles([row for row, _ in rows])
    if above:
        at = rows[above - 1][1]
        told = (mark.join(row).strip(mark + " ") for row, _ in rows[:above])
        shown = " / ".join(filter(None, told))
        if shown:
            notes.append(f"Above the header, and not in the table: {shown[:300]!r}.")
        rows = rows[above:]
    while rows and not rows[0][0]:
        at = rows.pop(0)[1]
    names, has_header, more = names_of([row for row, _ in rows])
    body = rows[0][1] if rows and has_header else at
    sample = [row for row, _ in rows[has_header:200]]
    return Layout(mark, names, body, sample, notes + more)


def _imported(name: str) -> Any:
    try:
        return __import__(name)
    except (ImportError, ValueError):  # the latter where it was built for another numpy
        return None


def _head_rows(head: str, mark: str, at: int, cut: bool) -> list[tuple[list[str], int]]:
    """Return the rows from a place on, each with the place where it ends."""
    ends = [at]

    def lines() -> Iterator[str]:
        for line in io.StringIO(head[at:], newline=""):
            ends.append(ends[-1] + len(line))
            yield line

    rows = []
    with contextlib.suppress(csv.Error):  # what was read before it will do
        for row in csv.reader(lines(), delimiter=mark):
            rows.append((row, ends[-1]))
    return rows[:-1] if cut and len(rows) > 1 else rows


def _delimiter(head: str) -> str:
    """Return the character that splits most rows into the same number of fields, and into most
    fields; a comma when none does."""

    def evenness(mark: str) -> tuple[float, int]:
        widths = Counter(len(row) for row, _ in _head_rows(head, mark, 0, cut=False) if row)
        width, count = max(widths.items(), key=lambda item: (item[1], item[0]), default=(1, 0))
        return (round(count / sum(widths.values()), 1), width) if width > 1 else (0.0, 1)

    return max(_MARKS, key=evenness)


def _frame(pandas: Any, text: str, layout: Layout) -> Optional[tuple[Any, list[Column]]]:
    """Return the DataFrame and its columns if its rows are regular, so that all readers agree on
    them; this is the fast way."""
    data = text[layout.body :].encode("utf-8", "surrogatepass").rstrip(b"\r\n")
    columns = scan(_imported("numpy"), data, layout.mark, len(layout.names)) if data else None
    if columns is None:
        return None
    names = layout.names
    gaps = {n: [""] for n, c in zip(names, columns) if c.gaps and c.kind != "text"}
    try:
        frame = pandas.read_csv(
            io.BytesIO(data),
            sep=layout.mark,
            header=None,
            names=names,
            index_col=False,
            dtype={name: _dtype(column) for name, column in zip(names, columns)},
            na_filter=bool(gaps),
            keep_default_na=False,
            na_values=gaps,
            encoding_errors="surrogatepass",
            **_exact(pandas),
        )
    except ValueError:  # it refuses the rows: the csv module may take them
        return None
    return frame, columns


def _exact(pandas: Any) -> dict[str, str]:
    """Return the option by which floats are read to the last bit; from 3.1 on they always are."""
    version = tuple(map(int, pandas.__version__.split(".")[:2]))
    return {} if version >= (3, 1) else {"float_precision": "round_trip"}


def _dtype(column: Column) -> Any:
    nullable = {"int": "Int64", "bool": "boolean"}
    plain = {"int": "int64", "float": "float64", "bool": "bool", "text": str}
    return (nullable if column.gaps else plain).get(column.kind, plain[column.kind])


def _from_rows(pandas: Any, text: str, layout: Layout) -> tuple[Any, list[Column]]:
    """Return a table that is read row by row, and its columns; none of them if it is ragged."""
    body = io.StringIO(text[layout.body :], newline="")
    rows = [row for row in csv.reader(body, delimiter=layout.mark) if row]
    width, names = len(layout.names), layout.names
    long = [number for number, row in enumerate(rows, 1) if len(row) > width]
    short = [number for number, row in enumerate(rows, 1) if len(row) < width]
    layout.notes += _ragged(long, "more", "what is over stands under 'rest', and all cells are str")
    layout.notes += _ragged(short, "fewer", "the fields that lack are None")
    if long:
        return [_whole(names, row) for row in rows], []
    cells = [[row[at] if at < len(row) else None for row in rows] for at in range(width)]
    columns = [Column() for _ in names]
    for column, own in zip(columns, cells):
        column.take(own)
    values = [[converted(c.kind, cell) for cell in own] for c, own in zip(columns, cells)]
    if pandas is None:
        return [dict(zip(names, row)) for row in zip(*values)], columns
    series = {
        name: pandas.Series(own, dtype=None if column.kind == "text" else _dtype(column))
        for name, own, column in zip(names, values, columns)
    }
    return pandas.DataFrame(series, columns=names), columns


def _whole(names: list[str], row: list[str]) -> dict[str, Any]:
    made: dict[str, Any] = dict(itertools.zip_longest(names, row[: len(names)]))
    return {**made, "rest": row[len(names) :]} if len(row) > len(names) else made


def _ragged(rows: list[int], which: str, so: str) -> list[str]:
    if not rows:
        return []
    have = "1 row has" if len(rows) == 1 else f"{len(rows):,} rows have"
    return [f"{have} {which} fields than the header (the first is row {rows[0]:,}): {so}."]


def _texts(layout: Layout, columns: list[Column]) -> list[str]:
    """Return a note on the columns of numbers that stay texts, each with the cell for which."""
    odd = []
    for at, (name, column) in enumerate(zip(layout.names, columns)):
        cells = [row[at] for row in layout.sample if at < len(row)]
        if column.kind == "text" and shape_of(cells) in ("number", "truth"):
            odd.append(f"{name} ({column.why})")
    if not odd:
        return []
    more = f" and {len(odd) - _NAMED} more" if len(odd) > _NAMED else ""
    return [
        "Columns of numbers that stay str, since they would not be written the same again: "
        f"{', '.join(odd[:_NAMED])}{more}."
    ]


def read_as_before(text: str) -> Any:
    """Return the table as runs had it whose records do not say how it was read: pandas chose the
    types. Their cells run again on the same value."""
    line = io.StringIO(text[:_LOOK_CHARS], newline="").readline()
    delimiter = max(_MARKS, key=lambda mark: len(next(csv.reader([line], delimiter=mark), [])))
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        header, first = next(rows, []), next(rows, [])
        if len(first) <= len(header):  # pandas would take the first of too many for an index
            pandas = __import__("pandas")
            return pandas.read_csv(io.StringIO(text, newline=""), sep=delimiter, low_memory=False)
    except (ImportError, ValueError, csv.Error):
        pass  # no pandas, or it refuses the rows: the csv module may take them
    try:
        dicts = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restkey="rest")
        return list(dicts)
    except csv.Error:
        return text
