"""``find``: where words stand in a value, with the text around them, and which stand nowhere.

The texts of the value are searched as they are: of a list and a dict all texts, numbers and keys in
it, of a DataFrame its cells, of a folder its files. A hundred MB take about a second a word, and
as much memory again while they are searched; each place that is found keeps 16 bytes.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Union

from ..forms.jsonable import is_missing
from ..pieces import counted
from .folder import Folder

MOST_WORDS = 10_000
_DEEPEST = 1000
_CHUNK_CHARS = 4_000_000
_APART = "\0"
"""Stands between the parts that are searched at once: no place reaches over it."""
_SHOWN_CHARS = 4000
_SHOWN_WORDS = 10
_SHOWN_PLACES = 2
"""The most places of a word that are shown where there are several words."""


class Place(NamedTuple):
    """A place where a ``word`` stands: in the part that ``where`` names (a file, ``[3].title``, or
    nothing for a text), in this ``line`` of it, counted from 1, as the characters ``start`` to
    ``end``; ``text`` is what stands around it."""

    word: str
    where: str
    line: int
    start: int
    end: int
    text: str


class Places(Sequence):
    """All places that were found, word by word, in the order of the text.

    ``counts`` has the number of places by word, ``missing`` the words that stand nowhere, and
    ``of(word)`` the places of one word. What is shown of it is short.
    """

    def __init__(self, words: list[str], around: int) -> None:
        self.counts: dict[str, int] = dict.fromkeys(words, 0)
        self.searched = 0
        """The characters that were searched."""
        self._around = around
        self._parts: list[tuple[str, str]] = []  # those in which something was found
        self._found = {word: _Hits() for word in self.counts}
        self._line = (-1, 0, 1)  # part, place and line that were counted last

    @property
    def missing(self) -> list[str]:
        return [word for word, count in self.counts.items() if not count]

    def of(self, word: str) -> list[Place]:
        """Return the places of one of the words."""
        return [self._place(word, at) for at in range(self.counts[word])]

    def __len__(self) -> int:
        return sum(self.counts.values())

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self[each] for each in range(*at.indices(len(self)))]
        left = at + len(self) if at < 0 else at
        for word, count in self.counts.items() if left >= 0 else ():
            if left < count:
                return self._place(word, left)
            left -= count
        raise IndexError("there are %d places, not one at %r" % (len(self), at))

    def __iter__(self) -> Iterator[Place]:
        return (self._place(word, at) for word, n in self.counts.items() for at in range(n))

    def _take(self, word: str, part: int, start: int, end: int) -> None:
        self._found[word].add(part, start, end)
        self.counts[word] += 1

    def _place(self, word: str, at: int) -> Place:
        part, start, end = self._found[word].at(at)
        where, text = self._parts[part]
        near = text[max(start - self._around, 0) : end + self._around]
        return Place(word, where, self._line_of(part, start), start, end, near)

    def _line_of(self, part: int, start: int) -> int:
        """Return the line of a place. Lines are counted on from the place before, where that is
        earlier in the same part."""
        last, counted_to, line = self._line
        if last != part or counted_to > start:
            counted_to, line = 0, 1
        line += self._parts[part][1].count("\n", counted_to, start)
        self._line = (part, start, line)
        return line

    def __repr__(self) -> str:
        found = {word: count for word, count in self.counts.items() if count}
        lines = [
            f"{counted(len(self), 'place')} of {counted(len(self.counts), 'word')}"
            f" in {counted(self.searched, 'character')}."
        ]
        if self.missing:
            more = len(self.missing) - _SHOWN_WORDS
            said = ", ".join(repr(word[:60]) for word in self.missing[:_SHOWN_WORDS])
            lines.append(f"Nowhere: {said}" + (f" and {more:,} more: see .missing" * (more > 0)))
        if len(found) > _SHOWN_WORDS:
            lines.append(f"Of the first {_SHOWN_WORDS}; for the others see .counts and .of(word):")
        for word in list(found)[:_SHOWN_WORDS]:
            lines += self._shown(word, _SHOWN_PLACES if len(found) > 1 else _SHOWN_WORDS)
        text = "\n".join(lines)
        return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…"

    def _shown(self, word: str, most: int) -> Iterator[str]:
        yield f"{word[:60]!r}: {counted(self.counts[word], 'place')}"
        for at in range(min(self.counts[word], most)):
            one = self._place(word, at)
            where = f"{one.where[:80]} " if one.where else ""
            text = " ".join(one.text.split())
            yield f"  {where}line {one.line:,}, characters {one.start:,}–{one.end:,}: {text}"
        if self.counts[word] > most:
            yield f"  … and {self.counts[word] - most:,} more"


class _Hits:
    """The places of one word, as numbers."""

    def __init__(self) -> None:
        self._parts = array("l")  # each part once
        self._firsts = array("l")  # the first of its places
        self._starts = array("q")
        self._ends = array("q")

    def add(self, part: int, start: int, end: int) -> None:
        if not self._parts or self._parts[-1] != part:
            self._parts.append(part)
            self._firsts.append(len(self._starts))
        self._starts.append(start)
        self._ends.append(end)

    def at(self, number: int) -> tuple[int, int, int]:
        part = self._parts[bisect_right(self._firsts, number) - 1]
        return part, self._starts[number], self._ends[number]


def places(value: Any, words: Any, around: int, case: bool) -> Places:
    """Return the places. Raises ``TypeError`` and ``ValueError`` for what cannot be looked for."""
    wanted = _words(words)
    if not isinstance(around, int) or around < 0:
        raise ValueError("find: around is a number of characters, not %r" % (around,))
    found = Places(wanted, around)
    patterns = [(word, _pattern(word, case)) for word in found.counts]
    for chunk in chunks(value):
        _search(found, patterns, chunk, case)
    return found


def _words(words: Any) -> list[str]:
    given = [words] if isinstance(words, str) else words
    if isinstance(given, (bytes, Mapping)) or not isinstance(given, Iterable):
        raise TypeError("find: words is a str or a list of str, not %s" % type(words).__name__)
    wanted = []
    for word in given:
        if not isinstance(word, str):
            raise TypeError("find: each word is a str, not %r" % (word,))
        if not word.strip():
            raise ValueError("find: a word is empty")
        wanted.append(word)
    if not 0 < len(wanted) <= MOST_WORDS:
        raise ValueError(
            "find: give 1 to %s words, not %s" % (format(MOST_WORDS, ","), format(len(wanted), ","))
        )
    return wanted


_Pattern = Union[str, "re.Pattern[str]"]


def _pattern(word: str, case: bool) -> _Pattern:
    """Return what is looked for: white space in a word stands for any white space."""
    bare = word.strip()
    parts = (bare if case else _lower(bare)).split()
    if len(parts) == 1:
        return parts[0]
    return re.compile(r"\s+".join(map(re.escape, parts)))


def _lower(text: str) -> str:
    """Return the text in small letters, of the same length: of all letters only İ has two there,
    and of sigma's two forms one is looked for."""
    return text.replace("İ", "i").lower().replace("ς", "σ")


