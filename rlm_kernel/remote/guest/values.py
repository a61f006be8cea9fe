"""Values on their way into a kernel and out of it."""

from __future__ import annotations

import io
import json
import math
import mmap
import os
import pickle
from typing import Any

from .errors import CallRefused, FailedReply
from .reading.folder import Folder
from .reading.row_list import Rows
from .reading.tables import read_as_before, read_table
from .replies import ChildReply


def load(spec: dict[str, Any], path: str) -> Any:
    """Return the object that ``context`` is bound to, as ``opened`` does, without the notes."""
    return opened(spec, path)[0]


def opened(spec: dict[str, Any], path: str) -> tuple[Any, list[str]]:
    """Return the object that a spec stands for, and notes on how it was read. ``path`` is where the
    bytes are in this machine; with ``remove`` in the spec the file goes once it is read.

    Text that turns out not to be the JSON or CSV it was taken for is given as ``str``.
    """
    value = _opened(spec, path)
    if spec.get("remove"):
        os.unlink(path)
    return value


def _opened(spec: dict[str, Any], path: str) -> tuple[Any, list[str]]:
    kind = spec["kind"]
    if kind == "folder":
        with open(spec["files"], encoding="utf-8") as listing:
            return Folder(path, spec["name"], json.load(listing)), []
    with open(path, "rb") as file:
        if kind == "pickle":
            return pickle.load(file), []
        if kind == "bytes":
            return file.read(), []
        text = _decoded(file, spec["encoding"], spec["errors"])
    if kind == "csv":
        return (read_as_before(text), []) if spec.get("reading") == 1 else read_table(text)
    if kind == "jsonl":
        return json_lines(text), []
    return (json_or_text(text) if kind == "json" else text), []


def _decoded(file: Any, encoding: str, errors: str) -> str:
    """The file's text. It is mapped, not read: a copy of it beside the text might not fit."""
    if os.fstat(file.fileno()).st_size == 0:
        return ""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return str(data, encoding, errors)


def json_lines(text: str) -> list[Any]:
    """Return the values of JSON lines; one that is none stands as its text."""
    lines = (line.rstrip("\r") for line in text.split("\n") if line.strip())
    return [json_or_text(line) for line in lines]


def json_or_text(text: str) -> Any:
    """Return the value of JSON, or what is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def plain(value: Any) -> bool:
    """Return whether ``json.loads(json.dumps(value))`` gives an equal value of the same types; of a
    reply a str, of rows a list."""
    kind = type(value)
    if kind in (str, ChildReply, FailedReply, int, bool, type(None)):
        return True
    if kind is float:
        return math.isfinite(value)
    if kind in (list, Rows):
        return all(plain(item) for item in value)
    if kind is dict:
        return all(type(key) is str and plain(item) for key, item in value.items())
    return False


def dump(value):
    """``(kind, bytes)`` of a value, for ``load``. Raises ``CallRefused`` if it cannot be sent."""
    if type(value) in (str, ChildReply, FailedReply):
        return "text", value.encode("utf-8", "surrogatepass")
    if isinstance(value, (bytes, bytearray)):
        return "bytes", bytes(value)
    try:
        if isinstance(value, (list, dict)) and plain(value):
            text = json.dumps(value, ensure_ascii=False)
            return "json", text.encode("utf-8", "surrogatepass")
        return "pickle", pickle.dumps(value)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as error:
        raise CallRefused(
            "a %s cannot be sent to another kernel: %s" % (type(value).__name__, error)
        ) from None


class _Bounded(io.RawIOBase):
    """Counts what is written and refuses more than ``most`` bytes."""

    def __init__(self, most: int) -> None:
        self._left = most

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        size = len(memoryview(data).cast("B"))
        self._left -= size
        if self._left < 0:
            raise ValueError("too large")
        return size


def snapshot(value, most):
    """``dump(value)``. Raises ``ValueError`` for more than about ``most`` bytes, and whatever the
    value's own methods raise."""
    if isinstance(value, (str, bytes, bytearray)):
        if len(value) > most:
            raise ValueError("too large")
    else:
        pickle.Pickler(_Bounded(most)).dump(value)
    return dump(value)
