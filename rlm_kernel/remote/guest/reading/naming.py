"""Reads a question: the values of tables that it names, the decimals it wants, whether it asks for
one thing; and tells what of that a query leaves out or adds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Optional

from ..pieces import some
from .passages import common, stem
from .sql_tables import WORD, Table

_JUDGED = re.compile(r"\bjudge\s*\([^()]*\)\s*==?\s*'((?:[^']|'')*)'", re.IGNORECASE)
_MOST_VALUES = 20_000
_VALUE_CHARS = 80
_WORDS = 6
"""A value of more words is not looked for in a question."""
_SHOWN = 6
COMPARED = re.compile(
    r"(?:\w+\.)?(\"[^\"]+\"|[A-Za-z_]\w*)\s*(=|==|LIKE|IN\s*\()\s*'((?:[^']|'')*)'", re.IGNORECASE
)
"""A column, how it is compared, and with which text."""


_ONE = re.compile(
    r"(?i)\b(?:which|what)(?: \w+){0,2}? (?!\w+s\b)\w+ (?:is|was|has|had|does|did|do|\w+ed)\b"
    r"|\b(?:who|where|when) (?:is|was|did|does|has)\b"
    r"|\bwhat (?:is|was) the (?!\w+s\b)\w+"
)
"""Asks for one thing."""
_SEVERAL = re.compile(
    r"(?i)\b(?:all|list|every|each|per|by|names|are|were|have"
    r"|(?:which|what) (?!(?:is|was|does|has)\b)\w+s)\b"
)
_DECIMALS = re.compile(
    r"(?i)\b(no|zero|one|two|three|four|\d) (?:decimals?|digits? (?:after|behind))\b"
    r"|\bround\w*\b.{0,40}?\b(whole|integer|nearest (?:one|unit))"
)
_NUMBERS = {"no": 0, "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4}


class Named(NamedTuple):
    """A value that a question names, and the columns that have it."""

    value: str
    columns: list[str]


def named_in(question: str, tables: Sequence[Table]) -> list[Named]:
    """Return the values that stand in a question as whole words, the longest where several do."""
    words = _stems(question)
    spans = {
        tuple(words[start:end]): range(start, end)
        for start in range(len(words))
        for end in range(start + 1, min(start + _WORDS, len(words)) + 1)
    }
    found: dict[tuple[str, ...], Named] = {}
    names = {tuple(_stems(column)) for table in tables for column in table.columns}
    for table in tables:
        for at, column in enumerate(table.columns):
            if column in table.numbers:
                continue
            for value in _values(table, at):
                said = tuple(_stems(value))
                if said not in spans or said in names or len("".join(said)) < 2:
                    continue
                if not all(map(common, said)):
                    known = found.setdefault(said, Named(value, []))
                    if column not in known.columns:
                        known.columns.append(column)
    longest = sorted(found, key=len, reverse=True)
    kept: list[tuple[str, ...]] = []
    for said in longest:
        if not any(set(spans[said]) <= set(spans[other]) for other in kept):
            kept.append(said)
    return [found[said] for said in sorted(kept, key=lambda said: spans[said].start)]


def dates_in(question: str, tables: Sequence[Table]) -> list[str]:
    """Return which dates of a question are written otherwise in a table, as sentences."""
    return [
        f"{written} is {column} {day!r}"
        for table in tables
        for column, dates in table.dates.items()
        for written, day in dates.items()
        if written != day and re.search(rf"(?<!\w){re.escape(written)}(?!\w)", question)
    ]


def shown(named: Iterable[Named]) -> list[str]:
    """Return each value with the columns that have it."""
    return [f"{one.value!r} is a {' or '.join(one.columns[:3])}" for one in named][:_SHOWN]


def decimals_in(question: str) -> Optional[int]:
    """Return the decimals that a question wants a figure rounded to; None where it says nothing."""
    found = _DECIMALS.search(question)
    if found is None:
        return None
    word = (found.group(1) or "zero").lower()
    return int(word) if word.isdigit() else _NUMBERS[word]


def doubt_of(
    query: str, question: str, tables: Sequence[Table], *, several: bool = False
) -> Optional[str]:
    """Return which values that the question names a query leaves out, which it looks for that the
    question does not say, and whether it gives ``several`` where one is asked for, as sentences;
    None for none."""
    asked = set(_stems(query))
    left_out = [n for n in named_in(question, tables) if not asked.issuperset(_stems(n.value))]
    compared = dict.fromkeys(COMPARED.findall(query))
    added = [f"{column} {value!r}" for column, _, value in compared if not _said(value, question)]
    labels = dict.fromkeys(_JUDGED.findall(query))
    added += [f"the label {label!r}" for label in labels if not _said(label, question)]
    parts = []
    if left_out:
        parts.append(f"The question says {some(shown(left_out))}, which the query leaves out.")
    if added:
        parts.append(f"The query asks for {some(added)}, which the question does not say.")
    if several and _ONE.search(question) and not _SEVERAL.search(question):
        parts.append("The query gives several rows, and the question asks for one.")
    return " ".join(parts) or None


def _said(value: str, question: str) -> bool:
    """Return whether a question says a value, or a word of it; what is no word may be meant."""
    bare = value.strip("%_ ").lower()
    if len(bare) < 2 or any(map(str.isdigit, bare)):
        return True
    return bare in question.lower() or not set(_stems(question)).isdisjoint(_stems(bare))


def _values(table: Table, at: int) -> Iterable[str]:
    values: dict[str, None] = {}
    for row in table.rows:
        if isinstance(row[at], str) and len(row[at]) <= _VALUE_CHARS:
            values[row[at]] = None
            if len(values) > _MOST_VALUES:
                return ()
    return values


def _stems(text: str) -> list[str]:
    return [stem(word) for word in WORD.findall(text)]
