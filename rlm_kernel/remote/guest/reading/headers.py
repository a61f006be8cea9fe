"""The lines above a table's rows: one for Excel, titles, and a header or none."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from typing import Optional

_MOST_TITLES = 20
_LOOK_ROWS = 200
_NUMBER = re.compile(r"[-+]?[$€£]?[-+]?(?:\d[\d.,'_ ]*|\.\d+)(?:[eE][-+]?\d+)?\s?%?\Z")
_DATE = re.compile(r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}(?:[T ].*)?\Z|\d{1,2}:\d\d(?::\d\d.*)?\Z")
Rows = list  # of lists of str


def shape(cell: str) -> str:
    """Return what a cell looks like: empty, date, number, truth or text."""
    bare = cell.strip()
    if not bare:
        return "empty"
    if _DATE.match(bare):
        return "date"
    if bare.lower() in ("true", "false"):
        return "truth"
    return "number" if _NUMBER.match(bare) else "text"


def shape_of(cells: list[str]) -> Optional[str]:
    """Return what nine in ten of the cells look like that are not empty; None where nothing is."""
    counts = Counter(shape(cell) for cell in cells)
    del counts["empty"]
    common = max(counts, key=lambda each: counts[each], default=None)
    return common if common and counts[common] * 10 >= sum(counts.values()) * 9 else None


def own_lines(text: str) -> tuple[int, str, list[str]]:
    """Return where the table begins behind a line that names the delimiter, as Excel reads it,
    with that delimiter and a note; where there is none 0, ``""`` and no note."""
    line = re.match(r"\ufeff?\"?sep=([^\r\n\"]|\t)\"?[ \t]*(?:\r\n|\n|\r)", text, re.IGNORECASE)
    if line is None:
        return 0, "", []
    mark = line.group(1)
    return line.end(), mark, [f"The first line, 'sep={mark}', names the delimiter: it is no row."]


def titles(rows: Rows) -> int:
    """Return how many of the first rows are titles above the table: narrower than most rows, and
    of one field, a remark or set off by an empty line."""
    widths = Counter(len(row) for row in rows if row)
    width = max(widths, key=lambda each: (widths[each], each), default=0)
    if width < 2 or widths[width] < 2:
        return 0
    tops = itertools.takewhile(
        lambda at: not rows[at] or _is_title(rows[at:], width), range(min(_MOST_TITLES, len(rows)))
    )
    count = len(list(tops))
    return count if count < len(rows) else 0


def _is_title(rows: Rows, width: int) -> bool:
    """Return whether the first of the rows is a title."""
    row = rows[0]
    filled = sum(bool(field.strip()) for field in row)
    if len(row) == width:  # with the delimiters of an export: Report,,
        return width > 2 and filled <= 1 and (bool(row[0].strip()) or not filled)
    apart = len(rows) > 1 and not rows[1]
    return row[0].lstrip().startswith("#") or (len(row) < width and (filled <= 1 or apart))


def names_of(rows: Rows) -> tuple[list[str], bool, list[str]]:
    """Return the names of the columns, whether the first row has them, and notes."""
    if not rows:
        return [], False, []
    if not has_header(rows):
        names = [f"column_{number}" for number in range(1, len(rows[0]) + 1)]
        named = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
        return names, False, [f"There is no header: the first row is data; named {named}."]
    names, twice = distinct(rows[0])
    if not twice:
        return names, True, []
    told = ", ".join(f"{old!r} is {new!r} then" for old, new in twice[:8])
    return names, True, [f"Names that stand more than once in the header: {told}."]


def distinct(header: list[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Return names of which none comes twice, and those that were changed for it."""
    names: list[str] = []
    changed = []
    taken = set(header)
    for number, name in enumerate(header):
        new = name if name.strip() else f"Unnamed: {number}"
        if new in names:
            new = next(c for n in range(1, len(header) + 1) if (c := f"{name}.{n}") not in taken)
            changed.append((name, new))
        taken.add(new)
        names.append(new)
    return names, changed


def has_header(rows: Rows) -> bool:
    """Return whether the first row names the columns: not if it has numbers, dates or truth values
    where they have them, or texts that stand in the rows below as well."""
    first, below = rows[0], [row for row in rows[1:_LOOK_ROWS] if row and row != rows[0]]
    alike = 0
    for at, name in enumerate(first):
        kind = shape_of([row[at] for row in below if at < len(row)])
        if kind in ("number", "date", "truth") and name.strip():
            if shape(name) != kind:
                return True
            alike += 1
    if alike:
        return _counted(first, below)
    again = sum(
        any(at < len(row) and row[at] == name for row in below) for at, name in enumerate(first)
    )
    return again * 2 < len(first) or not again


def _counted(first: list[str], below: Rows) -> bool:
    """Return whether the numbers of a row are names: years, or counted from 0, or from 1 beside a
    name that is none."""
    digits = [int(name) for name in first if name.strip().isdecimal()]
    if len(digits) < 2 or digits != list(range(digits[0], digits[0] + len(digits))):
        return False
    if len(digits) < sum(shape(name) != "text" and bool(name) for name in first):
        return False
    years = range(1800, 2201)
    if digits[0] in years and digits[-1] in years:
        return not all(int(c) in years for row in below for c in row if c.isdecimal())
    counted_from = 0 if len(digits) == len(first) else 1
    return len(digits) > 2 and digits[0] <= counted_from
