"""The source of a Python value."""

from __future__ import annotations

import io
import json
import math
import pickle
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import ContextError
from .source import Source, in_memory, utf8

_MAX_DEPTH = 100  # JSON and pickle both recurse; deeper values go by pickle, which says no itself

_URL_ALONE = "The context is a URL alone, not what is there: nothing is downloaded."


def from_value(value: object) -> Source:
    """Return the source for a Python value: the kernel gets an equal value of the same type.

    A subclass of ``str`` or ``bytes`` arrives as plain ``str`` or ``bytes``. Raises
    ``ContextError`` for a ``Path`` (use ``from_path``) and for what cannot be pickled.
    """
    if isinstance(value, Path):
        raise ContextError(
            f"the context is a Path ({value}): use from_path(...) to read the file, "
            "or str(...) if the path itself is the text"
        )
    if isinstance(value, str):
        notice = None if value else "The context is empty."
        source = in_memory("text", utf8(value), "str", notice)
        return replace(source, notes=(_URL_ALONE,)) if _is_url(value) else source
    if isinstance(value, bytes | bytearray | memoryview):
        return in_memory("bytes", bytes(value), type(value).__name__)
    name = type(value).__name__
    if type(value) in (list, dict) and _is_plain_json(value):
        return in_memory("json", utf8(json.dumps(value, ensure_ascii=False)), name)
    return in_memory("pickle", _pickled(value), name)


def _is_url(text: str) -> bool:
    return len(text) < 2000 and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]+://\S+", text) is not None


def _is_plain_json(value: object) -> bool:
    """Return whether JSON gives back an equal value of the same types; not for shared parts."""
    seen: set[int] = set()
    waiting: list[tuple[Any, int]] = [(value, 0)]
    while waiting:
        item, depth = waiting.pop()
        if type(item) in (list, dict):
            if id(item) in seen or depth > _MAX_DEPTH:
                return False
            seen.add(id(item))
            if type(item) is dict and not all(type(key) is str for key in item):
                return False
            inside = item.values() if type(item) is dict else item
            waiting.extend((part, depth + 1) for part in inside)
        elif not _is_plain_leaf(item):
            return False
    return True


def _is_plain_leaf(item: object) -> bool:
    if isinstance(item, float) and type(item) is float:
        return math.isfinite(item)
    if isinstance(item, int) and type(item) is int:
        return item.bit_length() < 10_000  # Python refuses to write integers of over 4,300 digits
    return item is None or type(item) in (str, bool)


class _Pickler(pickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        cls = obj if isinstance(obj, type) else type(obj)
        if "__main__" in (cls.__module__, getattr(obj, "__module__", None)):
            raise pickle.PicklingError(
                f"{cls.__qualname__} is defined in the main program, which a kernel cannot import"
            )
        return NotImplemented


def _pickled(value: object) -> bytes:
    buffer = io.BytesIO()
    try:
        _Pickler(buffer, protocol=5).dump(value)
    except (pickle.PicklingError, TypeError, AttributeError, ValueError, RecursionError) as problem:
        raise ContextError(
            f"the context is a {type(value).__name__}, which cannot be handed to a kernel: "
            f"{problem}; give text, bytes, lists and dicts, or a DataFrame"
        ) from problem
    return buffer.getvalue()
