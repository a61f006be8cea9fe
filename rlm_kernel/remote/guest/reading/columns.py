"""The kinds of a table's columns: numbers only where writing them gives the same text again.

``01234``, ``1.10``, ``1e5`` and ``NA`` are texts, then. The rule is ``fits``; ``scan`` is the same
rule over the bytes of a large table, some twenty times as fast, where there is numpy.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Optional

KINDS = ("int", "float", "bool")
INT_DIGITS = 18
"""The digits that surely fit into 64 bits."""
_FLOAT_DIGITS = 15
"""A decimal of so many digits is the shortest that gives its float."""
_BLOCK = 1 << 22
_QUOTE, _MINUS, _DOT, _ZERO, _NEWLINE, _RETURN = b'"-.0\n\r'


class Column:
    """The kinds that all cells seen so far fit, and of each other the first cell that does not.

    Empty cells fit any kind: in a column of numbers they are missing values.
    """

    def __init__(self) -> None:
        self.open = list(KINDS)
        self.misfits: dict[str, str] = {}
        self.filled = False
        self.gaps = False

    @property
    def why(self) -> str:
        """Return the cell for which the last kind was given up, and what it would have become."""
        cell = list(self.misfits.values())[-1]
        try:
            value = int(cell) if cell.strip().lstrip("+-").isdecimal() else float(cell)
        except ValueError:
            return repr(cell)
        if str(value) != cell:
            return f"{cell!r} would be {value}"
        if len(cell.lstrip("-")) > INT_DIGITS and type(value) is int:
            return f"{cell!r} has more than {INT_DIGITS} digits"
        return f"{cell!r} beside {'fractions' if type(value) is int else 'whole numbers'}"

    @property
    def kind(self) -> str:
        """Return the kind that its values get; ``"text"`` where none fits."""
        return self.open[0] if self.open and self.filled else "text"

    def close(self, kind: str, cell: str) -> None:
        self.open.remove(kind)
        self.misfits[kind] = cell

    def take(self, cells: Iterable[Optional[str]]) -> None:
        """See further cells; None is one that is not there."""
        for cell in cells:
            if not cell:
                self.gaps = True
                continue
            self.filled = True
            for kind in [kind for kind in self.open if not fits(kind, cell)]:
                self.close(kind, cell)


def fits(kind: str, cell: str) -> bool:
    """Return whether the cell is a value of the kind, written as Python writes it."""
    if kind == "bool":
        return cell in ("True", "False")
    try:
        if kind == "int":
            return len(cell.lstrip("-")) <= INT_DIGITS and str(int(cell)) == cell
        value = float(cell)
    except ValueError:
        return False
    return math.isfinite(value) and repr(value) == cell


def converted(kind: str, cell: Optional[str]) -> Any:
    """Return the cell as a value of its column's kind; None where a number is missing."""
    if kind == "text":
        return cell
    if not cell:
        return None
    return cell == "True" if kind == "bool" else int(cell) if kind == "int" else float(cell)


def scan(numpy: Any, data: bytes, mark: str, width: int) -> Optional[list[Column]]:
    """Return the columns of the rows in ``data``, UTF-8 without a header; None where they are not
    all of this width, or are quoted in a way that readers disagree on."""
    if b"\0" in data or data.count(b"\r") != data.count(b"\r\n"):
        return None
    columns = [Column() for _ in range(width)]
    at, size = 0, _BLOCK
    while at < len(data):
        block = data[at : at + size]
        cells = _cells(numpy, block, mark.encode(), width, last=at + size >= len(data))
        if cells is None:
            return None
        starts, ends = cells
        if not len(starts):  # one row that is longer than a block
            size *= 2
            continue
        _judge(numpy, block, starts, ends, columns)
        at += int(ends[-1, -1]) + 1
        at += data[at - 1 : at] == b"\r"
    return columns


