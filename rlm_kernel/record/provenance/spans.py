"""Where pieces of many prompts stand in a long text, by exact matching.

The text is indexed at its lines and words, as densely as ``MAX_ANCHORS`` allows; the words of a
prompt are looked up, and a hit is extended both ways as far as the characters agree. 100 MB of
text and 10,000 prompts of 10 kB out of it take some seconds and about 400 MB, the text included.

What is found is approximate: a piece of fewer than ``SHORTEST`` characters is not looked for, one
that stands in several places counts for the first of them, and a prompt may hold words of the text
by chance.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

SHORTEST = 24
MAX_ANCHORS = 2_000_000
PATIENCE = 256
"""Words looked up one by one; after so many in vain, one in four is."""
_WORD = re.compile(r"\w+")
_FOURTH = re.compile(r"\w+(?:\W+\w+){0,3}")

Range = tuple[int, int]
"""First character and the one after the last."""


@dataclass(frozen=True)
class Span:
    """A part of the context. Offsets are characters and lines count from 1, both of the part that
    ``where`` names: a file of a folder, an item of a list, or nothing for a text."""

    where: str
    start: int
    end: int
    first_line: int
    last_line: int


class Index:
    """The text in a form in which prompts find their pieces."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._unique: dict[int, int] = {}  # by hash: the shingles themselves take twice the memory
        self._repeated: dict[int, int] = {}
        gap = len(text) // MAX_ANCHORS if len(text) > 4 * MAX_ANCHORS else 0
        # One anchor at the first word of each line, and one after each `gap` characters of it.
        for match in re.finditer(rf"\w[^\n]{{0,{gap}}}\w*", text):
            start = match.start()
            shingle = hash(text[start : start + SHORTEST])
            if self._unique.setdefault(shingle, start) != start:
                self._repeated[shingle] = start
        for shingle in self._repeated:
            self._repeated[shingle] = self._unique.pop(shingle)

    def find(self, prompt: str) -> list[Range]:
        """Return the ranges of the text that stand in the prompt, in the prompt's order.

        Pieces that stand in one place only are found first: what is left between them is looked up
        among the repeated ones.
        """
        found: list[Range] = []
        start = 0
        for piece_start, piece_end, where in self._pieces(prompt, 0, len(prompt), self._unique):
            found += self._filled(prompt, start, piece_start)
            found.append(self._trimmed(where, where + piece_end - piece_start))
            start = piece_end
        return found + self._filled(prompt, start, len(prompt))

    def _filled(self, prompt: str, start: int, end: int) -> list[Range]:
        if end - start < SHORTEST or not self._repeated:
            return []
        pieces = self._pieces(prompt, start, end, self._repeated)
        return [self._trimmed(where, where + last - first) for first, last, where in pieces]

    def _trimmed(self, start: int, end: int) -> Range:
        """Leave out white space around a piece: it agrees by chance."""
        piece = self.text[start:end]
        return start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())

    def _pieces(
        self, prompt: str, start: int, end: int, anchors: dict[int, int]
    ) -> Iterator[tuple[int, int, int]]:
        """Yield the pieces of ``prompt[start:end]`` as first, last and the place in the text."""
        free = start
        while free + SHORTEST <= end:
            hit = self._hit(prompt, free, end, anchors)
            if hit is None:
                return
            place, found = hit
            before = _common_before(self.text, found, prompt, place, place - free)
            after = _common(self.text, found, prompt, place, end - place)
            yield place - before, place + after, found - before
            free = place + after

    def _hit(
        self, prompt: str, start: int, end: int, anchors: dict[int, int]
    ) -> tuple[int, int] | None:
        """Return the next word that begins a piece, and where it stands in the text."""
        near = islice(_WORD.finditer(prompt, start, end), PATIENCE)
        last = start
        for match in near:
            last = match.start()
            found = self._at(prompt, last, anchors)
            if found is not None:
                return (last, found) if last + SHORTEST <= end else None
        for match in _FOURTH.finditer(prompt, last, end):
            place = match.start()
            found = self._at(prompt, place, anchors)
            if found is not None:
                return (place, found) if place + SHORTEST <= end else None
        return None

    def _at(self, prompt: str, place: int, anchors: dict[int, int]) -> int | None:
        shingle = prompt[place : place + SHORTEST]
        found = anchors.get(hash(shingle))
        return found if found is not None and self.text.startswith(shingle, found) else None


