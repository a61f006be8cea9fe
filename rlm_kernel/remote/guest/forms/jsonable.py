"""Python values as plain JSON data, by one table.

in Python                                 in JSON

None, bool, int, str                      as they are; an int of over 4,300 digits as text
float                                     a number; NaN null, infinities "Infinity", "-Infinity"
list, tuple, deque, range, dict views     a list
set, frozenset                            a list, sorted where that can be
dict and other mappings                   an object; keys that are no text by ``_key``; a list of
                                          pairs where two keys would be one
Decimal, Fraction, complex, Path, UUID    their text
date, datetime, time, Timestamp           ISO 8601; NaT and NA null
timedelta                                 an ISO 8601 duration
bytes                                     base64
Enum                                      its value
dataclass, attrs class, pydantic model    an object of its fields
numpy scalars, arrays, an Index           a number and the like; lists
DataFrame, Series                         see ``answer_tables``
anything else                             its text
"""

import base64
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import math
import pathlib
import uuid
from collections.abc import Mapping, Sequence, Set, ValuesView
from typing import Any

from . import answer_tables

MOST_CHARS = 8 << 20
"""The most characters of a value's JSON, about."""
MOST_DEPTH = 100
LONGEST_INT = 10**4300
_AS_TEXT = (decimal.Decimal, fractions.Fraction, complex, pathlib.PurePath, uuid.UUID)
_LISTS = (list, tuple, collections.deque, range, Sequence, ValuesView)


class NoJSON(ValueError):
    """A value that has no form in JSON, as a sentence about it says."""


def plain(value: Any, text_of: Any = str) -> Any:
    """Return the value as plain JSON data, a copy of it; ``text_of`` writes what JSON has no form
    for. Raises ``NoJSON`` for what contains itself, is nested too deeply or is too large, and what
    the value's own methods raise."""
    return _Converter(text_of).plain(value, 0)


def is_missing(value: Any) -> bool:
    """Return whether it is a float's NaN, pandas' NaT or NA, numpy's NaT or a Decimal's NaN."""
    return type(value).__name__ in ("NAType", "NaTType") or (
        isinstance(value, (float, decimal.Decimal)) and value != value
    )


