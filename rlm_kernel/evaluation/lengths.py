"""Lengths of contexts, as they are asked for and shown: ``1e5``, ``100k``, ``1m``, ``32kt``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import UsageError

LEAST, MOST = 1_000, 50_000_000
_WRITTEN = re.compile(r"(\d+(?:\.\d+)?(?:e\d)?)([km]?)(t?)", re.IGNORECASE)
_TIMES = {"": 1, "k": 1_000, "m": 1_000_000}
_TIMES_OF_TOKENS = {"": 1, "k": 1 << 10, "m": 1 << 20}


@dataclass(frozen=True)
class Length:
    """So many characters, or ``in_tokens`` so many tokens of the model in use. ``written`` is what
    was asked for."""

    written: str
    count: int
    in_tokens: bool = False


def parsed(text: str, option: str = "--length") -> tuple[Length, ...]:
    """Return the lengths in a text, which has commas between them. Raises ``UsageError``."""
    return tuple(_parsed(each.strip(), option) for each in text.split(","))


def _parsed(text: str, option: str) -> Length:
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise UsageError(
            f"{option}={text!r}: give characters such as 1e5, 100k or 1m, or tokens such as 32kt"
        )
    number, unit, tokens = found.groups()
    times = (_TIMES_OF_TOKENS if tokens else _TIMES)[unit.lower()]
    count = round(float(number) * times)
    if not LEAST <= count <= MOST:
        raise UsageError(f"{option}={text!r}: give from {LEAST:,} to {MOST:,}")
    return Length(text.lower(), count, bool(tokens))
