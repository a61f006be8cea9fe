"""JSON looked at before a kernel parses it: what it is, and what of it a value does not keep."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal, InvalidOperation
from typing import Any

_SAFE_DIGITS = 15
"""A float keeps every decimal of so many digits."""


class JsonLook:
    """Parses texts, and counts what their values lose: of keys that an object has twice all but
    the last one, of numbers the digits that a float does not have."""

    def __init__(self) -> None:
        self._repeated: list[str] = []  # the first key of each such object
        self._rounded: list[str] = []

    def parse(self, text: str) -> Any:
        """Return the value. Raises ``ValueError`` and ``RecursionError``."""
        return json.loads(text, object_pairs_hook=self._object, parse_float=self._float)

    @property
    def notes(self) -> list[str]:
        """Return what was lost, in sentences."""
        notes = []
        if keys := self._repeated:
            many = _times(len(keys), "object has a key", "objects have keys")
            notes.append(
                f"{many} more than once, the first {keys[0][:80]!r}: the last value counts."
            )
        if numbers := self._rounded:
            many = _times(len(numbers), "number has", "numbers have")
            notes.append(f"{many} more digits than a float keeps, the first {numbers[0][:80]}.")
        return notes

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            counts = Counter(key for key, _ in pairs)
            self._repeated.append(next(key for key in counts if counts[key] > 1))
        return made

    def _float(self, text: str) -> float:
        value = float(text)
        if len(text) > _SAFE_DIGITS and not _same(text, value):
            self._rounded.append(text)
        return value


def _times(count: int, one: str, more: str) -> str:
    return f"1 {one}" if count == 1 else f"{count:,} {more}"


def _same(text: str, value: float) -> bool:
    try:
        return Decimal(text) == Decimal(repr(value))
    except InvalidOperation:  # an exponent that no decimal has
        return False