def _cells(numpy: Any, block: bytes, mark: bytes, width: int, last: bool) -> Any:
    """Return where the cells of the block's whole rows start and end, as two arrays of
    rows × width; None where a row is of another width or oddly quoted."""
    if last and not block.endswith(b"\n"):
        block += b"\n"
    array = numpy.frombuffer(block, dtype=numpy.uint8)
    ends = numpy.flatnonzero((array == mark[0]) | (array == _NEWLINE))
    quotes = _counts(numpy, array == _QUOTE) if _QUOTE in block else None
    if quotes is not None:
        ends = ends[quotes[ends] % 2 == 0]
    lines = array[ends] == _NEWLINE
    whole = int(numpy.flatnonzero(lines)[-1]) + 1 if lines.any() else 0
    if whole % width or (last and whole < max(len(ends), 1)):
        return None
    ends, lines = ends[:whole].reshape(-1, width), lines[:whole].reshape(-1, width)
    if not lines[:, -1].all() or lines[:, :-1].any():
        return None
    starts = numpy.concatenate(([0], ends.ravel()[:-1] + 1))[:whole].reshape(-1, width)
    if len(ends):
        ends[:, -1] -= array[ends[:, -1] - 1] == _RETURN
    if width == 1 and (starts == ends).any():  # an empty line, which readers pass over
        return None
    if quotes is not None:
        quoted = quotes[ends] > quotes[starts]
        if (quoted & ((array[starts] != _QUOTE) | (array[ends - 1] != _QUOTE))).any():
            return None
    return starts, ends


def _counts(numpy: Any, found: Any) -> Any:
    """Return for each place how often something was found before it."""
    counts = numpy.zeros(len(found) + 1, dtype=numpy.int32)
    numpy.cumsum(found, out=counts[1:])
    return counts


class _Signs:
    """The signs of a block that are no digits: how many stand before each place, and which."""

    def __init__(self, numpy: Any, block: bytes) -> None:
        self.array = numpy.frombuffer(block + b"\n" * 6, dtype=numpy.uint8)
        found = (self.array < _ZERO) | (self.array > _ZERO + 9)
        self.before = _counts(numpy, found)
        self.signs = self.array[found]

    def within(self, start: Any, end: Any) -> Any:
        return self.before[end] - self.before[start]


def _judge(numpy: Any, block: bytes, starts: Any, ends: Any, columns: Sequence[Column]) -> None:
    """Take the cells of a block into their columns."""
    signs = _Signs(numpy, block)
    for number, column in enumerate(columns):
        start, end = starts[:, number], ends[:, number]
        quoted = signs.array[start] == _QUOTE
        start, end = start + quoted, end - quoted
        filled = end > start
        column.filled = column.filled or bool(filled.any())
        column.gaps = column.gaps or not filled.all()
        start, end = start[filled], end[filled]
        wrong = []
        for kind in column.open:
            rest = ~_SURE[kind](numpy, signs, start, end)
            misfit = _misfit(block, kind, start[rest].tolist(), end[rest].tolist())
            if misfit is not None:
                wrong.append((*misfit, kind))
        for _, cell, kind in sorted(wrong):
            column.close(kind, cell)


def _misfit(
    block: bytes, kind: str, starts: list[int], ends: list[int]
) -> Optional[tuple[int, str]]:
    """Return the place and the text of the first cell that does not fit."""
    for start, end in zip(starts, ends):
        cell = block[start:end].decode("utf-8", "surrogatepass")
        if not fits(kind, cell):
            return start, cell
    return None


def _sure_int(numpy: Any, signs: _Signs, start: Any, end: Any) -> Any:
    minus = signs.array[start] == _MINUS
    digits = end - start - minus
    canonical = (signs.array[start + minus] != _ZERO) | ((digits == 1) & ~minus)
    fitting = (digits > 0) & (digits <= INT_DIGITS) & canonical
    return fitting & (signs.within(start, end) == minus)


def _sure_float(numpy: Any, signs: _Signs, start: Any, end: Any) -> Any:
    """Return which cells are surely floats as Python writes them; of others that is not known."""
    array = signs.array
    minus = array[start] == _MINUS
    first = start + minus
    digits = end - first - 1
    head, last = array[first], array[end - 1]
    sure = (signs.within(first, end) == 1) & (digits > 1) & (digits <= _FLOAT_DIGITS)
    sure &= signs.before[first + 1] == signs.before[first]  # a digit
    sure &= (head != _ZERO) | (array[first + 1] == _DOT)
    sure &= (last != _DOT) & ((last != _ZERO) | (array[end - 2] == _DOT))
    sure &= signs.signs[numpy.minimum(signs.before[first], len(signs.signs) - 1)] == _DOT
    small = head == _ZERO  # 0.00001 is written 1e-05
    for at in range(2, 6):
        small &= array[first + at] == _ZERO
    return sure & ~small


def _sure_bool(numpy: Any, signs: _Signs, start: Any, end: Any) -> Any:
    sure = numpy.zeros(len(start), dtype=bool)
    for word in (b"True", b"False"):
        same = end - start == len(word)
        for at, letter in enumerate(word):
            same &= signs.array[start + at] == letter
        sure |= same
    return sure


_SURE = {"int": _sure_int, "float": _sure_float, "bool": _sure_bool}
