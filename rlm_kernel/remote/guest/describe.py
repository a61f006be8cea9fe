"""What a context is, in words: for the LM's first look."""

from __future__ import annotations

import os
from typing import Any

from .overview import overview
from .pieces import cut_pieces, first_of, guarded, some
from .reading.folder import Folder
from .reading.text_format import headless_format, text_format

_HEAD_CHARS, _TAIL_CHARS = 300, 150


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
        more = guarded(headless_format, value) if is_table else None
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