class _Converter:
    """Counts what it has written, and knows what it is inside of."""

    def __init__(self, text_of: Any) -> None:
        self._text_of = text_of
        self._left = MOST_CHARS
        self._inside: set[int] = set()

    def plain(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind in (str, bool, int, type(None)):
            return self._spent(_int(value) if kind is int else value)
        if isinstance(value, (str, int, float, *_AS_TEXT, bytes, bytearray, enum.Enum)):
            return self._spent(self._scalar(value, depth))
        if is_missing(value):
            return self._spent(None)
        if isinstance(value, (datetime.date, datetime.time, datetime.timedelta)):
            return self._spent(_time(value))
        if depth >= MOST_DEPTH:
            raise NoJSON("is nested more than %d deep" % MOST_DEPTH)
        if id(value) in self._inside:
            raise NoJSON("contains itself")
        self._inside.add(id(value))
        try:
            return self._whole(value, depth + 1)
        finally:
            self._inside.discard(id(value))

    def _spent(self, written: Any) -> Any:
        """Return the leaf, once there was room for it."""
        self._left -= 2 + (len(written) if type(written) is str else len(str(written)))
        if self._left < 0:
            raise NoJSON("has more than %s characters as JSON" % format(MOST_CHARS, ","))
        return written

    def _scalar(self, value: Any, depth: int) -> Any:
        if isinstance(value, enum.Enum):
            return self.plain(value.value, depth + 1)
        if isinstance(value, str):
            return str(value)
        if is_missing(value):
            return None
        if isinstance(value, (bytes, bytearray)):
            return base64.b64encode(value).decode("ascii")
        if isinstance(value, _AS_TEXT):
            return str(value)
        if isinstance(value, int):
            return _int(int(value))
        number = float(value)
        return number if math.isfinite(number) else "Infinity" if number > 0 else "-Infinity"

    def _whole(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if answer_tables.is_table(value):
            return {
                name: self.plain(part, depth) for name, part in answer_tables.head_of(value).items()
            }
        if kind.__module__.partition(".")[0] == "numpy" or _like_array(value):
            return self._array(value, depth)
        fields = _fields(value)
        if fields is not None:
            return {name: self.plain(part, depth) for name, part in fields.items()}
        if isinstance(value, Mapping):
            return self._mapping(value, depth)
        if isinstance(value, (set, frozenset, Set)):
            return [self.plain(item, depth) for item in _in_order(value)]
        if isinstance(value, _LISTS):
            return [self.plain(item, depth) for item in value]
        return self._spent(self._text_of(value))

    def _mapping(self, value: Any, depth: int) -> Any:
        pairs = [(self._key(key, depth), key, self.plain(item, depth))
                 for key, item in value.items()]  # fmt: skip
        made = {name: item for name, _, item in pairs}
        if len(made) == len(pairs):
            return made
        return [[self.plain(key, depth), item] for _, key, item in pairs]

    def _key(self, key: Any, depth: int) -> str:
        """Return a key as text: of 1, True and None what ``json.dumps`` makes of them, of a tuple
        and the like what ``str`` does."""
        if isinstance(key, tuple):
            return str(self._spent(str(key)))
        written = self.plain(key, depth)
        if isinstance(written, str):
            return written
        if written is None or isinstance(written, bool):
            return {None: "null", True: "true", False: "false"}[written]
        return str(written)

    def _array(self, value: Any, depth: int) -> Any:
        """Return lists of an array's items; of a numpy scalar the item."""
        dtype = getattr(value, "dtype", None)
        kind, names = getattr(dtype, "kind", ""), getattr(dtype, "names", None)
        size = getattr(value, "size", 0)
        if isinstance(size, int) and size > MOST_CHARS:
            raise NoJSON("has %s items" % format(size, ","))
        if kind in ("M", "m") and hasattr(value, "astype"):  # tolist gives ints of nanoseconds
            return self._times(value, depth)
        made = value.tolist() if hasattr(value, "tolist") else str(value)
        if type(made) is type(value):  # a longdouble, which is no float
            return self.plain(float(made), depth)
        if names and isinstance(made, list):
            return [self.plain(dict(zip(names, row)), depth) for row in made]
        return self.plain(made, depth)

    def _times(self, value: Any, depth: int) -> Any:
        made = value.astype("datetime64[us]" if value.dtype.kind == "M" else "timedelta64[us]")
        return self.plain(made.tolist(), depth)


def _int(value: int) -> Any:
    # Python itself refuses to read or write longer ones.
    return value if -LONGEST_INT < value < LONGEST_INT else str(decimal.Decimal(value))


def _time(value: Any) -> str:
    if not isinstance(value, datetime.timedelta):
        return str(value.isoformat())
    sign, size = ("-", -value) if value < datetime.timedelta() else ("", value)
    seconds = decimal.Decimal(size.seconds) + decimal.Decimal(size.microseconds) / 1_000_000
    return "%sP%dDT%sS" % (sign, size.days, format(seconds, "f"))


def _like_array(value: Any) -> bool:
    return hasattr(value, "tolist") and (hasattr(value, "dtype") or hasattr(value, "typecode"))


def _fields(value: Any) -> Any:
    """Return the fields of a dataclass, an attrs class or a pydantic model; else None."""
    kind = type(value)
    if dataclasses.is_dataclass(kind):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if hasattr(kind, "__attrs_attrs__"):
        return {f.name: getattr(value, f.name) for f in kind.__attrs_attrs__}
    if hasattr(kind, "model_fields") and callable(getattr(kind, "model_dump", None)):
        return value.model_dump(mode="json", by_alias=True)
    return None


def _in_order(items: Any) -> list:
    """Return the items of a set in an order that is always the same."""
    try:
        return sorted(items)
    except TypeError:
        return sorted(items, key=lambda item: (type(item).__name__, str(item)))
