"""``rows``: any table, JSON, JSON lines, log or folder as a list of dicts, and how it was read.

A text is judged by its first 64 kB, as it is for the LM's first look. The same value always gives
the same rows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Optional

from ..pieces import counted, some
from . import lines, logs
from .folder import Folder
from .headers import distinct, has_header, names_of, shape_of
from .row_list import Rows
from .tables import frame_rows, layout_of, read_rows
from .text_format import first_lines, split_forms, text_format

_LOOK_CHARS = 65_536
_EVEN = 8
"""So many rows in ten have the width of a table's header."""
_BY_LINE = ("log", "numbered")
_MILLISECONDS = re.compile(r"\d{3}\D")
"""What stands behind the comma in the times of many logs, with the message after it."""
_Read = tuple[list[dict[str, Any]], str]


def rows_of(value: Any) -> Rows:
    """Return a value as rows. Raises ``TypeError`` for what has none."""
    made, guess = _read(value)
    rows = Rows(made)
    rows.guess = guess
    return rows


def _read(value: Any) -> _Read:
    if isinstance(value, Rows):
        return list(value), value.guess
    if isinstance(value, (bytes, bytearray)):
        return _of_text(bytes(value).decode("utf-8", "backslashreplace"))
    if isinstance(value, str):
        return _of_text(value)
    if isinstance(value, Folder):
        return [{"file": n, "text": t} for n, t in value.items()], "A row for each file."
    if type(value).__name__ == "DataFrame":
        return frame_rows(value), f"The DataFrame's rows, without its index{_named(value.columns)}."
    if type(value).__name__ == "Series":
        return [{"index": k, "value": v} for k, v in value.items()], "The Series' values."
    if isinstance(value, Mapping):
        return _of_mapping(value)
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return _of_items(list(value))
    raise TypeError(
        "rows takes a text, a list, a dict, a DataFrame or a folder, not %s" % type(value).__name__
    )


def _named(names: Any) -> str:
    return f": {some([str(name) for name in names])}" if len(names) else ""


# texts
def _of_text(text: str) -> _Read:
    text = text[1:] if text.startswith("\ufeff") else text
    form = text_format(text) or ""
    head = first_lines(text)[1]
    if form in ("JSON object", "JSON array") and (read := _of_json(text)) is not None:
        return read
    if form == "JSON lines" or (not form and _are_json_lines(head)):
        return _of_lines(text)
    if _is_markdown_table(head):
        return _of_markdown(text)
    if _is_table(text, head, form):
        made, notes = read_rows(text)
        if made:
            said = "Read as a table" + _named(list(made[0]))
            return made, " ".join([f"{said}.", *notes])
    if form.startswith("log") or logs.are_logged(head) or logs.are_requests(head):
        return logs.logged(text), "Read as a log: an entry for each line that begins with a time."
    if form.startswith("numbered"):
        return lines.numbered(text), "Read as numbered lines."
    if form.startswith("records"):
        return lines.records(text), "Read as records of named fields between empty lines."
    if lines.are_pairs(head):
        return lines.pairs_of(text), "Read as name=value pairs, a row for each line."
    if not form and lines.are_settings(head):
        return lines.settings_of(text), "Read as settings, a row for each."
    known = f" ({form})" if form and not form.startswith(("CSV", "TSV")) else ""
    return list(lines.plain(text)), f"No table was found in it{known}: a row for each line."


def _of_json(text: str) -> Optional[_Read]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    made, guess = _of_mapping(value) if isinstance(value, dict) else _of_items(value)
    return made, f"Read as JSON. {guess}"


def _are_json_lines(head: list[str]) -> bool:
    """Return whether most of the first lines are objects or lists of their own."""
    first = head[:50]
    good = sum(line.lstrip()[:1] in ("{", "[") and _is_json(line) for line in first)
    return good > 1 and good * 10 >= len(first) * _EVEN


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _of_lines(text: str) -> _Read:
    """Return the rows of JSON lines; one that is none stands as ``text``."""
    values, wrong = [], []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            values.append(json.loads(line))
        except (ValueError, RecursionError):
            values.append({"text": line.rstrip("\r")})
            wrong.append(number)
    made, guess = _of_items(values)
    if wrong:
        first = f"the first is line {wrong[0]:,}"
        guess += f" {counted(len(wrong), 'line')} that are not JSON stand under 'text'; {first}."
    return made, f"Read as JSON lines. {guess}"


def _is_table(text: str, head: list[str], form: str) -> bool:
    """Return whether a text is a delimited table, of even rows in its beginning or with titles
    above them; lines with times or numbers are one only under a header."""
    form_of, even = next(split_forms(head), ("", []))
    if form_of:
        if form.startswith(_BY_LINE):
            wide = len(even[0]) > 2 and not _MILLISECONDS.match(even[0][1])
            return has_header(even) or wide
        return not _is_prose(even) and (not form or form.startswith(("CSV", "TSV")))
    if form:
        return False
    layout = layout_of(text[:_LOOK_CHARS])
    same = [row for row in layout.sample if len(row) == len(layout.names)]
    if len(layout.names) < 2 or len(same) < 2 or _is_prose(same):
        return False
    return len(same) * 10 >= len([row for row in layout.sample if row]) * _EVEN


