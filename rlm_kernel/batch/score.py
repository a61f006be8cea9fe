"""The default score: an answer is right if it equals, normalised, what was expected."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from typing import Any

_NUMBER = re.compile(r"[+-]?(\d{1,3}(,\d{3})+(\.\d*)?|\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?")

_MINUS = "\N{MINUS SIGN}"
_CURRENCY = re.compile(r"[$€£¥₹]\s?(?=[+-]?\.?\d)|(?<=\d)\s?[$€£¥₹]")
"""A currency before or behind a number."""


def correct(answer: str | None, expected: Any) -> bool | None:
    """Compare an answer with what was expected; None where nothing is. Of a list any one will do;
    no answer is a wrong one."""
    if expected is None:
        return None
    if answer is None:
        return False
    accepted = expected if isinstance(expected, list) else [expected]
    return any(normalised(answer) == normalised(one) for one in accepted)


def normalised(value: object) -> str | Decimal:
    """Return a text without case, punctuation around it, and white space but for one space between
    words; what then is a number (``1,000``, ``1e3`` and ``$1,000`` too) as a number. A per cent
    sign stays: 50% is not 50."""
    whole = " ".join(unicodedata.normalize("NFC", str(value)).casefold().split())
    whole = whole.replace(_MINUS, "-")
    amount = _without_punctuation(_CURRENCY.sub("", whole))
    if _NUMBER.fullmatch(amount):
        return Decimal(amount.replace(",", ""))
    return _without_punctuation(whole) or whole


def _without_punctuation(text: str) -> str:
    start, end = 0, len(text)
    while end > start and _is_around(text[end - 1]):
        end -= 1
    # A sign or a point before digits is the number's own.
    while start < end and _is_around(text[start]) and not _NUMBER.match(text, start, end):
        start += 1
    return text[start:end]


def _is_around(char: str) -> bool:
    return char.isspace() or (unicodedata.category(char).startswith("P") and char != "%")