def _common(text: str, i: int, prompt: str, j: int, most: int) -> int:
    """Count the characters that agree from ``text[i]`` and ``prompt[j]`` on, ``most`` at most."""
    same, step = 0, SHORTEST
    most = min(most, len(text) - i)
    while step:
        size = min(step, most - same)
        if size and text[i + same : i + same + size] == prompt[j + same : j + same + size]:
            same += size
            step *= 2
        else:
            step = size // 2
    return same


def _common_before(text: str, i: int, prompt: str, j: int, most: int) -> int:
    """Count the same backwards from ``text[i - 1]`` and ``prompt[j - 1]``."""
    same, step = 0, SHORTEST
    most = min(most, i)
    while step:
        size = min(step, most - same)
        stop_i, stop_j = i - same, j - same
        if size and text[stop_i - size : stop_i] == prompt[stop_j - size : stop_j]:
            same += size
            step *= 2
        else:
            step = size // 2
    return same


def merged(ranges: Iterable[Range], text: str) -> list[Range]:
    """Return them in order, those that overlap or have only white space between them made one."""
    made: list[Range] = []
    for start, end in sorted(ranges):
        if made and (start <= made[-1][1] or text[made[-1][1] : start].isspace()):
            made[-1] = made[-1][0], max(end, made[-1][1])
        else:
            made.append((start, end))
    return made


@dataclass(frozen=True)
class Texts:
    """A context as one text: its parts with a line break between them. ``starts`` and ``names``
    are of the parts; a plain text is one part with no name."""

    text: str
    starts: tuple[int, ...] = (0,)
    names: tuple[str, ...] = ("",)

    @classmethod
    def of(cls, parts: Iterable[tuple[str, str]]) -> Texts:
        """Join pairs of name and text."""
        names, texts, starts, place = [], [], [], 0
        for name, text in parts:
            names.append(name)
            texts.append(text)
            starts.append(place)
            place += len(text) + 1
        return cls("\n".join(texts), tuple(starts), tuple(names))

    def range_of(self, span: object) -> Range | None:
        """Return the range of a place that was recorded: a part's name, and first character and the
        one after the last in it. None where it is none, or not in this text."""
        if not isinstance(span, list) or [*map(type, span)] != [str, int, int]:
            return None
        where, start, end = span
        begin = self._begin.get(where, len(self.text) + 1)
        return (begin + start, begin + end) if 0 <= start <= end <= len(self.text) - begin else None

    @cached_property
    def _begin(self) -> dict[str, int]:
        """By name where each part begins."""
        return dict(zip(self.names, self.starts, strict=True))

    def place(self, found: Range) -> tuple[str, int, int]:
        """Return the part in which a range begins, and the range counted from that part's
        beginning."""
        part = bisect_right(self.starts, found[0]) - 1
        begin = self.starts[part]
        return self.names[part], found[0] - begin, found[1] - begin

    def spans(self, ranges: Iterable[Range]) -> list[Span]:
        """Return merged ranges, each cut where a part ends. Lines are counted once through."""
        made: list[Span] = []
        part, counted, line = -1, 0, 1
        for start, end in self._cut(ranges):
            here = bisect_right(self.starts, start) - 1
            if here != part:
                part, counted, line = here, self.starts[here], 1
            first = line + self.text.count("\n", counted, start)
            last = first + self.text.count("\n", start, end - 1)
            counted, line = end - 1, last
            begin = self.starts[here]
            made.append(
                Span(
                    where=self.names[here],
                    start=start - begin,
                    end=end - begin,
                    first_line=first,
                    last_line=last,
                )
            )
        return made

    def _cut(self, ranges: Iterable[Range]) -> Iterator[Range]:
        for start, end in ranges:
            here = bisect_right(self.starts, start)
            while here < len(self.starts) and self.starts[here] < end:
                if self.starts[here] - 1 > start:
                    yield start, self.starts[here] - 1
                start = self.starts[here]
                here += 1
            yield start, end