def _is_prose(even: list[list[str]]) -> bool:
    """Return whether rows are sentences with as many commas each: a space follows each comma, and
    no column has numbers, dates or truth values."""
    spaced = all(field.startswith(" ") for row in even for field in row[1:])
    kinds = [shape_of([row[at] for row in even[1:]]) for at in range(len(even[0]))]
    return spaced and not {"number", "date", "truth"} & set(kinds)


_RULE = re.compile(r"\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*\Z")


def _is_markdown_table(head: list[str]) -> bool:
    """Return whether most of the lines are tables of Markdown."""
    return _starts_table(head, 1) or (
        any(_starts_table(head, at) for at in range(1, len(head)))
        and sum(line.lstrip()[:1] == "|" for line in head) * 2 > len(head)
    )


def _starts_table(lines: list[str], at: int) -> bool:
    return (
        0 < at < len(lines)
        and "|" in lines[at - 1]
        and "|" in lines[at]
        and _RULE.match(lines[at]) is not None
    )


def _of_markdown(text: str) -> _Read:
    made = markdown_rows(text)
    return made, f"Read as a Markdown table{_named(list(made[0]) if made else [])}."


def markdown_rows(text: str) -> list[dict[str, Any]]:
    """Return the rows of the Markdown tables in a text."""
    made: list[dict[str, Any]] = []
    names: list[str] = []
    split = lines.split_lines(text)
    for at, line in enumerate(split):
        if _starts_table(split, at):
            names, _ = distinct(_cells(split[at - 1]))
        elif "|" not in line:
            names = []
        elif names:
            made.append(dict(zip(names, [*_cells(line), *[None] * len(names)])))
    return made


def _cells(line: str) -> list[Any]:
    """Return the cells of a line of a Markdown table."""
    bare = line.strip()
    bare = bare[1:] if bare.startswith("|") else bare
    bare = bare[:-1] if bare.endswith("|") and not bare.endswith("\\|") else bare
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", bare)]


# lists and mappings
def _of_items(items: list[Any]) -> _Read:
    dicts = sum(isinstance(item, Mapping) for item in items)
    if dicts:
        others = len(items) - dicts
        made = [i if isinstance(i, Mapping) else {"item": i} for i in items]
        more = f" {counted(others, 'item')} of other kinds stand under 'item'." if others else ""
        return [dict(row) for row in made], f"The list's items{_named(list(made[0]))}.{more}"
    widths = {len(item) for item in items if isinstance(item, (list, tuple))}
    if len(widths) == 1 and widths != {0} and all(isinstance(i, (list, tuple)) for i in items):
        return _of_lists(items)
    if items and all(isinstance(item, str) for item in items):
        return _of_texts(items)
    return [{"item": item} for item in items], "A row for each item, which stands under 'item'."


def _of_lists(items: list[Any]) -> _Read:
    """Return the rows of lists that are alike in length, the first of which may be a header."""
    first = [str(name) for name in items[0]]
    headed = all(isinstance(name, str) for name in items[0]) and len(items) > 1
    sample = [[str(cell) for cell in row] for row in items[:200]]
    names, has_names, notes = names_of(sample) if headed else ([], False, [])
    if not has_names:
        names, notes = [f"column_{number}" for number in range(1, len(first) + 1)], []
    made = [dict(zip(names, row)) for row in items[has_names:]]
    said = "named by the first of them" if has_names else "without a header"
    return made, " ".join([f"Lists of equal length, {said}{_named(names)}.", *notes])


def _of_texts(items: list[str]) -> _Read:
    """Return the rows of texts that are the lines of a form, or else a row for each."""
    if not any("\n" in item for item in items):
        made, guess = _of_text("\n".join(items))
        if not guess.startswith("No table"):
            return made, f"The list's texts are taken as lines. {guess}"
    return [{"item": item} for item in items], "A row for each text, which stands under 'item'."


def _of_mapping(value: Mapping) -> _Read:
    inner = [key for key, item in value.items() if _is_rows(item)]
    if len(inner) == 1:
        made, guess = _of_items(list(value[inner[0]]))
        rest = [key for key in value if key != inner[0]]
        left = f" Not in them: {some(rest)}." if rest else ""
        return made, f"The rows are under {inner[0]!r}. {guess}{left}"
    if value and all(isinstance(item, Mapping) for item in value.values()):
        made = [{"key": key, **item} for key, item in value.items()]
        return made, "A row for each key, which stands under 'key'."
    lengths = {len(i) if isinstance(i, (list, tuple)) else 0 for i in value.values()}
    if len(value) > 1 and len(lengths) == 1 and 0 not in lengths:
        made = [dict(zip(value, row)) for row in zip(*value.values())]
        return made, f"Lists of equal length under each key, taken as columns{_named(list(value))}."
    if len(value) > 1 and len({type(item) for item in value.values()}) == 1:
        made = [{"key": key, "value": item} for key, item in value.items()]
        return made, "A row for each key and its value."
    return ([dict(value)] if value else []), "The dict is one row."


def _is_rows(item: Any) -> bool:
    return isinstance(item, (list, tuple)) and bool(item) and all(
        isinstance(each, Mapping) for each in item
    )  # fmt: skip
