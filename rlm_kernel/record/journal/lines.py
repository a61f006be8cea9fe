"""The form of a line of a journal, and the chain of seals from line to line."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

LONGEST_LINE = 1 << 27
"""Bytes of a line; a longer one is neither written nor read."""
_SEAL = re.compile(r"[0-9a-f]{32}")
_SEAL_OF_LINE = re.compile(rb'\{"seal": "([0-9a-f]{32})"')


def next_seal(before: str, event_json: str) -> str:
    """Return the seal of an event behind one of the seal ``before``; empty at the beginning."""
    return hashlib.sha256((before + event_json).encode("ascii")).hexdigest()[:32]


def line_of(seal: str, event_json: str) -> bytes:
    return f'{{"seal": "{seal}", "event": {event_json}}}\n'.encode("ascii")


def last_line(sha256: str, signature: str | None = None) -> bytes:
    signed = {} if signature is None else {"signature": signature}
    return (json.dumps({"sealed": sha256, **signed}) + "\n").encode("ascii")


def is_seal(seal: Any) -> bool:
    return isinstance(seal, str) and _SEAL.fullmatch(seal) is not None


def seal_of(line: bytes) -> str | None:
    """Return the seal that stands at the start of a line, which may be unreadable behind it."""
    seal = _SEAL_OF_LINE.match(line)
    return seal[1].decode("ascii") if seal else None


def parsed(line: bytes) -> Any:
    """Return the JSON data of a line; None where it is none."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
