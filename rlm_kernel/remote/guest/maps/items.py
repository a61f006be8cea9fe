"""The items of a map: a list, a table, a folder or a text, cut into rows whose places are known."""

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Optional

from ..forms.answer_tables import is_table
from ..forms.jsonable import NoJSON, plain
from ..reading.tables import layout_of
from ..reading.text_format import text_format
from .map_table import MapTable

WAYS = ("line", "paragraph", "row", "file", "chars")
_LOOK_CHARS = 65_536
PIECE_CHARS = 4000
"""The most of a piece that is cut by characters, where no number is given."""


class Item(NamedTuple):
    """One item: the ``value`` as it was given, the ``text`` that a sub-LM is shown, and its place:
    the part that it is in (a file, a key, ``[3]`` of a list; empty for a text), and its first
    character and the one after its last, where it was cut out of a text. ``wrong`` is why it has
    no text."""

    value: Any
    text: str
    where: str = ""
    start: Optional[int] = None
    end: Optional[int] = None
    wrong: str = ""


class Cut(NamedTuple):
    """The items, and how they were cut, in words; empty where they came one by one."""

    items: list
    said: str


def cut(items: Any, by: Any = None) -> Cut:
    """Cut what is given into items. ``by`` is one of ``WAYS``, or the most characters of a piece;
    None leaves a list, a table and a folder as they are, and guesses of a text. Raises
    ``TypeError`` for what has no items, ``ValueError`` for a text that is not of that form."""
    if not (by is None or by in WAYS or (type(by) is int and by > 0)):
        raise ValueError(
            "llm_map: by=%r: give %s, or the most characters of a piece" % (by, ", ".join(WAYS))
        )
    if isinstance(items, str):
        way, why = (by, "") if by is not None else guessed(items)
        found = [Item(value, text, "", at, end) for value, text, at, end in _pieces(items, way)]
        return Cut(found, _said(way) + (" (a guess: %s)" % why if why else ""))
    if isinstance(items, (bytes, bytearray)):
        raise TypeError("llm_map: the items are bytes: decode them to a str first")
    whole = by in (None, "row", "file")
    made: list = []
    for where, name, value in _parts(items):
        try:
            text = text_of(value)
        except NoJSON as error:
            made.append(Item(value, "", where, wrong="it %s" % error))
            continue
        ends = (0, len(text)) if isinstance(value, str) else (None, None)
        pieces: Any = [(value, text, *ends)] if whole else _pieces(text, by)
        made += [Item(piece, _named(t, name), where, at, end) for piece, t, at, end in pieces]
    return Cut(made, "" if whole else _said(by))


def text_of(value: Any) -> str:
    """Return the text of an item for a sub-LM: a str as it is, of anything else its JSON. Raises
    ``NoJSON``."""
    return str(value) if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)


def _named(text: str, name: str) -> str:
    return "%s:\n%s" % (name, text) if name else text


def _said(way: Any) -> str:
    return "by %s" % way if isinstance(way, str) else "into pieces of at most %d characters" % way


def _parts(items: Any) -> Any:
    """Yield the place, the name that the sub-LM is shown, and the value of each item."""
    if isinstance(items, Mapping):
        for key, value in items.items():
            yield str(key), str(key), value
        return
    if isinstance(items, MapTable):
        items = [row.item for row in items]
    elif is_table(items):
        items = _records(items)
    if not isinstance(items, Iterable):
        raise TypeError(
            "llm_map takes a list, a text, a table or a folder, not %s" % type(items).__name__
        )
    for index, value in enumerate(items):
        yield "[%d]" % index, "", value


def _records(table: Any) -> Any:
    """Return the rows of a DataFrame as dicts, the values of a Series."""
    if hasattr(table, "to_dicts"):
        return table.to_dicts()
    if len(table.shape) > 1:
        return table.to_dict("records")
    return table.tolist() if hasattr(table, "tolist") else table.to_list()


# -- texts ----------------------------------------------------------------------------------------
def guessed(text: str) -> "tuple[Any, str]":
    """Return the way to cut a text that its look suggests, and why."""
    form = text_format(text) or ""
    if form.startswith("JSON array") or form == "JSON lines":
        return "row", form
    if form.startswith(("CSV", "TSV")) and _is_sure(text):
        return "row", form
    if form.startswith("records separated"):
        return "paragraph", form
    if form.startswith(("log lines", "numbered lines")):
        return "line", form
    lines = text[:_LOOK_CHARS].strip("\n").split("\n")
    full = [line for line in lines if line.strip()]
    if len(full) < 2:
        return ("chars", "it has one line") if len(text) > PIECE_CHARS else ("line", "one line")
    blank = len(lines) - len(full)
    if 0 < blank < len(full) - 1 and ((blank + 1) * 4 >= len(full) or _goes_on(lines)):
        return "paragraph", "blank lines stand between them"
    return "line", "few blank lines stand between them"


