"""Values written out piece by piece, so that a long one is never written whole."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any


def guarded(ask: Any, value: Any) -> Any:
    """``ask(value)``, None where the value's own methods raise."""
    try:
        return ask(value)
    except Exception:  # noqa: BLE001 - a stranger's object may raise anything
        return None


def cut_pieces(value: Any, most: int) -> tuple[str, bool]:
    """The value as text of at most ``most`` characters, and whether that is all of it."""
    text = ""
    for piece in _pieces(value, 0):
        text += piece[: most + 1]
        if len(text) > most:
            return text[:most], False
    return text, True


def _pieces(value: Any, depth: int) -> Iterator[str]:
    """The value written out bit by bit, so that the reader can stop."""
    kind = type(value)
    if kind is str:
        yield json.dumps(value[:500], ensure_ascii=False)
    elif (kind in (tuple, dict) or _is_list(kind)) and depth > 5:
        yield "…"
    elif kind is tuple or _is_list(kind):
        yield "(" if kind is tuple else "["
        for number, item in enumerate(value):
            yield ", " if number else ""
            yield from _pieces(item, depth + 1)
        yield "]" if kind is not tuple else ",)" if len(value) == 1 else ")"
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


def _is_list(kind: Any) -> bool:
    """Return whether its values are written as a list is."""
    return bool(kind.__repr__ is list.__repr__)


def _plain(value: Any) -> str:
    if type(value).__name__ == "DataFrame":
        return str(value.head(5).to_csv(index=False))
    return repr(value)


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def first_of(items: Any) -> Iterator[Any]:
    """Return the first hundred items."""
    return itertools.islice(iter(items), 100)


def some(names: list[Any]) -> str:
    """The first eight names, cut to forty characters each, and dots if there are more."""
    shown = [_name(name)[:40] for name in names[:8]]
    return ", ".join(shown) + (", …" if len(names) > 8 else "")


def _name(name: Any) -> str:
    return name if type(name) is str else cut_pieces(name, 40)[0]
