"""What a context is, in words: for the LM's first look."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterator
from typing import Any

from .headers import has_header
from .overview import overview
from .pieces import cut_pieces, first_of, guarded, some
from .values import Folder

_HEAD_CHARS, _TAIL_CHARS = 300, 150
_LOOK_CHARS = 65_536


def describe(value: Any) -> dict[str, Any]:
    """Return type, length, lines, format, head, tail and overview of a value, for the LM's first
    look.

    Reads the first 64 kB and the last few kB of a text and the first hundred items of anything
    else; ``overview`` has its own bounds. Never raises, whatever the value's own methods do.
    """
    lines = None
    if type(value) is str:
        head, tail = _ends(value)
        lines = value.count("\n") + (not value.endswith("\n") and value != "")
        form = guarded(text_format, value)
        is_table = form is None or form.startswith(("CSV", "TSV"))
        more = guarded(_headless_format, value) if is_table else None
    else:
        text, whole = cut_pieces(value, _HEAD_CHARS + _TAIL_CHARS)
        head = text if whole else text[:_HEAD_CHARS]
        tail = "" if whole else guarded(_last, value) or ""
        form = guarded(_object_format, value)
        more = guarded(lambda one: overview(one, head, tail), value)
    return {
        "type": type(value).__name__, "length": guarded(len, value), "lines": lines, "format": form,
        "head": head, "tail": tail, "overview": more or "",
    }  # fmt: skip


def _ends(text: str) -> tuple[str, str]:
    if len(text) <= _HEAD_CHARS + _TAIL_CHARS:
        return text, ""
    return text[:_HEAD_CHARS], text[-_TAIL_CHARS:]


def _last(value: Any) -> str | None:
    """Return the end of a value whose start did not show all of it."""
    if type(value) in (bytes, bytearray):
        return repr(value[-30:])
    if type(value).__name__ == "DataFrame":
        return str(value.tail(1).to_csv(index=False, header=False))[:_TAIL_CHARS]
    if isinstance(value, Folder):
        return str(list(value)[-1])
    if type(value) in (dict, list, tuple):
        return _end_of(value, _TAIL_CHARS)
    return None


def _end_of(value: Any, most: int) -> str:
    """Return the last item of a list or a dict, or what is last in it, if that is too long."""
    name = ""
    while True:
        if type(value) is dict and value:
            key = next(reversed(value))
            name, value = f"{cut_pieces(key, 50)[0]}: ", value[key]
        elif type(value) in (list, tuple) and value:
            name, value = "", value[-1]
        elif type(value) is str:
            return name + "…" + cut_pieces(value[-(most - 60) :], most)[0]
        else:
            return name + cut_pieces(value, most)[0]
        text, whole = cut_pieces(value, most - len(name))
        if whole:
            return name + text


def text_format(text: str) -> str | None:
    """The format of a text in words, None when nothing is sure."""
    head, lines = first_lines(text)
    whole = len(text) <= _LOOK_CHARS
    if not lines:
        return None
    tail = text[-4096:]
    return (
        _json_format(head.strip() if whole else head.lstrip(), tail.rstrip(), lines, whole)
        or _markup_format(head.lstrip(), tail.rstrip())
        or _line_format(lines)
        or _table_format(lines)
        or _source_format(head)
        or _record_format(head)
    )


def first_lines(text: str) -> tuple[str, list[str]]:
    """Return the first part of a text, and its lines that are whole and not empty."""
    head = text[:_LOOK_CHARS].replace("\r\n", "\n")
    lines = head.split("\n")
    if len(text) > _LOOK_CHARS and len(lines) > 1:
        lines.pop()  # it was cut
    return head, [line for line in lines[:400] if line.strip()]


def _json_format(head: str, tail: str, lines: list[str], whole: bool) -> str | None:
    if len(lines) > 1 and all(_is_json(line) for line in lines[:20]):
        return "JSON lines"
    if whole and head[0] in "{[" and _is_json(head):
        return "JSON object" if head[0] == "{" else "JSON array"
    if whole or head[0] + tail[-1:] not in ("{}", "[]"):
        return None
    try:
        _, end = json.JSONDecoder().raw_decode(head, len(head) - len(head[1:].lstrip()))
    except (ValueError, RecursionError):
        return None
    after = head[end:].lstrip()[:1]
    if head[0] == "{":
        return "JSON object" if after == ":" else None
    return "JSON array" if after == "," else None


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), (dict, list))
    except (ValueError, RecursionError):
        return False


def _markup_format(head: str, tail: str) -> str | None:
    if re.match(r"(?i)<!doctype html|<html\b", head):
        return "HTML"
    tag = re.match(r"<([A-Za-z][\w:.-]*)(?:\s[^<>]{0,2000})?>", head)
    if head.startswith("<?xml") or (tag and tail.endswith(f"</{tag.group(1)}>")):
        return "XML"
    return None


_TIMESTAMP = re.compile(
    r"\W?\d{4}[-/]\d\d[-/]\d\d[T ,]\s?\d\d:\d\d|\W?\d\d:\d\d:\d\d\b"
    r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:"
    r"|\S+ \S+ \S+ \[\d\d/[A-Z][a-z]{2}/\d{4}:|\W?\d\d[./]\d\d[./]\d{4} \d\d:\d\d"
)


def _line_format(lines: list[str]) -> str | None:
    """Formats that show at the start of each line."""
    some = lines[:50]
    if len(some) < 3:
        return None
    if sum(_TIMESTAMP.match(line) is not None for line in some) * 10 >= len(some) * 7:
        return "log lines with timestamps"
    marks = [re.match(r"\s*[\[(]?(\d{1,9})(?:[.):\]|\t]|\s*->|\s-)", line) for line in some]
    numbers = [int(mark.group(1)) for mark in marks if mark]
    rising = sum(numbers[i + 1] == numbers[i] + 1 for i in range(len(numbers) - 1))
    if len(numbers) * 10 >= len(some) * 8 and rising * 10 >= (len(numbers) - 1) * 9:
        return "numbered lines"
    return None


def _table_format(lines: list[str]) -> str | None:
    """CSV and its kin: at least three rows with the same number of fields under a header."""
    for form, rows in split_forms(lines):
        names = [field.strip() for field in rows[0]]
        if all(0 < len(field) <= 40 for field in names) and len(set(names)) == len(names):
            return f"{form}: {some(names)}"
    return None


def _headless_format(text: str) -> str | None:
    """Return the format of a table whose first row is data, None of any other text."""
    form, rows = next(split_forms(first_lines(text)[1]), ("", []))
    return f"{form}, without a header" if form and not has_header(rows) else None


def split_forms(lines: list[str]) -> Iterator[tuple[str, list[list[str]]]]:
    """Return each way to read the lines as a table of at least three even rows: its name and the
    rows."""
    for mark, name in ((",", "CSV"), ("\t", "TSV"), (";", "CSV"), ("|", "CSV")):
        try:
            rows = list(csv.reader(lines[:30], delimiter=mark))
        except csv.Error:
            continue
        widths = {len(row) for row in rows}
        if len(rows) > 2 and len(widths) == 1 and widths != {1}:
            split = "" if mark in ",\t" else f" split at {mark!r}"
            yield f"{name} with {len(rows[0])} columns{split}", rows


_PYTHON = re.compile(
    r"^(?:[ \t]*(?:async )?def \w+\(.*|[ \t]*class \w+.*:|import [\w.]+(?: as \w+)?"
    r"|from [\w.]+ import .+|if __name__ == .*)$",
    re.M,
)


def _source_format(head: str) -> str | None:
    if len(re.findall(r"^```", head, re.M)) >= 2:
        return "Markdown"
    if len(_PYTHON.findall(head)) >= 2:
        return "Python source"
    headings = re.findall(r"(?:\A|\n[ \t]*\n)(#{1,6}) \S", head)
    styled = re.search(r"\[[^\]\n]{1,200}\]\([^)\n]{1,200}\)|\*\*[^*\n]+\*\*|^[-*] \S", head, re.M)
    if len(headings) >= 2 and (styled or any(len(mark) > 1 for mark in headings)):
        return "Markdown"
    return None


def _record_format(head: str) -> str | None:
    blocks = [b for b in re.split(r"\n[ \t]*\n", head.strip("\n"))[:20] if b.strip()]
    keyed = [re.findall(r"^(\w[\w -]{0,30}):(?:[ \t]|$)", block, re.M) for block in blocks]
    full = [keys for keys in keyed if len(keys) >= 2]
    if len(blocks) >= 3 and len(full) * 10 >= len(blocks) * 8:
        return f"records separated by blank lines, with fields {some(full[0])}"
    return None


def _object_format(value: Any) -> str | None:
    """Return in words what is in a value that is no text."""
    kind = type(value)
    if kind in (list, tuple):
        return _list_format(value)
    if kind is dict:
        return f"dict with keys {some(list(first_of(value)))}" if value else None
    if kind in (bytes, bytearray):
        return _bytes_format(bytes(value[:16]))
    if isinstance(value, Folder):
        return _folder_format(value)
    if kind.__name__ == "DataFrame":
        types = [f"{name} ({value.dtypes.iloc[i]})" for i, name in enumerate(value.columns[:9])]
        return f"{len(value.columns)} columns: {some(types)}"
    return None


def _list_format(items: Any) -> str | None:
    kinds = list(dict.fromkeys(type(item).__name__ for item in first_of(items)))
    if not kinds:
        return None
    text = f"{type(items).__name__} of {some(kinds)}"
    if kinds == ["dict"]:
        keys = dict.fromkeys(key for item in first_of(items) for key in first_of(item))
        text += f" with keys {some(list(keys))}"
    return text


def _folder_format(folder: Folder) -> str:
    counts: dict[str, int] = {}
    for name in folder:
        suffix = os.path.splitext(name)[1] or "no suffix"
        counts[suffix] = counts.get(suffix, 0) + 1
    common = sorted(counts, key=lambda suffix: -counts[suffix])
    return f"folder of text files: {some([f'{counts[s]} {s}' for s in common])}"


def _bytes_format(head: bytes) -> str | None:
    magic = {
        b"\x1f\x8b": "gzip", b"PK\x03\x04": "ZIP archive", b"%PDF-": "PDF", b"\x89PNG": "PNG image",
        b"\xff\xd8\xff": "JPEG image", b"GIF8": "GIF image", b"\x7fELF": "ELF program",
        b"SQLite format 3\0": "SQLite database", b"PAR1": "Parquet", b"BZh": "bzip2",
        b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "Zstandard",
    }  # fmt: skip
    return next((name for start, name in magic.items() if head.startswith(start)), None)
