"""What a context is, in words: for the LM's first look."""

from __future__ import annotations

import csv
import itertools
import json
import os
import re
from collections.abc import Iterator
from typing import Any

from .values import Folder

_HEAD_CHARS, _TAIL_CHARS = 300, 150
_LOOK_CHARS = 65_536


def describe(value: Any) -> dict[str, Any]:
    """Type, length, lines, format, head and tail of a value, for the LM's first look.

    Reads the first 64 kB and the last few kB of a text and the first hundred items of anything
    else. Never raises, whatever the value's own methods do.
    """
    kind = type(value).__name__
    if type(value) is str:
        head, tail = _ends(value)
        lines = value.count("\n") + 1
        form = guarded(_text_format, value)
    else:
        text, whole = _cut_pieces(value, _HEAD_CHARS + _TAIL_CHARS)
        head = text if whole else text[:_HEAD_CHARS]
        tail = "" if whole else guarded(_last, value) or ""
        lines, form = None, guarded(_object_format, value)
    length = guarded(len, value)
    return {
        "type": kind, "length": length, "lines": lines, "format": form, "head": head, "tail": tail
    }  # fmt: skip


def guarded(ask: Any, value: Any) -> Any:
    """``ask(value)``, None where the value's own methods raise."""
    try:
        return ask(value)
    except Exception:  # noqa: BLE001 - a stranger's object may raise anything
        return None


def _ends(text: str) -> tuple[str, str]:
    if len(text) <= _HEAD_CHARS + _TAIL_CHARS:
        return text, ""
    return text[:_HEAD_CHARS], text[-_TAIL_CHARS:]


def _cut_pieces(value: Any, most: int) -> tuple[str, bool]:
    """The value as text of at most ``most`` characters, and whether that is all of it."""
    text = ""
    for piece in _pieces(value, 0):
        text += piece[: most + 1]
        if len(text) > most:
            return text[:most], False
    return text, True


def _last(value: Any) -> str | None:
    """The end of a value whose start did not show all of it."""
    if type(value) in (bytes, bytearray):
        return repr(value[-30:])
    if type(value).__name__ == "DataFrame":
        item = value.tail(1)
    elif isinstance(value, Folder):
        item = list(value)[-1]
    elif type(value) is dict:
        key = next(reversed(value))
        return f"{_cut_pieces(key, 50)[0]}: {_cut_pieces(value[key], _TAIL_CHARS)[0]}"[:_TAIL_CHARS]
    elif type(value) in (list, tuple):
        item = value[-1]
    else:
        return None
    return _cut_pieces(item, _TAIL_CHARS)[0]


def _pieces(value: Any, depth: int) -> Iterator[str]:
    """The value written out bit by bit, so that the reader can stop."""
    kind = type(value)
    if kind is str:
        yield json.dumps(value[:500], ensure_ascii=False)
    elif kind in (list, tuple, dict) and depth > 5:
        yield "…"
    elif kind in (list, tuple):
        yield "[" if kind is list else "("
        for number, item in enumerate(value):
            yield ", " if number else ""
            yield from _pieces(item, depth + 1)
        yield "]" if kind is list else ",)" if len(value) == 1 else ")"
    elif kind is dict:
        yield "{"
        for number, (key, item) in enumerate(value.items()):
            yield ", " if number else ""
            yield from _pieces(key, depth + 1)
            yield ": "
            yield from _pieces(item, depth + 1)
        yield "}"
    elif kind in (bytes, bytearray):
        yield repr(value[:500])
    else:
        yield str(guarded(_plain, value) or f"<{kind.__name__}>")


def _plain(value: Any) -> str:
    if type(value).__name__ == "DataFrame":
        return str(value.head(5).to_csv(index=False))
    return repr(value)


def _text_format(text: str) -> str | None:
    """The format of a text in words, None when nothing is sure."""
    whole = len(text) <= _LOOK_CHARS
    head = text[:_LOOK_CHARS].replace("\r\n", "\n")
    lines = head.split("\n")
    if not whole and len(lines) > 1:
        lines.pop()  # it was cut
    lines = [line for line in lines[:400] if line.strip()]
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
    some = lines[:30]
    for mark, name in ((",", "CSV"), ("\t", "TSV"), (";", "CSV"), ("|", "CSV")):
        try:
            rows = list(csv.reader(some, delimiter=mark))
        except csv.Error:
            continue
        widths = {len(row) for row in rows}
        if len(rows) < 3 or len(widths) != 1 or widths == {1}:
            continue
        names = [field.strip() for field in rows[0]]
        if all(0 < len(field) <= 40 for field in names) and len(set(names)) == len(names):
            split = "" if mark in ",\t" else f" split at {mark!r}"
            return f"{name} with {len(names)} columns{split}: {_some(names)}"
    return None


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
        return f"records separated by blank lines, with fields {_some(full[0])}"
    return None


def _object_format(value: Any) -> str | None:
    """Return in words what is in a value that is no text."""
    kind = type(value)
    if kind in (list, tuple):
        return _list_format(value)
    if kind is dict:
        return f"dict with keys {_some(list(_first(value)))}" if value else None
    if kind in (bytes, bytearray):
        return _bytes_format(bytes(value[:16]))
    if isinstance(value, Folder):
        return _folder_format(value)
    if kind.__name__ == "DataFrame":
        types = [f"{name} ({value.dtypes.iloc[i]})" for i, name in enumerate(value.columns[:9])]
        return f"{len(value.columns)} columns: {_some(types)}"
    return None


def _first(items: Any) -> Iterator[Any]:
    """Return the first hundred items."""
    return itertools.islice(iter(items), 100)


def _list_format(items: Any) -> str | None:
    kinds = list(dict.fromkeys(type(item).__name__ for item in _first(items)))
    if not kinds:
        return None
    text = f"{type(items).__name__} of {_some(kinds)}"
    if kinds == ["dict"]:
        keys = dict.fromkeys(key for item in _first(items) for key in _first(item))
        text += f" with keys {_some(list(keys))}"
    return text


def _folder_format(folder: Folder) -> str:
    counts: dict[str, int] = {}
    for name in folder:
        suffix = os.path.splitext(name)[1] or "no suffix"
        counts[suffix] = counts.get(suffix, 0) + 1
    common = sorted(counts, key=lambda suffix: -counts[suffix])
    return f"folder of text files: {_some([f'{counts[s]} {s}' for s in common])}"


def _bytes_format(head: bytes) -> str | None:
    magic = {
        b"\x1f\x8b": "gzip", b"PK\x03\x04": "ZIP archive", b"%PDF-": "PDF", b"\x89PNG": "PNG image",
        b"\xff\xd8\xff": "JPEG image", b"GIF8": "GIF image", b"\x7fELF": "ELF program",
        b"SQLite format 3\0": "SQLite database", b"PAR1": "Parquet", b"BZh": "bzip2",
        b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "Zstandard",
    }  # fmt: skip
    return next((name for start, name in magic.items() if head.startswith(start)), None)


def _some(names: list[Any]) -> str:
    """The first eight names, cut to forty characters each, and dots if there are more."""
    shown = [_name(name)[:40] for name in names[:8]]
    return ", ".join(shown) + (", …" if len(names) > 8 else "")


def _name(name: Any) -> str:
    return name if type(name) is str else _cut_pieces(name, 40)[0]