def _search(found: Places, patterns: list[tuple[str, _Pattern]], chunk: Chunk, case: bool) -> None:
    """Look for all words in some parts at once."""
    searched = chunk.text if case else _lower(chunk.text)
    found.searched += len(searched) - len(chunk.parts) + 1
    kept: dict[int, int] = {}  # by number in the chunk the number in what was found
    for word, pattern in patterns:
        for start, end in _spans(searched, pattern):
            number = chunk.part_at(start)
            if number not in kept:
                kept[number] = len(found._parts)
                found._parts.append(chunk.parts[number])
            begin = chunk.starts[number]
            found._take(word, kept[number], start - begin, end - begin)


def _spans(text: str, pattern: _Pattern) -> Iterator[tuple[int, int]]:
    if not isinstance(pattern, str):
        yield from (match.span() for match in pattern.finditer(text))
        return
    at = text.find(pattern)
    while at >= 0:
        yield at, at + len(pattern)
        at = text.find(pattern, at + len(pattern))


class Chunk:
    """Some parts of a value, each a name and a text, as one text that is searched at once."""

    def __init__(self, held: list[tuple[str, str]]) -> None:
        self.parts = held
        self.text = held[0][1] if len(held) == 1 else _APART.join(text for _, text in held)
        self.starts = []
        at = 0
        for _, text in held:
            self.starts.append(at)
            at += len(text) + len(_APART)

    def part_at(self, place: int) -> int:
        """Return the number of the part in which a place of the text is."""
        return bisect_right(self.starts, place) - 1


def chunks(value: Any) -> Iterator[Chunk]:
    """Return the texts in a value, in groups of a few million characters, or of one text."""
    held: list[tuple[str, str]] = []
    size = 0
    for part in _parts(value):
        if held and size + len(part[1]) > _CHUNK_CHARS:
            yield Chunk(held)
            held, size = [], 0
        held.append(part)
        size += len(part[1])
    if held:
        yield Chunk(held)


def _parts(value: Any) -> Iterator[tuple[str, str]]:
    """Return the texts in a value with the names of their places, in order."""
    kind = type(value).__name__
    if isinstance(value, Folder):
        yield from value.items()
    elif kind in ("DataFrame", "Series"):
        frame = value if kind == "DataFrame" else value.to_frame()
        names = [str(name) for name in frame.columns]
        yield from ((f"column {name}", name) for name in names)
        columns = [frame.iloc[:, at].tolist() for at in range(len(names))]
        for number, row in enumerate(zip(*columns)):
            yield from ((f"[{number}].{n}", _written(cell)) for n, cell in zip(names, row))
    else:
        yield from _inside(value)


def _inside(value: Any) -> Iterator[tuple[str, str]]:
    """Return the texts in lists and dicts, however deep, keys among them."""
    waiting: list[Iterator[tuple[str, Any]]] = [iter([("", value)])]
    while waiting:
        name, item = next(waiting[-1], (None, None))
        if name is None:
            waiting.pop()
        elif isinstance(item, Mapping):
            waiting.append(_of_mapping(name, item))
        elif isinstance(item, (list, tuple, set, frozenset)):
            waiting.append(_of_items(name, item))
        elif item is not None:
            yield name, _written(item)
        if len(waiting) > _DEEPEST:
            raise ValueError(
                "find: the value is nested more than %d deep, or contains itself" % _DEEPEST
            )


def _of_items(name: str, items: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    return ((f"{name}[{number}]", item) for number, item in enumerate(items))


def _of_mapping(name: str, mapping: Mapping) -> Iterator[tuple[str, Any]]:
    for key, item in mapping.items():
        own = f"{name}.{key}" if name else str(key)
        yield f"{own} (key)", str(key)
        yield own, item


def _written(cell: Any) -> str:
    if isinstance(cell, str):
        return cell
    if isinstance(cell, (bytes, bytearray)):
        return bytes(cell).decode("utf-8", "backslashreplace")
    return "" if is_missing(cell) else str(cell)