def _goes_on(lines: "list[str]") -> bool:
    """Return whether sentences go on from line to line, as in prose that is broken at a width."""
    bare = [line.strip() for line in lines]
    after = [bare[at] for at in range(1, len(bare)) if bare[at - 1] and bare[at]]
    return sum(line[0].islower() for line in after) * 2 >= len(after)


def _is_sure(text: str) -> bool:
    """Return whether it is a table rather than lines with a comma each: a first line that is taken
    for the header is no row."""
    names = layout_of(text).names
    return len(names) > 2 or all(re.fullmatch(r"[\w.-]+", name.strip()) for name in names)


def _pieces(text: str, way: Any) -> Any:
    """Yield value, text, start and end of each piece of a text; blank ones are left out."""
    if way == "row":
        yield from _rows(text)
        return
    if way == "file":
        spans: Any = [(0, len(text))]
    elif way in ("line", "paragraph"):
        spans = _lines(text) if way == "line" else _paragraphs(text)
    else:
        spans = _by_chars(text, PIECE_CHARS if way == "chars" else way)
    for start, end in spans:
        piece = text[start:end]
        if piece.strip():
            yield piece, piece, start, end


def _lines(text: str) -> Any:
    at = 0
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        yield at, end - (end > at and text[end - 1] == "\r")
        at = end + 1


def _paragraphs(text: str) -> Any:
    begun, last = None, 0
    for start, end in _lines(text):
        if text[start:end].strip():
            begun, last = (start if begun is None else begun), end
        elif begun is not None:
            yield begun, last
            begun = None
    if begun is not None:
        yield begun, last


def _by_chars(text: str, most: int) -> Any:
    """Yield pieces of so many characters at most, cut at a line's or a word's end in their second
    half, where there is one."""
    at = 0
    while at < len(text):
        end = min(at + most, len(text))
        if end < len(text):
            half = at + most // 2
            edge = max(text.rfind("\n", half, end), text.rfind(" ", half, end))
            end = edge + 1 if edge >= 0 else end
        yield at, end
        at = end


def _rows(text: str) -> Any:
    """Yield the rows of JSON lines, of a JSON array or of a table."""
    form = text_format(text) or ""
    if form == "JSON lines":
        for start, end in _lines(text):
            if text[start:end].strip():
                yield _json_or_text(text[start:end]), text[start:end], start, end
        return
    yield from _array(text) if text.lstrip()[:1] == "[" else _table(text)


def _json_or_text(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return line


def _array(text: str) -> Any:
    decoder = json.JSONDecoder()
    blank = re.compile(r"[\s,]*")
    at = blank.match(text, text.index("[") + 1).end()  # type: ignore[union-attr]
    while at < len(text) and text[at] != "]":
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise ValueError("llm_map: by='row': the text is no JSON array: %s" % error) from None
        yield value, value if isinstance(value, str) else text[at:end], at, end
        at = blank.match(text, end).end()  # type: ignore[union-attr]


def _table(text: str) -> Any:
    layout = layout_of(text)
    lines = _Counted(text[layout.body :], layout.body)
    if len(layout.names) < 2:
        raise ValueError("llm_map: by='row': the text is no table, no JSON lines and no JSON array")
    reader, start = csv.reader(lines, delimiter=layout.mark), layout.body
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                row = dict(zip(layout.names, fields))
                extra = fields[len(row) :]
                value = dict(row, more=extra) if extra else row
                end = start + len(text[start : lines.at].rstrip("\r\n"))
                yield value, json.dumps(value, ensure_ascii=False), start, end
            start = lines.at
    except csv.Error as problem:
        raise ValueError("llm_map: by='row': the table cannot be read: %s" % problem) from None


class _Counted:
    """The lines of a text with their ends; ``at`` is where the next one begins in the whole."""

    def __init__(self, text: str, at: int) -> None:
        self._lines = iter(io.StringIO(text, newline=""))
        self.at = at

    def __iter__(self) -> "_Counted":
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.at += len(line)
        return line
