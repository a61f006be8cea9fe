"""Texts of a record that do not stand in it as they are: the long and the odd.

A text of more than ``LONGEST`` characters stands as ``{"$blob": sha256, "chars": n}``. A text with
lone surrogates stands as ``{"$escaped": text}`` in Python's ``unicode_escape``: as plain JSON it
would make a notebook that JupyterLab and nbconvert read but cannot save. A dict of the data itself
that has such a key is wrapped as ``{"$dict": {...}}``, so that reading is never ambiguous. The keys
of dicts are left as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

LONGEST = 32_768
_MARKS = ("$blob", "$escaped", "$dict")
_LONE = re.compile(r"[\ud800-\udfff]")
_ESCAPED = re.compile(
    r"(?:[\x00-\x5b\x5d-\x7f]|\\(?:[\\nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U00(?:0[1-9a-f]|10)[0-9a-f]{4}))*"
)
"""What ``unicode_escape`` gives; of anything else Python warns or reads something else."""


def pack(value: Any, keep: Callable[[str], str] | None) -> Any:
    """Return ``value`` with its long texts handed to ``keep``, which gives their sha256.

    Without ``keep`` long texts stay where they are.
    """
    if isinstance(value, str):
        if keep is not None and len(value) > LONGEST:
            return {"$blob": keep(value), "chars": len(value)}
        odd = not value.isascii() and _LONE.search(value)
        return {"$escaped": value.encode("unicode_escape").decode("ascii")} if odd else value
    if isinstance(value, dict):
        packed = {key: pack(part, keep) for key, part in value.items()}
        return {"$dict": packed} if any(mark in value for mark in _MARKS) else packed
    if isinstance(value, (list, tuple)):
        return [pack(part, keep) for part in value]
    return value


def unpack(value: Any, fetch: Callable[[Any, Any], str]) -> Any:
    """Return the inverse of ``pack``. ``fetch`` gets the sha256 and the length as they stand there.

    Raises ``ValueError`` or ``TypeError`` for what ``pack`` cannot have made.
    """
    if isinstance(value, list):
        return [unpack(part, fetch) for part in value]
    if not isinstance(value, dict):
        return value
    if "$blob" in value:
        return fetch(value["$blob"], value.get("chars"))
    if "$escaped" in value:
        return _unescaped(value["$escaped"])
    inner = value.get("$dict")
    source = inner if isinstance(inner, dict) else value
    return {key: unpack(part, fetch) for key, part in source.items()}


def _unescaped(text: Any) -> str:
    if not isinstance(text, str) or not _ESCAPED.fullmatch(text):
        raise ValueError(f"not in Python's unicode_escape: {ascii(text)[:60]}")
    return text.encode("ascii").decode("unicode_escape")


def blob_named(name: Any, chars: Any) -> str:
    """Say where a long text is, without a look there; for ``unpack``."""
    return f"[{str(chars)[:20]} characters, kept in blobs/{str(name)[:64]}]"
