"""A kind of question: its wordings, and a function that makes contexts whose answer is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import TypeAlias

Gold: TypeAlias = str | int | float | list[str]
Context: TypeAlias = str | Mapping[str, str]
"""The text of one file, or the texts of a folder by relative path."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A context, the right answer by construction, and the ``words`` that a wording names.
    ``others`` are answers that are not right, which a right one must not name beside it."""

    context: Context
    gold: Gold
    words: Mapping[str, object] = field(default_factory=dict)
    others: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of question.

    ``make`` gets its chance and the characters that the context should have: some hundreds more
    or fewer. A ``held_out`` kind is for measuring only: nothing is to be tuned by it. ``rule`` is
    one of ``rules.RULES``, ``suffix`` that of the context's file. ``answer_chars`` is the length
    at which an answer is cut, by default one that fits the gold. ``sources`` are addresses where
    such questions were asked in public. ``missing`` says what this machine lacks for it, if so.
    """

    name: str
    make: Callable[[Random, int], Made]
    wordings: tuple[str, ...]
    rule: str
    suffix: str = ".txt"
    held_out: bool = False
    answer_chars: int | None = None
    sources: tuple[str, ...] = ()
    missing: Callable[[], str | None] = lambda: None


@dataclass(frozen=True)
class Wanted:
    """A task that is to be made: of a kind, by a seed, of so many characters."""

    kind: Kind
    seed: int
    chars: int

    @property
    def chance(self) -> Random:
        """Return the chance by which it is made, the same each time."""
        return Random(f"{self.kind.name} {self.seed} {self.chars}")

    @property
    def number(self) -> int:
        """Return a seed for a generator of others."""
        return self.chance.randrange(2**31)


def size(context: Context) -> int:
    """Return the characters of a context, of a folder those of its files."""
    return len(context) if isinstance(context, str) else sum(map(len, context.values()))


def filled(chars: int, line: Callable[[int], str], least: int = 12) -> list[str]:
    """Return the lines that ``line`` makes of the numbers from 0 on, until they have so many
    characters and are so many at least."""
    return list(_lines(chars, line, least))


def _lines(chars: int, line: Callable[[int], str], least: int) -> Iterator[str]:
    number = 0
    while chars > 0 or number < least:
        made = line(number)
        chars -= len(made) + 1
        number += 1
        yield made


def text(lines: list[str]) -> str:
    """Return lines as the text of a file."""
    return "".join(f"{line}\n" for line in lines)
