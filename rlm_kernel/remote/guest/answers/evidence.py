"""The evidence of an answer: quotes of the input, and places in it, each checked to stand there.

White space is compared as white space, whatever there is of it; all else as it is written. A quote
that begins or ends inside of a word or a number of the input does not stand there, nor does one
over two items of a list or two files.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple, Optional

from ..reading.places import Chunk, Place, Places, chunks

MOST = 50
"""The most that one answer has."""
MOST_CHARS = 2000
"""The most characters of a quote, and of a place."""
_FORM = (
    "FINAL_VAR: evidence is a list of str (quotes of the input) or of places in it: (start, end), "
    "(file, start, end) or what find gives; not %s"
)


_NUMBER = re.compile(r"\d[.,]\d")
_Standing = Optional["tuple[int, int, int]"]
"""A part of a chunk, and characters of it."""


class _Wanted(NamedTuple):
    """A quote, or a place: the part of the input that ``where`` names, and characters of it."""

    quote: str
    where: str = ""
    start: Optional[int] = None
    end: Optional[int] = None


def checked(evidence: Any, context: Any) -> list[dict[str, Any]]:
    """Return each quote with the first place where it stands, and whether it is ``supported``: it
    stands there. Raises ``TypeError`` and ``ValueError`` for what is no evidence."""
    if evidence is None:
        return []
    if not isinstance(evidence, (list, Places)):
        raise TypeError(_FORM % type(evidence).__name__)
    if len(evidence) > MOST:
        raise ValueError(
            "FINAL_VAR: evidence has %d items; %d are the most" % (len(evidence), MOST)
        )
    wanted = [_wanted(item) for item in evidence]
    found: dict[int, dict[str, Any]] = {}
    for chunk in chunks(context) if wanted else ():
        found.update(_standing(wanted, found, chunk))
        if len(found) == len(wanted):
            break
    return [found.get(at) or _asserted(one) for at, one in enumerate(wanted)]


def _wanted(item: Any) -> _Wanted:
    if isinstance(item, Place):
        made = _Wanted("", item.where, item.start, item.end)
    elif isinstance(item, str):
        made = _Wanted(item)
    elif isinstance(item, (tuple, list)) and [type(part) for part in item] == [int, int]:
        made = _Wanted("", "", item[0], item[1])
    elif isinstance(item, (tuple, list)) and [type(part) for part in item] == [str, int, int]:
        made = _Wanted("", item[0], item[1], item[2])
    else:
        raise TypeError(_FORM % ("a list with %s" % type(item).__name__))
    size = len(made.quote) if made.start is None or made.end is None else made.end - made.start
    if size > MOST_CHARS:
        raise ValueError(
            "FINAL_VAR: a piece of evidence has %s characters; %s are the most: give the sentence "
            "that the answer rests on" % (format(size, ","), format(MOST_CHARS, ","))
        )
    return made


def _asserted(one: _Wanted) -> dict[str, Any]:
    return {
        "quote": one.quote, "supported": False, "where": one.where, "start": one.start,
        "end": one.end, "line": None,
    }  # fmt: skip


def _standing(
    wanted: list[_Wanted], found: dict[int, dict[str, Any]], chunk: Chunk
) -> dict[int, dict[str, Any]]:
    """Return what of the rest stands in some parts, by its number."""
    standing = {}
    for number, one in enumerate(wanted):
        place = None
        if number not in found:
            place = _first(one.quote, chunk) if one.start is None else _at(one, chunk)
        if place is not None:
            part, start, end = place
            where, text = chunk.parts[part]
            standing[number] = {
                "quote": one.quote or text[start:end], "supported": True, "where": where,
                "start": start, "end": end, "line": text.count("\n", 0, start) + 1,
            }  # fmt: skip
    return standing


def _at(one: _Wanted, chunk: Chunk) -> _Standing:
    """Return the place if it is one, with something in it."""
    start, end = one.start or 0, one.end or 0
    for part, (where, text) in enumerate(chunk.parts):
        if where == one.where and 0 <= start < end <= len(text) and text[start:end].strip():
            return part, start, end
    return None


def _first(quote: str, chunk: Chunk) -> _Standing:
    """Return the first place of a quote; None for one that is empty."""
    words = quote.split()
    text = chunk.text
    pattern = re.compile(r"\s+".join(map(re.escape, words)))
    for match in pattern.finditer(text) if words else ():
        if not _cuts(text, match.start()) and not _cuts(text, match.end()):
            part = chunk.part_at(match.start())
            begin = chunk.starts[part]
            return part, match.start() - begin, match.end() - begin
    return None


def _cuts(text: str, at: int) -> bool:
    """Return whether a place between two characters is inside of a word or a number."""
    before, after = text[max(at - 1, 0) : at], text[at : at + 1]
    if _is_word(before) and _is_word(after):
        return True
    # 1.5 and 1,500 are one number each.
    return _NUMBER.search(text[max(at - 2, 0) : at + 2]) is not None


def _is_word(letter: str) -> bool:
    return letter.isalnum() or letter == "_"
